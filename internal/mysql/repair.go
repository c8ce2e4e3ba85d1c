package mysql

import (
	"fmt"
	"time"

	"github.com/failoverd/failoverd/internal/topology"
)

// repairOf is the change that meets a requirement at a server, or why a person has
// to. What would make writes wait or fail, or touch the relay log of a server that
// acknowledges, is never done.
func repairOf(requirement string, e examined) (c change, reason string) {
	if repair := repairs[requirement]; repair != nil {
		return repair(e)
	}
	if reason := leftToPeople[requirement]; reason != "" {
		return change{}, reason
	}
	return change{}, "only a person can tell what is right"
}

// repairs are the requirements that can be met while a server works.
var repairs = map[string]func(examined) (change, string){
	"binlog-format":       whileApplierRests("SET PERSIST binlog_format = ROW", "sessions that are open now keep what they have"),
	"sync-binlog":         persist("sync_binlog", "1", ""),
	"flush-log-at-commit": persist("innodb_flush_log_at_trx_commit", "1", ""),
	"sync-relay-log":      persist("sync_relay_log", "1", ""),
	"max-connect-errors":  persist("max_connect_errors", "1000000", ""),
	"binlog-row-metadata": persist("binlog_row_metadata", "FULL", ""),
	"relay-log-recovery":  keepRelayLog,
	"boots-closed":        bootAs("super_read_only", "ON"),
	"boots-unarmed":       bootAs("rpl_semi_sync_replica_enabled", "OFF"),
	"replica-net-timeout": shortenTimeout,
	"commit-order":        whileApplierRests("SET PERSIST replica_preserve_commit_order = ON", ""),
	"semi-sync-lossless":  waitForEver,
	"heartbeat":           quickenHeartbeat,
	"heartbeat-table":     makeHeartbeatTable,
}

// leftToPeople says why the others are not.
var leftToPeople = map[string]string{
	"performance-schema":  "it needs my.cnf and a restart",
	"log-bin":             "it needs my.cnf and a restart",
	"log-replica-updates": "it needs my.cnf and a restart",
	"report-host":         "it needs my.cnf and a restart",
	"gtid-mode":           "it is done on all servers of a chain, step by step",
	"gtid-consistency":    "statements that it forbids would fail at once: WARN first, and look into the error log",
	"server-id":           "only you know which number is free",
	"distinct-server-id":  "only you know which number is free",
	"semi-sync-source":    "only root can install a plugin, and only while the server is open for writes",
	"semi-sync-replica":   "only root can install a plugin, and only while the server is open for writes",
	"clone":               "only root can install a plugin, and only while the server is open for writes",
	"probe-account":       "only root can grant",
	"control-account":     "only root can grant",
	"replication-account": "only root can grant",
	"event-scheduler":     "events would begin to run",
	"one-channel":         "a second channel has a purpose that only you know",
	"auto-position":       "failoverd links servers anew itself, in auto mode",
	"source":              "failoverd links servers anew itself, in auto mode",
	"receiver":            "failoverd starts it itself, in auto mode; an error has a cause that comes first",
	"applier":             "an error has a cause that comes first",
	"closed":              "failoverd closes it itself, in auto mode",
	"errant":              "failoverd saves and rebuilds itself, in auto mode",
}

// persist sets a variable now and for the next start.
func persist(name, value, note string) func(examined) (change, string) {
	return func(examined) (change, string) {
		return change{statements: []string{fmt.Sprintf("SET PERSIST %s = %s", name, value)}, note: note}, ""
	}
}

// bootAs sets what a variable will be at the next start and leaves it as it is now,
// for the master is open and an acker acknowledges.
func bootAs(name, value string) func(examined) (change, string) {
	return func(e examined) (change, string) {
		switch {
		case e.mayPersistOnly:
			return change{statements: []string{fmt.Sprintf("SET PERSIST_ONLY %s = %s", name, value)}}, ""
		case e.boot[name].now == value:
			return change{statements: []string{fmt.Sprintf("SET PERSIST %s = %s", name, value)}}, ""
		}
		return change{}, "the control account lacks PERSIST_RO_VARIABLES_ADMIN, and SET PERSIST would change it now too"
	}
}

func keepRelayLog(e examined) (change, string) {
	switch {
	case e.boot["relay_log_recovery"].persisted == "OFF":
		return change{}, "it needs a restart"
	case !e.mayPersistOnly:
		return change{}, "it needs my.cnf and a restart, for the control account lacks PERSIST_RO_VARIABLES_ADMIN"
	}
	return change{statements: []string{"SET PERSIST_ONLY relay_log_recovery = OFF"}, later: true, note: "it takes effect when the server is restarted"}, ""
}

// replicaNetTimeout is what a link's timeout should be.
const replicaNetTimeout = 4 * time.Second

func shortenTimeout(e examined) (change, string) {
	if link := e.facts.Link; link != nil && link.Heartbeat.Std() > replicaNetTimeout/2 {
		if _, reason := quickenHeartbeat(e); reason != "" {
			return change{}, fmt.Sprintf("with a heartbeat of %s an idle link would break all the time: that comes first", link.Heartbeat)
		}
	}
	return change{statements: []string{"SET PERSIST replica_net_timeout = 4"}, note: "it takes effect when the receiver connects next"}, ""
}

// acknowledges says whether the server's receiver and relay log are to be left
// alone: commits may wait for them, and acknowledged ones be there alone.
func (e examined) acknowledges() bool { return e.place.acks || e.facts.ReplicaSemiSync }

const touchesAcker = "the server acknowledges, or may in a moment, and commits would wait meanwhile"

// quickenHeartbeat stops the receiver for a moment. The applier goes on, and keeps
// the relay log from being thrown away.
func quickenHeartbeat(e examined) (change, string) {
	link := e.facts.Link
	switch {
	case link == nil:
		return change{}, "there is no link any more"
	case e.acknowledges():
		return change{}, touchesAcker
	case link.SQL != topology.On:
		return change{}, "the applier does not run, so that the relay log would be thrown away"
	case link.IO == topology.Off:
		return change{statements: []string{heartbeatPeriodSQL}}, ""
	}
	return change{statements: []string{stopReceiverSQL, heartbeatPeriodSQL}, finally: []string{startReceiverSQL}}, ""
}

// whileApplierRests stops the applier for a moment, for variables that cannot be set
// while it runs (errors 3017 and 3747).
func whileApplierRests(statement, note string) func(examined) (change, string) {
	return func(e examined) (change, string) {
		switch {
		case e.facts.Link == nil, e.facts.Link.SQL == topology.Off:
			return change{statements: []string{statement}, note: note}, ""
		case e.acknowledges():
			return change{}, "the applier would have to be stopped, and the server acknowledges commits"
		}
		return change{statements: []string{stopApplierSQL, statement}, finally: []string{startApplierSQL}, note: note}, ""
	}
}

func waitForEver(e examined) (change, string) {
	if s := e.facts.Source; s.Clients < max(s.Acks, 1) || s.Waiting > 0 {
		return change{}, fmt.Sprintf("commits would wait at once, for %d replicas acknowledge: failoverd sees to that in auto mode", s.Clients)
	}
	return change{statements: []string{losslessSQL}}, ""
}

func makeHeartbeatTable(e examined) (change, string) {
	switch {
	case !e.place.isMaster:
		return change{}, "the table comes from the master by replication"
	case !e.facts.Open():
		return change{}, "the master is not open for writes"
	}
	return change{statements: createHeartbeatSQL, note: "root may have to do it, and to grant the probe account its use"}, ""
}
