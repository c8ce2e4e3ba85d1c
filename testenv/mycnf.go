package testenv

import (
	"fmt"
	"os"
	"strings"
)

// serverConfig is what distinguishes one server's my.cnf from another's.
type serverConfig struct {
	install    Install
	dir        string // holds data, my.cnf and error.log
	socket     string
	id         int
	bind       string // address mysqld listens on
	port       int
	reportHost string // address others reach it by
	reportPort int
	relaxed    bool
	extra      []string
}

// trimmed keeps a server small and quick to start. performance_schema stays on for the replication_* tables,
// threads and processlist; the statistics nobody reads here are off.
const trimmed = `
mysqlx=0
innodb_buffer_pool_size=32M
innodb_redo_log_capacity=32M
innodb_log_buffer_size=4M
innodb_buffer_pool_dump_at_shutdown=OFF
innodb_buffer_pool_load_at_startup=OFF
innodb_io_capacity=2000
key_buffer_size=1M
max_connections=200
table_open_cache=400
table_definition_cache=400
temptable_max_ram=16M
performance_schema_consumer_events_statements_current=OFF
performance_schema_consumer_events_transactions_current=OFF
performance_schema_max_digest_length=0
performance_schema_digests_size=0
performance_schema_max_table_instances=200
performance_schema_max_table_handles=200
performance_schema_max_index_stat=200
performance_schema_max_mutex_instances=0
performance_schema_max_rwlock_instances=0
performance_schema_max_cond_instances=0
performance_schema_max_memory_classes=0
performance_schema_max_metadata_locks=1000
performance_schema_max_prepared_statements_instances=0
performance_schema_events_waits_history_long_size=0
performance_schema_events_stages_history_long_size=0
performance_schema_events_statements_history_long_size=0
performance_schema_events_transactions_history_long_size=0
performance_schema_accounts_size=20
performance_schema_hosts_size=20
performance_schema_users_size=20
`

// replicated is how every server of a chain boots: read-only, unable to acknowledge anything, and with what it
// received kept. The loose_ prefix lets the semi-sync settings stand before the plugins are known.
const replicated = `
gtid_mode=ON
enforce_gtid_consistency=ON
log_bin=binlog
relay_log=relay
log_replica_updates=ON
binlog_format=ROW
binlog_row_metadata=FULL
super_read_only=ON
read_only=ON
sync_relay_log=1
relay_log_recovery=OFF
max_connect_errors=1000000
replica_net_timeout=4
skip_name_resolve=ON
local_infile=ON
loose_rpl_semi_sync_source_enabled=OFF
loose_rpl_semi_sync_replica_enabled=OFF
loose_rpl_semi_sync_source_timeout=1000000000
loose_rpl_semi_sync_source_wait_no_replica=ON
loose_rpl_semi_sync_source_wait_point=AFTER_SYNC
loose_rpl_semi_sync_source_wait_for_replica_count=1
`

func (c serverConfig) text() string {
	var b strings.Builder
	b.WriteString(baseConfig(c.install, c.dir, c.socket))
	b.WriteString(trimmed)
	b.WriteString(replicated)
	fmt.Fprintf(&b, "server_id=%d\nbind_address=%s\nport=%d\nreport_host=%s\nreport_port=%d\n",
		c.id, c.bind, c.port, c.reportHost, c.reportPort)
	sync, flush := 1, 1
	if c.relaxed {
		sync, flush = 0, 2
	}
	fmt.Fprintf(&b, "sync_binlog=%d\ninnodb_flush_log_at_trx_commit=%d\n", sync, flush)
	for _, line := range c.extra {
		b.WriteString(line + "\n")
	}
	return b.String()
}

// baseConfig is what a server needs to run from in on the data directory dir/data.
func baseConfig(in Install, dir, socket string) string {
	user := ""
	if os.Getuid() == 0 {
		// mysqld refuses to run as root unless told to.
		user = "user=root\n"
	}
	return fmt.Sprintf(`[mysqld]
%sbasedir=%s
plugin_dir=%s
lc_messages_dir=%s
datadir=%s/data
socket=%s
pid_file=%s/mysqld.pid
log_error=%s/error.log
secure_file_priv=
`, user, in.BaseDir, in.PluginDir, in.MessagesDir, dir, socket, dir, dir)
}
