package sim

import (
	"fmt"
	"strings"

	"github.com/failoverd/failoverd/internal/journal"
	"github.com/failoverd/failoverd/internal/promote"
	"github.com/failoverd/failoverd/internal/topology"
)

// oracle watches the promises of a world from the outside, with full knowledge.
type oracle struct {
	acked    vec     // every acknowledged transaction
	master   *server // the server that was opened last by failoverd
	openings map[uint64]int
	plans    map[uint64]bool
	standing map[string]topology.Standing
	hands    bool // a person opened a server
	changes  int  // of plans, in the journal
	// harmless says that nothing in the run is a reason to promote.
	harmless bool
}

func (w *World) product() *journal.Product { return w.raft.state.Products[Product] }

// acknowledged is called when a server tells a client that its commit is safe.
func (w *World) acknowledged(s *server, t txn) {
	w.note("acked", s.id, int(t.origin), int(t.n))
	if s.byHand || w.raft == nil {
		return // a person opened it: that is nobody's promise
	}
	o := &w.oracle
	o.acked.add(t)
	if m := o.master; m != nil && m != s && !m.executed.has(t) {
		w.fail("%s acknowledged %s:%d after %s was opened, which does not have it", s.info.Name, uuids[t.origin][:2], t.n, m.info.Name)
	}
}

