package scratch

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// taken are the settings of the copied server that the new one must have for the rows
// and definitions to be the same, and to go on meaning the same.
var taken = []string{
	"character_set_server", "collation_server", "default_collation_for_utf8mb4", "lower_case_table_names",
	"sql_mode", "explicit_defaults_for_timestamp", "partial_revokes", "innodb_page_size", "default_storage_engine",
	"innodb_default_row_format", "sql_generate_invisible_primary_key", "sql_require_primary_key", "event_scheduler",
	"restrict_fk_on_non_standard_key", "innodb_ft_min_token_size", "ft_min_word_len", "default_authentication_plugin",
}

var plainValue = regexp.MustCompile(`^[A-Za-z0-9_,.+:-]*$`)

// configText is my.cnf: a server that boots closed, is durable, writes a binary log
// with GTIDs, and listens on loopback only.
func configText(in install, dir string, port int, id uint32, settings map[string]string) (string, error) {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("# Written by failoverd for a restored server. It boots closed: failoverd opens it")
	line("# when it joins a chain. Look at port, bind_address, server_id and sizes before that.")
	line("[mysqld]")
	if os.Getuid() == 0 {
		line("user=root") // mysqld refuses to run as root unless told to
	}
	for _, place := range []struct{ name, value string }{
		{"basedir", in.base}, {"plugin_dir", in.plugins}, {"lc_messages_dir", in.messages},
	} {
		if place.value != "" {
			line("%s=%s", place.name, place.value)
		}
	}
	line("datadir=%s", filepath.Join(dir, "data"))
	line("socket=%s", socketIn(dir))
	line("pid_file=%s", filepath.Join(dir, "mysqld.pid"))
	line("log_error=%s", filepath.Join(dir, "error.log"))
	line("secure_file_priv=NULL")
	line("bind_address=127.0.0.1\nport=%d\nmysqlx=OFF\nserver_id=%d", port, id)
	line("gtid_mode=ON\nenforce_gtid_consistency=ON\nlog_bin=binlog\nlog_replica_updates=ON\nbinlog_format=ROW\nbinlog_row_metadata=FULL")
	line("super_read_only=ON\nread_only=ON\nsync_binlog=1\ninnodb_flush_log_at_trx_commit=1\nskip_replica_start=ON")
	for _, name := range taken {
		value, known := settings[name]
		if !known || name == "event_scheduler" && value == "DISABLED" {
			continue
		}
		if !plainValue.MatchString(value) {
			return "", fmt.Errorf("the snapshot's setting %s is %q, which is none", name, value)
		}
		// A server of another version may not know it; none of them decides alone.
		line("loose_%s=%s", name, value)
	}
	return b.String(), nil
}

// socketIn is the socket's path, empty where it would be longer than the 107 bytes that
// the system allows: then the server is reached over loopback alone.
func socketIn(dir string) string {
	if path := filepath.Join(dir, "mysqld.sock"); len(path) <= 107 {
		return path
	}
	return ""
}

// whileFilling are the options with which a server is started that is filled and, if
// it breaks, begun anew: nothing has to survive a crash, and much is written.
func whileFilling(memory int64) []string {
	return []string{
		"--innodb-doublewrite=OFF", "--innodb-flush-log-at-trx-commit=0", "--sync-binlog=0", "--innodb-flush-method=O_DIRECT_NO_FSYNC",
		fmt.Sprintf("--innodb-buffer-pool-size=%d", memory), "--innodb-redo-log-capacity=1073741824",
		"--innodb-change-buffering=none", "--innodb-adaptive-hash-index=OFF", "--innodb-io-capacity=4000",
		"--max-allowed-packet=1073741824", "--event-scheduler=OFF", "--performance-schema-consumer-events-statements-current=OFF",
	}
}
