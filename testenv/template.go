package testenv

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// template returns a data directory to copy servers from, and makes it if this MySQL has none yet: initialized,
// with plugins, accounts, certificates and the app's database, cleanly shut down, with an empty GTID set and no
// server UUID.
func template(ctx context.Context, in Install, progress func(string)) (string, error) {
	cache, err := CacheDir()
	if err != nil {
		return "", err
	}
	sum := sha256.New()
	fmt.Fprintln(sum, in.Mysqld, in.Version, trimmed, strings.Join(templateSQL(), ";"))
	key := "template-" + in.Version + "-" + hex.EncodeToString(sum.Sum(nil))[:8]
	done := filepath.Join(cache, key)
	if _, err := os.Stat(done); err == nil {
		return filepath.Join(done, "data"), nil
	}
	unlock, err := lockFile(ctx, filepath.Join(cache, key+".lock"), func() {
		progress("waiting for another process that makes the template data directory")
	})
	if err != nil {
		return "", err
	}
	defer unlock()
	if _, err := os.Stat(done); err == nil {
		return filepath.Join(done, "data"), nil
	}
	progress("making the template data directory for MySQL " + in.Version)
	work := done + ".new"
	if err := os.RemoveAll(work); err != nil {
		return "", err
	}
	defer os.RemoveAll(work)
	if err := makeTemplate(ctx, in, work); err != nil {
		return "", fmt.Errorf("make template data directory: %w", err)
	}
	if err := os.Rename(work, done); err != nil {
		return "", err
	}
	return filepath.Join(done, "data"), nil
}

func makeTemplate(ctx context.Context, in Install, dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	socket, removeSocket, err := socketPath(dir)
	if err != nil {
		return err
	}
	defer removeSocket()
	config := filepath.Join(dir, "my.cnf")
	text := baseConfig(in, dir, socket) + trimmed + "skip_networking=ON\nskip_log_bin\n"
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
		return err
	}
	initialize := exec.CommandContext(ctx, in.Mysqld, "--defaults-file="+config, "--initialize-insecure")
	initialize.SysProcAttr = childAttributes()
	if err := runTied(initialize); err != nil {
		return fmt.Errorf("initialize: %w: %s", err, whyOf(filepath.Join(dir, "error.log")))
	}
	p, err := startProcess(processSpec{path: in.Mysqld, args: []string{"--defaults-file=" + config},
		log: filepath.Join(dir, "error.log")})
	if err != nil {
		return err
	}
	defer p.kill()
	db, err := openRoot(socket)
	if err != nil {
		return err
	}
	defer db.Close()
	if err := awaitReady(ctx, db, p, filepath.Join(dir, "error.log")); err != nil {
		return err
	}
	for _, statement := range templateSQL() {
		if _, err := db.ExecContext(ctx, statement); err != nil {
			return fmt.Errorf("%s: %w", strings.SplitN(statement, " IDENTIFIED", 2)[0], err)
		}
	}
	if err := p.terminate(ctx); err != nil {
		return err
	}
	return os.RemoveAll(filepath.Join(dir, "data", "auto.cnf"))
}
