package snapshot

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/failoverd/failoverd/internal/object"
)

// bench is a store with a history, in a bubble where time passes at will.
type sweepBench struct {
	t     *testing.T
	store *object.Memory
	box   *Box
}

func inBubble(t *testing.T, run func(t *testing.T, b sweepBench)) {
	t.Helper()
	box := plainBox(t) // its goroutines belong outside
	synctest.Test(t, func(t *testing.T) { run(t, sweepBench{t, object.NewMemory(), box}) })
}

// take makes a snapshot now.
func (b sweepBench) take(c makeCopy) madeCopy {
	b.t.Helper()
	c.store, c.box, c.at = b.store, b.box, time.Now().UTC().Truncate(time.Second)
	return c.make(b.t)
}

func (b sweepBench) full() madeCopy { return b.take(makeCopy{chunks: twoChunks("n")}) }

func (b sweepBench) request() SweepRequest {
	return SweepRequest{Store: b.store, Box: b.box, Product: madeProduct}
}

func (b sweepBench) sweep() SweepReport {
	b.t.Helper()
	report, err := Sweep(b.t.Context(), b.request())
	require.NoError(b.t, err)
	b.everythingListedIsWhole()
	return report
}

func (b sweepBench) everythingListedIsWhole() {
	b.t.Helper()
	all, errs := List(b.t.Context(), b.store, b.box, madeProduct)
	require.Empty(b.t, errs)
	for _, m := range all {
		_, err := Verify(b.t.Context(), b.store, b.box, m, true)
		require.NoError(b.t, err)
	}
}

func (b sweepBench) keys(prefix string) []string {
	b.t.Helper()
	entries, err := b.store.List(b.t.Context(), Prefix(madeProduct)+prefix)
	require.NoError(b.t, err)
	var keys []string
	for _, e := range entries {
		keys = append(keys, strings.TrimPrefix(e.Key, Prefix(madeProduct)))
	}
	return keys
}

func (b sweepBench) put(key string) {
	b.t.Helper()
	_, err := b.store.Put(b.t.Context(), Prefix(madeProduct)+key, []byte("x"), object.Always)
	require.NoError(b.t, err)
}

func TestWhatExpiredGoesAndWhatIsReferredToStays(t *testing.T) {
	inBubble(t, func(t *testing.T, b sweepBench) {
		full := b.full()
		time.Sleep(15 * time.Minute)
		unchanged := b.take(makeCopy{parent: &full})
		time.Sleep(15 * time.Minute)
		alone := b.full()
		time.Sleep(2 * time.Hour)
		last := b.take(makeCopy{parent: &unchanged, changed: map[int]string{2: "two"}})
		report := b.sweep()
		assert.Empty(t, report.Expired)
		assert.Zero(t, report.Removed)

		time.Sleep(40 * 24 * time.Hour)
		report = b.sweep()
		assert.Equal(t, []string{full.ID, unchanged.ID, alone.ID}, report.Expired)
		assert.Equal(t, []Kept{{last.ID, "the newest"}}, report.Kept)
		assert.Empty(t, report.Held)
		assert.Equal(t, []string{"data/" + full.ID + "/w0-000001", "data/" + last.ID + "/catalog", "data/" + last.ID + "/schema",
			"data/" + last.ID + "/w0-000001"}, b.keys("data/"), "the pack that the newest refers to stays")
		assert.Equal(t, []string{"snapshots/" + last.ID + ".json"}, b.keys("snapshots/"))
		assert.Empty(t, b.keys("leases/"))
	})
}

