package snapshot

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/failoverd/failoverd/internal/object"
	"github.com/failoverd/failoverd/internal/topology"
)

// transaction is one of a simulated history.
type transaction struct {
	gtid   topology.GTIDSet
	at     time.Time
	events int
}

// chronicle is a chain of two masters that change places, and a dump slave whose log is shipped.
type chronicle struct {
	t       *testing.T
	r       *rand.Rand
	store   *object.Memory
	box     *Box
	now     time.Time
	epoch   uint64
	label   uint64 // the epoch that the shipper knows of
	uuids   []string
	numbers map[string]int64
	// surviving is the history of the chain, in order.
	surviving []transaction
	// The dump slave: what it executed, how far in surviving it received, and its log.
	executed, purged topology.GTIDSet
	received         int
	fresh            time.Time // it had everything then
	log              []transaction
	snapshots        []Manifest
	diverged         topology.GTIDSet
}

func newChronicle(t *testing.T, box *Box, seed uint64) *chronicle {
	return &chronicle{t: t, r: rand.New(rand.NewPCG(seed, 4)), store: object.NewMemory(), box: box, now: time.Date(2026, 11, 28, 19, 0, 0, 0, time.UTC), epoch: 1, label: 1,
		uuids: []string{"aaaaaaaa-0000-0000-0000-000000000001", "bbbbbbbb-0000-0000-0000-000000000002"}, numbers: map[string]int64{}}
}

func (c *chronicle) master() string { return c.uuids[int(c.epoch)%len(c.uuids)] }

func (c *chronicle) commit() {
	c.now = c.now.Add(time.Second)
	uuid := c.master()
	c.numbers[uuid]++
	c.surviving = append(c.surviving, transaction{topology.GTIDSpan(uuid, c.numbers[uuid], c.numbers[uuid]), c.now, emptyEvents + 1 + c.r.IntN(30)})
}

func (c *chronicle) receive(count int) {
	for ; count > 0 && c.received < len(c.surviving); count-- {
		tx := c.surviving[c.received]
		c.received++
		c.log = append(c.log, tx)
		c.executed = c.executed.Union(tx.gtid)
	}
	if c.received == len(c.surviving) {
		c.fresh = c.now
	}
}

// failover loses the end of history, some of which the dump slave may have.
func (c *chronicle) failover() {
	c.now = c.now.Add(time.Second)
	kept := len(c.surviving) - c.r.IntN(min(4, len(c.surviving)+1))
	lost := c.surviving[kept:]
	c.surviving = append([]transaction(nil), c.surviving[:kept]...)
	c.epoch++
	var set topology.GTIDSet
	for _, tx := range c.surviving {
		set = set.Union(tx.gtid)
	}
	require.NoError(c.t, PutCut(c.t.Context(), c.store, "shop", Cut{Epoch: c.epoch, Server: "new", UUID: c.master(), GTIDs: set, At: c.now}))
	for _, tx := range lost {
		c.diverged = c.diverged.Union(tx.gtid)
	}
	if c.received <= kept {
		return
	}
	// It was ahead. What it has may be shipped yet, before it is rebuilt.
	if c.r.IntN(2) == 0 {
		c.ship()
	}
	c.received, c.executed, c.purged, c.log = kept, set, set, nil
}

var errEnough = errors.New("enough")

// Follow implements Log.
func (c *chronicle) Follow(_ context.Context, without topology.GTIDSet, yield func(LogEvent) error, idle func() error) error {
	if !without.Contains(c.purged) {
		return ErrPurged
	}
	if err := yield(LogEvent{Raw: []byte("format"), Format: true}); err != nil {
		return err
	}
	for _, tx := range c.log {
		if without.Contains(tx.gtid) {
			continue
		}
		for i := range tx.events {
			e := LogEvent{Raw: fmt.Appendf(nil, "%s event %d", tx.gtid, i), Begins: i == 0, Ends: i == tx.events-1}
			if e.Begins {
				e.GTID, e.Committed = tx.gtid, tx.at
			}
			if err := yield(e); err != nil {
				return err
			}
			if c.r.IntN(200) == 0 {
				return errEnough // it is killed
			}
		}
	}
	c.now = c.now.Add(6 * time.Second)
	if err := idle(); err != nil {
		return err
	}
	return errEnough
}

// State implements Log.
func (c *chronicle) State(context.Context) (LogState, error) {
	return LogState{UUID: "dddddddd-0000-0000-0000-000000000004", Executed: c.executed, Purged: c.purged, Fresh: c.fresh}, nil
}

