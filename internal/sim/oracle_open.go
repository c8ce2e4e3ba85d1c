package sim

import (
	"slices"
	"time"

	"github.com/failoverd/failoverd/internal/journal"
	"github.com/failoverd/failoverd/internal/promote"
)

// opened is called when failoverd opened a server for writes.
func (w *World) opened(s *server) {
	if w.raft == nil {
		return
	}
	o := &w.oracle
	name := s.info.Name
	if s.hollow {
		w.fail("%s was opened, whose data a clone took away", name)
	}
	if !s.executed.contains(o.acked) {
		w.fail("%s was opened without acknowledged writes: it has %v of %v", name, s.executed, o.acked)
	}
	p := w.product()
	open := p.Open
	switch {
	case open == nil:
		w.fail("%s was opened without an open plan", name)
		return
	case stepAt(open.Steps(), promote.Writable, name) < 0:
		w.fail("%s was opened, but the open plan is %s of %s", name, open.Plan.Kind, open.Plan.Target)
		return
	}
	if at := stepAt(open.Steps(), promote.Writable, name); open.Next < at {
		w.fail("%s was opened, and the journal's plan is still at step %d (%s) of %v", name, open.Next, open.Steps()[open.Next], open.Steps())
	}
	if open.Plan.Kind == promote.Failover {
		w.revokedAndDrained(s, p)
	}
	if old := o.master; old != nil && old != s && old.alive && !old.closed && open.Plan.Kind == promote.Switchover {
		w.fail("%s was opened in a switchover while %s was open", name, old.info.Name)
	}
	if old := o.master; old != s && open.Plan.Kind.Promotes() && !open.Undoing {
		o.openings[open.Plan.Epoch]++
		if n := o.openings[open.Plan.Epoch]; n > 1 {
			w.fail("epoch %d was opened %d times", open.Plan.Epoch, n)
		}
		if o.harmless && open.Plan.Kind == promote.Failover {
			w.fail("%s was promoted because of a harmless fault: %s", name, open.Plan.Why)
		}
		w.stats.Promotions++
	}
	o.master = s
}

// stepAt is the place of a step in a plan, -1 when it is not there.
func stepAt(steps []promote.Step, goal promote.Goal, name string) int {
	return slices.IndexFunc(steps, func(s promote.Step) bool { return s.Goal == goal && s.Server == name })
}

// revokedAndDrained checks what must hold when a failover opens a server.
func (w *World) revokedAndDrained(s *server, p *journal.Product) {
	old := w.byName(p.Open.Plan.From)
	if w.protected() {
		able := 0
		for _, other := range w.servers {
			if other != old && other.canAckFor(old) {
				able++
			}
		}
		// Of N ackers, N−W+1 have to be stopped: then fewer than W are left.
		if need := max(1, p.Chain.AcksNeeded()); able >= need && !old.closed {
			w.fail("%s was opened while %d servers could acknowledge for %s, which waits for %d", s.info.Name, able, old.info.Name, need)
		}
	}
	if l := s.link; l != nil && l.undrained() && !l.ioOn {
		w.fail("%s was opened with %d transactions in its relay log", s.info.Name, len(l.relay)-l.applied)
	}
}

// canAckFor says whether the server acknowledges what another commits, now or once
// its link is back. The right to do so does not survive a restart.
func (s *server) canAckFor(source *server) bool {
	l := s.link
	switch {
	case !s.alive || l == nil || l.source != source || !l.ioOn:
		return false
	case l.conn != nil:
		return l.conn.armed
	}
	return s.replicaSync
}

// checkFailover is called when a failover is accepted. A master that is silent is
// left alone for a while after the last one; one that is dead for certain is not.
func (w *World) checkFailover(plan *promote.Plan) {
	if plan.Kind != promote.Failover {
		return
	}
	o := &w.oracle
	if o.harmless {
		w.fail("failover at a harmless fault: %s", plan.Why)
	}
	hold := w.product().Chain.Policy.HoldDown.Std()
	if o.promotedAt > 0 && w.now-o.promotedAt < hold && plan.Rule == "master-silent" && !w.skewed {
		w.fail("a silent master was given up %s after the last failover: %s", (w.now - o.promotedAt).Round(time.Millisecond), plan.Why)
	}
}

// mostLowerings is how often a rescue may lower what the master waits for, in the
// minutes that a world takes: each costs a stall.
const mostLowerings = 5

// checkLowering: what the master waits for does not go up and down while somebody
// answers and acknowledges nothing.
func (w *World) checkLowering(plan *promote.Plan) {
	need := w.product().Chain.AcksNeeded()
	if plan.Rule != "ackers-lost" || !slices.ContainsFunc(plan.Steps, func(s promote.Step) bool { return s.Goal == promote.Acks && s.Need < need }) {
		return
	}
	if w.oracle.lowered++; w.oracle.lowered > mostLowerings {
		w.fail("the master was told %d times to wait for fewer: %s", w.oracle.lowered, plan.Why)
	}
}

// given is called when a server gives a transaction its number. After a clone it
// may be one that it gave before, to what is not there any more.
func (w *World) given(s *server, t txn) {
	if w.raft == nil {
		return
	}
	if t.n <= w.oracle.given[s.id] && s.clone != nil {
		w.fail("%s gave %s:%d a second time", s.info.Name, uuids[t.origin][:2], t.n)
	}
	w.oracle.given[s.id] = max(w.oracle.given[s.id], t.n)
}

// droppedData is called when a clone takes the data of a server away.
func (w *World) droppedData(s *server) {
	w.note("data dropped", s.id, 0, 0)
	held := s.logged
	if s.link != nil {
		held = held.union(s.link.received)
	}
	if w.oracle.hands { // nobody can save what is written between the order and this moment
		held[s.id] = min(held[s.id], s.clone.own)
	}
	master := w.masterNow()
	if s == master {
		w.fail("the data of master %s was dropped", s.info.Name)
		return
	}
	if s.hollow {
		return // an earlier copy took its data, and what it received since then its source has
	}
	errant := held.gtids(master.logged).Minus(w.saved[s.id])
	if !errant.Empty() {
		w.fail("the data of %s was dropped with %s, which is nowhere else", s.info.Name, errant)
	}
}
