package dump

// Every statement of this package is here, but for those that are put together of
// names and columns (read.go, locks.go, ranges.go). "Privilege" is the least one that
// suffices, as given by Grants.
const (
	// settleSQL settles everything on which the answers could depend. Nothing is
	// converted on the way, times are UTC, no statement is ended for its length, and the
	// server waits while the store is slow. Definitions come whole, passwords in
	// hexadecimal. 8.0.30 (generated invisible primary keys).
	settleSQL = `SET SESSION sql_mode = '', time_zone = '+00:00', character_set_results = NULL,
 transaction_isolation = 'REPEATABLE-READ', autocommit = 1, lock_wait_timeout = 5, max_execution_time = 0,
 wait_timeout = 604800, net_write_timeout = 86400, net_read_timeout = 600,
 sql_select_limit = DEFAULT, sql_safe_updates = 0, sql_big_selects = 1, sql_quote_show_create = 1, information_schema_stats_expiry = 0,
 show_gipk_in_create_table_and_information_schema = ON, print_identified_with_as_hex = ON`

	// aboutSQL. Any version.
	aboutSQL = `SELECT @@GLOBAL.server_uuid, VERSION(), @@GLOBAL.gtid_mode, @@GLOBAL.super_read_only`

	// executedSQL. Any version.
	executedSQL = `SELECT @@GLOBAL.gtid_executed`

	// appliersSQL lists the channels whose applier runs. 8.0. Privilege: SELECT on
	// performance_schema's replication tables.
	appliersSQL = `SELECT CHANNEL_NAME FROM performance_schema.replication_applier_status
WHERE SERVICE_STATE = 'ON' ORDER BY CHANNEL_NAME`

	// applierSQL asks for one channel. The same.
	applierSQL = `SELECT SERVICE_STATE FROM performance_schema.replication_applier_status WHERE CHANNEL_NAME = %s`

	// stopApplierSQL waits for the transaction that is being applied.
	// Privilege: REPLICATION_SLAVE_ADMIN.
	stopApplierSQL = `STOP REPLICA SQL_THREAD FOR CHANNEL %s`
	// startApplierSQL. The same.
	startApplierSQL = `START REPLICA SQL_THREAD FOR CHANNEL %s`

	// lockInstanceSQL lets rows be written and no definition or account be changed. It
	// keeps a running applier from being stopped (error 3857), so it comes after that.
	// 8.0. Privilege: BACKUP_ADMIN.
	lockInstanceSQL   = `LOCK INSTANCE FOR BACKUP`
	unlockInstanceSQL = `UNLOCK INSTANCE`

	// lockReadSQL makes a server that takes writes stand still. Privilege: RELOAD, LOCK TABLES.
	lockReadSQL   = `FLUSH TABLES WITH READ LOCK`
	unlockReadSQL = `UNLOCK TABLES`

	// waitBrieflySQL and waitSQL are how long a lock is waited for, seconds.
	waitBrieflySQL = `SET SESSION lock_wait_timeout = 1`
	waitSQL        = `SET SESSION lock_wait_timeout = 5`

	// beginSQL opens a view of the data as of now.
	beginSQL = `START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY`

	// lockSQL takes a lock of that name, if nobody has it, and names the session that has.
	// Any version; no privilege.
	lockSQL = `SELECT GET_LOCK(%[1]s, 0), IS_USED_LOCK(%[1]s)`

	// preparedSQL lists XA transactions that are prepared, in hexadecimal.
	// Privilege: XA_RECOVER_ADMIN.
	preparedSQL = `XA RECOVER CONVERT XID`

	// databasesSQL, and the conditions of the others: all but those that every server
	// makes by itself. 8.0. Privilege: SELECT.
	databasesSQL = `SELECT SCHEMA_NAME FROM information_schema.SCHEMATA
WHERE SCHEMA_NAME NOT IN ('mysql', 'sys', 'information_schema', 'performance_schema')`

	createDatabaseSQL = `SHOW CREATE DATABASE %s`

	// tablesSQL lists tables, and with what they take up if statistics may be read:
	// that is slower and is not asked for while anything is locked.
	tablesSQL = `SELECT TABLE_SCHEMA, TABLE_NAME, ENGINE FROM information_schema.TABLES
WHERE TABLE_TYPE = 'BASE TABLE' AND TABLE_SCHEMA NOT IN ('mysql', 'sys', 'information_schema', 'performance_schema')`
	sizesSQL = `SELECT TABLE_SCHEMA, TABLE_NAME, DATA_LENGTH FROM information_schema.TABLES
WHERE TABLE_TYPE = 'BASE TABLE' AND TABLE_SCHEMA NOT IN ('mysql', 'sys', 'information_schema', 'performance_schema')`

	// columnsSQL lists columns, invisible and generated ones included.
	columnsSQL = `SELECT TABLE_SCHEMA, TABLE_NAME, COLUMN_NAME, DATA_TYPE, COLUMN_TYPE, CHARACTER_SET_NAME, EXTRA LIKE '% GENERATED%'
FROM information_schema.COLUMNS
WHERE TABLE_SCHEMA NOT IN ('mysql', 'sys', 'information_schema', 'performance_schema')
ORDER BY TABLE_SCHEMA, TABLE_NAME, ORDINAL_POSITION`

	// keysSQL lists the parts of unique keys that are fit to seek with: none that may be
	// NULL, is only a prefix or an expression, or is hidden from the optimizer.
	keysSQL = `SELECT TABLE_SCHEMA, TABLE_NAME, INDEX_NAME, COLUMN_NAME,
 INDEX_TYPE = 'BTREE' AND NULLABLE = '' AND SUB_PART IS NULL AND EXPRESSION IS NULL AND IS_VISIBLE = 'YES'
FROM information_schema.STATISTICS
WHERE NON_UNIQUE = 0 AND TABLE_SCHEMA NOT IN ('mysql', 'sys', 'information_schema', 'performance_schema')
ORDER BY TABLE_SCHEMA, TABLE_NAME, INDEX_NAME, SEQ_IN_INDEX`

	createTableSQL = `SHOW CREATE TABLE %s`

	// viewsSQL and createViewSQL. Privilege: SHOW VIEW, SELECT.
	viewsSQL = `SELECT TABLE_SCHEMA, TABLE_NAME FROM information_schema.TABLES
WHERE TABLE_TYPE = 'VIEW' AND TABLE_SCHEMA NOT IN ('mysql', 'sys', 'information_schema', 'performance_schema')`
	createViewSQL = `SHOW CREATE VIEW %s`

	// routinesSQL and what follows. Privilege: SHOW_ROUTINE, EVENT, TRIGGER. Triggers come
	// in the order in which they fire.
	routinesSQL = `SELECT ROUTINE_SCHEMA, ROUTINE_NAME, ROUTINE_TYPE FROM information_schema.ROUTINES
WHERE ROUTINE_TYPE IN ('FUNCTION', 'PROCEDURE') AND ROUTINE_SCHEMA NOT IN ('mysql', 'sys', 'information_schema', 'performance_schema')`
	createRoutineSQL = `SHOW CREATE %s %s`
	triggersSQL      = `SELECT TRIGGER_SCHEMA, TRIGGER_NAME FROM information_schema.TRIGGERS
WHERE TRIGGER_SCHEMA NOT IN ('mysql', 'sys', 'information_schema', 'performance_schema')
ORDER BY EVENT_OBJECT_SCHEMA, EVENT_OBJECT_TABLE, ACTION_TIMING, EVENT_MANIPULATION, ACTION_ORDER`
	createTriggerSQL = `SHOW CREATE TRIGGER %s`
	eventsSQL        = `SELECT EVENT_SCHEMA, EVENT_NAME, STATUS LIKE '%SIDE\_DISABLED' AND ORIGINATOR <> @@GLOBAL.server_id
FROM information_schema.EVENTS
WHERE EVENT_SCHEMA NOT IN ('mysql', 'sys', 'information_schema', 'performance_schema')`
	createEventSQL = `SHOW CREATE EVENT %s`

	// accountsSQL lists users and roles but those that every server makes by itself.
	// Privilege: SELECT on mysql.
	accountsSQL = `SELECT User, Host FROM mysql.user
WHERE User NOT IN ('mysql.infoschema', 'mysql.session', 'mysql.sys')`
	createUserSQL   = `SHOW CREATE USER %s`
	showGrantsSQL   = `SHOW GRANTS FOR %s`
	defaultRolesSQL = `SELECT USER, HOST, DEFAULT_ROLE_USER, DEFAULT_ROLE_HOST FROM mysql.default_roles
ORDER BY USER, HOST, DEFAULT_ROLE_USER, DEFAULT_ROLE_HOST`

	// settingsSQL reads variables by name. 8.0. Privilege: SELECT on performance_schema.
	settingsSQL = `SELECT LOWER(VARIABLE_NAME), VARIABLE_VALUE FROM performance_schema.global_variables WHERE VARIABLE_NAME IN (%s)`
)