func (c *chronicle) ship() {
	c.label = max(c.label, c.epoch-uint64(c.r.IntN(2)))
	var start *topology.GTIDSet
	if len(c.snapshots) > 0 {
		start = &c.snapshots[0].GTIDs
	}
	err := Ship(c.t.Context(), ShipRequest{Log: c, Store: c.store, Box: c.box, Product: "shop", Epoch: func() uint64 { return c.label }, Start: start, Bytes: 600, Now: func() time.Time { return c.now }})
	require.ErrorIs(c.t, err, errEnough)
}

func (c *chronicle) snapshot() {
	c.now = c.now.Add(time.Millisecond)
	c.snapshots = append(c.snapshots, Manifest{Product: "shop", GTIDs: c.executed, Point: c.now})
}

// check restores a part of history and holds it against the truth.
func (c *chronicle) check(seed uint64) (reached bool) {
	if len(c.snapshots) == 0 || len(c.surviving) == 0 {
		return false
	}
	r := HistoryRequest{Store: c.store, Box: c.box, Product: "shop"}
	switch c.r.IntN(3) {
	case 0:
		r.ToTime = c.surviving[c.r.IntN(len(c.surviving))].at.Add(time.Duration(c.r.IntN(3)-1) * time.Millisecond)
	case 1:
		r.ToGTIDs = c.surviving[c.r.IntN(len(c.surviving))].gtid
	}
	manifests := []Manifest{}
	for _, m := range c.snapshots {
		m.Diverged = m.GTIDs.Common(c.diverged)
		manifests = append(manifests, m)
	}
	m, err := SnapshotFor(manifests, r.ToTime, r.ToGTIDs, false)
	if err != nil {
		require.ErrorIs(c.t, err, ErrHistory)
		return false
	}
	r.From = m.GTIDs
	h, err := FindHistory(c.t.Context(), r)
	if err != nil {
		require.ErrorIs(c.t, err, ErrHistory, "seed %d", seed)
		return false
	}
	have, counts := r.From, map[string]int{}
	require.NoError(c.t, h.Play(c.t.Context(), func(e LogEvent) error {
		if !e.Format {
			counts[string(e.Raw)]++
		}
		return nil
	}))
	have = have.Union(h.GTIDs)
	events := 0
	ended := false
	for _, tx := range c.surviving {
		if !have.Contains(tx.gtid) {
			ended = true
			// The target is not passed over.
			if !r.ToTime.IsZero() {
				require.True(c.t, tx.at.After(r.ToTime), "seed %d: %s is missing", seed, tx.gtid)
			}
			continue
		}
		require.False(c.t, ended, "seed %d: %s is there, one before it is not", seed, tx.gtid)
		if h.GTIDs.Contains(tx.gtid) {
			for i := range tx.events {
				require.Equal(c.t, 1, counts[fmt.Sprintf("%s event %d", tx.gtid, i)], "seed %d", seed)
			}
			events += tx.events
			require.False(c.t, !r.ToTime.IsZero() && tx.at.After(r.ToTime), "seed %d: too much", seed)
		}
	}
	require.Equal(c.t, events, len(counts), "seed %d: something of no surviving transaction", seed)
	require.True(c.t, have.Common(c.diverged).Empty(), "seed %d", seed)
	require.True(c.t, have.Contains(r.ToGTIDs))
	return true
}

func TestWhatIsRestoredIsTheBeginningOfWhatSurvived(t *testing.T) {
	const seeds = 150
	reached := 0
	box, err := NewBox()
	require.NoError(t, err)
	for seed := range uint64(seeds) {
		c := newChronicle(t, box, seed)
		for range 60 {
			switch c.r.IntN(12) {
			case 0:
				c.failover()
			case 1, 2:
				c.ship()
			case 3:
				c.snapshot()
			case 4, 5, 6:
				c.receive(c.r.IntN(5))
			default:
				c.commit()
			}
		}
		c.receive(len(c.surviving))
		c.ship()
		for range 5 {
			if c.check(seed) {
				reached++
			}
		}
	}
	t.Logf("%d restores", reached)
	assert.Greater(t, reached, seeds)
}

// told is a chronicle without failovers, shipped to its end.
func told(t *testing.T) *chronicle {
	box, err := NewBox()
	require.NoError(t, err)
	c := newChronicle(t, box, 1)
	c.snapshot()
	for range 20 {
		c.commit()
		c.receive(1)
	}
	ids := func() int {
		got, err := Segments(t.Context(), c.store, "shop")
		require.NoError(t, err)
		return len(got)
	}
	for range 100 { // it is killed now and then
		c.ship()
		if s, err := FindHistory(t.Context(), HistoryRequest{Store: c.store, Box: c.box, Product: "shop"}); err == nil && s.GTIDs.Equal(c.executed) {
			break
		}
	}
	require.Greater(t, ids(), 5)
	return c
}

