package scratch

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// install is a MySQL to run.
type install struct {
	mysqld string
	// The rest is empty where the program's own defaults are right: only one that was
	// moved has to be told.
	base, plugins, messages string
}

// findInstall looks for mysqld: the given path, else FAILOVERD_MYSQLD, else on PATH.
func findInstall(path string) (install, error) {
	if path == "" {
		path = os.Getenv("FAILOVERD_MYSQLD")
	}
	if path == "" {
		found, err := exec.LookPath("mysqld")
		if err != nil {
			return install{}, fmt.Errorf("no mysqld to run: %w; install one or name it in FAILOVERD_MYSQLD", err)
		}
		path = found
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return install{}, err
	}
	if path, err = filepath.EvalSymlinks(path); err != nil {
		return install{}, fmt.Errorf("mysqld: %w", err)
	}
	in := install{mysqld: path}
	base := filepath.Dir(filepath.Dir(path))
	in.messages = dirWith(base, "english/errmsg.sys", "share/mysql", "share", "share/mysql-*")
	in.plugins = dirWith(base, "semisync_source.so", "lib/mysql/plugin", "lib/plugin", "lib64/mysql/plugin", "lib/*/mysql/plugin")
	if in.messages != "" {
		in.base = base
	}
	return in, nil
}

// dirWith is the first of the places under base that holds file, empty if none does.
func dirWith(base, file string, places ...string) string {
	for _, place := range places {
		if found, _ := filepath.Glob(filepath.Join(base, place, file)); len(found) > 0 {
			return filepath.Clean(found[0][:len(found[0])-len(file)])
		}
	}
	return ""
}
