package mysql

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"math"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/failoverd/failoverd/internal/topology"
)

// variables are what Facts.Settings holds: what the requirements look at on every tick.
var variables = []variable{
	{name: "binlog_format"}, {name: "binlog_row_metadata"}, {name: "clone_valid_donor_list"}, {name: "enforce_gtid_consistency"},
	{name: "event_scheduler"}, {name: "gtid_mode"}, {name: "innodb_flush_log_at_trx_commit"}, {name: "log_bin", flag: true},
	{name: "log_replica_updates", flag: true}, {name: "max_connect_errors"}, {name: "performance_schema", flag: true},
	{name: "relay_log_recovery", flag: true}, {name: "replica_net_timeout"}, {name: "replica_preserve_commit_order", flag: true},
	{name: "report_host"}, {name: "report_port"},
	{name: "rpl_semi_sync_master_enabled", old: true}, {name: "rpl_semi_sync_slave_enabled", old: true},
	{name: "rpl_semi_sync_replica_enabled", flag: true}, {name: "rpl_semi_sync_source_enabled", flag: true}, {name: "rpl_semi_sync_source_timeout"},
	{name: "rpl_semi_sync_source_wait_for_replica_count"}, {name: "rpl_semi_sync_source_wait_no_replica", flag: true},
	{name: "rpl_semi_sync_source_wait_point"}, {name: "sync_binlog"}, {name: "sync_relay_log"},
}

// variable is a global variable of the server.
type variable struct {
	name string
	flag bool // shown as ON or OFF, and 1 or 0 in an expression
	old  bool // of the semi-sync plugins before 8.0.26, which exclude those that are needed
}

// A look costs the server half as much when it names the variables, but fails when
// one does not exist, as those of a plugin that is not installed; performance_schema
// goes through all there are.
var factsByName, factsByTable = factsStatements()

func factsStatements() (byName, byTable string) {
	var values, names []string
	for _, v := range variables {
		names = append(names, "'"+v.name+"'")
		switch {
		case v.flag:
			values = append(values, fmt.Sprintf("'%s', IF(@@GLOBAL.%s, 'ON', 'OFF')", v.name, v.name))
		case !v.old:
			values = append(values, fmt.Sprintf("'%s', CONCAT(COALESCE(@@GLOBAL.%s, ''))", v.name, v.name))
		}
	}
	return fmt.Sprintf(factsSQL, "JSON_OBJECT("+strings.Join(values, ", ")+")"),
		fmt.Sprintf(factsSQL, fmt.Sprintf(settingsSQL, strings.Join(names, ",")))
}

// glance remembers how a server can be looked at.
type glance struct {
	byTable atomic.Bool // some variable does not exist
}

// at gathers the facts of the server in one round trip, and one more for the latest
// clone where the plugin is installed.
func (g *glance) at(ctx context.Context, conn *sql.Conn) (topology.Facts, error) {
	if !g.byTable.Load() {
		f, err := look(ctx, conn, factsByName)
		if serverNumber(err) != errUnknownVariable {
			return f, err
		}
	}
	f, err := look(ctx, conn, factsByTable)
	if err == nil {
		g.byTable.Store(slices.ContainsFunc(variables, func(v variable) bool {
			_, there := f.Settings[v.name]
			return !v.old && !there
		}))
	}
	return f, err
}

// lookAt is for who looks once.
func lookAt(ctx context.Context, conn *sql.Conn) (topology.Facts, error) {
	return new(glance).at(ctx, conn)
}

// idleEvent is a scheduled event that is not enabled.
type idleEvent struct {
	name, status string
	ours         bool // it came about on this server, and not by replication
}

// UnmarshalJSON reads the array that factsSQL makes of one.
func (e *idleEvent) UnmarshalJSON(text []byte) error {
	var ours int
	if err := json.Unmarshal(text, &[]any{&e.name, &e.status, &ours}); err != nil {
		return err
	}
	e.ours = ours == 1
	return nil
}

// heedEvents notes which events are asleep because they came by replication, and,
// if the account may see events, which a person switched off here.
func heedEvents(f *topology.Facts, text []byte, visible bool) error {
	if visible {
		f.DisabledEvents = []string{}
	}
	if len(text) == 0 {
		return nil
	}
	var events []idleEvent
	if err := json.Unmarshal(text, &events); err != nil {
		return fmt.Errorf("events: %w", err)
	}
	for _, e := range events {
		onReplica := strings.HasSuffix(e.status, "SIDE_DISABLED")
		switch {
		case onReplica && !e.ours:
			f.AsleepEvents++
		case visible && (onReplica || e.status == "DISABLED"):
			f.DisabledEvents = append(f.DisabledEvents, e.name)
		}
	}
	return nil
}

// never is the silence of a link that was never heard, when its IO thread is not
// even connected: longer than any policy.
const never = 24 * time.Hour

