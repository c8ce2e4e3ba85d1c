package watcher

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/failoverd/failoverd/internal/journal"
	"github.com/failoverd/failoverd/internal/promote"
	"github.com/failoverd/failoverd/internal/topology"
)

// Around is what a mind needs of the world around it. The watcher and the
// simulator implement it.
type Around interface {
	// Now is the local clock.
	Now() time.Time
	// Product returns a copy of the journal's product, false when there is none.
	Product(name string) (journal.Product, bool)
	// Watchers is how many watchers vote.
	Watchers() int
	// Views returns the latest view of each watcher that can be asked; with look
	// they all look anew first, at once.
	Views(ctx context.Context, product string, look bool) []topology.View
	// Published says whether the newest published document shows the chain as it is.
	Published(chain topology.Chain) bool
	// Propose commits a command. Errors: journal.ErrStale when somebody was faster
	// and nothing changed; others mean that the outcome is unknown.
	Propose(ctx context.Context, c journal.Command) error
	// World is the chain's servers.
	World(chain topology.Chain) promote.World
}

// Mind is the leader's thinking about one chain: judge, plan, accept, run. It
// holds nothing that another leader would need.
type Mind struct {
	product string
	around  Around
	// say is called when the mind's sentence changes, and at each plan and step.
	say func(Event)

	highWater   topology.GTIDSet // fresher than the journal's
	highWaterAt time.Time        // of the last proposal
	failed      string           // the last try of the open plan's next step
	failedAt    string           // which plan and step that was
	failedSince time.Time        // its first try that failed
	underway    string           // the step that takes its time, once that was said
	skipped     string           // the recovery that was recorded as not done
	braked      string           // what the global brake said of the failover that is due
	brakedAt    time.Time        // and when
	resting     map[string]rest  // repairs that failed lately
	settledAt   time.Time        // when a plan last ended or promoted a server, or this mind began
	settled     map[string]bool  // servers where earlier leaders' sessions are ended
	status      atomic.Pointer[Status]
	mark        atomic.Pointer[topology.GTIDSet] // highWater, for other goroutines
	guarded     atomic.Pointer[guarded]
}

// guarded is what the tick that is under way judged an open plan with, for Urgent.
type guarded struct {
	resting   []string
	settledAt time.Time
}

// rest keeps a repair that failed from being tried over and over.
type rest struct {
	until time.Time
	pause time.Duration
}

// Event is one line about what a mind does, for the log.
type Event struct {
	Phrase string
	Fields []any // key, value, key, value
	Warn   bool
}

// Status is what a mind thinks, for people.
type Status struct {
	Verdict topology.Verdict `json:"verdict"`
	// Would is what failoverd would do if it were allowed to, empty when it is.
	Would string `json:"would,omitempty"`
	// Waiting says whom an open plan waits for, or which repair failed and rests; empty
	// when neither is so.
	Waiting string    `json:"waiting,omitempty"`
	At      time.Time `json:"at"`
}

// NewMind returns a mind for one product.
func NewMind(product string, around Around, say func(Event)) *Mind {
	return &Mind{product: product, around: around, say: say, settledAt: around.Now(), resting: map[string]rest{}, settled: map[string]bool{}}
}

// Status returns what the latest tick thought. Any goroutine may ask.
func (m *Mind) Status() Status {
	if s := m.status.Load(); s != nil {
		return *s
	}
	return Status{}
}

// Tick looks at the chain once and does what is to be done, through to the end of
// a plan. It reports whether the next tick should follow at once.
func (m *Mind) Tick(ctx context.Context) (again bool, err error) {
	p, ok := m.around.Product(m.product)
	if !ok {
		return false, nil
	}
	if p.Open != nil {
		return m.resume(ctx, p)
	}
	c := m.look(ctx, p, false)
	v := c.Judge()
	if v.Action != topology.None && v.Action != topology.Alert {
		// What is worth an effect is worth a fresh look by everybody.
		c = m.look(ctx, p, true)
		v = c.Judge()
	}
	if v.Action != topology.Failover {
		m.braked = ""
	}
	m.note(m.besides(c, v))
	if err := m.raiseHighWater(ctx, c); err != nil {
		return false, err
	}
	if err := errors.Join(m.noteUUIDs(ctx, c), m.noteEvents(ctx, c)); err != nil {
		return false, err
	}
	if may, why := c.Chain.MayAct(c.Now); !may {
		return false, m.skip(ctx, c, v, why, why)
	}
	if m.braked != "" && c.Now.Sub(m.brakedAt).Abs() < brakeRest {
		return false, nil
	}
	if err := m.settleSessions(ctx, c); err != nil {
		return false, err
	}
	if c.Resting = m.restingAt(c.Now); len(c.Resting) > 0 {
		v = c.Judge()
	}
	plan := promote.For(c.Case, v)
	if plan == nil {
		return false, m.skip(ctx, c, v, "", "")
	}
	switch err := m.accept(ctx, *plan); {
	case errors.Is(err, journal.ErrBraked):
		m.braked, m.brakedAt = err.Error(), c.Now
		m.note(c, v, "")
		return false, m.skip(ctx, c, v, journal.ErrBraked.Error(), m.braked)
	case err != nil:
		return false, err
	}
	m.restRaise(*plan, c.Chain)
	m.skipped, m.braked = "", ""
	return true, nil
}

