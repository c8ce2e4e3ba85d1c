package snapshot

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/failoverd/failoverd/internal/object"
	"github.com/failoverd/failoverd/internal/topology"
)

// Scratch makes servers to rehearse a restore on.
type Scratch interface {
	// Start makes a new, empty server with the settings of a Schema that it needs.
	Start(ctx context.Context, settings map[string]string) (Rehearsal, error)
}

// Rehearsal is a server that is there for a drill alone.
type Rehearsal interface {
	// Target fills it; Source then reads it.
	Target() (Target, error)
	Source() (Source, error)
	// Own are its accounts, user@host, that are there for the drill.
	Own() []string
	// Join has it replicate by auto-position, and returns what it saw arrive that the
	// snapshot does not hold, in words. ErrNoSource says that there is nothing to join.
	Join(ctx context.Context) (seen string, err error)
	// Close ends it and removes all of it.
	Close() error
}

// ErrNoSource says that a drill was given no server to replicate from.
var ErrNoSource = errors.New("no source to replicate from was given")

// DrillRequest says what to rehearse.
type DrillRequest struct {
	Store    object.Store
	Box      *Box
	Manifest Manifest
	Scratch  Scratch
	Workers  int
	Progress func(RestoreProgress) // may be nil
}

// DrillReport is what came of a drill, as it is kept in the store.
type DrillReport struct {
	Product  string `json:"product"`
	Snapshot string `json:"snapshot"`
	// Passed says that everything was found to be as it is to be; otherwise Failed
	// names each thing that is not, and where.
	Passed   bool      `json:"passed"`
	Failed   []string  `json:"failed,omitempty"`
	Started  time.Time `json:"started"`
	Finished time.Time `json:"finished"`
	// RTOSeconds is from nothing to a server that has everything and is closed; the
	// checks that follow are not in it. Phases are its parts, and then the checks.
	RTOSeconds float64 `json:"rtoSeconds"`
	Phases     []Phase `json:"phases"`
	// RPOSeconds is how old the snapshot was when the drill began: what would have been
	// lost without the binary log.
	RPOSeconds float64 `json:"rpoSeconds"`
	Tables     int     `json:"tables"`
	Rows       int64   `json:"rows"`
	Bytes      int64   `json:"bytes"` // canonical
	// BytesPerSecond is that of the rows going in, keys included.
	BytesPerSecond float64          `json:"bytesPerSecond"`
	GTIDs          topology.GTIDSet `json:"gtids"`
	// Joined is what arrived by replication, empty where there was nothing to join.
	Joined string `json:"joined,omitempty"`
	Notes  []Note `json:"notes,omitempty"`
}

// DrillPrefix is that of the reports of all drills of a product.
func DrillPrefix(product string) string { return Prefix(product) + "drills/" }

// DrillKey is the key of the report of the newest drill of a snapshot.
func DrillKey(product, id string) string { return DrillPrefix(product) + id + ".json" }

// Drill restores a snapshot into a server made for it, from the store alone, and
// looks whether it is the server that was copied: every checksum, every row of every
// table, all definitions, accounts and grants, the executed transactions; and whether
// it can replicate. The report is kept in the store. The error says that the drill
// could not be carried out or kept; what it found is in the report.
func Drill(ctx context.Context, req DrillRequest) (DrillReport, error) {
	d := &drill{DrillRequest: req, report: DrillReport{
		Product: req.Manifest.Product, Snapshot: req.Manifest.ID, Started: time.Now(), GTIDs: req.Manifest.GTIDs,
		RPOSeconds: time.Since(req.Manifest.Point).Seconds(),
	}}
	err := d.run(ctx)
	d.report.Finished = time.Now()
	if err != nil {
		if ctx.Err() != nil {
			return d.report, context.Cause(ctx)
		}
		d.fail("%s", err)
	}
	d.report.Passed = len(d.report.Failed) == 0
	text, err := json.MarshalIndent(d.report, "", "  ")
	if err != nil {
		return d.report, err
	}
	if _, err := req.Store.Put(ctx, DrillKey(req.Manifest.Product, req.Manifest.ID), text, object.Always); err != nil {
		return d.report, fmt.Errorf("keep the report of the drill: %w", err)
	}
	return d.report, nil
}

