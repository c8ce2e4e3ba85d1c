package mysql

// Every statement that failoverd sends to a server is in this file. They use the
// SOURCE/REPLICA words, which exist since MySQL 8.0.26 and are the only ones since
// 8.4. A comment names a higher or other need. "Privilege" is the least one that
// suffices, as given by Grants.
const (
	// sessionIDSQL reads the id that KILL needs. Any version.
	sessionIDSQL = `SELECT CONNECTION_ID()`

	// factsSQL reads everything of topology.Facts in one round trip, the settings by the
	// expression that is put in. GTID sets come
	// from the system variables, since performance_schema cuts values at 1,024
	// characters. Timestamps are compared with the server's own clock in the
	// session's time zone, which is UTC, so that daylight saving does not show as
	// silence. A link that was never heard since the server started has zero
	// timestamps, for which TIMESTAMPDIFF is NULL. An event that is asleep because of
	// replication has its origin's server id; one that a person disabled here "on
	// replica" has this server's. Without the privilege EVENT no event is seen. Of
	// threads only clients' hang: InnoDB's clone_gtid_thread shows that state at rest.
	// 8.0.26 (semi-sync names). Privilege: SELECT on performance_schema's replication
	// tables, EVENT.
	factsSQL = `SELECT
 @@GLOBAL.server_uuid, VERSION(), @@GLOBAL.server_id,
 @@GLOBAL.read_only, @@GLOBAL.super_read_only, @@GLOBAL.offline_mode,
 @@GLOBAL.gtid_executed, @@GLOBAL.gtid_purged,
 %s,
 (SELECT JSON_OBJECTAGG(LOWER(VARIABLE_NAME), VARIABLE_VALUE) FROM performance_schema.global_status
   WHERE VARIABLE_NAME IN ('Rpl_semi_sync_source_status', 'Rpl_semi_sync_source_clients', 'Rpl_semi_sync_source_wait_sessions')),
 c.HOST, c.PORT, s.SOURCE_UUID, s.SERVICE_STATE, a.SERVICE_STATE,
 LEAST(TIMESTAMPDIFF(MICROSECOND, NULLIF(s.LAST_HEARTBEAT_TIMESTAMP, 0), NOW(6)), 9e15),
 LEAST(TIMESTAMPDIFF(MICROSECOND, NULLIF(GREATEST(s.LAST_QUEUED_TRANSACTION_END_QUEUE_TIMESTAMP, s.QUEUEING_TRANSACTION_START_QUEUE_TIMESTAMP), 0), NOW(6)), 9e15),
 CONCAT_WS('/', s.COUNT_RECEIVED_HEARTBEATS, s.LAST_QUEUED_TRANSACTION_END_QUEUE_TIMESTAMP, s.QUEUEING_TRANSACTION_START_QUEUE_TIMESTAMP),
 s.RECEIVED_TRANSACTION_SET, c.AUTO_POSITION = '1', c.HEARTBEAT_INTERVAL,
 s.LAST_ERROR_NUMBER, s.LAST_ERROR_MESSAGE,
 COALESCE(w.LAST_ERROR_NUMBER, o.LAST_ERROR_NUMBER), COALESCE(w.LAST_ERROR_MESSAGE, o.LAST_ERROR_MESSAGE),
 (SELECT JSON_ARRAYAGG(JSON_ARRAY(CONCAT(EVENT_SCHEMA, '.', EVENT_NAME), STATUS, IF(ORIGINATOR = @@GLOBAL.server_id, 1, 0)))
   FROM information_schema.EVENTS WHERE STATUS <> 'ENABLED'),
 EXISTS (SELECT 1 FROM information_schema.USER_PRIVILEGES WHERE PRIVILEGE_TYPE = 'EVENT'),
 (SELECT COUNT(*) FROM performance_schema.threads WHERE TYPE = 'FOREGROUND' AND PROCESSLIST_STATE = 'waiting for handler commit' AND PROCESSLIST_TIME >= 5)
FROM (SELECT 1) one
LEFT JOIN performance_schema.replication_connection_configuration c ON c.CHANNEL_NAME = ''
LEFT JOIN performance_schema.replication_connection_status s ON s.CHANNEL_NAME = ''
LEFT JOIN performance_schema.replication_applier_status a ON a.CHANNEL_NAME = ''
LEFT JOIN performance_schema.replication_applier_status_by_coordinator o ON o.CHANNEL_NAME = ''
LEFT JOIN (SELECT LAST_ERROR_NUMBER, LAST_ERROR_MESSAGE FROM performance_schema.replication_applier_status_by_worker
   WHERE CHANNEL_NAME = '' AND LAST_ERROR_NUMBER <> 0 LIMIT 1) w ON TRUE`

	// settingsSQL reads variables whether they exist or not. 8.0.
	settingsSQL = `(SELECT JSON_OBJECTAGG(LOWER(VARIABLE_NAME), VARIABLE_VALUE) FROM performance_schema.global_variables
   WHERE VARIABLE_NAME IN (%s))`

	// undrainedSQL lists what the relay log holds and the server has not executed.
	// 8.0. Privilege: SELECT on performance_schema's replication tables.
	undrainedSQL = `SELECT GTID_SUBTRACT(COALESCE((SELECT RECEIVED_TRANSACTION_SET
  FROM performance_schema.replication_connection_status WHERE CHANNEL_NAME = ''), ''), @@GLOBAL.gtid_executed)`

	// halfSQL names the session of an applier that may wait for the rest of a transaction
	// which the receiver was getting when it was stopped, where no worker need have begun
	// it, or when an earlier connection ended and the latest did not come to send it anew.
	// 8.0. Privilege: SELECT on performance_schema's replication tables and threads.
	halfSQL = `SELECT t.PROCESSLIST_ID
FROM performance_schema.replication_connection_status c
JOIN performance_schema.replication_applier_status_by_coordinator o ON o.CHANNEL_NAME = c.CHANNEL_NAME AND o.SERVICE_STATE = 'ON'
JOIN performance_schema.threads t ON t.THREAD_ID = o.THREAD_ID
WHERE c.CHANNEL_NAME = '' AND c.SERVICE_STATE = 'OFF' AND (c.QUEUEING_TRANSACTION <> '' OR o.PROCESSING_TRANSACTION <> '')`

	// coordinatorSQL names the session of the applier while it runs.
	// 8.0. Privilege: SELECT on performance_schema's replication tables and threads.
	coordinatorSQL = `SELECT t.PROCESSLIST_ID
FROM performance_schema.replication_applier_status_by_coordinator o
JOIN performance_schema.threads t ON t.THREAD_ID = o.THREAD_ID
WHERE o.CHANNEL_NAME = '' AND o.SERVICE_STATE = 'ON'`

	// receiverStateSQL tells whether the IO thread has really ended.
	// 8.0. Privilege: SELECT on performance_schema's replication tables.
	receiverStateSQL = `SELECT COALESCE((SELECT SERVICE_STATE FROM performance_schema.replication_connection_status
  WHERE CHANNEL_NAME = ''), 'OFF')`

	// applierSQL reads the SQL thread's state and its last error.
	// 8.0. Privilege: SELECT on performance_schema's replication tables.
	applierSQL = `SELECT a.SERVICE_STATE, COALESCE(w.LAST_ERROR_NUMBER, o.LAST_ERROR_NUMBER, 0),
 COALESCE(w.LAST_ERROR_MESSAGE, o.LAST_ERROR_MESSAGE, '')
FROM performance_schema.replication_applier_status a
LEFT JOIN performance_schema.replication_applier_status_by_coordinator o ON o.CHANNEL_NAME = ''
LEFT JOIN (SELECT LAST_ERROR_NUMBER, LAST_ERROR_MESSAGE FROM performance_schema.replication_applier_status_by_worker
   WHERE CHANNEL_NAME = '' AND LAST_ERROR_NUMBER <> 0 LIMIT 1) w ON TRUE
WHERE a.CHANNEL_NAME = ''`

	// Replication threads. 8.0.22. Privilege: REPLICATION_SLAVE_ADMIN.
	stopReceiverSQL  = `STOP REPLICA IO_THREAD FOR CHANNEL ''`
	startReceiverSQL = `START REPLICA IO_THREAD FOR CHANNEL ''`
	startApplierSQL  = `START REPLICA SQL_THREAD FOR CHANNEL ''`
	stopApplierSQL   = `STOP REPLICA SQL_THREAD FOR CHANNEL ''`
	// startApplierUntilSQL executes these transactions and stops; one that runs goes
	// on with a warning. No transaction that is only begun is touched.
	startApplierUntilSQL = `START REPLICA SQL_THREAD UNTIL SQL_AFTER_GTIDS = '%s' FOR CHANNEL ''`
	stopReplicaSQL       = `STOP REPLICA FOR CHANNEL ''`
	startReplicaSQL      = `START REPLICA FOR CHANNEL ''`

	// resetReplicaSQL removes the link and its relay logs. 8.0.22.
	// Privilege: RELOAD (RESET) and REPLICATION_SLAVE_ADMIN.
	resetReplicaSQL = `RESET REPLICA ALL FOR CHANNEL ''`

	// changeSourceSQL points the server at its source; the driver fills in the
	// quoted values, since the statement cannot be prepared. The retry count is
	// "for three years". 8.0.23. Privilege: REPLICATION_SLAVE_ADMIN.
	changeSourceSQL = `CHANGE REPLICATION SOURCE TO SOURCE_HOST = ?, SOURCE_PORT = ?, SOURCE_USER = ?, SOURCE_PASSWORD = ?,
 SOURCE_AUTO_POSITION = 1, SOURCE_HEARTBEAT_PERIOD = 0.5, SOURCE_CONNECT_RETRY = 1, SOURCE_RETRY_COUNT = 100000000,
 GET_SOURCE_PUBLIC_KEY = 1%s FOR CHANNEL ''`
	changeSourceTLS   = `, SOURCE_SSL = 1`
	changeSourceTLSCA = `, SOURCE_SSL = 1, SOURCE_SSL_CA = ?, SOURCE_SSL_VERIFY_SERVER_CERT = 1`

	// closeSQL closes the server for everybody; it implies read_only. It waits for
	// running statements and for commits that wait for an acknowledgement, at most
	// lock_wait_timeout. 5.7. Privilege: SYSTEM_VARIABLES_ADMIN.
	closeSQL = `SET GLOBAL super_read_only = ON`

	// holdUpsSQL are the sessions that closeSQL waits for, in the order of their ids, and
	// whether each may be ended and waits for a row lock. 8.0 (data_lock_waits).
	holdUpsSQL = `SELECT t.PROCESSLIST_ID, NOT ` + applies + ` AND t.THREAD_ID IN (SELECT REQUESTING_THREAD_ID FROM performance_schema.data_lock_waits)
 ` + holdUpsFrom + ` ORDER BY t.PROCESSLIST_ID`

	// longHoldUpsSQL are those that were there a second ago, the longest first: id, whose,
	// seconds, the letters that the statement begins with (the rest may be values) and its state. 8.0.
	longHoldUpsSQL = `SELECT t.PROCESSLIST_ID, IF(` + applies + `, 'the SQL thread', CONCAT(COALESCE(t.PROCESSLIST_USER, ''), '@', COALESCE(t.PROCESSLIST_HOST, ''))), t.PROCESSLIST_TIME,
 COALESCE(REGEXP_SUBSTR(t.PROCESSLIST_INFO, '^[A-Za-z]+'), t.PROCESSLIST_COMMAND), COALESCE(t.PROCESSLIST_STATE, '')
 ` + holdUpsFrom + ` AND t.PROCESSLIST_TIME >= 1 GROUP BY t.THREAD_ID ORDER BY t.PROCESSLIST_TIME DESC LIMIT 3`

	// applies tells the threads of replication, which would stop with an error. With
	// terminology_use_previous they have their old names.
	applies = `t.NAME REGEXP '^thread/sql/(replica|slave)_'`

	// holdUpsFrom: a statement that changes something holds the global lock in this mode,
	// a commit the one of commits. What waits for them itself does not hold them.
	holdUpsFrom = `FROM performance_schema.metadata_locks m JOIN performance_schema.threads t ON t.THREAD_ID = m.OWNER_THREAD_ID
 WHERE m.OBJECT_TYPE IN ('GLOBAL', 'COMMIT') AND m.LOCK_TYPE = 'INTENTION_EXCLUSIVE' AND m.LOCK_STATUS = 'GRANTED' AND t.PROCESSLIST_ID IS NOT NULL`

	// openUntilSQL gives the moment, by the server's clock, until which openSQL may
	// take effect. Any version.
	openUntilSQL = `SELECT CAST(NOW(6) + INTERVAL 2 SECOND AS CHAR)`

	// openSQL opens the server for writes unless it is later than openUntilSQL said:
	// a server that was frozen with this statement unread in its socket must not
	// open when it thaws. 5.7. Privilege: SYSTEM_VARIABLES_ADMIN.
	openSQL = `SET GLOBAL super_read_only = IF(NOW(6) < ?, 0, @@GLOBAL.super_read_only),
 GLOBAL read_only = IF(NOW(6) < ?, 0, @@GLOBAL.read_only)`

	// closedSQL tells whether the server is still closed. 5.7.
	closedSQL = `SELECT @@GLOBAL.super_read_only OR @@GLOBAL.read_only`

	// Offline mode ends every session without CONNECTION_ADMIN, dump threads
	// included. 5.7. Privilege: SYSTEM_VARIABLES_ADMIN and CONNECTION_ADMIN.
	offlineSQL = `SET GLOBAL offline_mode = ON`
	onlineSQL  = `SET GLOBAL offline_mode = OFF`

	// Semi-sync, source side: so many acknowledgements per commit, before the commit is
	// visible, for as long as it takes (1e9 ms are 11 days). The variables exist
	// once the plugin is installed. 8.0.26. Privilege: SYSTEM_VARIABLES_ADMIN.
	sourceSemiSyncOnSQL = `SET GLOBAL rpl_semi_sync_source_timeout = 1000000000,
 GLOBAL rpl_semi_sync_source_wait_for_replica_count = %d, GLOBAL rpl_semi_sync_source_wait_no_replica = ON,
 GLOBAL rpl_semi_sync_source_wait_point = AFTER_SYNC, GLOBAL rpl_semi_sync_source_enabled = ON`
	losslessSQL = `SET GLOBAL rpl_semi_sync_source_timeout = 1000000000, GLOBAL rpl_semi_sync_source_wait_no_replica = ON,
 GLOBAL rpl_semi_sync_source_wait_point = AFTER_SYNC`
	sourceSemiSyncOffSQL = `SET GLOBAL rpl_semi_sync_source_enabled = OFF`

	// Semi-sync, replica side; it takes effect when the IO thread connects.
	// 8.0.26. Privilege: SYSTEM_VARIABLES_ADMIN.
	replicaSemiSyncOnSQL  = `SET GLOBAL rpl_semi_sync_replica_enabled = ON`
	replicaSemiSyncOffSQL = `SET GLOBAL rpl_semi_sync_replica_enabled = OFF`

	// waitExecutedSQL waits for a GTID set: 0 when it is executed, 1 after the
	// timeout (seconds, fractions allowed). 8.0.
	waitExecutedSQL = `SELECT WAIT_FOR_EXECUTED_GTID_SET(?, ?)`

	// executedSQL asks the same without waiting. 5.7.
	executedSQL = `SELECT GTID_SUBSET(?, @@GLOBAL.gtid_executed)`

	// nudgeSQL is the smallest thing that is written to the binary log and changes no
	// data: it makes the server read its cost model again. 5.7. Privilege: RELOAD.
	nudgeSQL = `FLUSH OPTIMIZER_COSTS`

	// sessionsSQL lists the sessions of our own account, which every account may
	// see. 8.0.22 (performance_schema.processlist).
	sessionsSQL = `SELECT ID FROM performance_schema.processlist WHERE USER = SUBSTRING_INDEX(CURRENT_USER(), '@', 1)
 AND COALESCE(STATE, '') NOT LIKE 'clone (%'`

	// killSQL ends one session; of one's own account no privilege is needed. Any version.
	killSQL = `KILL CONNECTION %d`

	// killQuerySQL ends a session's statement; of another account the privilege is
	// CONNECTION_ADMIN, and SYSTEM_USER for one that has it. Any version.
	killQuerySQL = `KILL QUERY %d`

	// beatSQL writes one watcher's heartbeat, by the master's clock: only its clock and
	// the replica's then matter to lagSQL. 8.0. Privilege: INSERT, UPDATE on the table.
	beatSQL = `INSERT INTO ` + heartbeatTable + ` (watcher, written) VALUES (?, UTC_TIMESTAMP(6))
 ON DUPLICATE KEY UPDATE written = UTC_TIMESTAMP(6)`

	// lagSQL is the age of the newest heartbeat here, in microseconds; NULL without any.
	// 8.0. Privilege: SELECT on the table.
	lagSQL = `SELECT TIMESTAMPDIFF(MICROSECOND, MAX(written), UTC_TIMESTAMP(6)) FROM ` + heartbeatTable + ` HAVING COUNT(*) > 0`

	// mayBeatSQL fails as beatSQL would for want of the table or of a privilege, and
	// writes nothing. 8.0. Privilege: as beatSQL.
	mayBeatSQL = `EXPLAIN ` + beatSQL

	// heartbeatsSQL tells on a server that is closed, where EXPLAIN refuses, at least
	// whether the table is there. 8.0. Privilege: SELECT on the table.
	heartbeatsSQL = `SELECT COUNT(*) FROM ` + heartbeatTable

	// heartbeatPeriodSQL changes the heartbeat of a link whose receiver is stopped. The
	// relay log stays while the applier runs: only a CHANGE with both threads stopped
	// throws it away. 8.0.23. Privilege: REPLICATION_SLAVE_ADMIN.
	heartbeatPeriodSQL = `CHANGE REPLICATION SOURCE TO SOURCE_HEARTBEAT_PERIOD = 0.5 FOR CHANNEL ''`

	// halfOpenSQL lifts super_read_only, under which CLONE and INSTALL PLUGIN are refused
	// (error 1290), and keeps ordinary accounts out. 5.7. Privilege: SYSTEM_VARIABLES_ADMIN.
	halfOpenSQL = `SET GLOBAL read_only = ON, GLOBAL super_read_only = OFF`

	// cloneSettingsSQL says whom to copy from, at how many MiB/s of data and of network
	// at most (0 is no limit), and which authority must have signed its certificate.
	// The variables exist while the clone plugin is installed and are as my.cnf says
	// after the restart. 8.0.17. Privilege: SYSTEM_VARIABLES_ADMIN.
	cloneSettingsSQL = `SET GLOBAL clone_valid_donor_list = ?, GLOBAL clone_max_data_bandwidth = ?,
 GLOBAL clone_max_network_bandwidth = ?, GLOBAL clone_ssl_ca = ?`

	// cloneSessionSQL gives DROP DATA time for tables that are in use.
	cloneSessionSQL = `SET SESSION lock_wait_timeout = 60`

	// cloneSQL copies a donor and restarts the server. Both need the clone plugin, the
	// same version and operating system. 8.0.17. Privilege: CLONE_ADMIN here, BACKUP_ADMIN
	// for the account at the donor.
	cloneSQL = `CLONE INSTANCE FROM ?@?:? IDENTIFIED BY ?`
	cloneTLS = ` REQUIRE SSL`

	// cloneStatusSQL reads the latest clone that the server received, a row for each
	// stage in their order, one row without a stage when its donor was not reached.
	// 8.0.17, with the clone plugin. Privilege: SELECT on performance_schema's clone tables.
	cloneStatusSQL = `SELECT s.STATE, COALESCE(s.SOURCE, ''), COALESCE(CAST(s.BEGIN_TIME AS CHAR), ''), COALESCE(s.ERROR_NO, 0), COALESCE(s.ERROR_MESSAGE, ''),
 p.STAGE, p.STATE, p.DATA * 100 DIV NULLIF(p.ESTIMATE, 0)
FROM performance_schema.clone_status s
LEFT JOIN performance_schema.clone_progress p ON p.ID = s.ID
ORDER BY FIELD(p.STAGE, 'DROP DATA', 'FILE COPY', 'PAGE COPY', 'REDO COPY', 'FILE SYNC', 'RESTART', 'RECOVERY')`

	// allExecutedSQL reads the executed set. 5.7.
	allExecutedSQL = `SELECT @@GLOBAL.gtid_executed`

	// Empty transactions under GTIDs of one's choice. Any version with GTIDs.
	// Privilege: SYSTEM_VARIABLES_ADMIN.
	nextGTIDSQL      = `SET SESSION gtid_next = '%s'`
	automaticGTIDSQL = `SET SESSION gtid_next = 'AUTOMATIC'`
	beginSQL         = `BEGIN`
	commitSQL        = `COMMIT`

	// asleepSQL lists the scheduled events that came by replication and do not run here;
	// the status was SLAVESIDE_DISABLED before 8.2. Privilege: EVENT, without which
	// there are no rows.
	asleepSQL = `SELECT EVENT_SCHEMA, EVENT_NAME, DEFINER FROM information_schema.EVENTS
 WHERE STATUS LIKE '%SIDE\_DISABLED' AND ORIGINATOR <> @@GLOBAL.server_id ORDER BY 1, 2`

	// alterEventSQL keeps everything of an event but its status, and makes this server
	// its originator. Without the clause the account would become its definer. A
	// replica turns either status into REPLICA_SIDE_DISABLED. 8.2 (SET_USER_ID before).
	// Privilege: EVENT, SET_ANY_DEFINER, for definers that are gone
	// ALLOW_NONEXISTENT_DEFINER, for those like root SYSTEM_USER.
	alterEventSQL = `ALTER DEFINER = %s EVENT %s %s`

	// columnsSQL describes a table as it is now. Generated columns are marked in EXTRA
	// (DEFAULT_GENERATED is something else). Privilege: REFERENCES, which shows names
	// and no data.
	columnsSQL = `SELECT COLUMN_NAME, COLUMN_KEY = 'PRI', EXTRA LIKE '%VIRTUAL GENERATED%' OR EXTRA LIKE '%STORED GENERATED%'
 FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ? ORDER BY ORDINAL_POSITION`

	// versionSQL works on every MySQL and MariaDB.
	versionSQL = `SELECT VERSION()`

	// bootSQL tells what variables are at the next start: VARIABLE_SOURCE says where
	// the present value came from, which is DYNAMIC once it was set at run time and
	// hides the configuration file; a persisted value wins over the file. 8.0.
	bootSQL = `SELECT i.VARIABLE_NAME, i.VARIABLE_SOURCE, v.VARIABLE_VALUE, p.VARIABLE_VALUE
FROM performance_schema.variables_info i
JOIN performance_schema.global_variables v ON v.VARIABLE_NAME = i.VARIABLE_NAME
LEFT JOIN performance_schema.persisted_variables p ON p.VARIABLE_NAME = i.VARIABLE_NAME
WHERE i.VARIABLE_NAME IN ('super_read_only', 'rpl_semi_sync_replica_enabled', 'relay_log_recovery')`

	// channelsSQL counts replication channels.
	// 8.0. Privilege: SELECT on performance_schema's replication tables.
	channelsSQL = `SELECT COUNT(*) FROM performance_schema.replication_connection_configuration`

	// grantsSQL lists the session's own privileges. Any version.
	grantsSQL = `SHOW GRANTS`

	// replicasSQL lists the replicas that are connected, with the address that they
	// report. 8.0.22. Privilege: REPLICATION SLAVE, which the replication account has.
	replicasSQL = `SHOW REPLICAS`

	// dumpThreadsSQL lists the peers of dump threads of the same account, for replicas
	// that report no address. 8.0.22.
	dumpThreadsSQL = `SELECT HOST FROM performance_schema.processlist WHERE COMMAND LIKE 'Binlog Dump%'`
)

