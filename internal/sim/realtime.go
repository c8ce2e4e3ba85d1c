package sim

import (
	"context"
	"sync"
	"time"
)

// realTime lets a world's clock follow the real one, so that goroutines outside
// of it can use its servers. What happens then does not replay from a seed.
type realTime struct {
	mu    sync.Mutex
	w     *World
	began time.Time
	stop  chan struct{}
	done  chan struct{}
}

const realTick = 500 * time.Microsecond

func startRealTime(w *World) *realTime {
	r := &realTime{w: w, began: time.Now(), stop: make(chan struct{}), done: make(chan struct{})}
	go func() {
		defer close(r.done)
		ticker := time.NewTicker(realTick)
		defer ticker.Stop()
		for {
			select {
			case <-r.stop:
				return
			case <-ticker.C:
				r.do(func() {})
			}
		}
	}()
	return r
}

func (r *realTime) end() {
	close(r.stop)
	<-r.done
}

// do runs f in the world, at the present time.
func (r *realTime) do(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for until := time.Since(r.began); r.w.next(until); {
	}
	f()
}

func (r *realTime) now() (at time.Duration) {
	r.do(func() { at = r.w.now })
	return at
}

// call starts something in the world and waits for its end, or that of ctx.
func (r *realTime) call(ctx context.Context, start func(done func(error)) (abandon func(error))) error {
	result := make(chan error, 1)
	var abandon func(error)
	r.do(func() { abandon = start(func(err error) { result <- err }) })
	select {
	case err := <-result:
		return err
	case <-ctx.Done():
		r.do(func() { abandon(ctx.Err()) })
		return <-result
	}
}