// brakeRest is how long a failover that was braked is not asked for again: each
// time costs the journal an entry.
const brakeRest = 2 * time.Second

// skip records a failover that is due and is not done, once for each kind of
// reason: whoever asks later why nothing happened finds it in the history.
func (m *Mind) skip(ctx context.Context, c *topology.Picture, v topology.Verdict, kind, because string) error {
	switch {
	case v.Rule == "master-held-down":
		kind, because = v.Rule, "the hold-down is not over"
	case v.Rule == "master-missing-data" || v.Rule == "master-dead-no-target":
		kind, because = v.Rule, "acknowledged writes would be lost"
	case v.Action != topology.Failover:
		m.skipped = ""
		return nil
	}
	if m.skipped == v.Rule+kind {
		return nil
	}
	m.skipped = v.Rule + kind
	m.event("failover skipped", true, "rule", v.Rule, "why", v.Why, "because", because)
	err := m.around.Propose(ctx, journal.Command{At: c.Now, Actor: "failoverd", Skipped: &journal.Skipped{
		Product: m.product, Action: topology.Failover, Rule: v.Rule, Why: v.Why, Because: because}})
	if err != nil && !errors.Is(err, journal.ErrStale) {
		return fmt.Errorf("record the skipped failover of %s: %w", m.product, err)
	}
	return nil
}

// accept commits a plan. The next tick runs it.
func (m *Mind) accept(ctx context.Context, plan promote.Plan) error {
	err := m.around.Propose(ctx, journal.Command{At: m.around.Now(), Actor: plan.Actor, Accept: &plan})
	if err != nil {
		return fmt.Errorf("accept %s of %s: %w", plan.Kind, plan.Product, err)
	}
	m.event("plan accepted", plan.Kind.Promotes(), "kind", plan.Kind, "epoch", plan.Epoch, "rule", plan.Rule, "why", plan.Why, "actor", plan.Actor)
	return nil
}

// besides is what to say of a chain whose repair failed a moment ago and rests: the
// next rule that fits may be why it failed, and is no less true meanwhile.
func (m *Mind) besides(c *topology.Picture, v topology.Verdict) (*topology.Picture, topology.Verdict, string) {
	if r, ok := m.resting[restKey(v)]; !ok || !c.Now.Before(r.until) {
		return c, v, ""
	}
	waiting := fmt.Sprintf("%s failed and is tried again in a while: %s", v.Action, v.Why)
	rested := *c
	rested.Resting = m.restingAt(c.Now)
	if next := rested.Judge(); next.Action != topology.None {
		v = next
	}
	return c, v, waiting
}

// Gather puts together what there is to judge one product by.
func Gather(ctx context.Context, around Around, p journal.Product, anew bool) topology.Case {
	return topology.Case{
		Chain:     p.Chain,
		Watchers:  around.Watchers(),
		Views:     around.Views(ctx, p.Chain.Product, anew),
		Now:       around.Now(),
		Published: p.Chain.Mode != topology.Auto || around.Published(p.Chain),
	}
}

// gather is Gather for a mind, which knows when it last changed something.
func gather(ctx context.Context, around Around, p journal.Product, anew bool, settledAt time.Time) topology.Case {
	c := Gather(ctx, around, p, anew)
	c.Settled = topology.Duration(max(c.Now.Sub(settledAt), 1))
	return c
}

// look gathers and digests what there is to judge by, with the high-water mark
// that this mind has.
func (m *Mind) look(ctx context.Context, p journal.Product, anew bool) *topology.Picture {
	gathered := gather(ctx, m.around, p, anew, m.settledAt)
	c := gathered.Digest()
	m.learnHighWater(c)
	c.Chain.HighWater = c.Chain.HighWater.Union(m.highWater)
	return c
}

// Urgent says whether what came up since the tick began is worth more than the open
// plan that it is busy with. It is judged as the mind's own ticks judge: a tick ended
// for less would never give the plan up. Any goroutine may ask. around is not the
// mind's own, which takes each question for a sign that the mind gets on.
func (m *Mind) Urgent(ctx context.Context, around Around) bool {
	with := m.guarded.Load()
	p, ok := around.Product(m.product)
	if !ok || with == nil || p.Open == nil || !p.Open.Yields() {
		return false
	}
	c := gather(ctx, around, p, false, with.settledAt)
	c.Resting, c.Chain.HighWater = with.resting, c.Chain.HighWater.Union(m.HighWater())
	course, why := promote.Resume(c, *p.Open, "")
	return course != promote.GoOn && !strings.HasPrefix(why, promote.GivesWay) // that can wait for the end of the tick
}

