package load

import "github.com/failoverd/failoverd/internal/snapshot"

// Every statement that a restore sends, but those that the snapshot itself holds, is
// in this file. The account needs ALL PRIVILEGES on *.* and PROXY on ''@'', both with
// GRANT OPTION, as root has: what a snapshot holds may be of anybody, and accounts are
// given anything.

// sessionSettings are in force in every session, where the server knows the variable:
// rows and statements must mean what they meant where they come from, whatever the
// target's own settings are. ALLOW_INVALID_DATES and NO_AUTO_VALUE_ON_ZERO let in
// what another session's mode once let in.
var sessionSettings = map[string]string{
	"sql_mode":                           "'" + sqlMode + "'",
	"time_zone":                          "'+00:00'",
	"foreign_key_checks":                 "0",
	"unique_checks":                      "0",
	"sql_log_bin":                        "0",
	"sql_require_primary_key":            "0",
	"sql_generate_invisible_primary_key": "0",
	"show_gipk_in_create_table_and_information_schema": "1",
	"restrict_fk_on_non_standard_key":                  "0",
	"innodb_strict_mode":                               "0",
	"explicit_defaults_for_timestamp":                  "1",
	"default_collation_for_utf8mb4":                    "'utf8mb4_0900_ai_ci'",
	"sql_quote_show_create":                            "1",
	"show_create_table_verbosity":                      "0",
	"print_identified_with_as_hex":                     "1",
	"information_schema_stats_expiry":                  "0",
	"transaction_isolation":                            "'READ-COMMITTED'",
	"lock_wait_timeout":                                "60",
	"max_execution_time":                               "0",
	"max_error_count":                                  "100",
	"net_read_timeout":                                 "3600",
	"net_write_timeout":                                "3600",
	"wait_timeout":                                     "86400",
	"innodb_ddl_threads":                               "1",
	"innodb_ddl_buffer_size":                           "67108864",
	"innodb_parallel_read_threads":                     "1",
	"group_concat_max_len":                             "1048576",
	"windowing_use_high_precision":                     "1",
	"require_row_format":                               "0",
	"default_table_encryption":                         "0",
}

const sqlMode = "ALLOW_INVALID_DATES,NO_AUTO_VALUE_ON_ZERO,NO_ENGINE_SUBSTITUTION"

// What Begin asks. 8.0.
const (
	sessionVariablesSQL = `SELECT LOWER(VARIABLE_NAME) FROM performance_schema.session_variables`
	versionSQL          = `SELECT VERSION()`
	globalSQL           = `SELECT VARIABLE_VALUE FROM performance_schema.global_variables WHERE VARIABLE_NAME = ?`
	selfSQL             = `SELECT CURRENT_USER()`
	// databasesSQL leaves out the server's own and this restore's.
	databasesSQL = `SELECT SCHEMA_NAME FROM information_schema.SCHEMATA
 WHERE SCHEMA_NAME NOT IN ('mysql', 'sys', 'information_schema', 'performance_schema', '` + stateDatabase + `') ORDER BY SCHEMA_NAME`
	// linksSQL names the sources that the server has, connected or not, but for that of a replay that was killed.
	linksSQL    = `SELECT CONCAT(HOST, ':', PORT) FROM performance_schema.replication_connection_configuration WHERE USER <> '` + snapshot.ReplayUser + `'`
	executedSQL = `SELECT @@GLOBAL.gtid_executed`
	// followersSQL counts the replicas that are connected.
	followersSQL = `SELECT COUNT(*) FROM performance_schema.processlist WHERE COMMAND LIKE 'Binlog Dump%'`
	// accountsSQL leaves out those that every server has and nobody can log in to.
	accountsSQL = `SELECT User, Host FROM mysql.user WHERE User NOT IN ('mysql.sys', 'mysql.session', 'mysql.infoschema')`
	// tableThereSQL tells whether a table or view is there.
	tableThereSQL = `SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ?`
)

// setGlobalSQL sets a variable until the server restarts.
const setGlobalSQL = "SET GLOBAL %s = %s"

// What is remembered of an unfinished restore is in a database of its own, which goes
// when it ends.
const (
	stateDatabase  = "failoverd_restore"
	stateJobSQL    = `SELECT id, sealed FROM ` + stateDatabase + `.job`
	sealedSQL      = `UPDATE ` + stateDatabase + `.job SET sealed = 1`
	stateThereSQL  = `SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = '` + stateDatabase + `' AND TABLE_NAME = 'job'`
	addJobSQL      = `INSERT INTO ` + stateDatabase + `.job (id) VALUES (?)`
	addSettingSQL  = `INSERT IGNORE INTO ` + stateDatabase + `.setting (name, value) VALUES (?, ?)`
	settingsSQL    = `SELECT name, value FROM ` + stateDatabase + `.setting`
	addTableSQL    = `REPLACE INTO ` + stateDatabase + `.tables (db, tab, indexed) VALUES (?, ?, 0)`
	indexedSQL     = `UPDATE ` + stateDatabase + `.tables SET indexed = 1 WHERE db = ? AND tab = ?`
	tablesSQL      = `SELECT db, tab, indexed FROM ` + stateDatabase + `.tables`
	addPieceSQL    = `INSERT INTO ` + stateDatabase + `.pieces (db, tab, piece) VALUES (?, ?, ?)`
	piecesSQL      = `SELECT db, tab, piece FROM ` + stateDatabase + `.pieces`
	forgetTableSQL = `DELETE t, p FROM ` + stateDatabase + `.tables t LEFT JOIN ` + stateDatabase + `.pieces p ON p.db = t.db AND p.tab = t.tab WHERE t.db = ? AND t.tab = ?`
	dropStateSQL   = `DROP DATABASE IF EXISTS ` + stateDatabase
)

