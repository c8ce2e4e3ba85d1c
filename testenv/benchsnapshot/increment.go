package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/failoverd/failoverd/internal/mysql"
	"github.com/failoverd/failoverd/internal/mysql/changes"
	"github.com/failoverd/failoverd/internal/snapshot"
	"github.com/failoverd/failoverd/internal/topology"
)

// increments measures the snapshot after the kept one, each time with other changes in
// between: once each, for the same changes cannot be made twice.
func (b *runner) increments(ctx context.Context) ([]result, error) {
	changed := []struct {
		name string
		make func(context.Context) error
	}{
		{"nothing changed", func(context.Context) error { return nil }},
		{"1 % of the rows appended", b.append},
		{"1 % changed, clustered", func(ctx context.Context) error { return b.update(ctx, clustered) }},
		{"1 % changed, scattered", func(ctx context.Context) error { return b.update(ctx, scattered) }},
	}
	var results []result
	for _, c := range changed {
		if err := b.write(ctx, c.make); err != nil {
			return nil, fmt.Errorf("%s: %w", c.name, err)
		}
		before, err := sizeOf(b.kept())
		if err != nil {
			return nil, err
		}
		var out bytes.Buffer
		r, err := b.measure(ctx, b.itself("take-next", b.server.Addr(), b.kept()), &out)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", c.name, err)
		}
		var said childResult
		if err := json.Unmarshal(out.Bytes(), &said); err != nil {
			return nil, err
		}
		after, err := sizeOf(b.kept())
		if err != nil {
			return nil, err
		}
		r.name, r.read, r.logged, r.stored, r.note = c.name, said.Read, said.Logged, after-before, said.Ways
		b.say(fmt.Sprintf("%s: %.2f s, client %.2f s, server %.2f s of CPU", r.name, r.seconds, r.clientCPU, r.serverCPU))
		results = append(results, r)
	}
	return results, nil
}

// write lets changes be made as a dump slave's applier makes them, and waits until the
// server has written them out.
func (b *runner) write(ctx context.Context, changes func(context.Context) error) error {
	for _, step := range []func() error{
		func() error { return b.server.Exec(ctx, "SET GLOBAL super_read_only = OFF") },
		func() error { return changes(ctx) },
		func() error { return b.server.Exec(ctx, "SET GLOBAL super_read_only = ON") },
	} {
		if err := step(); err != nil {
			return err
		}
	}
	return settle(ctx, b.server)
}

// append adds a hundredth to each table at its end, into the binary log.
func (b *runner) append(ctx context.Context) error {
	for _, t := range tables {
		rows := t.rows(b.options.rows)
		if err := fill(ctx, b.server, t, rows+1, rows+rows/100, true); err != nil {
			return err
		}
	}
	return nil
}

// clustered are rows that follow one another, in the middle of the table.
func clustered(t table, rows int) string {
	first, last := rows/2+1, rows/2+rows/100
	where := fmt.Sprintf("id BETWEEN %d AND %d", first, last)
	if t.name == "measurements" { // whose key does not begin with the number
		where += fmt.Sprintf(" AND sensor BETWEEN %d AND %d", first/perSensor, last/perSensor)
	}
	return where
}

// scattered is every hundredth row.
func scattered(table, int) string { return "id % 100 = 7" }

func (b *runner) update(ctx context.Context, where func(table, int) string) error {
	for _, t := range tables {
		if err := b.server.Exec(ctx, "UPDATE bench."+t.name+" SET "+t.change+" WHERE "+where(t, t.rows(b.options.rows))); err != nil {
			return fmt.Errorf("update %s: %w", t.name, err)
		}
	}
	return nil
}

// takeNext takes the snapshot after the newest one of the store.
func takeNext(ctx context.Context, r snapshot.TakeRequest, cfg mysql.Config) (childResult, error) {
	found, bad := snapshot.List(ctx, r.Store, r.Box, r.Product)
	if len(found) == 0 || len(bad) > 0 {
		return childResult{}, fmt.Errorf("%d snapshots, %v", len(found), bad)
	}
	log := &logged{Changes: changes.NewReader(cfg)}
	// Their names sort by the second, and here several are taken in one.
	newest := slices.MaxFunc(found, func(a, b snapshot.Manifest) int { return a.Started.Compare(b.Started) })
	r.Parent, r.Changes = &newest, log
	m, err := snapshot.Take(ctx, r)
	if err != nil {
		return childResult{}, err
	}
	var ways []string
	for _, t := range m.Tables {
		if t.Database == "bench" {
			ways = append(ways, t.Name+" "+t.Way)
		}
	}
	slices.Sort(ways)
	return childResult{Read: m.Totals.ReadBytes, Stored: m.Totals.StoredBytes, Logged: log.bytes, Ways: strings.Join(append(ways, m.Warnings...), ", ")}, nil
}

// logged counts what is read of the binary log.
type logged struct {
	snapshot.Changes
	bytes int64
}

func (l *logged) Since(ctx context.Context, from, upto topology.GTIDSet, schema snapshot.Schema, limit int64) (snapshot.Changed, error) {
	changed, err := l.Changes.Since(ctx, from, upto, schema, limit)
	l.bytes += changed.ReadBytes
	return changed, err
}
