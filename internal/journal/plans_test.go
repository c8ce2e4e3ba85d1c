package journal

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/failoverd/failoverd/internal/promote"
	"github.com/failoverd/failoverd/internal/topology"
)

const uuidA = "0a000000-0000-4000-8000-00000000000a"

// noteless is the note of a step that found nothing to say.
var noteless promote.Note

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// log applies commands in turn, each through its wire format.
type log struct {
	*testing.T
	*State
	index uint64
}

func newLog(t *testing.T) *log {
	l := &log{T: t, State: New()}
	l.do(Command{Actor: "ann", Inventory: &Inventory{Chains: []topology.Chain{inventory()}}})
	l.do(Command{Actor: "ann", Mode: &SetMode{Product: "shop", Mode: topology.Auto}})
	return l
}

func inventory() topology.Chain {
	c := topology.Chain{Product: "shop", Policy: topology.DefaultPolicy()}
	for i, seat := range []topology.Seat{topology.Master, topology.Candidate, topology.Slave, topology.Dump} {
		c.Servers = append(c.Servers, topology.Server{Name: string(rune('a' + i)), Host: "10.0.0.1", Port: 3306 + i, Seat: seat})
	}
	return c
}

func (l *log) try(c Command) error {
	l.index++
	c.At = noon.Add(time.Duration(l.index) * time.Second)
	return l.Apply(l.index, c.Encode())
}

func (l *log) do(c Command) {
	l.Helper()
	require.NoError(l, l.try(c))
}

// stale requires that a command is refused and changes nothing.
func (l *log) stale(c Command) {
	l.Helper()
	before, err := l.Encode()
	require.NoError(l, err)
	require.ErrorIs(l, l.try(c), ErrStale)
	after, err := l.Encode()
	require.NoError(l, err)
	require.Equal(l, string(before), string(after), "a refused command changes nothing")
}

func (l *log) chain() topology.Chain { return l.Products["shop"].Chain }

func (l *log) done(plan uint64, index int, note promote.Note) Command {
	return Command{Done: &Done{Product: "shop", Plan: plan, Index: index, Note: note}}
}

// failover is a short plan with all that matters to the journal.
func failover(c topology.Chain) *promote.Plan {
	after := c.Promoted("b", topology.Out, "was the master of epoch 1 when that failed")
	after.Ackers = []string{"c"}
	after.Last = &topology.Promotion{Epoch: 2, Kind: "failover", From: "a", To: "b"}
	return &promote.Plan{Product: "shop", Kind: promote.Failover, Epoch: 2, From: "a", Target: "b", Why: "a is dead", After: &after, Commit: 2,
		Steps: []promote.Step{{Goal: promote.Revoked, Server: "b"}, {Goal: promote.Fed, Server: "b"}, {Goal: promote.Writable, Server: "b"}, {Goal: promote.Published}}}
}

func switchover(c topology.Chain) *promote.Plan {
	p := failover(c)
	p.Kind, p.Steps[0], p.Undo = promote.Switchover, promote.Step{Goal: promote.Closed, Server: "a"}, []promote.Step{{Goal: promote.Writable, Server: "a"}}
	return p
}

func TestPromotion(t *testing.T) {
	l := newLog(t)
	l.do(Command{Actor: "failoverd", Accept: failover(l.chain())})
	l.stale(Command{Accept: failover(l.chain())})
	l.stale(l.done(1, 1, promote.Note{}))
	l.stale(l.done(2, 0, promote.Note{}))
	l.do(l.done(1, 0, promote.Note{}))
	l.stale(l.done(1, 0, promote.Note{}))
	held := topology.MustGTIDSet(uuidA + ":1-9")
	l.do(l.done(1, 1, promote.Note{HighWater: held}))
	assert.Equal(t, uint64(1), l.chain().Epoch)
	assert.True(t, l.chain().HighWater.Empty(), "only a promotion raises it to what the target was proved to hold")

	l.stale(Command{Abort: &End{Product: "shop", Plan: 1}})
	l.do(l.done(1, 2, promote.Note{}))
	assert.Equal(t, uint64(2), l.chain().Epoch)
	assert.Equal(t, "b", l.chain().Master())
	assert.Equal(t, []string{"c"}, l.chain().Ackers)
	assert.Equal(t, held.String(), l.chain().HighWater.String())
	require.NotNil(t, l.chain().Last)
	assert.Equal(t, noon.Add(time.Duration(l.index)*time.Second), l.chain().Last.At)
	a, _ := l.chain().Server("a")
	assert.Equal(t, topology.Out, a.Standing)
	require.NotNil(t, l.Products["shop"].Open, "the plan has a step left")

	l.do(l.done(1, 3, promote.Note{}))
	assert.Nil(t, l.Products["shop"].Open)
	last := l.History[len(l.History)-1]
	assert.Equal(t, "done", last.Outcome)
	assert.Len(t, last.Phases, 4)
	assert.True(t, last.Phases[1].HighWater.Empty(), "the history is for people")
	l.stale(Command{Accept: failover(inventory())})
}

func TestPlanForAnotherEpochIsRefused(t *testing.T) {
	l := newLog(t)
	for _, epoch := range []uint64{0, 1, 3} {
		p := failover(l.chain())
		p.Epoch = epoch
		l.stale(Command{Accept: p})
	}
	repair := &promote.Plan{Product: "shop", Kind: promote.Mend, Epoch: 2, Steps: []promote.Step{{Goal: promote.Published}}, Commit: 1}
	l.stale(Command{Accept: repair})
}