type drill struct {
	DrillRequest
	report DrillReport
	mu     sync.Mutex // guards report.Failed while tables are read
}

func (d *drill) fail(format string, args ...any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.report.Failed = append(d.report.Failed, fmt.Sprintf(format, args...))
}

// timed runs a phase and notes how long it took.
func (d *drill) timed(name string, do func() error) error {
	began := time.Now()
	err := do()
	d.report.Phases = append(d.report.Phases, Phase{Name: name, Seconds: time.Since(began).Seconds()})
	return err
}

func (d *drill) run(ctx context.Context) (err error) {
	p, err := readPlan(ctx, d.Store, d.Box, d.Manifest, nil)
	if err != nil {
		return err
	}
	began := time.Now()
	var server Rehearsal
	if err := d.timed("start", func() (err error) {
		server, err = d.Scratch.Start(ctx, p.job.Schema.Settings)
		return err
	}); err != nil {
		return fmt.Errorf("start a server: %w", err)
	}
	defer func() { err = errors.Join(err, server.Close()) }()
	if err := d.restore(ctx, server); err != nil {
		return err
	}
	d.report.RTOSeconds = time.Since(began).Seconds()
	if err := d.timed("verify", func() error { return d.verify(ctx, server, p) }); err != nil {
		return fmt.Errorf("read the restored server: %w", err)
	}
	return d.timed("join", func() error {
		seen, err := server.Join(ctx)
		switch {
		case errors.Is(err, ErrNoSource):
			d.report.Notes = append(d.report.Notes, Note{Text: "replication was not tried: " + err.Error()})
		case err != nil:
			return fmt.Errorf("replicate: %w", err)
		}
		d.report.Joined = seen
		return nil
	})
}

func (d *drill) restore(ctx context.Context, server Rehearsal) error {
	target, err := server.Target()
	if err != nil {
		return err
	}
	report, err := Restore(ctx, RestoreRequest{
		Store: d.Store, Box: d.Box, Manifest: d.Manifest, Target: target, Workers: d.Workers, Progress: d.Progress,
	})
	err = errors.Join(err, target.Close())
	d.report.Phases = append(d.report.Phases, report.Phases...)
	d.report.Tables, d.report.Rows, d.report.Bytes = report.Tables, report.Rows, report.Bytes
	for _, phase := range report.Phases {
		if phase.Name == "load" && phase.Seconds > 0 {
			d.report.BytesPerSecond = float64(report.Bytes) / phase.Seconds
		}
	}
	for _, note := range report.Notes {
		if note.Differs {
			d.fail("%s", note.Text)
		} else {
			d.report.Notes = append(d.report.Notes, note)
		}
	}
	if err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	return nil
}

// verify reads the server back and compares it with what was copied.
func (d *drill) verify(ctx context.Context, server Rehearsal, p plan) error {
	source, err := server.Source()
	if err != nil {
		return err
	}
	workers := max(1, d.Workers)
	point, err := source.Open(ctx, workers)
	if err != nil {
		return err
	}
	defer point.Close()
	if executed := point.About().GTIDs; !executed.Equal(d.Manifest.GTIDs) {
		d.fail("the executed transactions are %s, should be %s", executed, d.Manifest.GTIDs)
	}
	schema, err := point.Schema(ctx)
	if err != nil {
		return err
	}
	for _, difference := range CompareSchemas(p.job.Schema, schema, server.Own()...) {
		d.fail("%s", difference)
	}
	return d.rehash(ctx, point, p, schema, workers)
}
