package sim

import (
	"strings"
	"time"

	"github.com/failoverd/failoverd/internal/journal"
	"github.com/failoverd/failoverd/internal/promote"
	"github.com/failoverd/failoverd/internal/topology"
)

// oracle watches the promises of a world from the outside, with full knowledge.
type oracle struct {
	acked    vec     // every acknowledged transaction
	master   *server // the server that was opened last by failoverd
	openings map[uint64]int
	given    vec // the latest number that each server gave
	plans    map[uint64]bool
	standing map[string]topology.Standing
	hands    bool // a person opened a server
	changes  int  // of plans, in the journal
	// promotedAt is when the latest promotion was recorded, 0 unless that was a failover.
	promotedAt  time.Duration
	epoch       uint64
	vain        uint64 // the latest plan that nothing can come of
	quarantines bool   // a server was quarantined
	lowered     int    // how often the master was told to wait for fewer
	// harmless says that nothing in the run is a reason to promote.
	harmless bool
}

func (w *World) product() *journal.Product { return w.raft.state.Products[Product] }

// acknowledged is called when a server tells a client that its commit is safe. It
// returns whether that is a promise that failoverd has to keep.
func (w *World) acknowledged(s *server, t txn) bool {
	w.note("acked", s.id, int(t.origin), int(t.n))
	if s.byHand || w.raft == nil || !w.protected() {
		return false // a person opened it, or loss is accepted
	}
	o := &w.oracle
	o.acked.add(t)
	w.checkCopies(s, t)
	if m := o.master; m != nil && m != s && !m.executed.has(t) {
		w.fail("%s acknowledged %s:%d after %s was opened, which does not have it", s.info.Name, uuids[t.origin][:2], t.n, m.info.Name)
	}
	return true
}

// protected says whether the policy promises that acknowledged writes survive.
func (w *World) protected() bool {
	return w.product().Chain.Policy.Durability == topology.SemiSync
}

// checkCopies: an acknowledged write is on so many committed ackers as the journal
// says, and the master waits for no fewer.
func (w *World) checkCopies(s *server, t txn) {
	p := w.product()
	chain := &p.Chain
	if open := p.Open; open != nil && open.Plan.After != nil && !open.Undoing && open.Plan.Target == s.info.Name && chain.Epoch < open.Plan.Epoch {
		chain = open.Plan.After
	}
	if chain.Master() != s.info.Name {
		return // it was the master, and its ackers were others
	}
	need := chain.AcksNeeded()
	if !s.sourceSync || s.acks < need {
		w.fail("%s acknowledged %s:%d waiting for %d servers, the journal says %d", s.info.Name, uuids[t.origin][:2], t.n, s.acks, need)
	}
	have := 0
	for _, acker := range chain.Ackers {
		if a := w.byName(acker); a != s && (a.logged.has(t) || (a.link != nil && a.link.received.has(t))) {
			have++
		}
	}
	if have < need {
		w.fail("%s acknowledged %s:%d, which %d of the ackers {%s} have, %d should", s.info.Name, uuids[t.origin][:2], t.n, have, strings.Join(chain.Ackers, ","), need)
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
	w.checkAckersOf(p.Chain)
	if open := p.Open; open != nil && open.Plan.After != nil && !open.Undoing && p.Chain.Epoch < open.Plan.Epoch && w.oracle.master == w.byName(open.Plan.Target) {
		w.checkAckersOf(*open.Plan.After) // opened, and not yet recorded
	}
}

func (w *World) checkAckersOf(chain topology.Chain) {
	master := w.byName(chain.Master())
	for _, c := range master.conns {
		if c.armed && c.open && !chain.IsAcker(c.replica.info.Name) && chain.Policy.Durability == topology.SemiSync {
			w.fail("%s can acknowledge for %s and is not in the acker set {%s}", c.replica.info.Name, master.info.Name, strings.Join(chain.Ackers, ","))
		}
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
	if p := w.product(); p.Chain.Epoch > w.oracle.epoch {
		w.oracle.epoch = p.Chain.Epoch
		w.oracle.promotedAt = 0
		if p.Chain.Last != nil && p.Chain.Last.Kind == string(promote.Failover) {
			w.oracle.promotedAt = w.now
		}
	}
	w.countChange(c)
	switch {
	case c.Accept != nil:
		w.stats.Plans++
		w.oracle.plans[w.raft.state.Plans] = true
		w.explain("plan %d: %s epoch %d because %s: %v", w.raft.state.Plans, c.Accept.Kind, c.Accept.Epoch, c.Accept.Why, c.Accept.Steps)
		w.checkFailover(c.Accept)
		w.checkLowering(c.Accept)
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
		if strings.HasPrefix(c.Done.Note.Step, string(promote.Ackers)) {
			w.checkSet()
		}
		w.checkStanding()
		if s := w.masterNow(); s.byHand && w.product().Open != nil { // the plan found it open
			s.byHand, w.oracle.master = false, s
		}
	}
	w.checkAckers()
}

// checkSet: N−W+1 of the new acker set hold every acknowledged write, whichever
// they are, but for what the high-water mark keeps a server from being promoted without.
func (w *World) checkSet() {
	chain := w.product().Chain
	have, need := 0, chain.AcksNeeded()
	for _, acker := range chain.Ackers {
		a := w.byName(acker)
		held := a.logged.union(vecOf(chain.HighWater))
		if a.link != nil {
			held = held.union(a.link.received)
		}
		if held.contains(w.oracle.acked) {
			have++
		}
	}
	if w.protected() && have < need {
		w.fail("%d of the ackers {%s} hold what was acknowledged, %d should", have, strings.Join(chain.Ackers, ","), need)
	}
}

// countChange counts the changes of plans, but for those that nothing can come of.
func (w *World) countChange(c journal.Command) {
	switch {
	case c.Accept == nil && c.Done == nil && c.Abort == nil && c.Supersede == nil:
	case c.Accept != nil && w.inVain(c.Accept):
		w.oracle.vain = w.raft.state.Plans
	case c.Accept == nil && w.oracle.vain == w.raft.state.Plans:
	default:
		w.oracle.changes++
	}
}

// inVain says that a repair is about what stays broken.
func (w *World) inVain(plan *promote.Plan) bool {
	if !w.mended || plan.Kind.Promotes() {
		return false
	}
	if w.store.away && plan.Kind == promote.Rebuild {
		return true
	}
	for _, s := range plan.Steps {
		if server := w.byName(s.Server); server != nil && server.doomed {
			return true
		}
	}
	return false
}

// checkStanding: a server that just came in holds nothing that the master will never have.
func (w *World) checkStanding() {
	p := w.product()
	master := w.byName(p.Chain.Master())
	for _, info := range p.Chain.Servers {
		was, known := w.oracle.standing[info.Name]
		if known && was != topology.In && info.Standing == topology.In && !w.oracle.hands { // a person may write behind the back of any proof
			if s := w.byName(info.Name); !master.logged.contains(s.executed) {
				w.fail("%s came back into rotation with errant transactions: %v, master %v", info.Name, s.executed, master.logged)
			}
		}
		w.oracle.standing[info.Name] = info.Standing
		w.oracle.quarantines = w.oracle.quarantines || info.Standing == topology.Quarantined
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