func look(ctx context.Context, conn *sql.Conn, statement string) (topology.Facts, error) {
	var (
		f                             topology.Facts
		executed, purged              string
		settings, status              []byte
		host, sourceUUID, io, applier sql.NullString
		heartbeatAge, queuedAge       sql.NullFloat64
		received, ioError, sqlError   sql.NullString
		signs                         sql.NullString
		port, ioErrorNo, sqlErrorNo   sql.NullInt64
		autoPosition                  sql.NullBool
		heartbeatSeconds              sql.NullFloat64
		events                        []byte
		seesEvents                    bool
	)
	err := conn.QueryRowContext(ctx, statement).Scan(
		&f.UUID, &f.Version, &f.ServerID, &f.ReadOnly, &f.SuperReadOnly, &f.Offline, &executed, &purged, &settings, &status,
		&host, &port, &sourceUUID, &io, &applier, &heartbeatAge, &queuedAge, &signs, &received, &autoPosition, &heartbeatSeconds,
		&ioErrorNo, &ioError, &sqlErrorNo, &sqlError, &events, &seesEvents, &f.HangingCommits)
	if err != nil {
		return f, err
	}
	if f.Executed, err = topology.ParseGTIDSet(executed); err != nil {
		return f, fmt.Errorf("gtid_executed: %w", err)
	}
	if f.Purged, err = topology.ParseGTIDSet(purged); err != nil {
		return f, fmt.Errorf("gtid_purged: %w", err)
	}
	if f.Settings, err = nameValues(settings); err != nil {
		return f, fmt.Errorf("settings: %w", err)
	}
	semiSync, err := nameValues(status)
	if err != nil {
		return f, fmt.Errorf("semi-sync status: %w", err)
	}
	enabled, installed := f.Settings["rpl_semi_sync_source_enabled"]
	f.Source.Installed = installed
	f.Source.Enabled = enabled == "ON"
	f.Source.On = semiSync["rpl_semi_sync_source_status"] == "ON"
	f.Source.Clients, _ = strconv.Atoi(semiSync["rpl_semi_sync_source_clients"])
	f.Source.Waiting, _ = strconv.Atoi(semiSync["rpl_semi_sync_source_wait_sessions"])
	f.Source.Acks, _ = strconv.Atoi(f.Settings["rpl_semi_sync_source_wait_for_replica_count"])
	f.ReplicaSemiSync = f.Settings["rpl_semi_sync_replica_enabled"] == "ON"
	if err := heedEvents(&f, events, seesEvents); err != nil {
		return f, err
	}
	if _, installed := f.Settings["clone_valid_donor_list"]; installed {
		if f.Clone, err = lookAtClone(ctx, conn, f.Executed); err != nil {
			return f, err
		}
	}
	if !host.Valid || host.String == "" {
		return f, nil
	}
	link := &topology.Link{
		SourceAddr:   net.JoinHostPort(host.String, strconv.FormatInt(port.Int64, 10)),
		SourceUUID:   sourceUUID.String,
		IO:           topology.ThreadState(io.String),
		SQL:          topology.ThreadState(applier.String),
		AutoPosition: autoPosition.Bool,
		Heartbeat:    topology.Duration(heartbeatSeconds.Float64 * float64(time.Second)),
		IOError:      replicationError(ioErrorNo.Int64, ioError.String),
		SQLError:     replicationError(sqlErrorNo.Int64, sqlError.String),
	}
	link.Signs = signs.String
	link.Silence = topology.Duration(silence(link.IO, heartbeatAge, queuedAge))
	if f.Clone != nil && f.Clone.Emptied {
		received.String = "" // still shown, but of no use without the data it belongs to
	}
	if link.Received, err = topology.ParseGTIDSet(received.String); err != nil {
		return f, fmt.Errorf("received set: %w", err)
	}
	f.Link = link
	return f, nil
}

// silence is the age of the latest sign from the source. A connected link that
// has not had its first heartbeat yet counts as just heard.
func silence(io topology.ThreadState, heartbeat, queued sql.NullFloat64) time.Duration {
	age := math.Inf(1)
	for _, a := range []sql.NullFloat64{heartbeat, queued} {
		if a.Valid {
			age = min(age, max(a.Float64, 0))
		}
	}
	if math.IsInf(age, 1) {
		if io == topology.On {
			return 0
		}
		return never
	}
	return time.Duration(age * float64(time.Microsecond))
}

func replicationError(number int64, message string) string {
	if number == 0 {
		return ""
	}
	return fmt.Sprintf("error %d: %s", number, message)
}

// nameValues reads what JSON_OBJECTAGG made; no rows give NULL.
func nameValues(text []byte) (map[string]string, error) {
	out := map[string]string{}
	if len(text) == 0 {
		return out, nil
	}
	return out, json.Unmarshal(text, &out)
}
