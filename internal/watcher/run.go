package watcher

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/failoverd/failoverd/internal/journal"
	"github.com/failoverd/failoverd/internal/promote"
	"github.com/failoverd/failoverd/internal/topology"
)

// resume works on the open plan: decide its course, then reach its next steps.
// Whoever leads does this; who accepted the plan does not matter.
func (m *Mind) resume(ctx context.Context, p journal.Product) (again bool, err error) {
	open := *p.Open
	failed := ""
	if m.failedAt == stepKey(open) {
		failed = m.failed
	}
	c := m.look(ctx, p, false)
	c.Resting = m.restingAt(c.Now)
	m.guarded.Store(&guarded{c.Resting, m.settledAt})
	if open.Yields() {
		// At once, with what is known: a fresh look waits for silent watchers, and
		// the plan is broken off meanwhile for what is more urgent.
		if course, why := promote.Resume(c.Case, open, ""); course != promote.GoOn {
			return m.leave(ctx, open, course, why)
		}
	}
	if failed != "" {
		if now := m.around.Now(); open.Plan.Kind == promote.Failover && now.Sub(m.failedSince) >= heirPatience {
			m.resting[restKey(topology.Verdict{Rule: "target", Server: open.Plan.Target})] = rest{until: now.Add(time.Minute)}
		}
		c = m.look(ctx, p, true)
		c.Resting = m.restingAt(c.Now)
		m.note(c, c.Judge(), failed) // what is true now, not what it was when the plan was made
		if course, why := promote.Resume(c.Case, open, failed); course != promote.GoOn {
			return m.leave(ctx, open, course, why)
		}
	}
	if err := m.settleSessions(ctx, c); err != nil {
		return false, err
	}
	for p.Open != nil && !p.Open.Finished() {
		if done, err := m.step(ctx, p); !done {
			return false, err
		}
		next, ok := m.around.Product(m.product)
		if !ok || next.Open == nil || next.Open.Plan.ID != open.Plan.ID {
			m.event("plan finished", open.Plan.Kind.Promotes(), "kind", open.Plan.Kind, "epoch", next.Chain.Epoch, "master", next.Chain.Master())
			m.failed, m.failedAt, m.settledAt = "", "", m.around.Now()
			for _, step := range open.Plan.Steps { // it worked: its next failure is a first one
				delete(m.resting, restKey(topology.Verdict{Rule: open.Plan.Rule, Server: step.Server}))
			}
			return true, nil
		}
		p = next
	}
	return true, nil
}

// step reaches the next goal and commits that it is done. It is not done when the
// plan has to wait, or with an error when this leader cannot go on.
func (m *Mind) step(ctx context.Context, p journal.Product) (done bool, err error) {
	open := *p.Open
	step := open.Steps()[open.Next]
	start := m.around.Now()
	note, err := promote.Reach(ctx, m.around.World(p.Chain), p.Chain, open.Plan, step)
	took := m.around.Now().Sub(start)
	if ctx.Err() != nil {
		return false, context.Cause(ctx)
	}
	note.Ms = took.Milliseconds()
	switch {
	case err != nil && step.Lenient:
		note.Step, note.Text, note.Failed = step.String(), err.Error(), true
		m.event("step left to repairs", true, "kind", open.Plan.Kind, "step", step, "error", err)
	case errors.Is(err, promote.ErrUnderway):
		m.goOn(open, step, err)
		return false, nil
	case err != nil:
		m.wait(open, step, err)
		return false, nil
	default:
		m.event("step done", false, "kind", open.Plan.Kind, "step", step, "took", took.Round(time.Millisecond), "note", note.Text)
	}
	m.failed, m.failedAt = "", ""
	err = m.around.Propose(ctx, journal.Command{At: m.around.Now(), Actor: open.Plan.Actor, Done: &journal.Done{
		Product: m.product, Plan: open.Plan.ID, Index: open.Next, Undoing: open.Undoing, Note: note}})
	if err != nil && !errors.Is(err, journal.ErrStale) {
		return false, fmt.Errorf("record %s of %s: %w", step, m.product, err)
	}
	if open.Plan.Kind.Promotes() && !open.Undoing && open.Next == open.Plan.Commit {
		m.promoted(open.Plan)
	}
	return true, nil
}

// promoted: the chain has another master from now on, and what was seen of it
// before it was that is no measure.
func (m *Mind) promoted(plan promote.Plan) {
	m.settledAt = m.around.Now()
	m.guarded.Store(&guarded{m.restingAt(m.settledAt), m.settledAt})
	if plan.Loss != nil {
		m.setHighWater(topology.GTIDSet{}) // nor is what was lost
	}
}

// wait notes that the plan cannot go on, and whom it waits for.
func (m *Mind) wait(open promote.Progress, step promote.Step, err error) {
	if m.failedAt != stepKey(open) {
		m.failedSince = m.around.Now()
	}
	if m.failed != err.Error() || m.failedAt != stepKey(open) {
		m.event("step waits", true, "kind", open.Plan.Kind, "step", step, "error", err)
	}
	m.failed, m.failedAt = err.Error(), stepKey(open)
	m.status.Store(&Status{Verdict: m.Status().Verdict, Waiting: err.Error(), At: m.around.Now()})
}