// The table of the write probes; see HeartbeatTable.
const (
	heartbeatTable      = "failoverd.heartbeat"
	heartbeatPrivileges = "SELECT, INSERT, UPDATE"
)

// createHeartbeatSQL makes the table. 8.0. Privilege: CREATE on its database.
var createHeartbeatSQL = []string{
	"CREATE DATABASE IF NOT EXISTS failoverd",
	"CREATE TABLE IF NOT EXISTS " + heartbeatTable + " (watcher VARCHAR(100) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL PRIMARY KEY," +
		" written DATETIME(6) NOT NULL COMMENT 'UTC, by the clock of the master') ENGINE = InnoDB COMMENT 'a row for each watcher of failoverd'",
}

// The privileges of the three accounts; see Grants.
var (
	// replicationTables are what Look reads beyond what everybody may read.
	replicationTables = []string{
		"replication_connection_configuration", "replication_connection_status", "replication_applier_status",
		"replication_applier_status_by_coordinator", "replication_applier_status_by_worker",
	}
	// probePrivileges: without EVENT an account sees no events, so nobody could tell
	// which of them a dead master's people had disabled.
	probePrivileges = []string{"EVENT"}
	// controlPrivileges: RELOAD is for RESET REPLICA and the nudge, CONNECTION_ADMIN
	// for offline mode, for staying connected while it is on, and for KILL. EVENT to
	// SYSTEM_USER are for events of all definers, root's too; they give away
	// nothing that REPLICATION_SLAVE_ADMIN, with which a server can be made the
	// replica of any other, has not. REFERENCES shows the names of columns.
	controlPrivileges = append([]string{"RELOAD", "REPLICATION_SLAVE_ADMIN", "SYSTEM_VARIABLES_ADMIN", "CONNECTION_ADMIN",
		"CLONE_ADMIN", "EVENT", "SYSTEM_USER", "REFERENCES"}, definerPrivileges...)
	// definerPrivileges do not exist before 8.2, which has SET_USER_ID instead.
	definerPrivileges = []string{"SET_ANY_DEFINER", "ALLOW_NONEXISTENT_DEFINER"}
	// persistOnlyPrivileges let "doctor --fix" set what counts from the next start; no
	// need of failoverd's otherwise.
	persistOnlyPrivileges = []string{"SYSTEM_VARIABLES_ADMIN", "PERSIST_RO_VARIABLES_ADMIN"}
	// replicationPrivileges let a replica read the binary log, and clone its source.
	replicationPrivileges = []string{"REPLICATION SLAVE", "BACKUP_ADMIN"}
)