func TestASnapshotThatIsBeingTakenIsNoGarbage(t *testing.T) {
	inBubble(t, func(t *testing.T, b sweepBench) {
		b.full()
		began := time.Now()
		b.put("data/20000101T000000Z-e1-aaaaaa/w0-000001")
		for range 3 { // it takes three days
			time.Sleep(20 * time.Hour)
			b.put("data/20000101T000000Z-e1-aaaaaa/w0-00000" + time.Since(began).String())
			report := b.sweep()
			assert.Zero(t, report.Removed)
		}
		upload, err := b.store.Upload(b.t.Context(), Prefix(madeProduct)+"data/20000101T000000Z-e1-aaaaaa/w1-000001")
		require.NoError(t, err)
		time.Sleep(23 * time.Hour)
		assert.Zero(t, b.sweep().Removed+b.sweep().Discarded)
		time.Sleep(time.Hour)
		report := b.sweep()
		assert.Equal(t, 4, report.Removed, "it is dead")
		assert.Equal(t, 1, report.Discarded)
		require.ErrorIs(t, upload.Commit(b.t.Context(), object.Always), object.ErrConflict)
	})
}

func TestADryRunChangesNothing(t *testing.T) {
	inBubble(t, func(t *testing.T, b sweepBench) {
		old := b.full()
		b.put("data/20000101T000000Z-e1-aaaaaa/w0-000001")
		time.Sleep(40 * 24 * time.Hour)
		b.full()
		writes, before := b.store.Writes(), b.keys("")
		r := b.request()
		r.DryRun = true
		dry, err := Sweep(b.t.Context(), r)
		require.NoError(t, err)
		assert.Equal(t, writes, b.store.Writes())
		assert.Equal(t, before, b.keys(""))
		assert.Equal(t, []string{old.ID}, dry.Expired)
		report := b.sweep()
		assert.Equal(t, dry.Removed, report.Removed)
		assert.Equal(t, dry.RemovedBytes, report.RemovedBytes)
		assert.Len(t, dry.Garbage, report.Removed)
		for _, key := range dry.Garbage {
			assert.NotContains(t, b.keys(""), strings.TrimPrefix(key, Prefix(madeProduct)))
		}
	})
}

// What could not be seen may refer to anything.
func TestNothingIsRemovedThatCouldBeReferredTo(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(b sweepBench, newest madeCopy)
		held  string
	}{
		"a manifest that cannot be read": {func(b sweepBench, _ madeCopy) { b.put("snapshots/20000102T000000Z-e1-bbbbbb.json") }, "not all"},
		"something that is no manifest":  {func(b sweepBench, _ madeCopy) { b.put("snapshots/what is this") }, "not all"},
		"a catalog that is gone": {func(b sweepBench, newest madeCopy) {
			require.NoError(b.t, b.store.Delete(b.t.Context(), newest.Catalog.Key))
		}, "not all"},
		"no snapshot at all": {func(b sweepBench, _ madeCopy) {
			for _, key := range b.keys("snapshots/") {
				require.NoError(b.t, b.store.Delete(b.t.Context(), Prefix(madeProduct)+key))
			}
		}, "no whole snapshot"},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, b sweepBench) {
				b.put("data/20000101T000000Z-e1-aaaaaa/w0-000001")
				b.full()
				time.Sleep(40 * 24 * time.Hour)
				newest := b.full()
				c.spoil(b, newest)
				data := b.keys("data/")
				report, err := Sweep(b.t.Context(), b.request())
				require.NoError(t, err)
				assert.Contains(t, report.Held, c.held)
				assert.Equal(t, data, b.keys("data/"))
			})
		})
	}
}

func TestASweepThatCannotSeeEndsWithoutEffect(t *testing.T) {
	for _, c := range []struct{ method, key string }{
		{"list", ""}, {"put", "leases/sweeps"}, {"get", "snapshots/"}, {"get", "catalog"},
	} {
		t.Run(c.method+" "+c.key, func(t *testing.T) {
			inBubble(t, func(t *testing.T, b sweepBench) {
				b.put("data/20000101T000000Z-e1-aaaaaa/w0-000001")
				b.full()
				time.Sleep(40 * 24 * time.Hour)
				b.full()
				before := b.keys("data/")
				b.store.Inject(func(_ context.Context, call object.Call) object.Fault {
					if call.Method == c.method && strings.Contains(call.Key, c.key) {
						return object.Fault{Err: object.ErrUnavailable}
					}
					return object.Fault{}
				})
				report, err := Sweep(b.t.Context(), b.request())
				b.store.Inject(nil)
				if err == nil {
					assert.NotEmpty(t, report.Held)
					assert.NotEmpty(t, report.Warnings)
				}
				assert.Equal(t, before, b.keys("data/"))
				b.everythingListedIsWhole()
			})
		})
	}
}

