// Command benchsnapshot measures a snapshot beside mysqldump and mydumper: one server,
// the same rows, one after the other in one run.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/failoverd/failoverd/testenv"
)

func main() {
	rows := flag.Int("rows", 4_000_000, "how many rows there are")
	repeats := flag.Int("runs", 2, "how often each is measured; the fastest counts")
	workers := flag.Int("workers", 4, "sessions that read side by side")
	dir := flag.String("dir", "", "where servers and copies are; in a directory of their own; default: that of temporary files")
	limit := flag.Duration("limit", 2*time.Hour, "how long all of it may take")
	child := flag.String("child", "", "internal: what a process of its own does")
	addr := flag.String("addr", "", "internal: the server")
	store := flag.String("store", "", "internal: the directory of the store")
	profile := flag.String("profile", "", "write a CPU profile of the snapshot to this file")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeoutCause(ctx, *limit, fmt.Errorf("not done after %s", *limit))
	defer cancel()
	var err error
	if *child != "" {
		err = runChild(ctx, *child, *addr, *store, *workers, *profile)
	} else {
		err = bench(ctx, options{rows: *rows, repeats: *repeats, workers: *workers, dir: *dir, profile: *profile})
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "benchsnapshot:", err)
		os.Exit(1)
	}
}

type options struct {
	rows, repeats, workers int
	dir, profile           string
}

// serverConfig is what a server of this size is given in earnest; all rows fit into
// memory, so that the disk does not decide.
var serverConfig = []string{"innodb_buffer_pool_size=2G", "innodb_redo_log_capacity=1G", "innodb_log_buffer_size=64M", "max_allowed_packet=64M", "local_infile=ON"}

func bench(ctx context.Context, o options) error {
	temp, err := os.MkdirTemp(o.dir, "failoverd-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(temp)
	o.dir = temp
	say := func(text string) { fmt.Fprintln(os.Stderr, time.Now().Format("15:04:05"), text) }
	chain, err := testenv.NewChain(ctx, testenv.Options{
		Dir: filepath.Join(o.dir, "chain"), Relaxed: true, Config: serverConfig, Progress: say,
		Servers: []testenv.ServerSpec{{Name: "db1", Seat: testenv.Master}},
	})
	if err != nil {
		return err
	}
	defer chain.Close()
	server := chain.Servers[0]
	say(fmt.Sprintf("loading %d rows", o.rows))
	if err := load(ctx, server, o.rows); err != nil {
		return err
	}
	// As a dump slave is: nobody writes but the applier.
	for _, statement := range append(grants(), "SET GLOBAL innodb_max_dirty_pages_pct = 0", "SET GLOBAL super_read_only = ON") {
		if err := server.Exec(ctx, statement); err != nil {
			return err
		}
	}
	if err := settle(ctx, server); err != nil {
		return err
	}
	program, err := os.Executable()
	if err != nil {
		return err
	}
	b := &runner{server: server, install: chain.Install, program: program, options: o, say: say}
	f := figures{rows: o.rows, repeats: o.repeats, machine: machine(ctx, chain.Install), loadBegin: loadAverage()}
	if f.dumps, err = b.all(ctx); err != nil {
		return err
	}
	if f.restores, err = b.restores(ctx); err != nil {
		return err
	}
	if f.increments, err = b.increments(ctx); err != nil {
		return err
	}
	f.loadEnd = loadAverage()
	fmt.Print(report(f))
	return nil
}
