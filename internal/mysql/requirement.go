package mysql

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/failoverd/failoverd/internal/topology"
)

// Level says how bad a finding is.
type Level string

// The levels of findings.
const (
	OK   Level = "ok"
	Warn Level = "warn"
	Fail Level = "fail"
)

// Finding is what came of one requirement at one server. Server is empty for
// what concerns the whole chain.
type Finding struct {
	Requirement string `json:"requirement"`
	Server      string `json:"server,omitempty"`
	Level       Level  `json:"level"`
	// Found is what is there, Why why it matters, Mend the SQL or my.cnf line that
	// mends it; Mend is empty when the level is OK.
	Found string `json:"found"`
	Why   string `json:"why"`
	Mend  string `json:"mend,omitempty"`
}

// Requirement is one thing that a server must be.
type Requirement struct {
	Name string
	Why  string
	// Level is that of an unmet requirement.
	Level Level
	// Mend is the SQL for root, or the line for my.cnf, that meets it.
	Mend  string
	check func(examined) (found string, met bool)
}

// graver are the requirements that are a failure at the servers for which the
// function says so, and a warning at others.
var graver = map[string]func(examined) bool{
	"sync-relay-log": func(e examined) bool { return e.place.mayAck },
}

// examined is everything that the checks look at.
type examined struct {
	facts    topology.Facts
	boot     map[string]bootValue
	channels int
	place    position
	// probe is the account that writes heartbeats, without its password.
	probe Account
	// heartbeat is why the probe account cannot write heartbeats, nil when it can or need not.
	heartbeat error
	// mayPersistOnly says that the control account may set what a restart makes true.
	mayPersistOnly bool
}

// position is what a server is in its chain; alone is that of one that is examined by itself.
type position struct {
	chain    topology.Chain
	server   topology.Server
	isMaster bool
	// acks says that it should acknowledge for the master, mayAck that it also may
	// be about to for the next one.
	acks, mayAck bool
}

func alone(server topology.Server) position {
	return position{chain: topology.Chain{Policy: topology.DefaultPolicy()}, server: server}
}

func placeIn(chain topology.Chain, server topology.Server) position {
	p := position{chain: chain, server: server, isMaster: server.Name == chain.Master()}
	if chain.Policy.Durability == topology.SemiSync && !p.isMaster {
		p.acks = slices.Contains(chain.Policy.Ackers, server.Seat) || chain.IsAcker(server.Name)
		p.mayAck = p.acks || chain.NextAcker() == server.Name
	}
	return p
}

// bootValue is what is known of a variable's value at the next start.
type bootValue struct {
	source    string // VARIABLE_SOURCE, such as COMPILED, GLOBAL, DYNAMIC
	now       string
	persisted string // empty when it is not persisted
}

// Requirements returns the table, in the order in which it is checked.
func Requirements() []Requirement { return requirements }