func TestHistoryNamesWhatIsMissing(t *testing.T) {
	find := func(c *chronicle, change func(*HistoryRequest)) error {
		r := HistoryRequest{Store: c.store, Box: c.box, Product: "shop"}
		if change != nil {
			change(&r)
		}
		_, err := FindHistory(t.Context(), r)
		return err
	}
	t.Run("a segment is gone", func(t *testing.T) {
		c := told(t)
		require.NoError(t, c.store.Delete(t.Context(), SegmentKey("shop", 1, 3)))
		err := find(c, nil)
		require.ErrorIs(t, err, ErrHistory)
		assert.ErrorContains(t, err, "segments 3 to 3 are missing")
	})
	t.Run("a bit of a segment is another", func(t *testing.T) {
		c := told(t)
		key := SegmentKey("shop", 1, 2)
		stored, err := c.store.Get(t.Context(), key)
		require.NoError(t, err)
		stored.Body[len(stored.Body)/2] ^= 1
		_, err = c.store.Put(t.Context(), key, stored.Body, object.Always)
		require.NoError(t, err)
		err = find(c, nil)
		require.ErrorIs(t, err, ErrDamaged)
		assert.ErrorContains(t, err, key)
	})
	t.Run("after what was shipped", func(t *testing.T) {
		c := told(t)
		err := find(c, func(r *HistoryRequest) { r.ToTime = c.now.Add(time.Hour) })
		require.ErrorIs(t, err, ErrHistory)
		assert.ErrorContains(t, err, "it was shipped until")
		assert.NoError(t, find(c, func(r *HistoryRequest) { r.ToTime = c.surviving[19].at }))
	})
	t.Run("a transaction that nobody knows", func(t *testing.T) {
		c := told(t)
		assert.ErrorContains(t, find(c, func(r *HistoryRequest) { r.ToGTIDs = topology.GTIDSpan(c.master(), 999, 999) }), "does not hold")
	})
	t.Run("before any snapshot", func(t *testing.T) {
		c := told(t)
		_, err := SnapshotFor(c.snapshots, c.snapshots[0].Point.Add(-time.Second), topology.GTIDSet{}, false)
		assert.ErrorIs(t, err, ErrHistory)
	})
	t.Run("the server's log was purged before it was shipped", func(t *testing.T) {
		c := told(t)
		for range 3 {
			c.commit()
			c.receive(1)
		}
		c.purged = c.executed
		c.commit()
		c.receive(1)
		c.ship()
		err := find(c, nil)
		require.ErrorIs(t, err, ErrHistory)
		assert.ErrorContains(t, err, "no longer has")
		c.snapshot() // history begins anew with it
		assert.NoError(t, find(c, func(r *HistoryRequest) { r.From = c.snapshots[1].GTIDs }))
		keys, err := ObsoleteSegments(t.Context(), c.store, c.box, "shop", c.snapshots[1].GTIDs)
		require.NoError(t, err)
		assert.NotEmpty(t, keys)
	})
	t.Run("two who ship", func(t *testing.T) {
		c := told(t)
		s := Segment{Product: "shop", Epoch: 1, Seq: 1, Events: []byte("other")}
		_, err := PutSegment(t.Context(), c.store, c.box, s)
		assert.ErrorContains(t, err, "somebody else")
	})
}

func TestDivergedNamesOnlyWhatANewMasterNeverHad(t *testing.T) {
	const a, b = "aaaaaaaa-0000-0000-0000-000000000001", "bbbbbbbb-0000-0000-0000-000000000002"
	cuts := []Cut{{Epoch: 2, UUID: b, GTIDs: topology.GTIDSpan(a, 1, 10)}, {Epoch: 3, UUID: a, GTIDs: topology.MustGTIDSet(a + ":1-10," + b + ":1-5")}}
	seen := topology.MustGTIDSet(a + ":8-12," + b + ":1-7")
	assert.Equal(t, a+":11-12,"+b+":6-7", Diverged(cuts, 1, seen).String())
	assert.Equal(t, b+":6-7", Diverged(cuts, 3, seen).String(), "what the master of epoch 3 committed itself survived")
	_, doubtful := judge(cuts, 2, seen)
	assert.Equal(t, a+":11-12", doubtful.String(), "it may be of epoch 3, of which nobody had heard")
}
