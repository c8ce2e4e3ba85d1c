package sim

import "time"

// In a calm world, in which nothing went wrong or was changed for a while, the
// leader's ticks find what they found before. Most of them are left out: worlds
// are mostly calm, and thinking is most of what they cost.
const (
	calmAfter = 2500 * time.Millisecond
	calmEvery = time.Second
)

// calm says whether the leader may doze.
func (w *World) calm(x *scout) bool {
	if w.now-w.disturbed < calmAfter || w.product().Open != nil || w.raft.leader != x {
		return false
	}
	rule := x.mind.Status().Verdict.Rule
	return rule == "healthy" || rule == "server-missing"
}

// disturb ends the calm: the leader thinks again when its next tick would be.
func (w *World) disturb() {
	w.disturbed = w.now
	if w.raft == nil || w.raft.leader == nil {
		return
	}
	if x := w.raft.leader; x.dozes && x.proc != nil {
		x.dozes = false
		w.afterNumber(w.between(0, probeEvery), x.proc.wakes, x.ticket)
		w.after(w.between(0, exchangeEvery), x.again)
	}
}
