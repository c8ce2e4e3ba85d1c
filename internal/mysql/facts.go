package mysql

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"math"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/failoverd/failoverd/internal/topology"
)

// settingNames are the variables that Facts.Settings holds: those that the
// requirements look at on every tick.
var settingNames = []string{
	"binlog_format", "binlog_row_metadata", "clone_valid_donor_list", "enforce_gtid_consistency", "event_scheduler", "gtid_mode",
	"innodb_flush_log_at_trx_commit", "log_bin",
	"log_replica_updates", "max_connect_errors", "performance_schema", "relay_log_recovery", "replica_net_timeout",
	"replica_preserve_commit_order", "report_host", "report_port",
	"rpl_semi_sync_master_enabled", "rpl_semi_sync_slave_enabled", // the plugins' names before 8.0.26
	"rpl_semi_sync_replica_enabled", "rpl_semi_sync_source_enabled", "rpl_semi_sync_source_timeout",
	"rpl_semi_sync_source_wait_for_replica_count", "rpl_semi_sync_source_wait_no_replica",
	"rpl_semi_sync_source_wait_point", "sync_binlog", "sync_relay_log",
}

var factsStatement = fmt.Sprintf(factsSQL, "'"+strings.Join(settingNames, "','")+"'")

// never is the silence of a link that was never heard, when its IO thread is not
// even connected: longer than any policy.
const never = 24 * time.Hour

// lookAt gathers the facts of one server in one round trip, and one more for the
// latest clone where the plugin is installed.
func lookAt(ctx context.Context, conn *sql.Conn) (topology.Facts, error) {
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
		disabledEvents                []byte
	)
	err := conn.QueryRowContext(ctx, factsStatement).Scan(
		&f.UUID, &f.Version, &f.ServerID, &f.ReadOnly, &f.SuperReadOnly, &f.Offline, &executed, &purged, &settings, &status,
		&host, &port, &sourceUUID, &io, &applier, &heartbeatAge, &queuedAge, &signs, &received, &autoPosition, &heartbeatSeconds,
		&ioErrorNo, &ioError, &sqlErrorNo, &sqlError, &f.AsleepEvents, &disabledEvents, &f.HangingCommits)
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
	if disabledEvents != nil {
		if err := json.Unmarshal(disabledEvents, &f.DisabledEvents); err != nil {
			return f, fmt.Errorf("disabled events: %w", err)
		}
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
