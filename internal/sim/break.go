package sim

import (
	"slices"

	"github.com/failoverd/failoverd/internal/promote"
)

// What can be left out, to see that worlds notice. A test of safety that never
// went red proves nothing.
const (
	BreakRevoke   = "revoke"   // open without revoking the ackers
	BreakDrain    = "drain"    // open with a relay log that is not executed
	BreakFeed     = "feed"     // open without what other survivors have
	BreakFloor    = "floor"    // forget what a new master was proved to hold
	BreakProof    = "proof"    // take servers in without comparing their sets
	BreakTimeout  = "timeout"  // acknowledge after a second without a receipt
	BreakAckers   = "ackers"   // let a server acknowledge before the journal says so
	BreakClose    = "close"    // hand over without closing the old master
	BreakSync     = "sync"     // let a power cut take the end of the relay log
	BreakAdmit    = "admit"    // begin a session without being confirmed to lead
	BreakDeadline = "deadline" // let an order to open count however late it is read
)

// weaken drops the steps of a plan that the broken protection is made of.
func (o Options) weaken(plan promote.Plan) promote.Plan {
	drop := map[string][]promote.Goal{
		BreakRevoke: {promote.Revoked}, BreakDrain: {promote.Drained, promote.Fed}, BreakFeed: {promote.Fed}, BreakAckers: {promote.Ackers},
		BreakClose: {promote.Closed},
	}[o.Break]
	steps, commit := []promote.Step(nil), plan.Commit
	for i, s := range plan.Steps {
		if o.Break == BreakRevoke && s.Goal == promote.Fed {
			s.Ackers, s.Need = nil, 0 // which would notice
		}
		if !slices.Contains(drop, s.Goal) {
			steps = append(steps, s)
		} else if i < plan.Commit {
			commit--
		}
	}
	if len(steps) == 0 {
		return plan
	}
	plan.Steps, plan.Commit = steps, commit
	return plan
}
