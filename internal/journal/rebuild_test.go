package journal

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/failoverd/failoverd/internal/promote"
	"github.com/failoverd/failoverd/internal/topology"
)

// repair accepts a plan of these steps.
func (l *log) repair(kind promote.Kind, steps ...promote.Step) uint64 {
	l.Helper()
	l.do(Command{Actor: "failoverd", Accept: &promote.Plan{Product: "shop", Kind: kind, Epoch: l.chain().Epoch, Steps: steps, Commit: len(steps)}})
	return l.Plans
}

func (l *log) server(name string) topology.Server {
	s, _ := l.chain().Server(name)
	return s
}

// TestRebuildKeepsWhatMustNotBeGivenAgain: the GTIDs of what a server loses are
// remembered from before its data goes until the master has taken them, and who
// could not be asked in between is doubted.
func TestRebuildKeepsWhatMustNotBeGivenAgain(t *testing.T) {
	errant := topology.MustGTIDSet(uuidA + ":7-9")
	l := newLog(t)
	plan := l.repair(promote.Quarantine, promote.Step{Goal: promote.Standing, Server: "d", Standing: topology.Quarantined, Why: "errant"})
	l.do(l.done(plan, 0, noteless))
	plan = l.repair(promote.Rebuild, promote.Step{Goal: promote.Saved, Server: "d"}, promote.Step{Goal: promote.Standing, Server: "d", Standing: topology.In})
	l.do(l.done(plan, 0, promote.Note{Errant: errant, Clone: "none"}))
	assert.Equal(t, errant.String(), l.chain().Retired.String())
	assert.Equal(t, "none", l.server("d").CloneMark)
	l.do(l.done(plan, 1, noteless))
	assert.Empty(t, l.server("d").CloneMark)
	assert.Equal(t, errant.String(), l.chain().Retired.String(), "in rotation, and not yet to be promoted")

	plan = l.repair(promote.Mend, promote.Step{Goal: promote.Sole, Server: "d"}, promote.Step{Goal: promote.Burned, Server: "a", Source: "d"})
	l.do(l.done(plan, 0, promote.Note{Burned: errant, Absent: []string{"c"}}))
	assert.Equal(t, errant.String(), l.chain().Burning.String())
	assert.Equal(t, errant.String(), l.server("c").Doubt.String())
	assert.True(t, l.server("b").Doubt.Empty())
	l.do(l.done(plan, 1, promote.Note{Burned: errant}))
	assert.True(t, l.chain().Retired.Empty())
	assert.True(t, l.chain().Burning.Empty())

	plan = l.repair(promote.Rejoin, promote.Step{Goal: promote.Standing, Server: "c", Standing: topology.In})
	l.do(l.done(plan, 0, noteless))
	assert.True(t, l.server("c").Doubt.Empty(), "it was proved")
}

// TestACopyFromBeforeADoubtDoesNotEndIt: after its copy the server may have received
// what is doubted, so it is to be copied again.
func TestACopyFromBeforeADoubtDoesNotEndIt(t *testing.T) {
	errant := topology.MustGTIDSet(uuidA + ":7-9")
	l := newLog(t)
	plan := l.repair(promote.Rebuild, promote.Step{Goal: promote.Saved, Server: "d"}, promote.Step{Goal: promote.Cloned, Server: "d"})
	l.do(l.done(plan, 0, promote.Note{Clone: "first"}))
	l.do(Command{Abort: &End{Product: "shop", Plan: plan, Why: "gives way"}})
	copied := topology.Facts{Executed: errant, Clone: &topology.Clone{State: topology.CloneCompleted, Begun: "second"}}
	assert.True(t, l.server("d").Replaced(copied))
	plan = l.repair(promote.Mend, promote.Step{Goal: promote.Sole, Server: "c"}, promote.Step{Goal: promote.Burned, Server: "a", Source: "c"})
	l.do(l.done(plan, 0, promote.Note{Burned: errant, Absent: []string{"d"}}))
	assert.False(t, l.server("d").Replaced(copied))
	assert.Equal(t, errant.String(), l.chain().Errant(l.server("d"), copied, topology.Facts{Executed: errant}).String())
}

func TestAckersAndHowManyOfThem(t *testing.T) {
	l := newLog(t)
	plan := l.repair(promote.Reform, promote.Step{Goal: promote.Ackers, Others: []string{"b", "d"}, Need: 2}, promote.Step{Goal: promote.Ackers, Others: []string{"d"}})
	l.do(l.done(plan, 0, noteless))
	assert.Equal(t, []string{"b", "d"}, l.chain().Ackers)
	assert.Equal(t, 2, l.chain().AcksNeeded())
	assert.Equal(t, 1, l.chain().RevokeNeeded())
	l.do(l.done(plan, 1, noteless))
	assert.Equal(t, 2, l.chain().AcksNeeded(), "a step of an older plan says nothing of W")
}

func TestAMasterIsAttachedUntilItIsDetached(t *testing.T) {
	l := newLog(t)
	l.do(Command{Accept: failover(l.chain())})
	for i := range 4 {
		l.do(l.done(1, i, noteless))
	}
	assert.Equal(t, "b", l.chain().Attached)
	plan := l.repair(promote.Mend, promote.Step{Goal: promote.Detached, Server: "c"}, promote.Step{Goal: promote.Detached, Server: "b"})
	l.do(l.done(plan, 0, noteless))
	assert.Equal(t, "b", l.chain().Attached)
	l.do(l.done(plan, 1, noteless))
	assert.Empty(t, l.chain().Attached)
}

// TestAcceptedLossEndsTheMark: what is lost is no measure for the next master.
func TestAcceptedLossEndsTheMark(t *testing.T) {
	l := newLog(t)
	l.do(Command{HighWater: &HighWater{Product: "shop", Epoch: 1, Set: topology.MustGTIDSet(uuidA + ":1-9")}})
	plan := failover(l.chain())
	plan.Loss = &promote.Loss{Known: topology.MustGTIDSet(uuidA + ":8-9")}
	l.do(Command{Actor: "ann", Accept: plan})
	held := topology.MustGTIDSet(uuidA + ":1-7")
	l.do(l.done(1, 0, noteless))
	l.do(l.done(1, 1, promote.Note{HighWater: held}))
	l.do(l.done(1, 2, noteless))
	assert.Equal(t, held.String(), l.chain().HighWater.String())
}

func TestDisabledEventsAreThoseOfThePresentMaster(t *testing.T) {
	l := newLog(t)
	l.do(Command{Events: &Events{Product: "shop", Epoch: 1, Disabled: []string{"shop.nightly"}}})
	assert.Equal(t, []string{"shop.nightly"}, l.chain().DisabledEvents)
	l.stale(Command{Events: &Events{Product: "shop", Epoch: 2}})
	l.do(Command{Accept: failover(l.chain())})
	l.stale(Command{Events: &Events{Product: "shop", Epoch: 1}})
}