var requirements = []Requirement{
	{"performance-schema", "replication is observed through it", Fail,
		"my.cnf: performance_schema = ON, then restart", setting("performance_schema", "ON", "1")},
	{"gtid-mode", "promotion compares servers by their GTID sets", Fail,
		"my.cnf: gtid_mode = ON (online: OFF_PERMISSIVE, ON_PERMISSIVE, ON on every server in turn)", setting("gtid_mode", "ON")},
	{"gtid-consistency", "statements that cannot be logged with one GTID would break replication", Fail,
		"SET PERSIST enforce_gtid_consistency = ON", setting("enforce_gtid_consistency", "ON")},
	{"log-bin", "every server may become the master", Fail,
		"my.cnf: log_bin = binlog, then restart", setting("log_bin", "ON", "1")},
	{"log-replica-updates", "a replica must pass on what it received", Fail,
		"my.cnf: log_replica_updates = ON, then restart", setting("log_replica_updates", "ON", "1")},
	{"binlog-format", "only row events replay to the same data", Fail,
		"SET PERSIST binlog_format = ROW", setting("binlog_format", "ROW")},
	{"server-id", "replication refuses servers without an id of their own", Fail,
		"SET PERSIST server_id = <a number that no other server of the chain has>", func(e examined) (string, bool) {
			return fmt.Sprint(e.facts.ServerID), e.facts.ServerID != 0
		}},
	{"semi-sync-source", "acknowledged writes are on two servers only with semi-sync", Fail,
		mendSourcePlugin, plugin("rpl_semi_sync_source_enabled", "rpl_semi_sync_master_enabled")},
	{"semi-sync-replica", "acknowledged writes are on two servers only with semi-sync", Fail,
		mendReplicaPlugin, plugin("rpl_semi_sync_replica_enabled", "rpl_semi_sync_slave_enabled")},
	{"sync-binlog", whyDurable("sync_binlog"), Fail,
		"SET PERSIST sync_binlog = 1", durable("sync_binlog")},
	{"flush-log-at-commit", whyDurable("innodb_flush_log_at_trx_commit"), Fail,
		"SET PERSIST innodb_flush_log_at_trx_commit = 1", durable("innodb_flush_log_at_trx_commit")},
	{"sync-relay-log", whyDurable("sync_relay_log"), Warn,
		"SET PERSIST sync_relay_log = 1", durable("sync_relay_log")},
	{"relay-log-recovery", whyDurable("relay_log_recovery"), Fail,
		"my.cnf: relay_log_recovery = OFF, then restart", bootsDurable("relay_log_recovery")},
	{"semi-sync-lossless", "with semi-sync on, no commit may be acknowledged or seen that is on the master alone", Fail,
		losslessSQL, func(e examined) (string, bool) {
			if !e.facts.Source.Enabled {
				return "semi-sync is off", true
			}
			for _, name := range losslessSettings {
				if found, met := durable(name)(e); !met {
					return found, false
				}
			}
			return "waits without end, before others see the commit", true
		}},
	{"boots-closed", "a server that comes back must not take writes before it is known to belong", Fail,
		"SET PERSIST_ONLY super_read_only = ON", boots("super_read_only", "ON")},
	{"boots-unarmed", "the right to acknowledge must not survive a restart", Fail,
		"SET PERSIST_ONLY rpl_semi_sync_replica_enabled = OFF", boots("rpl_semi_sync_replica_enabled", "OFF")},
	{"replica-net-timeout", "a receiver that waits for a dead source can be stopped only as fast as this", Warn,
		"SET PERSIST replica_net_timeout = 4", func(e examined) (string, bool) {
			seconds, err := strconv.Atoi(e.facts.Settings["replica_net_timeout"])
			return e.facts.Settings["replica_net_timeout"] + " s", err == nil && seconds <= 10
		}},
	{"max-connect-errors", "a server that was frozen would block the watchers' hosts for their broken handshakes", Warn,
		"SET PERSIST max_connect_errors = 1000000", func(e examined) (string, bool) {
			n, err := strconv.ParseUint(e.facts.Settings["max_connect_errors"], 10, 64)
			return e.facts.Settings["max_connect_errors"], err == nil && n >= 10000
		}},
	{"commit-order", "a replica must not show a later commit without an earlier one", Warn,
		"SET PERSIST replica_preserve_commit_order = ON", setting("replica_preserve_commit_order", "ON", "1")},
	{"binlog-row-metadata", "the errant transactions that are saved can only then be read with their columns' names", Warn,
		"SET PERSIST binlog_row_metadata = FULL", setting("binlog_row_metadata", "FULL")},
	{"clone", "a server whose data must be replaced is rebuilt by CLONE INSTANCE", Warn,
		"INSTALL PLUGIN clone SONAME 'mysql_clone.so'", func(e examined) (string, bool) {
			_, installed := e.facts.Settings["clone_valid_donor_list"]
			switch {
			case installed:
				return "installed", true
			case e.place.chain.Policy.Rebuild == topology.RebuildNever:
				return "not installed, and nothing is rebuilt", true
			}
			return "not installed", false
		}},
	{"heartbeat-table", "a master that answers and commits nothing is found out by heartbeats alone", Fail,
		"run on the master what \"failoverd grants --write-probe\" prints last", func(e examined) (string, bool) {
			switch {
			case e.place.chain.Policy.WriteProbe == 0:
				return "no write probes", true
			case e.heartbeat != nil:
				return e.heartbeat.Error(), false
			}
			return "can be written", true
		}},
	{"report-host", "a source tells its replicas' addresses only if they report them", Warn,
		"my.cnf: report_host = <the name that the other servers reach this one by>, then restart", func(e examined) (string, bool) {
			host := e.facts.Settings["report_host"]
			return strconv.Quote(host), host != ""
		}},
	{"one-channel", "failoverd knows one source per server", Fail,
		"STOP REPLICA FOR CHANNEL '<name>'; RESET REPLICA ALL FOR CHANNEL '<name>'", func(e examined) (string, bool) {
			unnamed := 0
			if e.facts.Link != nil {
				unnamed = 1
			}
			return fmt.Sprintf("%d replication channels, %d of them unnamed", e.channels, unnamed), e.channels == unnamed
		}},
	{"auto-position", "a replica changes its source by GTIDs", Fail,
		"STOP REPLICA; CHANGE REPLICATION SOURCE TO SOURCE_AUTO_POSITION = 1; START REPLICA",
		link(func(l topology.Link) (string, bool) { return fmt.Sprint(l.AutoPosition), l.AutoPosition })},
	{"heartbeat", "a replica is a witness of its source's silence only with a heartbeat of at most a second", Warn,
		"STOP REPLICA IO_THREAD; CHANGE REPLICATION SOURCE TO SOURCE_HEARTBEAT_PERIOD = 0.5; START REPLICA IO_THREAD",
		link(func(l topology.Link) (string, bool) {
			return l.Heartbeat.String(), l.Heartbeat > 0 && l.Heartbeat.Std() <= time.Second
		})},
	{"receiver", "a link that is down protects nothing", Warn, "START REPLICA IO_THREAD, once the error is mended",
		link(func(l topology.Link) (string, bool) {
			return strings.TrimSpace(string(l.IO) + " " + l.IOError), l.IO == topology.On && l.IOError == ""
		})},
	{"applier", "what is received and not executed delays a promotion", Warn, "START REPLICA SQL_THREAD, once the error is mended",
		link(func(l topology.Link) (string, bool) {
			return strings.TrimSpace(string(l.SQL) + " " + l.SQLError), l.SQL == topology.On && l.SQLError == ""
		})},
}