func TestWhatIsReadStaysAlthoughItExpires(t *testing.T) {
	inBubble(t, func(t *testing.T, b sweepBench) {
		old := b.full()
		time.Sleep(40 * 24 * time.Hour)
		b.full()
		lease, err := Hold(b.t.Context(), b.store, madeProduct, old.ID, "test")
		require.NoError(t, err)
		time.Sleep(48 * time.Hour) // it is renewed
		report := b.sweep()
		assert.Empty(t, report.Expired)
		assert.Contains(t, report.Kept, Kept{old.ID, "somebody reads it"})
		lease.End()
		report = b.sweep()
		assert.Equal(t, []string{old.ID}, report.Expired)
		_, err = Hold(b.t.Context(), b.store, madeProduct, old.ID, "test")
		require.ErrorIs(t, err, object.ErrNotFound)
		assert.Empty(t, b.keys("leases/"))
	})
}

// Somebody begins to read when the sweep has decided, just before the manifest goes: the
// lease is seen in time. This time, and the next.
func TestWhoBeginsToReadInTheMidstOfASweepCanGoOn(t *testing.T) {
	inBubble(t, func(t *testing.T, b sweepBench) {
		old := b.full()
		time.Sleep(40 * 24 * time.Hour)
		b.full()
		var lease *Lease
		b.store.Inject(func(ctx context.Context, call object.Call) object.Fault {
			if call.Method == "delete" && call.Key == ManifestKey(madeProduct, old.ID) && lease == nil {
				var err error
				lease, err = Hold(ctx, b.store, madeProduct, old.ID, "test")
				assert.NoError(t, err)
			}
			return object.Fault{}
		})
		report := b.sweep()
		assert.Equal(t, []string{old.ID}, report.Expired)
		assert.Contains(t, report.Held, "somebody reads")
		require.NotNil(t, lease)
		for range 2 {
			_, err := Verify(b.t.Context(), b.store, b.box, old.Manifest, true)
			require.NoError(t, err, "the reader goes on")
			time.Sleep(24 * time.Hour)
			assert.Contains(t, b.sweep().Held, "somebody reads")
		}
		lease.End()
		assert.Empty(t, b.sweep().Held)
		_, err := Verify(b.t.Context(), b.store, b.box, old.Manifest, true)
		require.ErrorIs(t, err, ErrDamaged)
	})
}

func TestADeadReaderHoldsNothingForLong(t *testing.T) {
	inBubble(t, func(t *testing.T, b sweepBench) {
		old := b.full()
		time.Sleep(40 * 24 * time.Hour)
		b.full()
		b.put("leases/readers/" + old.ID + "/0000.json")
		assert.Empty(t, b.sweep().Expired)
		time.Sleep(leaseLife)
		assert.Equal(t, []string{old.ID}, b.sweep().Expired)
		assert.NotEmpty(t, b.keys("leases/"))
		time.Sleep(leasesKept)
		b.sweep()
		assert.Empty(t, b.keys("leases/"))
	})
}