// learnHighWater takes what the master itself shows as committed: it is
// acknowledged, so no later master may lack it.
func (m *Mind) learnHighWater(c *topology.Picture) {
	facts, _ := c.Facts(c.Chain.Master())
	if facts != nil && facts.Open() && facts.Source.On {
		if !m.highWater.Contains(facts.Executed) {
			m.setHighWater(m.highWater.Union(facts.Executed))
		}
	}
}

func (m *Mind) setHighWater(set topology.GTIDSet) {
	m.highWater = set
	m.mark.Store(&set)
}

// HighWater is what the master was seen to have committed, fresher than the
// journal's mark. Any goroutine may ask.
func (m *Mind) HighWater() topology.GTIDSet {
	if set := m.mark.Load(); set != nil {
		return *set
	}
	return topology.GTIDSet{}
}

// highWaterEvery is how often the mark goes to the journal. The leader's own is
// fresher; the journal's protects against a new leader that saw nothing.
const highWaterEvery = 5 * time.Second

func (m *Mind) raiseHighWater(ctx context.Context, c *topology.Picture) error {
	p, ok := m.around.Product(m.product)
	if !ok || p.Chain.HighWater.Contains(m.highWater) || c.Now.Sub(m.highWaterAt).Abs() < highWaterEvery {
		return nil
	}
	m.highWaterAt = c.Now
	err := m.around.Propose(ctx, journal.Command{At: c.Now, HighWater: &journal.HighWater{Product: m.product, Epoch: p.Chain.Epoch, Set: m.highWater}})
	if err != nil && !errors.Is(err, journal.ErrStale) {
		return fmt.Errorf("raise the high-water mark of %s: %w", m.product, err)
	}
	return nil
}

// noteUUIDs keeps the servers' UUIDs in the journal, for the published file.
func (m *Mind) noteUUIDs(ctx context.Context, c *topology.Picture) error {
	var changed map[string]string
	for _, s := range c.Chain.Servers {
		if facts, _ := c.Facts(s.Name); facts != nil && facts.UUID != s.UUID {
			if changed == nil {
				changed = map[string]string{}
			}
			changed[s.Name] = facts.UUID
		}
	}
	if len(changed) == 0 {
		return nil
	}
	err := m.around.Propose(ctx, journal.Command{At: c.Now, UUIDs: &journal.UUIDs{Product: m.product, UUIDs: changed}})
	if err != nil && !errors.Is(err, journal.ErrStale) {
		return fmt.Errorf("note the UUIDs of %s: %w", m.product, err)
	}
	return nil
}

// noteEvents keeps in the journal which scheduled events a person switched off,
// for the next master. While some are asleep at this one it cannot tell.
func (m *Mind) noteEvents(ctx context.Context, c *topology.Picture) error {
	facts, _ := c.Facts(c.Chain.Master())
	if facts == nil || !facts.Open() || facts.DisabledEvents == nil || facts.AsleepEvents > 0 || slices.Equal(facts.DisabledEvents, c.Chain.DisabledEvents) {
		return nil
	}
	err := m.around.Propose(ctx, journal.Command{At: c.Now, Events: &journal.Events{Product: m.product, Epoch: c.Chain.Epoch, Disabled: facts.DisabledEvents}})
	if err != nil && !errors.Is(err, journal.ErrStale) {
		return fmt.Errorf("note the events of %s: %w", m.product, err)
	}
	return nil
}

// note keeps the status and says so when it changed.
func (m *Mind) note(c *topology.Picture, v topology.Verdict, waiting string) {
	would := ""
	if may, why := c.Chain.MayAct(c.Now); !may && v.Action != topology.None && v.Action != topology.Alert && v.Action != topology.Wait {
		would = fmt.Sprintf("would %s, but %s", v.Action, why)
	} else if m.braked != "" {
		would = fmt.Sprintf("would %s, but %s", v.Action, m.braked)
	}
	was := m.Status()
	m.status.Store(&Status{Verdict: v, Would: would, Waiting: waiting, At: c.Now})
	if was.Verdict.Rule != v.Rule || was.Verdict.Server != v.Server || was.Would != would {
		m.event("chain judged", v.Action != topology.None, "rule", v.Rule, "action", v.Action, "server", v.Server, "why", v.Why, "would", would)
	}
}

func (m *Mind) event(phrase string, warn bool, fields ...any) {
	var kept []any
	for i := 0; i+1 < len(fields); i += 2 {
		if fields[i+1] != "" {
			kept = append(kept, fields[i], fields[i+1])
		}
	}
	m.say(Event{Phrase: phrase, Fields: append([]any{"product", m.product}, kept...), Warn: warn})
}

func restKey(v topology.Verdict) string { return v.Rule + "/" + v.Server }
