// Command faults runs a fault campaign on real deployments: servers, watchers and S3 on this machine, broken in every
// way of a table, under load, and judged. It exits with 1 when a promise was broken and 2 when it could not go on.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"syscall"
	"time"

	"github.com/failoverd/failoverd/testenv/campaign"
)

func main() { os.Exit(run()) }

func run() int {
	o := campaign.Options{Say: func(text string) { fmt.Fprintln(os.Stderr, time.Now().Format("15:04:05"), text) }}
	flag.StringVar(&o.Binary, "binary", "bin/failoverd", "the `program` that is tested")
	flag.IntVar(&o.Runs, "runs", 60, "how many runs there are; 60 cover every fault")
	flag.Uint64Var(&o.Seed, "seed", 1, "decides the runs' order, workloads and chance")
	flag.StringVar(&o.Dir, "dir", "", "where results and logs go, and runs that are done are found; by default a directory of the seed's in the temporary one")
	flag.BoolVar(&o.Long, "long", false, "give faults their full length")
	flag.BoolVar(&o.Quick, "quick", false, "only faults that are over in a few seconds")
	flag.BoolVar(&o.Plain, "plain", false, "do without network namespaces and disks, as without root")
	only := flag.String("only", "", "a regular `expression` for the faults' names")
	shard := flag.String("shard", "", "`K/N` does the Kth of N parts of the runs")
	list := flag.Bool("list", false, "print the faults and do nothing")
	flag.Parse()
	if *list {
		for _, f := range campaign.Faults() {
			fmt.Printf("%-34s %s (promotions: %s)\n", f.Name, f.What, f.Promotions)
		}
		return 0
	}
	if err := complete(&o, *only, *shard); err != nil {
		fmt.Fprintln(os.Stderr, "faults:", err)
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	o.Say(fmt.Sprintf("seed %d, results in %s", o.Seed, o.Dir))
	records, err := campaign.Run(ctx, o)
	if len(records) > 0 {
		fmt.Print(campaign.Table(records))
	}
	broken := 0
	for _, r := range records {
		for _, what := range r.Broken {
			broken++
			fmt.Printf("run %d of seed %d, %s, %s: %s (%s)\n", r.Run, r.Seed, r.Fault, r.Workload, what, filepath.Join(o.Dir, r.Logs))
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "faults:", err)
		return 2
	}
	if broken > 0 {
		return 1
	}
	return 0
}

// complete makes options of flags and of what is there.
func complete(o *campaign.Options, only, shard string) (err error) {
	if only != "" {
		if o.Only, err = regexp.Compile(only); err != nil {
			return err
		}
	}
	if shard != "" {
		if n, err := fmt.Sscanf(shard, "%d/%d", &o.Shard, &o.Shards); n != 2 || err != nil || o.Shard < 1 || o.Shard > o.Shards {
			return fmt.Errorf("-shard %s is not K/N", shard)
		}
	}
	if o.Binary, err = filepath.Abs(o.Binary); err != nil {
		return err
	}
	if _, err := os.Stat(o.Binary); err != nil {
		return fmt.Errorf("%w; make build makes it", err)
	}
	if o.Dir == "" {
		o.Dir = filepath.Join(os.TempDir(), fmt.Sprintf("failoverd-faults-%d", o.Seed))
	}
	o.Dir, err = filepath.Abs(o.Dir)
	return err
}