func TestOneWhoWritesAndOneWhoSweepsNeverMeet(t *testing.T) {
	inBubble(t, func(t *testing.T, b sweepBench) {
		b.put("data/20000101T000000Z-e1-aaaaaa/w0-000001")
		b.full()
		time.Sleep(48 * time.Hour)
		writing, err := HoldAll(b.t.Context(), b.store, madeProduct, "test")
		require.NoError(t, err)
		report := b.sweep()
		assert.Contains(t, report.Held, "somebody writes")
		assert.Zero(t, report.Removed)
		writing.End()

		sweeping, err := takeLease(b.t.Context(), b.store, leaseKey(madeProduct, leaseSweep), "test")
		require.NoError(t, err)
		_, err = Sweep(b.t.Context(), b.request())
		require.ErrorIs(t, err, ErrBusy, "two sweeps")
		waits, cancel := context.WithTimeout(b.t.Context(), time.Hour)
		defer cancel()
		_, err = HoldAll(waits, b.store, madeProduct, "test")
		require.ErrorIs(t, err, ErrBusy)
		go func() {
			time.Sleep(10 * time.Second)
			sweeping.End()
		}()
		writing, err = HoldAll(b.t.Context(), b.store, madeProduct, "test")
		require.NoError(t, err)
		writing.End()
		assert.Empty(t, b.keys("leases/"))
	})
}

// Somebody who refers to what nothing else refers to is done, and gone, when the sweep
// looks for the second time: the sweep's listing does not have that snapshot.
func TestWhoEndsWritingInTheMidstOfASweepLosesNothing(t *testing.T) {
	inBubble(t, func(t *testing.T, b sweepBench) {
		old := b.full()
		time.Sleep(40 * 24 * time.Hour)
		b.full()
		body, err := b.store.Get(b.t.Context(), ManifestKey(madeProduct, old.ID))
		require.NoError(t, err)
		require.NoError(t, b.store.Delete(b.t.Context(), ManifestKey(madeProduct, old.ID))) // as an earlier sweep did
		writing, err := HoldAll(b.t.Context(), b.store, madeProduct, "test")
		require.NoError(t, err)
		b.store.Inject(func(ctx context.Context, call object.Call) object.Fault {
			if call.Method == "get" && strings.HasSuffix(call.Key, "catalog") && writing != nil {
				lease := writing
				writing = nil
				_, err := b.store.Put(ctx, ManifestKey(madeProduct, old.ID), body.Body, object.IfAbsent)
				assert.NoError(t, err)
				lease.End()
			}
			return object.Fault{}
		})
		assert.Contains(t, b.sweep().Held, "somebody writes")
		assert.Nil(t, writing)
	})
}

// A sweep that was frozen must not go on to remove what it decided long ago.
func TestASweepThatCouldNotRenewItsLeaseEnds(t *testing.T) {
	inBubble(t, func(t *testing.T, b sweepBench) {
		old := b.full()
		time.Sleep(40 * 24 * time.Hour)
		b.full()
		var taken atomic.Bool
		b.store.Inject(func(_ context.Context, call object.Call) object.Fault {
			if call.Method == "put" && strings.Contains(call.Key, "leases/sweeps") && taken.Swap(true) {
				return object.Fault{Err: object.ErrUnavailable}
			}
			if call.Method == "get" && strings.HasSuffix(call.Key, "catalog") {
				time.Sleep(leaseLife)
			}
			return object.Fault{}
		})
		_, err := Sweep(b.t.Context(), b.request())
		require.ErrorContains(t, err, "held up")
		b.store.Inject(nil)
		_, err = Load(b.t.Context(), b.store, b.box, madeProduct, old.ID)
		require.NoError(t, err)
	})
}

func TestTheBinaryLogIsKeptFromTheNewestSnapshotOn(t *testing.T) {
	const day = 24 * time.Hour
	inBubble(t, func(t *testing.T, b sweepBench) {
		segment := func(n string) { b.put("binlog/0000000001/00000000000" + n) }
		segment("1")
		time.Sleep(day)
		segment("2")
		b.full()
		time.Sleep(time.Hour)
		segment("3")
		time.Sleep(6 * day)
		b.sweep()
		assert.Len(t, b.keys("binlog/"), 2, "the first is older than a week")
		time.Sleep(20 * day)
		b.sweep()
		assert.Len(t, b.keys("binlog/"), 2, "no snapshot was taken since")
		b.full()
		time.Sleep(day)
		b.sweep()
		assert.Equal(t, []string{"binlog/0000000001/000000000003"}, b.keys("binlog/"), "the last stays: the next goes on from it")
		segment("4")
		b.sweep()
		assert.Equal(t, []string{"binlog/0000000001/000000000004"}, b.keys("binlog/"))
	})
}

