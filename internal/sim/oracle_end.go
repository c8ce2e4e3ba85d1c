package sim

import (
	"fmt"

	"github.com/failoverd/failoverd/internal/promote"
	"github.com/failoverd/failoverd/internal/topology"
)

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
	switch rule := status.Verdict.Rule; {
	case restful(status):
	case rule == "commits-stalled" && !w.canAcknowledge(): // a person is asked
	default:
		return false, fmt.Sprintf("verdict %s: %s %s", rule, status.Verdict.Why, status.Waiting)
	}
	for _, s := range p.Chain.Servers {
		if s.Standing != topology.In && (s.Standing != topology.Quarantined || p.Chain.Policy.Rebuild != topology.RebuildNever) {
			return false, fmt.Sprintf("%s is %s: %s; verdict %s: %s", s.Name, s.Standing, s.Why, status.Verdict.Rule, status.Verdict.Why)
		}
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
	w.checkData(master)
	for _, x := range w.writes {
		if x.outcome == Refused && x.t.n > 0 {
			w.fail("write %d was refused and is there as %s:%d", x.id, uuids[x.t.origin][:2], x.t.n)
		}
	}
	if w.wakes() && !master.awake {
		w.fail("no scheduled event runs at master %s", master.info.Name)
	}
	for _, info := range p.Chain.Servers {
		if s := w.byName(info.Name); info.Standing == topology.In && s.hollow {
			w.fail("%s is in rotation without its data", info.Name)
		}
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

// wakes says whether failoverd knows of scheduled events.
func (w *World) wakes() bool {
	for _, g := range promote.Goals {
		if g.Goal == "awake" {
			return true
		}
	}
	return false
}

func inRotation(s topology.Server) bool { return s.Standing == topology.In }