// losslessSettings are the semi-sync variables of a source that a commit's safety hangs on.
var losslessSettings = []string{"rpl_semi_sync_source_timeout", "rpl_semi_sync_source_wait_no_replica", "rpl_semi_sync_source_wait_point"}

// durable is met as topology, which looks at every tick, will have it.
func durable(name string) func(examined) (string, bool) {
	d := durableSetting(name)
	return func(e examined) (string, bool) {
		found, known := e.facts.Settings[name]
		return name + " = " + found, known && d.Met(found)
	}
}

// bootsDurable is durable for a variable that only a start can change.
func bootsDurable(name string) func(examined) (string, bool) {
	d := durableSetting(name)
	return func(e examined) (string, bool) {
		found, met := durable(name)(e)
		if next := e.boot[name].persisted; next != "" && d.Met(next) != met {
			return found + ", at the next start " + next, false
		}
		return found, met
	}
}

func whyDurable(name string) string { return "otherwise " + durableSetting(name).Why }

func durableSetting(name string) topology.DurableSetting {
	for _, d := range topology.DurableSettings {
		if d.Name == name {
			return d
		}
	}
	panic("mysql: " + name + " is not one of topology's durable settings")
}

// setting is met by any of the values.
func setting(name string, values ...string) func(examined) (string, bool) {
	return func(e examined) (string, bool) {
		found, known := e.facts.Settings[name]
		for _, value := range values {
			if known && found == value {
				return name + " = " + found, true
			}
		}
		return name + " = " + found, false
	}
}

// boots is met when the variable will have the value at the next start, as far
// as a running server can tell.
func boots(name, value string) func(examined) (string, bool) {
	return func(e examined) (string, bool) {
		b, known := e.boot[name]
		switch {
		case !known:
			return "no such variable", false
		case b.persisted != "":
			return "persisted " + b.persisted, b.persisted == value
		case b.source == "DYNAMIC":
			return unknownAtBoot, false
		case b.now != value && b.source != "COMPILED":
			// Setting read_only OFF takes super_read_only along without changing its source.
			return unknownAtBoot, false
		}
		return b.now + " from " + b.source, b.now == value
	}
}

// unknownAtBoot is only a warning: the configuration file may well be right.
const unknownAtBoot = "set at run time and not persisted, so the value at the next start cannot be told"

// link is met by a server without a source.
func link(check func(topology.Link) (string, bool)) func(examined) (string, bool) {
	return func(e examined) (string, bool) {
		if e.facts.Link == nil {
			return "no source", true
		}
		return check(*e.facts.Link)
	}
}

// plugin is met when the plugin's variable exists. The same plugin under the name
// it had before 8.0.26 has to go first.
func plugin(variable, old string) func(examined) (string, bool) {
	return func(e examined) (string, bool) {
		if _, ok := e.facts.Settings[variable]; ok {
			return "installed", true
		}
		if _, ok := e.facts.Settings[old]; ok {
			return "installed under its old name: UNINSTALL PLUGIN " + strings.TrimSuffix(old, "_enabled") + " first", false
		}
		return "not installed", false
	}
}

// judge applies the whole table to one server.
func judge(server string, e examined) []Finding {
	var out []Finding
	for _, r := range requirements {
		found, met := r.check(e)
		f := Finding{Requirement: r.Name, Server: server, Level: OK, Found: found, Why: r.Why}
		if !met {
			f.Level, f.Mend = r.level(e), r.mend(e)
			if found == unknownAtBoot {
				f.Level = Warn
			}
		}
		out = append(out, f)
	}
	return out
}

// level is that of the requirement when it is not met at this server.
func (r Requirement) level(e examined) Level {
	if isGraver := graver[r.Name]; isGraver != nil && isGraver(e) {
		return Fail
	}
	return r.Level
}

// mend is how the requirement is met at this server.
func (r Requirement) mend(e examined) string {
	switch {
	case r.Name == "heartbeat-table":
		return "on the master: " + strings.Join(HeartbeatTable(Credentials{Probe: e.probe}), "; ")
	case r.Name == "relay-log-recovery" && e.boot["relay_log_recovery"].persisted != "":
		return "restart the server, once its relay log is executed"
	}
	return r.Mend
}

// versionSupported accepts MySQL from 8.0.26, of any later numbering (26.x
// follows 9.7), and no MariaDB, which numbers its releases higher.
func versionSupported(version string) bool {
	if strings.Contains(strings.ToLower(version), "mariadb") {
		return false
	}
	var major, minor, patch int
	if _, err := fmt.Sscanf(version, "%d.%d.%d", &major, &minor, &patch); err != nil {
		return false
	}
	return major > 8 || major == 8 && (minor > 0 || patch >= 26)
}
