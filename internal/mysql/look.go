package mysql

import (
	"context"
	"fmt"
	"sync"

	"github.com/failoverd/failoverd/internal/topology"
)

// looks lets one Look at a time be at the server. A replica that cannot write its
// relay log answers nothing that concerns replication, while all else goes on; the
// statement stays there, deaf to KILL and max_execution_time, when its client has
// gone. Were each Look to leave one behind, they would use up max_connections.
type looks struct {
	turn chan struct{} // holds one token

	mu     sync.Mutex
	cancel context.CancelFunc // of the one that is under way
}

func newLooks() *looks {
	l := &looks{turn: make(chan struct{}, 1), cancel: func() {}}
	l.turn <- struct{}{}
	return l
}

// Look gathers the full facts in one round trip, within LookTimeout. When that is
// not enough it goes on without its caller, and the next one waits for it to end.
func (p *Probe) Look(ctx context.Context) (topology.Facts, error) {
	ctx, cancel := context.WithTimeout(ctx, p.cfg.LookTimeout)
	defer cancel()
	select {
	case <-p.looks.turn:
	case <-ctx.Done():
		return topology.Facts{}, failed("look", fmt.Errorf("an earlier one is still waiting: %w", ctx.Err()))
	}
	type seen struct {
		facts topology.Facts
		err   error
	}
	done := make(chan seen, 1)
	own := p.looks.begin(ctx)
	go func() {
		defer func() { p.looks.turn <- struct{}{} }()
		defer p.looks.giveUp()
		facts, err := p.lookOnce(own)
		done <- seen{facts, err}
	}()
	select {
	case s := <-done:
		return s.facts, failed("look", s.err)
	case <-ctx.Done():
		return topology.Facts{}, failed("look", ctx.Err())
	}
}

func (p *Probe) lookOnce(ctx context.Context) (topology.Facts, error) {
	greet, cancel := context.WithTimeout(ctx, greetingPatience)
	defer cancel()
	conn, err := p.facts.db.Conn(greet)
	if err != nil {
		return topology.Facts{}, err
	}
	defer conn.Close()
	return p.glance.at(ctx, conn)
}

// begin is the context of a look that outlives its caller.
func (l *looks) begin(ctx context.Context) context.Context {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cancel = cancel
	return ctx
}

// giveUp ends the connection of the look that is under way, if there is one.
func (l *looks) giveUp() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cancel()
}

// end gives up and returns when nothing is under way any more.
func (l *looks) end() {
	l.giveUp()
	<-l.turn
	l.turn <- struct{}{}
}
