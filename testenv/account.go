package testenv

// Account is a MySQL account that the template data directory holds, valid from every host.
type Account struct{ User, Password string }

// Accounts are the accounts of every server. root@localhost has no password and is reached by unix socket only.
var Accounts = struct {
	// Replication is what replicas and CLONE connect as.
	Replication Account
	// Probe reads the state of a server and nothing else.
	Probe Account
	// Control changes a server's role; it has no right to any table.
	Control Account
	// App owns the database shop and has no administrative right, so read_only and offline_mode bind it.
	App Account
}{
	Replication: Account{"repl", "repl-secret"},
	Probe:       Account{"probe", "probe-secret"},
	Control:     Account{"control", "control-secret"},
	App:         Account{"app", "app-secret"},
}

// Database is the schema that the App account owns.
const Database = "shop"

// templateSQL makes a freshly initialized data directory into the template. It runs without a binary log, so
// that every copy starts with the same tables and an empty GTID set.
func templateSQL() []string {
	create := func(a Account) string {
		return "CREATE USER '" + a.User + "'@'%' IDENTIFIED BY '" + a.Password + "'"
	}
	return []string{
		"SET PERSIST_ONLY super_read_only=ON", // what my.cnf says too, where a running server can be asked for it
		"INSTALL PLUGIN rpl_semi_sync_source SONAME 'semisync_source.so'",
		"INSTALL PLUGIN rpl_semi_sync_replica SONAME 'semisync_replica.so'",
		"INSTALL PLUGIN clone SONAME 'mysql_clone.so'",
		"SET PERSIST_ONLY rpl_semi_sync_replica_enabled=OFF",
		"SET PERSIST_ONLY rpl_semi_sync_source_enabled=OFF",
		create(Accounts.Replication),
		"GRANT REPLICATION SLAVE, BACKUP_ADMIN ON *.* TO repl@'%'",
		create(Accounts.Probe),
		"GRANT PROCESS, REPLICATION CLIENT, EVENT ON *.* TO probe@'%'",
		"GRANT SELECT ON performance_schema.* TO probe@'%'",
		create(Accounts.Control),
		"GRANT PROCESS, RELOAD, REPLICATION CLIENT ON *.* TO control@'%'",
		"GRANT SYSTEM_VARIABLES_ADMIN, SESSION_VARIABLES_ADMIN, REPLICATION_SLAVE_ADMIN, REPLICATION_APPLIER, " +
			"CONNECTION_ADMIN, BACKUP_ADMIN, CLONE_ADMIN, SET_ANY_DEFINER, ALLOW_NONEXISTENT_DEFINER, SYSTEM_USER, REFERENCES ON *.* TO control@'%'",
		"GRANT EVENT, REPLICATION SLAVE ON *.* TO control@'%'",
		"GRANT SELECT ON performance_schema.* TO control@'%'",
		create(Accounts.App),
		"CREATE DATABASE " + Database,
		"GRANT ALL ON " + Database + ".* TO app@'%'",
	}
}
