package sim

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/failoverd/failoverd/internal/journal"
	"github.com/failoverd/failoverd/internal/topology"
)

// raft puts the commands of the watchers in order, and lets at most one of them
// do so at a time. What it keeps of the real thing: a command is committed by a
// leader with a majority or not at all, its proposer may never hear which, a new
// leader has everything committed, and an old one may not know yet that it is old.
type raft struct {
	w      *World
	log    []journal.Command
	state  *journal.State // of all that is committed
	leader *scout
	termNo int
	flight []*proposal
	voting bool
}

type proposal struct {
	x      *scout
	termNo int
	c      journal.Command
	done   func(error)
}

const proposeTimeout = 2 * time.Second

var errUnknownOutcome = errors.New("the outcome is unknown")

// Propose implements watcher.Around.
func (x *scout) Propose(ctx context.Context, c journal.Command) error {
	w := x.w
	if ctx.Err() != nil {
		return ctx.Err()
	}
	w.point(x, "before commit", "")
	if w.opts.Encoded {
		c = reencoded(c)
	}
	p := w.running
	ticket := p.ticket()
	var result error
	over := false
	finish := func(err error) {
		if !over {
			over = true
			result = err
			p.wake(ticket)
		}
	}
	w.raft.propose(&proposal{x, x.termNo, c, finish})
	w.after(proposeTimeout, func() { finish(errUnknownOutcome) })
	cancel := onCancel(ctx, func() { finish(fmt.Errorf("%w: %w", errUnknownOutcome, errLostLeadership)) })
	p.pause()
	cancel()
	w.point(x, "after commit", "")
	return result
}

func reencoded(c journal.Command) journal.Command {
	var out journal.Command
	if err := json.Unmarshal(c.Encode(), &out); err != nil {
		panic(err) // our own encoding
	}
	return out
}

func (r *raft) propose(p *proposal) {
	if p.c.Accept != nil && r.w.opts.Break != "" {
		weakened := r.w.opts.weaken(*p.c.Accept)
		p.c.Accept = &weakened
	}
	if p.c.Done != nil && r.w.opts.Break == BreakFloor {
		done := *p.c.Done
		done.Note.HighWater = topology.GTIDSet{}
		p.c.Done = &done
	}
	r.flight = append(r.flight, p)
	r.w.after(r.w.between(time.Millisecond, 8*time.Millisecond), func() {
		if r.leader == p.x && r.termNo == p.termNo && p.x.alive && !p.x.paused && r.hears(p.x) && r.inFlight(p) {
			r.commit(p)
		}
	})
}

func (r *raft) inFlight(p *proposal) bool {
	for i, other := range r.flight {
		if other == p {
			r.flight = append(r.flight[:i:i], r.flight[i+1:]...)
			return true
		}
	}
	return false
}

func (r *raft) commit(p *proposal) {
	r.w.beforeCommit(p.c)
	r.log = append(r.log, p.c)
	err := r.state.Do(uint64(len(r.log)), p.c)
	r.w.committed(p.c, err)
	if p.x.alive {
		p.x.catchUp(len(r.log))
	}
	if err != nil {
		err = fmt.Errorf("refused by the journal: %w", err)
	}
	r.w.after(time.Millisecond, func() { p.done(err) })
}

// hears says whether a watcher exchanges messages with a majority.
func (r *raft) hears(x *scout) bool {
	if x.diskHangs {
		return false
	}
	n := 0
	for _, other := range r.w.watchers {
		if other == x || (other.alive && !other.paused && !other.diskHangs && !r.w.isCut(x.node(), other.node()) && !r.w.isCut(other.node(), x.node())) {
			n++
		}
	}
	return n > len(r.w.watchers)/2
}

// check looks at the leadership after a change of watchers or network.
func (r *raft) check() {
	if r == nil {
		return // a world of servers alone
	}
	w := r.w
	w.disturb()
	if old := r.leader; old != nil {
		if old.alive && !old.paused && r.hears(old) && old.term != nil {
			return
		}
		r.leader = nil
		if t := old.term; t != nil && old.alive {
			// Its lease runs out, or it has stopped and notices when it goes on.
			w.after(w.between(50*time.Millisecond, 900*time.Millisecond), func() { old.run(func() { old.resign(t) }) })
		}
	}
	if r.voting {
		return
	}
	r.voting = true
	w.after(w.between(500*time.Millisecond, 1800*time.Millisecond), r.elect)
}

// stepDown ends the leadership of a watcher that is well, as raft sometimes does.
func (r *raft) stepDown() {
	old := r.leader
	if old == nil {
		return
	}
	r.leader = nil
	t := old.term
	r.w.after(r.w.between(0, 200*time.Millisecond), func() { old.run(func() { old.resign(t) }) })
	r.check()
}

func (r *raft) elect() {
	w := r.w
	r.voting = false
	var able []*scout
	for _, x := range w.watchers {
		if x.alive && !x.paused && r.hears(x) && x.term == nil {
			able = append(able, x)
		}
	}
	if len(able) == 0 {
		for _, x := range w.watchers {
			if x.alive && !x.paused && r.hears(x) { // the old leader has not resigned yet
				r.check()
				return
			}
		}
		return // check is called when something changes
	}
	chosen := able[w.rng.IntN(len(able))]
	r.termNo++
	w.stats.Elections++
	// What the old leader had sent to a majority is committed, the rest is gone.
	flight := r.flight
	r.flight = nil
	for _, p := range flight {
		if p.termNo < r.termNo && w.chance(2) {
			p.done = func(error) {} // it never hears of it
			r.commit(p)
		}
	}
	r.leader = chosen
	termNo, life := r.termNo, chosen.life
	w.after(w.between(5*time.Millisecond, 60*time.Millisecond), func() {
		chosen.run(func() {
			if chosen.life == life && r.leader == chosen && r.termNo == termNo {
				chosen.lead(termNo)
			}
		})
	})
	chosen.term = &term{} // until its mind is there
}

// catchUp applies the log up to an index.
func (x *scout) catchUp(index int) {
	for x.applied < index {
		x.applied++
		_ = x.state.Do(uint64(x.applied), x.w.raft.log[x.applied-1]) // refused the same way everywhere
	}
}

// learn applies what the watcher would have heard by now.
func (x *scout) learn() {
	r := x.w.raft
	if r.leader == x && r.termNo == x.termNo {
		x.catchUp(len(r.log))
	}
}
