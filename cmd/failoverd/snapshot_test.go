package main

import (
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/failoverd/failoverd/internal/snapshot"
)

func TestSnapshotNowIsFollowedToItsEnd(t *testing.T) {
	s := newShell(t)
	s.dump()
	var service sync.WaitGroup
	service.Go(func() { // it carries out what it is told to
		for done := uint64(1); done == 1 && t.Context().Err() == nil; <-time.After(10 * time.Millisecond) {
			s.dump(func(r *snapshot.Report) {
				if orders := s.orders(*r); orders.Take != 0 {
					done = orders.Take
					r.Newest.ID = "20261122T205100Z-e1-ddeeff"
				}
				r.Done = done
			})
		}
	})
	code, out, errs := s.run("snapshot now shop")
	service.Wait()
	require.Equal(t, exitDone, code, errs)
	assert.Equal(t, "20261122T205100Z-e1-ddeeff: 4,211,000 rows, 5.3 GB, 1.21 GB stored, in 42.0 s; the applier stood still for 21 ms\n", out)
}

func TestSnapshotNowThatFailedSaysWhy(t *testing.T) {
	s := newShell(t)
	s.dump()
	code, out, _ := s.run("snapshot now shop --wait 0")
	require.Equal(t, exitDone, code)
	assert.Equal(t, "asked for\n", out)
	order := s.orders(snapshot.Report{Instance: "one", Server: "db4"}).Take
	require.NotZero(t, order)
	s.dump(func(r *snapshot.Report) { r.Done, r.DoneWhy = order, "no store takes it" })
	// Asked for anew, and done by the time that anybody looks.
	var service sync.WaitGroup
	service.Go(func() {
		for t.Context().Err() == nil {
			if next := s.orders(snapshot.Report{Instance: "one", Server: "db4", Done: order}).Take; next > order {
				s.dump(func(r *snapshot.Report) { r.Done, r.DoneWhy = next, "no store takes it" })
				return
			}
			<-time.After(10 * time.Millisecond)
		}
	})
	code, _, errs := s.run("snapshot now shop")
	service.Wait()
	assert.Equal(t, exitFailed, code)
	assert.Contains(t, errs, "no snapshot: no store takes it")
}

func TestProgressText(t *testing.T) {
	assert.Equal(t, "1 GB of 4 GB (25 %), 100 MB/s, 30 s left", progressText(1e9, 4e9, 10*time.Second))
	assert.Equal(t, "12.3 MB, 6.15 MB/s", progressText(12_300_000, 0, 2*time.Second))
	assert.Equal(t, "0 B of 5 B (0 %), 0 B/s", progressText(0, 5, time.Second))
	assert.Equal(t, "7 GB of 5 GB (100 %), 7 GB/s", progressText(7e9, 5e9, time.Second), "a forecast is one")
}

func TestSizesAndAges(t *testing.T) {
	for n, want := range map[int64]string{0: "0 B", 999: "999 B", 1000: "1 kB", 999_999: "1 MB", 5_300_000_000: "5.3 GB", 123_456_789: "123 MB", 99_600_000: "100 MB"} {
		assert.Equal(t, want, sizeText(n))
	}
	for ms, want := range map[int64]string{-1: "?", 400: "0.4 s", 61_000: "61 s", 360_000: "6 min", 9_000_000: "2 h", 1_000_000_000: "11 days"} {
		assert.Equal(t, want, ageText(ms))
	}
	assert.Equal(t, "1,234,567", groupText(1_234_567))
	assert.Equal(t, "123", groupText(123))
}

func TestPruneNeverTakesWhatIsBeingWrittenForDead(t *testing.T) {
	code, _, errs := newShell(t).run("snapshot prune shop --grace 0s --store file://" + t.TempDir())
	assert.Equal(t, exitUsage, code)
	assert.Contains(t, errs, "--grace 0s: it must be more than nothing")
}
