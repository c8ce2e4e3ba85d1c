package sim

import (
	"time"

	"github.com/failoverd/failoverd/internal/watcher"
)

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
	return restful(x.mind.Status())
}

// restful says that nothing is left to do for failoverd, by the leader's own word.
func restful(status watcher.Status) bool {
	switch status.Verdict.Rule {
	case "healthy", "server-missing", "server-quarantined":
		return status.Waiting == ""
	}
	return false
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
