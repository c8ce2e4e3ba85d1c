package testenv

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
)

// Install is one MySQL server installation that can be run without touching the system.
type Install struct {
	Mysqld      string // path of the server binary
	BaseDir     string
	PluginDir   string // holds semisync_source.so and mysql_clone.so
	MessagesDir string // value of lc_messages_dir
	Version     string // such as "9.7.4-2"
	Mysql       string // client programs: empty when they are not there
	Mysqldump   string
	Mysqlbinlog string
	Mysqladmin  string
}

// minVersion is the first release whose tables and statements failoverd uses throughout.
var minVersion = [3]int{8, 0, 34}

// FindServer returns a MySQL to run: the one FAILOVERD_MYSQLD names, else the private one in the cache
// directory, else mysqld on PATH when it is MySQL 8.0.34 or later, else it unpacks one into the cache from the
// machine's own Debian or Ubuntu mirror, without root and without installing anything. progress may be nil.
func FindServer(ctx context.Context, progress func(string)) (Install, error) {
	if progress == nil {
		progress = func(string) {}
	}
	if path := os.Getenv("FAILOVERD_MYSQLD"); path != "" {
		in, err := inspect(ctx, path)
		if err != nil {
			return Install{}, fmt.Errorf("FAILOVERD_MYSQLD: %w", err)
		}
		return in, nil
	}
	cache, err := CacheDir()
	if err != nil {
		return Install{}, err
	}
	root := filepath.Join(cache, "mysql")
	private := filepath.Join(root, "usr", "sbin", "mysqld")
	if in, err := inspect(ctx, private); err == nil {
		return in, nil
	}
	if path, err := exec.LookPath("mysqld"); err == nil {
		if in, err := inspect(ctx, path); err == nil {
			return unconfined(cache, in)
		} else {
			progress("mysqld on PATH is of no use: " + err.Error())
		}
	}
	unlock, err := lockFile(ctx, filepath.Join(cache, "mysql.lock"), func() {
		progress("waiting for another process that unpacks MySQL")
	})
	if err != nil {
		return Install{}, err
	}
	defer unlock()
	if in, err := inspect(ctx, private); err == nil {
		return in, nil
	}
	if err := unpackMySQL(ctx, root, progress); err != nil {
		return Install{}, fmt.Errorf("no MySQL server to run: %w; install MySQL 8.0.34 or later (its server, "+
			"semi-sync and clone plugins) or name its mysqld in FAILOVERD_MYSQLD", err)
	}
	in, err := inspect(ctx, private)
	if err != nil {
		return Install{}, fmt.Errorf("unpacked MySQL does not run: %w", err)
	}
	progress("MySQL " + in.Version + " is ready in " + root)
	return in, nil
}

// CacheDir is where the private MySQL and the template data directories are kept: FAILOVERD_CACHE, else
// failoverd in the user's cache directory. It is created if need be.
func CacheDir() (string, error) {
	dir := os.Getenv("FAILOVERD_CACHE")
	if dir == "" {
		base, err := os.UserCacheDir()
		if err != nil {
			return "", fmt.Errorf("cache directory (set FAILOVERD_CACHE): %w", err)
		}
		dir = filepath.Join(base, "failoverd")
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	return dir, os.MkdirAll(dir, 0o755)
}

var versionPattern = regexp.MustCompile(`Ver (\d+)\.(\d+)\.(\d+)(\S*)`)

// inspect asks mysqld for its version and finds what lies around it.
func inspect(ctx context.Context, mysqld string) (Install, error) {
	mysqld, err := filepath.Abs(mysqld)
	if err != nil {
		return Install{}, err
	}
	if mysqld, err = filepath.EvalSymlinks(mysqld); err != nil {
		return Install{}, err
	}
	out, err := exec.CommandContext(ctx, mysqld, "--no-defaults", "--version").CombinedOutput()
	if err != nil {
		return Install{}, fmt.Errorf("%s --version: %w: %s", mysqld, err, strings.TrimSpace(string(out)))
	}
	version, err := supportedVersion(string(out))
	if err != nil {
		return Install{}, fmt.Errorf("%s: %w", mysqld, err)
	}
	base := filepath.Dir(filepath.Dir(mysqld))
	in := Install{Mysqld: mysqld, BaseDir: base, Version: version}
	in.PluginDir = dirWith("semisync_source.so", base,
		"lib/mysql/plugin", "lib/plugin", "lib64/mysql/plugin", "lib/*/mysql/plugin")
	if in.PluginDir == "" {
		return Install{}, fmt.Errorf("%s: no directory with semisync_source.so under %s", mysqld, base)
	}
	in.MessagesDir = dirWith("english/errmsg.sys", base, "share/mysql", "share", "share/mysql-*")
	if in.MessagesDir == "" {
		return Install{}, fmt.Errorf("%s: no directory with english/errmsg.sys under %s", mysqld, base)
	}
	for name, field := range map[string]*string{"mysql": &in.Mysql, "mysqldump": &in.Mysqldump,
		"mysqlbinlog": &in.Mysqlbinlog, "mysqladmin": &in.Mysqladmin} {
		path := filepath.Join(base, "bin", name)
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
			*field = path
		}
	}
	return in, nil
}

// supportedVersion reads what mysqld --version prints.
func supportedVersion(printed string) (string, error) {
	if strings.Contains(printed, "MariaDB") {
		return "", errors.New("is MariaDB, not MySQL")
	}
	m := versionPattern.FindStringSubmatch(printed)
	if m == nil {
		return "", fmt.Errorf("no version in %q", strings.TrimSpace(printed))
	}
	for i, least := range minVersion {
		n, err := strconv.Atoi(m[i+1])
		if err != nil {
			return "", fmt.Errorf("version: %w", err)
		}
		if n > least {
			break
		}
		if n < least {
			return "", fmt.Errorf("MySQL %s.%s.%s is older than 8.0.34", m[1], m[2], m[3])
		}
	}
	return m[1] + "." + m[2] + "." + m[3] + m[4], nil
}

// dirWith returns the first of the patterns under base that holds file.
func dirWith(file, base string, patterns ...string) string {
	for _, pattern := range patterns {
		found, _ := filepath.Glob(filepath.Join(base, pattern, file))
		if len(found) > 0 {
			dir := strings.TrimSuffix(found[0], filepath.FromSlash(file))
			return filepath.Clean(dir)
		}
	}
	return ""
}

// unconfined copies mysqld into the cache when an AppArmor profile for its path would keep it from directories
// outside /var/lib/mysql. Profiles go by path, so the copy is free of it.
func unconfined(cache string, in Install) (Install, error) {
	if runtime.GOOS != "linux" || in.Mysqld != "/usr/sbin/mysqld" {
		return in, nil
	}
	if _, err := os.Stat("/etc/apparmor.d/usr.sbin.mysqld"); err != nil {
		return in, nil
	}
	path := filepath.Join(cache, "mysqld-"+in.Version)
	if _, err := os.Stat(path); err == nil {
		in.Mysqld = path
		return in, nil
	}
	if err := copyFile(in.Mysqld, path+".new", 0o755); err != nil {
		return Install{}, fmt.Errorf("copy mysqld out of its AppArmor profile: %w", err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		return Install{}, fmt.Errorf("copy mysqld out of its AppArmor profile: %w", err)
	}
	in.Mysqld = path
	return in, nil
}
