package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"runtime/pprof"

	"golang.org/x/sync/errgroup"

	"github.com/failoverd/failoverd/internal/mysql"
	"github.com/failoverd/failoverd/internal/mysql/dump"
	loading "github.com/failoverd/failoverd/internal/mysql/load"
	"github.com/failoverd/failoverd/internal/s3"
	"github.com/failoverd/failoverd/internal/snapshot"
)

// childResult is what a process of its own says of its work.
type childResult struct {
	Read, Stored int64  // bytes, the former canonical
	Logged       int64  // bytes read of the binary log
	Ways         string // how each table was taken
}

// runChild does one thing, so that its memory and CPU can be told.
func runChild(ctx context.Context, what, addr, storeDir string, workers int, profile string) error {
	if profile != "" {
		file, err := os.Create(profile)
		if err != nil {
			return err
		}
		defer file.Close()
		if err := pprof.StartCPUProfile(file); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	config := mysql.Config{Addr: addr, Account: reader}
	source := dump.New(config)
	var result childResult
	switch what {
	case "take", "take-next":
		store, err := s3.Open(ctx, "file://"+storeDir, s3.Options{})
		if err != nil {
			return err
		}
		box, err := snapshot.NewBox()
		if err != nil {
			return err
		}
		request := snapshot.TakeRequest{Source: source, Store: store, Box: box, Product: "bench", Epoch: 1, Server: "db1", Workers: workers}
		if what == "take-next" {
			if result, err = takeNext(ctx, request, config); err != nil {
				return err
			}
			break
		}
		m, err := snapshot.Take(ctx, request)
		if err != nil {
			return err
		}
		result = childResult{Read: m.Totals.ReadBytes, Stored: m.Totals.StoredBytes}
	case "floor":
		var err error
		if result, err = floor(ctx, source, workers); err != nil {
			return err
		}
	case "restore":
		return restoreChild(ctx, storeDir, mysql.Config{Addr: addr, Account: filler}, loading.Options{Workers: workers})
	case "restore-new":
		return restoreNewChild(ctx, storeDir, addr, workers)
	default:
		return fmt.Errorf("no child does %q", what)
	}
	return json.NewEncoder(os.Stdout).Encode(result)
}

// floor reads, hashes and compresses everything, and does nothing else: no packs, no
// catalog, no store. Less is not possible with these parts.
func floor(ctx context.Context, source snapshot.Source, workers int) (childResult, error) {
	point, err := source.Open(ctx, workers)
	if err != nil {
		return childResult{}, err
	}
	defer point.Close()
	schema, err := point.Schema(ctx)
	if err != nil {
		return childResult{}, err
	}
	box, err := snapshot.NewBox()
	if err != nil {
		return childResult{}, err
	}
	type job struct {
		table snapshot.Table
		part  snapshot.Range
	}
	jobs := make(chan job, 10000)
	for _, t := range schema.Tables {
		parts, err := point.Ranges(ctx, t, 16)
		if err != nil {
			return childResult{}, err
		}
		for _, part := range parts {
			jobs <- job{t, part}
		}
	}
	close(jobs)
	results := make([]childResult, workers)
	all, ctx := errgroup.WithContext(ctx)
	for w := range workers {
		all.Go(func() error {
			var plain, sealed []byte
			var sum snapshot.Sum
			seal := func() (err error) {
				sealed, err = box.Seal(sealed[:0], plain)
				results[w].Stored += int64(len(sealed))
				plain = plain[:0]
				return err
			}
			for j := range jobs {
				err := point.Read(ctx, w, j.table, j.part, func(row []byte) error {
					sum.Add(row)
					results[w].Read += int64(len(row))
					if plain = snapshot.AppendRow(plain, row); len(plain) >= 1<<20 {
						return seal()
					}
					return nil
				})
				if err != nil {
					return err
				}
				if err := seal(); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := all.Wait(); err != nil {
		return childResult{}, err
	}
	var total childResult
	for _, r := range results {
		total.Read += r.Read
		total.Stored += r.Stored
	}
	return total, nil
}
