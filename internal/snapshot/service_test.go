package snapshot

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// fakeWork takes snapshots that last a while.
type fakeWork struct {
	mu sync.Mutex
	worked
}

// worked is what a fakeWork is to do and has done.
type worked struct {
	lasts     time.Duration
	fails     error
	taken     []Manifest
	tasks     []Task
	running   int
	most      int
	gaveUp    int
	tended    int
	cuts      []Cut
	drills    int
	drillNote DrillNote
	shipError error
	gap       string
	drifted   []TableID
	ships     int
	storeAway bool
	before    *Manifest // there from an earlier process
}

func (w *fakeWork) Survey(context.Context) Survey {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.storeAway {
		return Survey{Stores: []StoreReport{{Name: "s3", AgeMs: -1, Error: "away"}}}
	}
	s := Survey{Newest: w.before, Stores: []StoreReport{{Name: "s3", AgeMs: 0}}}
	if len(w.taken) > 0 {
		newest := w.taken[len(w.taken)-1]
		s.Newest = &newest
	}
	return s
}

func (w *fakeWork) Take(ctx context.Context, t Task, tell func(Progress)) (Manifest, error) {
	w.mu.Lock()
	w.running++
	w.most = max(w.most, w.running)
	w.tasks = append(w.tasks, t)
	lasts, fails := w.lasts, w.fails
	w.mu.Unlock()
	defer func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.running--
	}()
	started := time.Now()
	tell(Progress{Bytes: 1, Estimate: 2})
	if !pause(ctx, lasts) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.gaveUp++
		return Manifest{}, ctx.Err()
	}
	if fails != nil {
		return Manifest{}, fails
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	m := Manifest{ID: NewID(started, t.Epoch), Drifted: w.drifted, Started: started, Point: started, Finished: time.Now(), Epoch: t.Epoch, Full: t.Full}
	m.FullAt = m.Point
	if n := len(w.taken); !t.Full && n > 0 {
		m.FullAt = w.taken[n-1].FullAt
	}
	w.taken = append(w.taken, m)
	return m, nil
}

func (w *fakeWork) Cut(cuts []Cut) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cuts = append(w.cuts, cuts...)
}

func (w *fakeWork) Tend(context.Context) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.tended++
	return nil
}

func (w *fakeWork) Drill(ctx context.Context) (DrillNote, error) {
	w.mu.Lock()
	w.drills++
	note := w.drillNote
	w.mu.Unlock()
	note.At = time.Now()
	pause(ctx, time.Minute)
	return note, nil
}

func (w *fakeWork) Scrub(context.Context) error { return nil }

func (w *fakeWork) Ship(ctx context.Context, _ string, epoch func() uint64, tell func(time.Time, string)) error {
	w.mu.Lock()
	w.ships++
	w.mu.Unlock()
	for pause(ctx, 5*time.Second) {
		w.mu.Lock()
		err := w.shipError
		w.mu.Unlock()
		if err != nil {
			return err
		}
		if epoch() == 0 {
			return errors.New("no epoch")
		}
		w.mu.Lock()
		gap := w.gap
		w.mu.Unlock()
		tell(time.Now(), gap)
	}
	return nil
}

func (w *fakeWork) set(change func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change()
}

func (w *fakeWork) count() int { return len(w.look().taken) }

// look is how things are now.
func (w *fakeWork) look() worked {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := w.worked
	now.taken, now.tasks = slices.Clone(w.taken), slices.Clone(w.tasks)
	return now
}

// fakeLeader gives the orders that a test sets.
type fakeLeader struct {
	mu     sync.Mutex
	orders Orders
	err    error
	last   Report
	events []Event
}

func (l *fakeLeader) Report(_ context.Context, r Report) (Orders, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return Orders{}, l.err
	}
	l.last = r
	return l.orders, nil
}

func (l *fakeLeader) Note(_ context.Context, e Event) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return l.err
	}
	l.events = append(l.events, e)
	return nil
}

func (l *fakeLeader) order(change func(*Orders)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	change(&l.orders)
}