// The table job is made last: without its row nothing of an earlier try counts.
var makeStateSQL = []string{
	dropStateSQL,
	`CREATE DATABASE ` + stateDatabase + ` CHARACTER SET utf8mb4 COLLATE utf8mb4_bin`,
	`CREATE TABLE ` + stateDatabase + `.setting (name VARCHAR(64) NOT NULL PRIMARY KEY, value VARCHAR(1024) NOT NULL) ENGINE = InnoDB`,
	`CREATE TABLE ` + stateDatabase + `.tables (db VARCHAR(64) NOT NULL, tab VARCHAR(64) NOT NULL, indexed TINYINT NOT NULL, PRIMARY KEY (db, tab)) ENGINE = InnoDB`,
	`CREATE TABLE ` + stateDatabase + `.pieces (db VARCHAR(64) NOT NULL, tab VARCHAR(64) NOT NULL, piece VARCHAR(100) NOT NULL, PRIMARY KEY (db, tab, piece)) ENGINE = InnoDB`,
	`CREATE TABLE ` + stateDatabase + `.job (id TEXT NOT NULL, sealed TINYINT NOT NULL DEFAULT 0) ENGINE = InnoDB`,
}

// Tables. The names are quoted before they are filled in.
const (
	useSQL         = "USE %s"
	dropTableSQL   = "DROP TABLE IF EXISTS %s"
	showCreateSQL  = "SHOW CREATE TABLE %s"
	alterSQL       = "ALTER TABLE %s %s"
	countSQL       = "SELECT COUNT(*) FROM %s"
	counterClause  = "AUTO_INCREMENT = %d"
	readOnlySQL    = "ALTER DATABASE %s READ ONLY = 1"
	collateSQL     = "ALTER DATABASE %s CHARACTER SET %s COLLATE %s"
	collationOfSQL = "SELECT DEFAULT_COLLATION_NAME FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = ?"
	charsetOfSQL   = "SELECT CHARACTER_SET_NAME FROM information_schema.COLLATIONS WHERE COLLATION_NAME = ?"
)

// Rows. CHARACTER SET binary has the server take bytes as they are.
const (
	loadSQL = `LOAD DATA LOCAL INFILE 'Reader::%s' %sINTO TABLE %s CHARACTER SET binary
 FIELDS TERMINATED BY '\t' ENCLOSED BY '' ESCAPED BY '\\' LINES TERMINATED BY '\n' STARTING BY '' (%s)%s`
	warningsSQL = "SHOW WARNINGS"
	// keysSQL makes an empty table with the key's columns, so that rows are compared
	// with values of their own type and collation.
	keysTable     = stateDatabase + ".doomed_keys"
	makeKeysSQL   = `CREATE TEMPORARY TABLE ` + keysTable + ` ENGINE = InnoDB AS SELECT %s FROM %s LIMIT 0`
	dropKeysSQL   = `DROP TEMPORARY TABLE IF EXISTS ` + keysTable
	deleteKeysSQL = `DELETE t FROM ` + keysTable + ` k STRAIGHT_JOIN %s t FORCE INDEX (%s) ON %s`
)

// Objects. The text of one is bytes of the character set that its maker's session had.
const (
	clientsSQL = "SET sql_mode = '%s', character_set_client = %s, collation_connection = %s, time_zone = '%s', timestamp = %s"
	oursSQL    = "SET sql_mode = '" + sqlMode + "', character_set_client = utf8mb4, collation_connection = utf8mb4_0900_ai_ci, time_zone = '+00:00', timestamp = DEFAULT"
	dropSQL    = "DROP %s IF EXISTS %s"
)

// Accounts.
const (
	dropUserSQL   = "DROP USER IF EXISTS %s"
	revokeSQL     = "REVOKE ALL PRIVILEGES, GRANT OPTION FROM %s"
	rolesOfSQL    = "SELECT FROM_USER, FROM_HOST FROM mysql.role_edges WHERE TO_USER = ? AND TO_HOST = ?"
	revokeRoleSQL = "REVOKE %s FROM %s"
	stubTableSQL  = "CREATE TABLE %s (%s)"
)

// The end. resetOldSQL is for servers before 8.2.
const (
	resetSQL    = "RESET BINARY LOGS AND GTIDS"
	resetOldSQL = "RESET MASTER"
	purgedSQL   = "SET GLOBAL gtid_purged = '%s'"
)
