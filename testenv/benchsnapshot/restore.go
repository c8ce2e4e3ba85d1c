package main

import (
	"context"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/failoverd/failoverd/internal/mysql"
	loading "github.com/failoverd/failoverd/internal/mysql/load"
	"github.com/failoverd/failoverd/internal/mysql/scratch"
	"github.com/failoverd/failoverd/internal/s3"
	"github.com/failoverd/failoverd/internal/snapshot"
	"github.com/failoverd/failoverd/testenv"
)

// filler is the account that a server is filled with.
var filler = mysql.Account{User: "filler", Password: "filler-secret"}

// restores measures the way back: the same copy by failoverd, into a server and with
// one of its own, and by the mysql client, each into a new server of the same settings.
func (b *runner) restores(ctx context.Context) ([]result, error) {
	store, file := b.kept(), filepath.Join(b.options.dir, "kept.sql.zst")
	if _, err := b.measure(ctx, b.itself("take", b.server.Addr(), store), nil); err != nil {
		return nil, fmt.Errorf("take: %w", err)
	}
	size, err := sizeOf(store)
	if err != nil {
		return nil, err
	}
	into, err := b.filled(ctx, "into", func(s *testenv.Server) []string { return b.itself("restore", s.Addr(), store) })
	if err != nil {
		return nil, err
	}
	into.name, into.stored = nameInto, size
	fresh, err := b.measure(ctx, b.itself("restore-new", b.install.Mysqld, store), nil)
	if err != nil {
		return nil, err
	}
	fresh.serverCPU = math.NaN()
	b.say(fmt.Sprintf("new: %.2f s", fresh.seconds))
	fresh.name, fresh.stored, fresh.note = nameNew, size, "the server is made, filled and stopped; its CPU and memory count as the client's"
	results := []result{into, fresh}
	if _, err := exec.LookPath("zstd"); err != nil || b.install.Mysql == "" || b.install.Mysqldump == "" {
		return append(results, result{name: namePlain, note: "zstd or the mysql client is not installed"}), nil
	}
	script := fmt.Sprintf("set -o pipefail; %s %s --protocol=tcp -h%s -P%d -u%s -p%s --databases bench 2>/dev/null | zstd -q -f -1 -o %s",
		b.install.Mysqldump, dumpOptions, b.server.Host, b.server.Port, reader.User, reader.Password, file)
	defer os.Remove(file)
	if _, err := b.measure(ctx, []string{"bash", "-c", script}, nil); err != nil {
		return nil, fmt.Errorf("mysqldump: %w", err)
	}
	plain, err := b.filled(ctx, "plain", func(s *testenv.Server) []string {
		return []string{"bash", "-c", fmt.Sprintf("set -o pipefail; zstd -dc %s | %s --no-defaults --max-allowed-packet=64M -S %s -u root", file, b.install.Mysql, s.Socket)}
	})
	if err != nil {
		return nil, err
	}
	info, err := os.Stat(file)
	if err != nil {
		return nil, err
	}
	plain.stored = info.Size()
	plain.name = namePlain
	return append(results, plain), nil
}

// kept is the store with the snapshot that is restored and that others are built on.
func (b *runner) kept() string { return filepath.Join(b.options.dir, "kept") }

// filled makes a server, measures what fills it, and removes it.
func (b *runner) filled(ctx context.Context, name string, by func(*testenv.Server) []string) (result, error) {
	chain, err := testenv.NewChain(ctx, testenv.Options{Dir: filepath.Join(b.options.dir, name), Bare: true, Relaxed: true, Config: serverConfig,
		Servers: []testenv.ServerSpec{{Name: "db1", Seat: testenv.Master}}})
	if err != nil {
		return result{}, err
	}
	defer chain.Close()
	s := chain.Servers[0]
	for _, statement := range []string{
		"SET GLOBAL super_read_only = OFF, GLOBAL read_only = OFF", "DROP DATABASE shop",
		"CREATE USER filler IDENTIFIED BY 'filler-secret'", "GRANT ALL ON *.* TO filler WITH GRANT OPTION",
		"GRANT PROXY ON ''@'' TO filler WITH GRANT OPTION", "RESET BINARY LOGS AND GTIDS",
	} {
		if err := s.Exec(ctx, statement); err != nil {
			return result{}, err
		}
	}
	r, err := (&runner{server: s, options: b.options}).measure(ctx, by(s), nil)
	b.say(fmt.Sprintf("%s: %.2f s, client %.2f s, server %.2f s of CPU", name, r.seconds, r.clientCPU, r.serverCPU))
	return r, err
}

// restoreChild restores the newest snapshot of a store.
func restoreChild(ctx context.Context, storeDir string, cfg mysql.Config, opts loading.Options) error {
	store, err := s3.Open(ctx, "file://"+storeDir, s3.Options{})
	if err != nil {
		return err
	}
	box, err := snapshot.NewBox()
	if err != nil {
		return err
	}
	found, bad := snapshot.List(ctx, store, box, "bench")
	if len(found) != 1 || len(bad) > 0 {
		return fmt.Errorf("%d snapshots, %v", len(found), bad)
	}
	target, err := loading.New(cfg, opts)
	if err != nil {
		return err
	}
	defer target.Close()
	report, err := snapshot.Restore(ctx, snapshot.RestoreRequest{Store: store, Box: box, Manifest: found[0], Target: target, Workers: opts.Workers})
	fmt.Fprintln(os.Stderr, report.Phases)
	return err
}

// restoreNewChild makes the server too, and leaves it stopped.
func restoreNewChild(ctx context.Context, storeDir, mysqld string, workers int) error {
	dir := storeDir + "-new"
	defer os.RemoveAll(dir)
	server, err := scratch.New(ctx, scratch.Options{Dir: dir, Mysqld: mysqld, Memory: 2 << 30})
	if err != nil {
		return err
	}
	defer server.Remove()
	if err := restoreChild(ctx, storeDir, server.Config(), loading.Options{Workers: workers, Passing: true}); err != nil {
		return err
	}
	return server.Stop(ctx)
}

func sizeOf(dir string) (size int64, err error) {
	err = filepath.Walk(dir, func(_ string, info os.FileInfo, err error) error {
		if err == nil && info.Mode().IsRegular() {
			size += info.Size()
		}
		return err
	})
	return size, err
}