// goOn notes that a step takes its time and nothing is wrong.
func (m *Mind) goOn(open promote.Progress, step promote.Step, err error) {
	if m.underway != stepKey(open) {
		m.event("step under way", false, "kind", open.Plan.Kind, "step", step, "note", err)
	}
	m.failed, m.failedAt, m.underway = "", "", stepKey(open)
	m.status.Store(&Status{Verdict: m.Status().Verdict, Waiting: err.Error(), At: m.around.Now()})
}

// leave ends the open plan before its end.
func (m *Mind) leave(ctx context.Context, open promote.Progress, course promote.Course, why string) (again bool, err error) {
	end := &journal.End{Product: m.product, Plan: open.Plan.ID, Why: why, Outright: open.Undoing}
	c := journal.Command{At: m.around.Now(), Actor: open.Plan.Actor}
	if course == promote.Abort {
		c.Abort = end
		if !open.Plan.Kind.Promotes() && !strings.HasPrefix(why, promote.GivesWay) {
			m.restAfter(open.Plan)
		}
	} else {
		c.Supersede = end
	}
	m.event("plan "+string(course), true, "kind", open.Plan.Kind, "epoch", open.Plan.Epoch, "why", why)
	if err := m.around.Propose(ctx, c); err != nil && !errors.Is(err, journal.ErrStale) {
		return false, fmt.Errorf("%s plan %d of %s: %w", course, open.Plan.ID, m.product, err)
	}
	m.failed, m.failedAt, m.settledAt = "", "", m.around.Now()
	if course == promote.Supersede {
		m.promoted(open.Plan)
	}
	return true, nil
}

// heirPatience is how long a failover tries to make its target ready before
// another heir is tried, if there is one.
const heirPatience = 10 * time.Second

const (
	restAtFirst = time.Second
	restAtMost  = 30 * time.Second
)

func (m *Mind) restAfter(plan promote.Plan) {
	if len(plan.Steps) == 0 {
		return
	}
	now := m.around.Now()
	seen := map[string]bool{"": true}
	for _, step := range plan.Steps {
		if seen[step.Server] {
			continue // one failure is one, however many steps the plan has for a server
		}
		seen[step.Server] = true
		key := restKey(topology.Verdict{Rule: plan.Rule, Server: step.Server})
		pause := min(max(2*m.resting[key].pause, restAtFirst), restAtMost)
		m.resting[key] = rest{until: now.Add(pause), pause: pause}
	}
}

const (
	raiseRestAtFirst = 5 * time.Second
	raiseRestAtMost  = time.Minute
)

// restRaise has the master keep to fewer acknowledgements for a while after a
// rescue lowered them, for twice as long each time soon after the last.
func (m *Mind) restRaise(plan promote.Plan, chain topology.Chain) {
	lowers := slices.ContainsFunc(plan.Steps, func(s promote.Step) bool { return s.Goal == promote.Acks && s.Need < chain.AcksNeeded() })
	if plan.Rule != "ackers-lost" || !lowers {
		return
	}
	now, key := m.around.Now(), restKey(topology.Verdict{Rule: topology.MoreAcks, Server: chain.Master()})
	last := m.resting[key]
	pause := raiseRestAtFirst
	if now.Sub(last.until).Abs() < raiseRestAtMost {
		pause = min(max(2*last.pause, raiseRestAtFirst), raiseRestAtMost)
	}
	m.resting[key] = rest{until: now.Add(pause), pause: pause}
}

// restingAt are the repairs that rest, sorted.
func (m *Mind) restingAt(now time.Time) []string {
	var out []string
	for key, r := range m.resting {
		if now.Before(r.until) {
			out = append(out, key)
		}
	}
	slices.Sort(out)
	return out
}

// settleSessions ends the sessions of earlier leaders on every server that
// answers, once for this leader and before its first effect there, so that
// nothing they sent takes effect later (SAFETY: the protocol, 9). A server that
// does not answer is settled when it does.
func (m *Mind) settleSessions(ctx context.Context, c *topology.Picture) error {
	if len(m.settled) == len(c.Chain.Servers) && !slices.ContainsFunc(c.Chain.Servers, func(s topology.Server) bool { return !m.settled[s.Name] }) {
		return nil
	}
	var todo []topology.Server
	for _, s := range c.Chain.Servers {
		if c.Up(s.Name) && !m.settled[s.Name] {
			todo = append(todo, s)
		}
	}
	if len(todo) == 0 {
		return nil
	}
	world := m.around.World(c.Chain)
	failed := world.Each(ctx, todo, func(ctx context.Context, s topology.Server) error {
		return world.Server(s).KillOlderSessions(ctx)
	})
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	for _, s := range todo {
		if err := failed[s.Name]; err == nil {
			m.settled[s.Name] = true
		}
	}
	return nil
}

func stepKey(open promote.Progress) string {
	return fmt.Sprintf("%d/%v/%d", open.Plan.ID, open.Undoing, open.Next)
}