// opened is called when failoverd opened a server for writes.
func (w *World) opened(s *server) {
	if w.raft == nil {
		return
	}
	o := &w.oracle
	name := s.info.Name
	if !s.executed.contains(o.acked) {
		w.fail("%s was opened without acknowledged writes: it has %v of %v", name, s.executed, o.acked)
	}
	p := w.product()
	open := p.Open
	switch {
	case open == nil:
		w.fail("%s was opened without an open plan", name)
		return
	case !hasStep(open.Steps(), promote.Writable, name):
		w.fail("%s was opened, but the open plan is %s of %s", name, open.Plan.Kind, open.Plan.Target)
		return
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

func hasStep(steps []promote.Step, goal promote.Goal, name string) bool {
	for _, s := range steps {
		if s.Goal == goal && s.Server == name {
			return true
		}
	}
	return false
}

// revokedAndDrained checks what must hold when a failover opens a server.
func (w *World) revokedAndDrained(s *server, p *journal.Product) {
	for _, name := range p.Chain.Ackers {
		a := w.byName(name)
		if a.link != nil && a.link.source.info.Name == p.Open.Plan.From && a.link.conn != nil && a.link.conn.armed {
			w.fail("%s was opened while acker %s was not revoked", s.info.Name, name)
		}
	}
	old := w.byName(p.Open.Plan.From)
	for _, other := range w.servers {
		if l := other.link; l != nil && l.source == old && l.conn != nil && l.conn.armed && !old.closed {
			w.fail("%s was opened while %s could acknowledge for %s", s.info.Name, other.info.Name, old.info.Name)
		}
	}
	if l := s.link; l != nil && l.undrained() && !l.ioOn {
		w.fail("%s was opened with %d transactions in its relay log", s.info.Name, len(l.relay)-l.applied)
	}
}

// effect is called when a server carries out a statement of a watcher.
func (w *World) effect(c *control, op string) {
	if c.scout == nil {
		return
	}
	if len(w.oracle.plans) == 0 {
		w.fail("%s at %s without any committed plan", op, c.s.info.Name)
	}
}

// connected is called when a replica connected to its source.
func (w *World) connected(c *conn) {
	w.note("connected", c.replica.id, c.source.id, b2i(c.armed))
	w.checkAckers()
}

// checkAckers: the committed acker set covers every server that can acknowledge for the master.
func (w *World) checkAckers() {
	if w.raft == nil || w.raft.state == nil {
		return
	}
	p := w.product()
	if p == nil {
		return
	}
	master := w.byName(p.Chain.Master())
	for _, c := range master.conns {
		if !c.armed || !c.open || p.Chain.IsAcker(c.replica.info.Name) {
			continue
		}
		if p.Open != nil && p.Open.Plan.After != nil && p.Open.Plan.After.IsAcker(c.replica.info.Name) {
			continue
		}
		w.fail("%s can acknowledge for %s and is not in the acker set {%s}", c.replica.info.Name, master.info.Name, strings.Join(p.Chain.Ackers, ","))
	}
}

func (w *World) beforeCommit(journal.Command) {}

// committed is called for each command that the journal took or refused.
func (w *World) committed(c journal.Command, err error) {
	w.note("committed "+kindOf(c), len(w.raft.log), b2i(err != nil), 0)
	if c.HighWater == nil {
		w.disturb()
	}
	if err != nil {
		w.say("refused: %v", err)
		return
	}
	if c.Accept != nil || c.Done != nil || c.Abort != nil || c.Supersede != nil {
		w.oracle.changes++
	}
	switch {
	case c.Accept != nil:
		w.stats.Plans++
		w.oracle.plans[w.raft.state.Plans] = true
		w.explain("plan %d: %s epoch %d because %s: %v", w.raft.state.Plans, c.Accept.Kind, c.Accept.Epoch, c.Accept.Why, c.Accept.Steps)
		if w.oracle.harmless && c.Accept.Kind == promote.Failover {
			w.fail("failover at a harmless fault: %s", c.Accept.Why)
		}
	case c.Publish != nil:
		d := w.doc(*c.Publish)
		w.note("published "+d.writer+" "+d.readers, int(d.version), int(d.epoch), 0)
		for _, f := range w.followers {
			f.hear(d)
		}
		if x := w.raft.leader; x != nil {
			x.storeSoon()
		}
	case c.Done != nil && !c.Done.Note.Failed:
		w.checkStanding()
		if s := w.masterNow(); s.byHand && w.product().Open != nil { // the plan found it open
			s.byHand, w.oracle.master = false, s
		}
	}
	w.checkAckers()
}

// checkStanding: a server that just came in holds nothing that the master will never have.
func (w *World) checkStanding() {
	p := w.product()
	master := w.byName(p.Chain.Master())
	if w.oracle.hands {
		return // a person may write behind the back of any proof
	}
	for _, info := range p.Chain.Servers {
		was, known := w.oracle.standing[info.Name]
		if known && was != topology.In && info.Standing == topology.In {
			if s := w.byName(info.Name); !master.logged.contains(s.executed) {
				w.fail("%s came back into rotation with errant transactions: %v, master %v", info.Name, s.executed, master.logged)
			}
		}
		w.oracle.standing[info.Name] = info.Standing
	}
}

// stored is called when the object store takes a document.
func (w *World) stored(d doc) {
	if d.version <= w.store.head.version || d.epoch < w.store.head.epoch {
		w.fail("the store went back from %v to %v", w.store.head, d)
	}
	w.note("stored", int(d.version), int(d.epoch), 0)
}

func kindOf(c journal.Command) string {
	switch {
	case c.Accept != nil:
		return "accept " + string(c.Accept.Kind)
	case c.Done != nil:
		return "done"
	case c.Abort != nil:
		return "abort"
	case c.Supersede != nil:
		return "supersede"
	case c.HighWater != nil:
		return "high-water"
	case c.Publish != nil:
		return "publish"
	}
	return "other"
}

// atRest says whether the chain is as it should be, else what is not.
func (w *World) atRest() (bool, string) {
	p := w.product()
	if p.Open != nil {
		return false, fmt.Sprintf("plan %d (%s) is open at step %d of %d: %v", p.Open.Plan.ID, p.Open.Plan.Kind, p.Open.Next, len(p.Open.Steps()), p.Open.Steps())
	}
	x := w.raft.leader
	if x == nil || x.mind == nil {
		return false, "nobody leads"
	}
	status := x.mind.Status()
	switch status.Verdict.Rule {
	case "healthy":
	case "server-missing":
		if s, _ := p.Chain.Server(status.Verdict.Server); s.Standing != topology.Quarantined {
			return false, "verdict " + status.Verdict.Rule + ": " + status.Verdict.Why
		}
	default:
		return false, "verdict " + status.Verdict.Rule + ": " + status.Verdict.Why
	}
	master := w.byName(p.Chain.Master())
	if master.closed || !master.up() {
		return false, "master " + master.info.Name + " is closed"
	}
	for _, s := range w.servers {
		if s != master && !s.closed {
			return false, s.info.Name + " is open too"
		}
	}
	return true, ""
}

// canAcknowledge says whether any replica is in rotation: without one, commits
// wait until a person has rebuilt one.
func (w *World) canAcknowledge() bool {
	for _, s := range w.product().Chain.Servers {
		if s.Seat != topology.Master && s.Standing == topology.In {
			return true
		}
	}
	return false
}

// checkEnd: nothing acknowledged is lost, and servers in rotation are clean.
func (w *World) checkEnd() {
	p := w.product()
	master := w.byName(p.Chain.Master())
	if !master.executed.contains(w.oracle.acked) {
		w.fail("acknowledged writes are lost: master %s has %v of %v", master.info.Name, master.executed, w.oracle.acked)
	}
	for _, info := range p.Chain.Servers {
		if s := w.byName(info.Name); info.Standing == topology.In && !master.logged.contains(s.executed) {
			w.fail("%s is in rotation with errant transactions", info.Name)
		}
	}
	d := w.doc(w.raft.state.Head)
	if !d.shows(p.Chain) {
		w.fail("the published document shows %v, not the chain", d)
	}
	for _, f := range w.followers {
		if !f.zombie && f.doc != d {
			w.fail("a web server still has version %d of %d", f.doc.version, d.version)
		}
	}
	if w.store.head != d {
		w.fail("the store still has version %d of %d", w.store.head.version, d.version)
	}
}
