package snapshot

import (
	"context"
	"sync"
	"time"
)

// pace bounds a rate over many goroutines. The zero pace bounds nothing.
type pace struct {
	perSecond int64
	mu        sync.Mutex
	next      time.Time
}

// wait returns when that much may follow what came before. It never lets pass at once
// what was not used earlier.
func (p *pace) wait(ctx context.Context, amount int64) error {
	if p.perSecond <= 0 {
		return nil
	}
	p.mu.Lock()
	now := time.Now()
	if p.next.Before(now) {
		p.next = now
	}
	p.next = p.next.Add(time.Duration(float64(amount) / float64(p.perSecond) * float64(time.Second)))
	until := p.next
	p.mu.Unlock()
	timer := time.NewTimer(until.Sub(now))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