func (l *fakeLeader) report() Report {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.last
}

func (l *fakeLeader) outcomes() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []string
	for _, e := range l.events {
		out = append(out, e.What+" "+e.Outcome)
	}
	return out
}

// running starts a service in the present bubble and ends it with the test.
func running(t *testing.T, change func(*ServiceConfig)) (*fakeWork, *fakeLeader) {
	t.Helper()
	work := &fakeWork{worked: worked{lasts: time.Minute, drillNote: DrillNote{Passed: true, Snapshot: "x"}}}
	leader := &fakeLeader{orders: Orders{Epoch: 3}}
	config := ServiceConfig{Product: "shop", Server: "db4", Every: 15 * time.Minute, Stores: []string{"s3"}, Ship: true, Work: work, Leader: leader}
	if change != nil {
		change(&config)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	service := NewService(config)
	go func() {
		defer close(ended)
		service.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
		if config.Leader == leader && leader.err == nil {
			assert.True(t, leader.report().Leaving, "it says goodbye")
		}
	})
	time.Sleep(beat / 2) // the test looks between what happens on the second
	return work, leader
}

func TestServiceTakesOneInEachInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		work, leader := running(t, nil)
		time.Sleep(6*time.Hour + time.Minute)
		assert.InDelta(t, 25, work.count(), 1)
		assert.Equal(t, 1, work.look().most)
		assert.Greater(t, work.look().tended, 24)
		for _, task := range work.look().tasks {
			assert.Equal(t, uint64(3), task.Epoch)
		}
		assert.True(t, work.look().tasks[0].Full)
		assert.False(t, work.look().tasks[1].Full)
		r := leader.report()
		require.NotNil(t, r.Newest)
		assert.Less(t, r.Newest.AgeMs, (16 * time.Minute).Milliseconds())
		assert.LessOrEqual(t, r.Stores[0].ShippedMs, int64(6000))
		assert.Empty(t, leader.outcomes())
	})
}

func TestServiceReadsEverythingAnewFromTimeToTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		work, _ := running(t, func(c *ServiceConfig) { c.ScrubEvery = 4 * time.Hour })
		time.Sleep(12 * time.Hour)
		full := 0
		for _, task := range work.look().tasks {
			if task.Full {
				full++
			}
		}
		assert.InDelta(t, 4, full, 1)
	})
}

func TestServiceGivesWayToAFailoverAndGoesOnAfterIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		work, leader := running(t, nil)
		time.Sleep(30 * time.Second) // the first is half done
		require.NotNil(t, leader.report().Running)
		leader.order(func(o *Orders) { o.Wait = "plan 1 is open: failover" })
		time.Sleep(3 * time.Second)
		assert.Equal(t, 1, work.look().gaveUp)
		assert.Nil(t, leader.report().Running)
		assert.Equal(t, "plan 1 is open: failover", leader.report().Waiting)
		assert.Empty(t, leader.report().Failing, "it was nobody's fault")
		time.Sleep(10 * time.Minute)
		assert.Zero(t, work.count())
		leader.order(func(o *Orders) { o.Wait, o.Epoch = "", 4 })
		time.Sleep(65 * time.Second)
		require.Equal(t, 1, work.count())
		assert.Equal(t, uint64(4), work.look().taken[0].Epoch)
		assert.Empty(t, leader.outcomes())
	})
}

func TestServiceGivesWayToAFailoverThatIsOverBeforeItHeardOfIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		work, leader := running(t, nil)
		time.Sleep(30 * time.Second) // the first is half done
		require.NotNil(t, leader.report().Running)
		leader.order(func(o *Orders) { o.Epoch = 4 })
		time.Sleep(95 * time.Second)
		assert.Equal(t, 1, work.look().gaveUp)
		require.Equal(t, 1, work.count())
		assert.Equal(t, uint64(4), work.look().taken[0].Epoch)
		assert.Empty(t, leader.outcomes(), "it was nobody's fault")
	})
}

func TestServicePassesOnWhereEpochsEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		work, leader := running(t, nil)
		time.Sleep(30 * time.Second)
		tended := work.look().tended
		leader.order(func(o *Orders) { o.Cuts = []Cut{{Epoch: 2}, {Epoch: 3}} })
		time.Sleep(2 * time.Second)
		assert.Equal(t, uint64(3), leader.report().Cut)
		assert.Contains(t, work.look().cuts, Cut{Epoch: 3})
		assert.Greater(t, work.look().tended, tended, "the stores have it at once")
	})
}

func TestServiceGoesOnWhileTheWatchersAreAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		work, leader := running(t, nil)
		time.Sleep(2 * time.Minute)
		require.Equal(t, 1, work.count())
		leader.order(func(o *Orders) { o.Wait = "plan 1 is open: failover" })
		time.Sleep(2 * time.Second)
		leader.mu.Lock()
		leader.err = errors.New("no watcher answers")
		leader.mu.Unlock()
		time.Sleep(2 * time.Hour)
		assert.InDelta(t, 9, work.count(), 1, "an order to wait does not outlive who gave it for long")
	})
}

func TestServiceTakesOneWhenItIsAskedTo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		work, leader := running(t, func(c *ServiceConfig) { c.Every = 24 * time.Hour })
		time.Sleep(2 * time.Minute)
		require.Equal(t, 1, work.count())
		leader.order(func(o *Orders) { o.Take = 7 })
		time.Sleep(2 * time.Minute)
		assert.Equal(t, 2, work.count())
		assert.Equal(t, uint64(7), leader.report().Done)
		assert.Empty(t, leader.report().DoneWhy)
		work.set(func() { work.fails = errors.New("no such luck") })
		leader.order(func(o *Orders) { o.Take = 8 })
		time.Sleep(2 * time.Minute)
		assert.Equal(t, uint64(8), leader.report().Done)
		assert.Equal(t, "no such luck", leader.report().DoneWhy)
	})
}

func TestServiceTellsOfAFailureOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		work, leader := running(t, nil)
		work.set(func() { work.fails = errors.New("disk on fire") })
		time.Sleep(3 * time.Hour)
		assert.Equal(t, []string{"snapshot failed: disk on fire"}, leader.outcomes())
		assert.Equal(t, "disk on fire", leader.report().Failing)
		assert.Greater(t, leader.report().FailingMs, (2 * time.Hour).Milliseconds())
		assert.Less(t, len(work.look().tasks), 30, "it does not try without a pause")
		work.set(func() { work.fails = nil })
		time.Sleep(20 * time.Minute)
		assert.Equal(t, []string{"snapshot failed: disk on fire", "snapshot done"}, leader.outcomes())
		assert.Empty(t, leader.report().Failing)
	})
}

func TestServiceTellsOfSnapshotsThatDrifted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		work, leader := running(t, nil)
		work.set(func() { work.drifted = []TableID{{"shop", "orders"}, {"shop", "items"}} })
		time.Sleep(2 * time.Minute)
		require.Len(t, leader.outcomes(), 1)
		assert.Contains(t, leader.outcomes()[0], "in shop.orders, shop.items")
		assert.Equal(t, "a.a, a.b, a.c, a.d, a.e and 2 more", tablesText([]TableID{{"a", "a"}, {"a", "b"}, {"a", "c"}, {"a", "d"}, {"a", "e"}, {"a", "f"}, {"a", "g"}}))
	})
}

func TestServiceKnowsWhatAnEarlierProcessTook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		work, leader := running(t, func(c *ServiceConfig) {
			w := c.Work.(*fakeWork)
			slot := Slot("shop", c.Every, time.Now())
			w.before = &Manifest{ID: "old", Started: slot, Point: slot, Epoch: 9}
			c.Leader.(*fakeLeader).err = errors.New("no watcher answers")
		})
		time.Sleep(time.Until(Slot("shop", 15*time.Minute, time.Now()).Add(15*time.Minute)) - time.Second)
		assert.Zero(t, work.count(), "this interval has one")
		time.Sleep(3 * time.Minute)
		require.Equal(t, 1, work.count())
		assert.Equal(t, uint64(9), work.look().taken[0].Epoch, "the last epoch that is known of")
		_ = leader
	})
}

func TestServiceThatMayNotBeDoesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		work, leader := running(t, func(c *ServiceConfig) {
			c.Leader.(*fakeLeader).err = fmt.Errorf("%w: another dump service takes the snapshots of shop", ErrRefused)
			c.Work.(*fakeWork).before = &Manifest{ID: "old", Epoch: 9}
		})
		time.Sleep(time.Hour)
		assert.Zero(t, work.count())
		leader.mu.Lock()
		leader.err = nil
		leader.mu.Unlock()
		time.Sleep(2 * time.Minute)
		assert.Equal(t, 1, work.count())
	})
}

func TestServiceWaitsForAStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		work, leader := running(t, func(c *ServiceConfig) { c.Work.(*fakeWork).storeAway = true })
		time.Sleep(10 * time.Minute)
		assert.Zero(t, work.count(), "it is not known what there is")
		assert.Equal(t, "no store has answered yet", leader.report().Waiting)
		work.set(func() { work.storeAway = false })
		time.Sleep(3 * time.Minute)
		assert.Equal(t, 1, work.count())
	})
}

func TestServiceDrills(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		work, leader := running(t, func(c *ServiceConfig) { c.DrillEvery = 4 * time.Hour })
		time.Sleep(8*time.Hour + 10*time.Minute)
		assert.InDelta(t, 3, work.look().drills, 1)
		work.set(func() { work.drillNote = DrillNote{Snapshot: "x", Why: "chunk 3 of shop.orders is damaged"} })
		time.Sleep(4 * time.Hour)
		outcomes := leader.outcomes()
		assert.Equal(t, "drill failed: chunk 3 of shop.orders is damaged", outcomes[len(outcomes)-1])
		assert.True(t, slices.Contains(outcomes, "drill done"))
		assert.False(t, leader.report().Drill.Passed)
		assert.InDelta(t, 12*4, work.count(), 3, "snapshots do not wait for drills")
	})
}

func TestServiceShipsAgainAfterAFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		work, leader := running(t, nil)
		time.Sleep(time.Minute)
		work.set(func() { work.shipError = errors.New("binlog.000004 is purged") })
		time.Sleep(30 * time.Second)
		assert.Empty(t, leader.outcomes())
		assert.Equal(t, "binlog.000004 is purged", leader.report().Stores[0].ShipError)
		time.Sleep(time.Minute)
		assert.Equal(t, []string{"ship failed: binlog.000004 is purged"}, leader.outcomes())
		assert.Greater(t, leader.report().Stores[0].ShippedMs, int64(80_000))
		work.set(func() { work.shipError = nil })
		time.Sleep(time.Minute)
		assert.Equal(t, []string{"ship failed: binlog.000004 is purged", "ship done"}, leader.outcomes())
		assert.Empty(t, leader.report().Stores[0].ShipError)
		work.set(func() { work.gap = "a:1-3" })
		time.Sleep(time.Minute)
		assert.Equal(t, "ship failed: there is a gap before what is shipped now: a:1-3", leader.outcomes()[2])
		assert.Len(t, leader.outcomes(), 3)
		assert.Equal(t, "a:1-3", leader.report().Stores[0].Gap)
	})
}

func TestOnceTakesOneAndSaysWhyNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		work := &fakeWork{worked: worked{lasts: time.Second}}
		leader := &fakeLeader{orders: Orders{Epoch: 5}}
		service := NewService(ServiceConfig{Product: "shop", Server: "db4", Every: time.Hour, Work: work, Leader: leader})
		m, err := service.Once(t.Context())
		require.NoError(t, err)
		assert.True(t, strings.Contains(m.ID, "-e5-"))
		assert.Equal(t, 1, work.look().tended)
		leader.orders.Wait = "plan 1 is open: failover"
		_, err = service.Once(t.Context())
		assert.ErrorContains(t, err, "plan 1 is open: failover")
	})
}
