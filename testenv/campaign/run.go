package campaign

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/failoverd/failoverd/internal/api"
	"github.com/failoverd/failoverd/testenv/stage"
)

// How long the parts of a run take.
const (
	steady      = 2 * time.Second  // of load before the fault and after health
	promoting   = 60 * time.Second // until a promotion that the fault awaits
	runAtMost   = 10 * time.Minute
	resting     = 2 * time.Second // for which a state must last to count
	judgeAtMost = 2 * time.Minute
)

// run is one run in the making.
type run struct {
	Draw
	scene  *Scene
	webs   []*web
	store  *storeReader
	load   *load
	record Record
	began  time.Time // of the fault
	logs   *logs
}

// do runs one draw on a healthy stage and judges it. It says whether the stage is as good as before. The error is
// of a run that was interrupted and does not count.
func do(ctx context.Context, s *stage.Stage, seed uint64, d Draw, long bool, dir string) (Record, bool, error) {
	limited, cancel := context.WithTimeoutCause(ctx, runAtMost, fmt.Errorf("the run took longer than %s", runAtMost))
	defer cancel()
	r := &run{Draw: d, store: &storeReader{}, logs: newLogs(s, dir)}
	r.record = Record{Run: d.Run, Seed: seed, Fault: d.Fault.Name, Workload: d.Workload, At: time.Now().UTC(), Expected: d.Fault.expected(d.Workload),
		Broken: []string{}, Logs: r.logs.name()}
	began := time.Now()
	err := r.stages(limited, s, long)
	if ctx.Err() != nil {
		return r.record, false, context.Cause(ctx)
	}
	if err != nil {
		r.breakf("%v", err)
		r.countUnjudged(ctx)
	}
	if r.scene != nil {
		r.record.Broken = append(r.record.Broken, r.scene.broken...)
		r.record.Notes = r.scene.notes
	}
	r.record.TookMs = time.Since(began).Milliseconds()
	if err := r.logs.keep(r); err != nil {
		return r.record, false, err
	}
	return r.record, len(r.record.Broken) == 0 && r.record.Afterwards == "healthy", nil
}

// countUnjudged says of a run that could not be judged at least what the journal does.
func (r *run) countUnjudged(ctx context.Context) {
	if r.scene == nil || r.logs.history != nil {
		return
	}
	if history, err := r.scene.history(ctx); err == nil {
		straighten(history, r.record.At)
		r.logs.history = history
		r.countPromotions(history)
	}
}

func (r *run) breakf(format string, args ...any) {
	r.record.Broken = append(r.record.Broken, fmt.Sprintf(format, args...))
}

// stages goes through the run. The error says what kept it from being judged.
func (r *run) stages(ctx context.Context, s *stage.Stage, long bool) (err error) {
	r.scene, err = newScene(ctx, s, rand.New(rand.NewPCG(r.Seed, 1)))
	if err != nil {
		return fmt.Errorf("before the fault: %w", err)
	}
	r.scene.Long = long
	reading, stopReading := context.WithCancel(ctx)
	var readers sync.WaitGroup
	defer readers.Wait()
	defer stopReading()
	for _, f := range s.Followers {
		w := &web{name: f.Host, stage: s, follower: f}
		r.webs = append(r.webs, w)
		readers.Go(func() { w.run(reading) })
	}
	readers.Go(func() { r.store.run(reading, s) })
	r.load, err = startLoad(ctx, r.scene, r.Run, r.webs, r.Seed)
	if err != nil {
		return fmt.Errorf("before the fault: %w", err)
	}
	defer r.load.end()
	r.scene.Tables = r.load.tables()
	if err := r.awaitWrites(ctx); err != nil {
		return fmt.Errorf("before the fault: %w", err)
	}
	if err := pause(ctx, steady); err != nil {
		return err
	}
	broken := r.breakIt(ctx)
	mended := r.scene.mend(context.WithoutCancel(ctx))
	if broken != nil || ctx.Err() != nil {
		return errors.Join(broken, context.Cause(ctx), mended)
	}
	if mended != nil {
		return fmt.Errorf("mend: %w", mended)
	}
	r.load.idle.Store(false)
	if err := r.settle(ctx); err != nil {
		return err
	}
	if err := r.awaitWrites(ctx); err != nil {
		r.breakf("%s, but: %v", r.record.Afterwards, err)
	}
	if err := pause(ctx, steady); err != nil {
		return err
	}
	r.load.end()
	stopReading()
	readers.Wait()
	return r.judge(ctx)
}

// breakIt lets the fault begin and last.
func (r *run) breakIt(ctx context.Context) error {
	r.load.idle.Store(r.Workload == Idle)
	var switching sync.WaitGroup
	defer switching.Wait()
	if r.Workload == Idle {
		if err := pause(ctx, time.Second); err != nil {
			return err
		}
	}
	r.began = time.Now()
	if r.Workload == Switching {
		switching.Go(func() {
			asked, cancel := context.WithTimeout(ctx, 20*time.Second)
			defer cancel()
			_, err := r.scene.Client.Switchover(asked, r.scene.Product, api.SwitchoverRequest{Reason: "fault campaign"})
			r.scene.notef("the switchover: accepted %t, %v", err == nil, err)
		})
		if err := pause(ctx, time.Duration(r.scene.Rand.IntN(250))*time.Millisecond); err != nil {
			return err
		}
	}
	if err := r.Fault.Begin(ctx, r.scene); err != nil {
		return fmt.Errorf("fault: %w", err)
	}
	if r.Fault.Awaits {
		if err := r.scene.awaitPromotion(ctx, promoting); err != nil {
			r.breakf("while the fault lasted: %v", err)
		}
	}
	hold := r.Fault.Hold
	if r.scene.Long && r.Fault.LongHold > 0 {
		hold = r.Fault.LongHold
	}
	return pause(ctx, hold)
}

// settle waits until the chain has come to rest.
func (r *run) settle(ctx context.Context) error {
	began := time.Now()
	var said string
	var since time.Time
	err := poll(ctx, r.Fault.Patience, func(ctx context.Context) error {
		p, err := r.scene.Status(ctx)
		if err == nil {
			var now string
			if now, err = settled(p); err == nil {
				if now != said {
					said, since = now, time.Now()
				}
				if now == "healthy" || time.Since(since) > resting {
					return nil
				}
				return errors.New("not yet for long enough: " + now)
			}
		}
		said = ""
		return err
	})
	r.record.HealthyMs = time.Since(began).Milliseconds()
	if err != nil {
		r.record.Afterwards = "not healthy"
		return fmt.Errorf("all is mended, but the chain does not come to rest: %w", err)
	}
	r.record.Afterwards = said
	return nil
}

// awaitWrites returns when every web server had a write acknowledged that it sent from now on.
func (r *run) awaitWrites(ctx context.Context) error {
	now := time.Now()
	return poll(ctx, r.Fault.Returning, func(context.Context) error {
		acked := r.load.ackedSince(now)
		for _, w := range r.webs {
			if acked[w.name] == 0 {
				g := w.current()
				if g == nil {
					return fmt.Errorf("%s has no config", w.name)
				}
				return fmt.Errorf("%s gets no write acknowledged by %s in epoch %d", w.name, g.server, g.Epoch)
			}
		}
		return nil
	})
}