// A machine may store snapshots and be able to open none of them.
func TestASweepWithoutIdentity(t *testing.T) {
	recipient, identity := newKeys(t)
	can := encryptedBox(t, []string{recipient}, identity)
	keys, err := ParseKeys([]string{recipient}, nil)
	require.NoError(t, err)
	cannot, err := NewEncryptedBox(keys)
	require.NoError(t, err)
	synctest.Test(t, func(t *testing.T) {
		b := sweepBench{t, object.NewMemory(), can}
		old := b.full()
		time.Sleep(40 * 24 * time.Hour)
		diverged := b.take(makeCopy{chunks: twoChunks("n"), unlike: func(m *Manifest) { m.Diverged = gtids(t) }})
		time.Sleep(8 * 24 * time.Hour)
		newest := b.full()
		r := b.request()
		r.Box = cannot
		report, err := Sweep(b.t.Context(), r)
		require.NoError(t, err)
		assert.Empty(t, report.Held)
		assert.Equal(t, []string{old.ID, diverged.ID}, report.Expired)
		b.everythingListedIsWhole()
		for _, key := range b.keys("data/") {
			assert.Contains(t, key, newest.ID)
		}

		// Somebody who can read them has taken one that refers to others.
		time.Sleep(time.Hour)
		b.take(makeCopy{parent: &newest, changed: map[int]string{2: "two"}})
		time.Sleep(40 * 24 * time.Hour)
		last := b.full()
		report, err = Sweep(b.t.Context(), r)
		require.NoError(t, err)
		assert.Empty(t, report.Held, "it has expired")
		b.take(makeCopy{parent: &last, changed: map[int]string{2: "two"}})
		report, err = Sweep(b.t.Context(), r)
		require.NoError(t, err)
		assert.Contains(t, report.Held, "not all")
		b.everythingListedIsWhole()
	})
}

func TestReportsOfDrillsAndCutsStay(t *testing.T) {
	inBubble(t, func(t *testing.T, b sweepBench) {
		for i := range leastDrillsKept + 5 {
			b.put("drills/20000101T0000" + string(rune('a'+i)) + ".json")
		}
		b.put("cuts/0000000002.json")
		b.put("something else")
		time.Sleep(drillsKept)
		b.full()
		b.sweep()
		assert.Len(t, b.keys("drills/"), leastDrillsKept)
		assert.Equal(t, "drills/20000101T0000f.json", b.keys("drills/")[0])
		assert.Len(t, b.keys("cuts/"), 1)
		assert.Len(t, b.keys("something"), 1)
	})
}

func TestMarksRememberCatalogs(t *testing.T) {
	inBubble(t, func(t *testing.T, b sweepBench) {
		full := b.full()
		time.Sleep(time.Minute)
		b.take(makeCopy{parent: &full, changed: map[int]string{2: "two"}})
		read := 0
		b.store.Inject(func(_ context.Context, call object.Call) object.Fault {
			if call.Method == "get" && strings.HasSuffix(call.Key, "catalog") {
				read++
			}
			return object.Fault{}
		})
		r := b.request()
		r.Marks = &Marks{}
		for range 3 {
			_, err := Sweep(b.t.Context(), r)
			require.NoError(t, err)
		}
		assert.Equal(t, 2, read)
		time.Sleep(40 * 24 * time.Hour)
		report, err := Sweep(b.t.Context(), r)
		require.NoError(t, err)
		assert.Equal(t, []string{full.ID}, report.Expired)
		assert.Equal(t, 2, read)
		assert.Len(t, r.Marks.objects, 1)
		b.everythingListedIsWhole()
	})
}