func TestMalformedPlanIsRefused(t *testing.T) {
	l := newLog(t)
	for name, spoil := range map[string]func(*promote.Plan){
		"no steps":          func(p *promote.Plan) { p.Steps = nil },
		"commits too late":  func(p *promote.Plan) { p.Commit = 4 },
		"nothing after it":  func(p *promote.Plan) { p.After = nil },
		"of nobody's chain": func(p *promote.Plan) { p.Product = "x" },
	} {
		p := failover(l.chain())
		spoil(p)
		require.Error(t, l.try(Command{Accept: p}), name)
		assert.Nil(t, l.Products["shop"].Open, name)
	}
}

func TestAbortTakesASwitchoverBack(t *testing.T) {
	l := newLog(t)
	l.do(Command{Accept: switchover(l.chain())})
	l.do(l.done(1, 0, promote.Note{HighWater: topology.MustGTIDSet(uuidA + ":1-9")}))
	l.do(Command{Abort: &End{Product: "shop", Plan: 1, Why: "b is slow"}})
	open := l.Products["shop"].Open
	require.NotNil(t, open)
	assert.True(t, open.Undoing)
	assert.False(t, open.MayHaveOpened())
	l.stale(Command{Abort: &End{Product: "shop", Plan: 1}})
	l.stale(l.done(1, 1, promote.Note{}))
	l.do(Command{Done: &Done{Product: "shop", Plan: 1, Index: 0, Undoing: true}})
	assert.Nil(t, l.Products["shop"].Open)
	assert.Equal(t, uint64(1), l.chain().Epoch, "opening the old master again promotes nobody")
	assert.Equal(t, "a", l.chain().Master())
	assert.True(t, l.chain().HighWater.Empty())
}

// TestAbortOutright: a person's failover, or the old master's death, ends a
// switchover wherever it is before its point of no return.
func TestAbortOutright(t *testing.T) {
	for _, undoing := range []bool{false, true} {
		l := newLog(t)
		l.do(Command{Accept: switchover(l.chain())})
		l.do(l.done(1, 0, noteless))
		if undoing {
			l.do(Command{Abort: &End{Product: "shop", Plan: 1, Why: "b is slow"}})
		}
		l.do(Command{Abort: &End{Product: "shop", Plan: 1, Why: "overridden by ann", Outright: true}})
		assert.Nil(t, l.Products["shop"].Open)
		assert.Equal(t, "given up: overridden by ann", l.History[len(l.History)-1].Outcome)
		assert.Equal(t, uint64(1), l.chain().Epoch)
	}
	l := newLog(t)
	p := switchover(l.chain())
	l.do(Command{Accept: p})
	for i := range p.Commit {
		l.do(l.done(1, i, noteless))
	}
	l.stale(Command{Abort: &End{Product: "shop", Plan: 1, Outright: true}})
}

func TestTheHistoryHasWhatAPersonAnsweredFor(t *testing.T) {
	l := newLog(t)
	until := noon.Add(time.Hour)
	l.do(Command{Actor: "ann", Pause: &SetPause{Product: "shop", Pause: &topology.Pause{Actor: "ann", Reason: "kernel", Until: until}}})
	assert.Equal(t, until, l.History[len(l.History)-1].Until)
	plan := failover(l.chain())
	plan.Actor, plan.Loss = "ann", &promote.Loss{Known: topology.MustGTIDSet(uuidA + ":7-9"), Absent: []string{"b"}}
	l.do(Command{Accept: plan})
	for i := range plan.Steps {
		l.do(l.done(1, i, noteless))
	}
	last := l.History[len(l.History)-1]
	assert.Equal(t, "ann", last.Actor)
	assert.Equal(t, plan.Loss, last.Loss)
}

func TestAbortWithoutUndoEndsThePlan(t *testing.T) {
	l := newLog(t)
	l.do(Command{Accept: failover(l.chain())})
	l.do(Command{Abort: &End{Product: "shop", Plan: 1, Why: "a is back"}})
	assert.Nil(t, l.Products["shop"].Open)
	assert.Equal(t, "given up: a is back", l.History[len(l.History)-1].Outcome)
}

func TestSupersede(t *testing.T) {
	l := newLog(t)
	l.do(Command{Accept: failover(l.chain())})
	l.stale(Command{Supersede: &End{Product: "shop", Plan: 1}})
	held := topology.MustGTIDSet(uuidA + ":1-9")
	l.do(l.done(1, 0, promote.Note{}))
	l.do(l.done(1, 1, promote.Note{HighWater: held}))
	l.do(Command{Supersede: &End{Product: "shop", Plan: 1, Why: "b died"}})
	assert.Equal(t, uint64(2), l.chain().Epoch, "it may have happened, so it has")
	assert.Equal(t, "b", l.chain().Master())
	assert.Equal(t, held.String(), l.chain().HighWater.String())
	assert.Nil(t, l.Products["shop"].Open)
}

func TestStepsThatAreOnlyRecorded(t *testing.T) {
	l := newLog(t)
	plan := &promote.Plan{Product: "shop", Kind: promote.Quarantine, Epoch: 1, Commit: 3, Steps: []promote.Step{
		{Goal: promote.Ackers, Others: []string{"b", "d"}},
		{Goal: promote.Standing, Server: "c", Standing: topology.Quarantined, Why: "errant"},
		{Goal: promote.Standing, Server: "d", Standing: topology.Quarantined, Lenient: true},
	}}
	l.do(Command{Accept: plan})
	l.do(l.done(1, 0, promote.Note{}))
	l.do(l.done(1, 1, promote.Note{}))
	l.do(l.done(1, 2, promote.Note{Failed: true}))
	assert.Equal(t, []string{"b", "d"}, l.chain().Ackers)
	c, _ := l.chain().Server("c")
	assert.Equal(t, topology.Quarantined, c.Standing)
	assert.Equal(t, "errant", c.Why)
	d, _ := l.chain().Server("d")
	assert.Equal(t, topology.In, d.Standing, "a step that failed changed nothing")
}
