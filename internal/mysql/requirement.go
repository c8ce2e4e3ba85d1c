package mysql

import (
	"fmt"
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

// examined is everything that the checks look at.
type examined struct {
	facts    topology.Facts
	boot     map[string]bootValue
	channels int
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
	{"sync-binlog", "a power cut must not lose acknowledged commits", Fail,
		"SET PERSIST sync_binlog = 1", setting("sync_binlog", "1")},
	{"flush-log-at-commit", "a power cut must not lose acknowledged commits", Fail,
		"SET PERSIST innodb_flush_log_at_trx_commit = 1", setting("innodb_flush_log_at_trx_commit", "1")},
	{"sync-relay-log", "the relay log can be the only copy of an acknowledged write", Warn,
		"SET PERSIST sync_relay_log = 1", setting("sync_relay_log", "1")},
	{"relay-log-recovery", "at a start it throws away what was received and not executed, which can be the only copy", Fail,
		"my.cnf: relay_log_recovery = OFF, then restart", setting("relay_log_recovery", "OFF", "0")},
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
			f.Level, f.Mend = r.Level, r.Mend
			if found == unknownAtBoot {
				f.Level = Warn
			}
		}
		out = append(out, f)
	}
	return out
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
