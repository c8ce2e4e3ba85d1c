package changes

import "github.com/failoverd/failoverd/internal/snapshot"

// Every statement that this package sends, with what it needs. All run since 8.0.22.
const (
	// SELECT on performance_schema, which everybody has for this table.
	variableSQL = `SELECT VARIABLE_VALUE FROM performance_schema.global_variables WHERE VARIABLE_NAME = ?`
	setsSQL     = `SELECT @@GLOBAL.server_uuid, @@GLOBAL.gtid_executed, @@GLOBAL.gtid_purged`
	// SELECT on performance_schema. The time of the last heartbeat is zero before the first: then its age is NULL.
	linkSQL = `SELECT SERVICE_STATE, RECEIVED_TRANSACTION_SET, IF(LAST_HEARTBEAT_TIMESTAMP > '2000-01-01', TIMESTAMPDIFF(MICROSECOND, LAST_HEARTBEAT_TIMESTAMP, NOW(6)), NULL)
FROM performance_schema.replication_connection_configuration JOIN performance_schema.replication_connection_status USING (CHANNEL_NAME) WHERE CHANNEL_NAME = '' AND HOST <> ''`

	// For a replay: REPLICATION_SLAVE_ADMIN, SYSTEM_VARIABLES_ADMIN, RELOAD, and SELECT on performance_schema.
	// otherSourcesSQL names the sources that the server has, but for a replay's.
	otherSourcesSQL  = `SELECT CONCAT(HOST, ':', PORT) FROM performance_schema.replication_connection_configuration WHERE HOST <> '' AND USER <> '` + snapshot.ReplayUser + `' LIMIT 1`
	serverSQL        = `SELECT @@GLOBAL.server_id, @@GLOBAL.version, @@GLOBAL.gtid_executed`
	setServerIDSQL   = `SET GLOBAL server_id = %d`
	changeSourceSQL  = `CHANGE REPLICATION SOURCE TO SOURCE_HOST = ?, SOURCE_PORT = %d, SOURCE_USER = ?, SOURCE_PASSWORD = ?, SOURCE_AUTO_POSITION = 1, SOURCE_SSL = 0, GET_SOURCE_PUBLIC_KEY = 1, SOURCE_CONNECT_RETRY = 1, SOURCE_RETRY_COUNT = 3, SOURCE_HEARTBEAT_PERIOD = 0, SOURCE_DELAY = 0`
	startReplicaSQL  = `START REPLICA`
	stopReplicaSQL   = `STOP REPLICA`
	forgetSourceSQL  = `RESET REPLICA ALL`
	waitExecutedSQL  = `SELECT WAIT_FOR_EXECUTED_GTID_SET(?, 1)`
	replicaErrorsSQL = `SELECT LAST_ERROR_NUMBER, LAST_ERROR_MESSAGE FROM performance_schema.replication_connection_status WHERE LAST_ERROR_NUMBER <> 0
UNION ALL SELECT LAST_ERROR_NUMBER, LAST_ERROR_MESSAGE FROM performance_schema.replication_applier_status_by_coordinator WHERE LAST_ERROR_NUMBER <> 0
UNION ALL SELECT LAST_ERROR_NUMBER, LAST_ERROR_MESSAGE FROM performance_schema.replication_applier_status_by_worker WHERE LAST_ERROR_NUMBER <> 0`
)
