package scratch

// Every statement that is sent to a scratch server, but by the adapters that fill and
// read it, is in this file.

// firstStatements are run when a server is initialized: it has one account, which is
// there for the restore, and no root without a password. The server reads a line as
// a statement.
const firstStatements = `CREATE USER '%[1]s'@'127.0.0.1' IDENTIFIED BY '%[2]s';
GRANT ALL ON *.* TO '%[1]s'@'127.0.0.1' WITH GRANT OPTION;
GRANT PROXY ON ''@'' TO '%[1]s'@'127.0.0.1' WITH GRANT OPTION;
DROP USER root@localhost;
`

const (
	// withoutLogSQL to closeServerSQL drop one's own account, and leave no GTID behind.
	withoutLogSQL  = `SET SESSION sql_log_bin = 0`
	openServerSQL  = `SET GLOBAL super_read_only = 0`
	dropOwnSQL     = `DROP USER CURRENT_USER()`
	closeServerSQL = `SET GLOBAL super_read_only = 1`

	// changeSourceSQL is for a link that is looked at for some seconds. 8.0.23.
	changeSourceSQL = `CHANGE REPLICATION SOURCE TO SOURCE_HOST = ?, SOURCE_PORT = ?, SOURCE_USER = ?, SOURCE_PASSWORD = ?,
 SOURCE_AUTO_POSITION = 1, SOURCE_HEARTBEAT_PERIOD = 0.5, SOURCE_CONNECT_RETRY = 1, GET_SOURCE_PUBLIC_KEY = 1%s FOR CHANNEL ''`
	changeSourceTLS   = `, SOURCE_SSL = 1`
	changeSourceTLSCA = `, SOURCE_SSL = 1, SOURCE_SSL_CA = ?, SOURCE_SSL_VERIFY_SERVER_CERT = 1`
	startReplicaSQL   = `START REPLICA FOR CHANNEL ''`
	executedSQL       = `SELECT @@GLOBAL.gtid_executed`
	// heartbeatThereSQL and heartbeatSQL read the table of the write probes; times are
	// the master's.
	heartbeatThereSQL = `SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = 'failoverd' AND TABLE_NAME = 'heartbeat'`
	heartbeatSQL      = `SELECT COALESCE(CONCAT(MAX(written)), '') FROM failoverd.heartbeat`
	// linkSQL reads how the link is. The applier's error is the coordinator's or a worker's.
	linkSQL = `SELECT c.SERVICE_STATE, a.SERVICE_STATE, c.LAST_ERROR_MESSAGE,
 COALESCE((SELECT LAST_ERROR_MESSAGE FROM performance_schema.replication_applier_status_by_coordinator WHERE LAST_ERROR_NUMBER <> 0 LIMIT 1),
  (SELECT LAST_ERROR_MESSAGE FROM performance_schema.replication_applier_status_by_worker WHERE LAST_ERROR_NUMBER <> 0 LIMIT 1), ''),
 c.COUNT_RECEIVED_HEARTBEATS
FROM performance_schema.replication_connection_status c
JOIN performance_schema.replication_applier_status a ON a.CHANNEL_NAME = c.CHANNEL_NAME
WHERE c.CHANNEL_NAME = ''`
)
