package promote

import (
	"fmt"
	"time"

	"github.com/failoverd/failoverd/internal/topology"
)

// Course is what to do with an open plan.
type Course string

// The courses.
const (
	GoOn Course = "go-on"
	// Abort gives the plan up: nothing was opened, its undo steps run. While they
	// do, it gives those up too.
	Abort Course = "abort"
	// Supersede takes the plan's promotion as having happened, because it may
	// have, and closes it: the new master is judged like any other.
	Supersede Course = "supersede"
)

// rebuildPatience is how long a server that restarts with its new data may be away.
const rebuildPatience = topology.Duration(time.Minute)

// GivesWay begins the reason with which a rebuild makes room for another repair.
const GivesWay = "gives way: "

// Yields says whether an open plan may be broken off in the midst of a step, for
// something more urgent that came up: everything but an opening, and what a failover
// does before one. What is left to do after one is left to repairs as well.
func (p Progress) Yields() bool {
	switch {
	case p.Undoing:
		return false
	case !p.Plan.Kind.Promotes() || p.Opened():
		return true
	}
	return p.Plan.Kind == Switchover && !p.MayHaveOpened()
}

// Resume says what to do with an open plan, given a fresh look. It is pure. failed
// is the error of the latest try of the plan's next step, empty before one.
func Resume(c topology.Case, open Progress, failed string) (Course, string) {
	plan := open.Plan
	switch {
	case open.Finished():
		return GoOn, ""
	case open.Undoing:
		return resumeUndo(c, open, failed)
	case !plan.Kind.Promotes():
		return resumeRepair(c, open, failed)
	case open.MayHaveOpened():
		return resumeOpened(c, open, failed)
	case plan.Kind == Switchover:
		return resumeSwitchover(c, failed)
	case failed != "":
		return resumeFailover(c, plan, failed)
	}
	return GoOn, ""
}

// resumeSwitchover: until the next master is opened there is nothing to lose, and a
// repair that lets commits go on, or a failover, is worth more than a handover.
func resumeSwitchover(c topology.Case, failed string) (Course, string) {
	if failed != "" {
		return Abort, failed
	}
	switch v := topology.Judge(c); {
	case v.Action == topology.Failover:
		return Abort, "the master is dead: " + v.Why
	case v.Rule == "ackers-lost":
		return Abort, v.Why
	}
	return GoOn, ""
}

// resumeUndo: a master that died while it was to be opened again would be waited
// for in vain. Nothing else was opened, so it is judged like any dead master.
func resumeUndo(c topology.Case, open Progress, failed string) (Course, string) {
	if v := topology.Judge(c); failed != "" && v.Action == topology.Failover {
		return Abort, fmt.Sprintf("%s cannot be opened again: %s", open.Plan.From, v.Why)
	}
	return GoOn, ""
}

// resumeFailover: nothing was opened, so a master that is back is the better one
// when the target cannot be made ready. One that came back with less than its
// acker is why the plan was made, and no reason to leave it. What a person asked
// for goes on for as long as the target is given before it rests.
func resumeFailover(c topology.Case, plan Plan, failed string) (Course, string) {
	p := c.Digest()
	switch {
	case plan.Rule == "operator" && !p.Missed(plan.From) && p.Rests("target", plan.Target):
		return Abort, fmt.Sprintf("%s cannot be made ready (%s), and the old master %s is there: nothing was opened", plan.Target, failed, plan.From)
	case plan.Rule == "operator" && p.Up(plan.Target):
		return GoOn, ""
	case plan.Rule == "operator":
		return Abort, fmt.Sprintf("%s does not answer any more, and nothing was opened", plan.Target)
	case better(p, plan):
		target, _ := p.Target()
		return Abort, fmt.Sprintf("%s cannot be made ready (%s), and %s can", plan.Target, failed, target)
	case !p.Up(plan.From):
		return GoOn, ""
	case plan.Rule == "master-behind-acker" || plan.Rule == "master-hanging":
		if target, why := p.Target(); target == "" {
			return Abort, "nothing was opened: " + why
		}
		return GoOn, ""
	case !p.Up(plan.Target):
		return Abort, fmt.Sprintf("%s does not answer any more, and the old master %s does: nothing was opened", plan.Target, plan.From)
	case !p.Missed(plan.From):
		return Abort, fmt.Sprintf("the old master %s answers again and nothing was opened: %s", plan.From, failed)
	}
	return GoOn, ""
}

// better says that another heir would be promoted by now: the plan's own was lost
// or turned out not to be whole.
func better(p *topology.Picture, plan Plan) bool {
	target, _ := p.Target()
	return target != "" && target != plan.Target
}

// resumeRepair: a repair that fails is dropped, the rules ask again for what is
// still wrong; and a repair never stands in the way of a failover.
func resumeRepair(c topology.Case, open Progress, failed string) (Course, string) {
	if failed != "" {
		return Abort, failed
	}
	switch v := topology.Judge(c); {
	case v.Action == topology.Failover:
		return Abort, "the master is dead: " + v.Why
	case open.Plan.Kind == Rebuild && c.Digest().MissedFor(open.Plan.Target) >= rebuildPatience:
		return Abort, open.Plan.Target + " does not answer any more"
	case open.Plan.Kind == Rebuild && v.Action == topology.Rebuild && v.Server != open.Plan.Target && !c.Digest().Up(open.Plan.Target):
		return Abort, GivesWay + v.Why
	case open.Plan.Kind == Rebuild && v.Action != topology.Rebuild && For(c, v) != nil:
		// The copy goes on at the server by itself; its plan is made anew when nothing else is to be done.
		return Abort, GivesWay + v.Why
	}
	return GoOn, ""
}

// resumeOpened: past the point of no return the chain as it will be is judged; if
// its master died in its turn, there is nothing to finish here.
func resumeOpened(c topology.Case, open Progress, failed string) (Course, string) {
	was := "was opened"
	switch {
	case open.Plan.After == nil:
		return GoOn, ""
	case !open.Opened() && failed == "":
		return GoOn, ""
	case !open.Opened():
		was, c.Chain = "may have been opened", *open.Plan.After
		c.Chain.Mode, c.Chain.Pause = topology.Auto, nil
	}
	v := topology.Judge(c)
	if v.Action == topology.Failover || v.Rule == "master-dead-no-target" {
		return Supersede, fmt.Sprintf("%s %s and is dead now: %s", open.Plan.Target, was, v.Why)
	}
	return GoOn, ""
}
