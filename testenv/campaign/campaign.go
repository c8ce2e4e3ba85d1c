package campaign

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"time"

	"github.com/failoverd/failoverd/testenv"
	"github.com/failoverd/failoverd/testenv/stage"
)

// Options say what to do.
type Options struct {
	// Binary is the failoverd program that is tested.
	Binary string
	// Seed and Runs decide what happens.
	Seed uint64
	Runs int
	// Only keeps the faults whose names match, all when nil.
	Only *regexp.Regexp
	// Quick keeps those that are over in a few seconds.
	Quick bool
	// Shard does the runs that leave this rest when divided by Shards, all when Shards is 0.
	Shard, Shards int
	// Dir gets runs.jsonl and a directory per run. Runs that it holds already are not done again.
	Dir string
	// Plain does with what a machine allows without root: proxies instead of namespaces, and no disks of its own.
	Plain bool
	// Long gives faults their full length.
	Long bool
	// Say hears what goes on.
	Say func(string)
}

// Able is what this machine can do, and why not more.
func Able() (Needs, error) {
	netns, disks := testenv.NetnsWorks(), testenv.DisksWork()
	clocks := exec.Command("go", "list", program).Run() // it is built anew, so its source must be there
	return Needs{Partitions: netns == nil, Links: runtime.GOOS == "linux", Disks: disks == nil, Clocks: clocks == nil}, errors.Join(netns, disks, clocks)
}

// covers says whether n is able to do what is needed.
func (n Needs) covers(needed Needs) bool {
	return (n.Partitions || !needed.Partitions) && (n.Links || !needed.Links) && (n.Disks || !needed.Disks) && (n.Clocks || !needed.Clocks)
}

// Run does the runs that are still to do and returns all that were asked for, in their order. The error is of the
// campaign itself: broken promises are in the records. When ctx ends, nothing is left running.
func Run(ctx context.Context, o Options) (out []Record, err error) {
	if err := os.MkdirAll(o.Dir, 0o755); err != nil {
		return nil, err
	}
	able, why := Able()
	if o.Plain {
		able, why = Needs{Links: able.Links, Clocks: able.Clocks}, errors.New("as asked for")
	}
	var faults []Fault
	for _, f := range Faults() {
		if (o.Only != nil && !o.Only.MatchString(f.Name)) || (o.Quick && !f.Quick) {
			continue
		}
		if !able.covers(f.Needs) {
			o.Say(fmt.Sprintf("without %s: %v", f.Name, why))
			continue
		}
		faults = append(faults, f)
	}
	if len(faults) == 0 {
		return nil, errors.New("no fault is left to do; -list shows all")
	}
	path := filepath.Join(o.Dir, "runs.jsonl")
	records, err := ReadRecords(path, o.Seed)
	if err != nil {
		return nil, err
	}
	c := &campaign{Options: o, able: able}
	defer func() { err = errors.Join(err, c.close(), removeSkewed()) }()
	for _, d := range Drawn(o.Seed, o.Runs, faults) {
		if o.Shards > 0 && d.Run%o.Shards != o.Shard%o.Shards {
			continue
		}
		known := slices.IndexFunc(records, func(r Record) bool { return r.Run == d.Run && r.Fault == d.Fault.Name && r.Workload == d.Workload })
		if known >= 0 {
			out = append(out, records[known])
			continue
		}
		record, err := c.run(ctx, d)
		if err != nil {
			return out, fmt.Errorf("run %d, %s: %w", d.Run, d.Fault.Name, err)
		}
		if err := appendRecord(path, record); err != nil {
			return out, err
		}
		out = append(out, record)
	}
	return out, err
}

// campaign has the deployment that runs share as long as it is healthy.
type campaign struct {
	Options
	able  Needs
	stage *stage.Stage
	built int
}

func (c *campaign) run(ctx context.Context, d Draw) (Record, error) {
	if c.stage == nil {
		if err := c.build(ctx); err != nil {
			return Record{}, err
		}
	}
	what := fmt.Sprintf("run %d of %d: %s, %s", d.Run, c.Runs, d.Fault.Name, d.Workload)
	c.Say(what)
	record, good, err := do(ctx, c.stage, c.Seed, d, c.Long, filepath.Join(c.Dir, fmt.Sprintf("run-%03d-%s", d.Run, d.Fault.Name)))
	if err == nil {
		c.Say(what + ": " + record.summarize())
	}
	if !good {
		err = errors.Join(err, c.close())
	}
	return record, err
}

// buildAtMost bounds the making of a deployment, the first download of MySQL included.
const buildAtMost = 10 * time.Minute

func (c *campaign) build(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, buildAtMost)
	defer cancel()
	o := stage.Options{Binary: c.Binary, Webs: -1, Disks: c.able.Disks, Heartbeats: true, Policy: policy}
	switch {
	case c.able.Partitions:
		o.Chain.Network = testenv.Netns
	case c.able.Links:
		o.Chain.Network = testenv.Proxied
	}
	c.built++
	c.Say(fmt.Sprintf("making deployment %d", c.built))
	began := time.Now()
	s, err := stage.New(ctx, o)
	if err != nil {
		return fmt.Errorf("deployment: %w", err)
	}
	c.stage = s
	for _, name := range webNames {
		if _, err := s.StartFollower(ctx, name); err != nil {
			return fmt.Errorf("deployment: %w", errors.Join(err, c.close()))
		}
	}
	c.Say(fmt.Sprintf("made in %.0f s", time.Since(began).Seconds()))
	return nil
}

func (c *campaign) close() error {
	if c.stage == nil {
		return nil
	}
	s := c.stage
	c.stage = nil
	return s.Close()
}
