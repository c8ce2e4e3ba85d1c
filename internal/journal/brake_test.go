package journal

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/failoverd/failoverd/internal/promote"
	"github.com/failoverd/failoverd/internal/topology"
)

// fleet is a journal with products p00, p01, … in mode auto.
type fleet struct {
	*log
	now time.Time
}

func newFleet(t *testing.T, products int) *fleet {
	f := &fleet{log: &log{T: t, State: New()}, now: noon}
	for i := range products {
		c := inventory()
		c.Product = fleetName(i)
		require.NoError(t, f.command(Command{Actor: "ann", Inventory: &Inventory{Chains: []topology.Chain{c}}}))
	}
	return f
}

func fleetName(i int) string { return fmt.Sprintf("p%02d", i) }

func (f *fleet) command(c Command) error {
	f.index++
	c.At = f.now
	return f.Apply(f.index, c.Encode())
}

// fail asks for the failover of product i that a rule wants.
func (f *fleet) fail(i int, rule string) error {
	p := f.Products[fleetName(i)]
	plan := failover(p.Chain)
	plan.Product, plan.Rule, plan.Epoch = p.Chain.Product, rule, p.Chain.Epoch+1
	plan.After.Product, plan.After.Epoch, plan.After.Last.Epoch = p.Chain.Product, plan.Epoch, plan.Epoch
	return f.command(Command{Actor: "failoverd", Accept: plan})
}

// finish runs the open plan of product i to its end.
func (f *fleet) finish(i int) {
	f.Helper()
	for f.Products[fleetName(i)].Open != nil {
		open := f.Products[fleetName(i)].Open
		require.NoError(f, f.command(Command{Done: &Done{Product: fleetName(i), Plan: open.Plan.ID, Index: open.Next}}))
	}
}

func TestAtMostAFifthFailsOverAtOnceAndTwoAtLeast(t *testing.T) {
	for products, most := range map[int]int{1: 1, 2: 2, 3: 2, 9: 2, 14: 2, 15: 3, 50: 10} {
		t.Run(fmt.Sprintf("%d of %d", most, products), func(t *testing.T) {
			f := newFleet(t, products)
			accepted := 0
			for i := range products {
				before, _ := f.Encode()
				err := f.fail(i, "master-dead")
				if err == nil {
					accepted++
					continue
				}
				require.ErrorIs(t, err, ErrBraked)
				assert.Contains(t, err.Error(), "failoverd brake off --for 10m --reason TEXT", "what to do about it, in full")
				assert.Contains(t, err.Error(), "failoverd failover "+fleetName(i))
				after, _ := f.Encode()
				assert.Equal(t, string(before), string(after), "a refused failover changes nothing")
			}
			assert.Equal(t, most, accepted)
		})
	}
}

func TestAFailoverCountsForTenMinutes(t *testing.T) {
	f := newFleet(t, 3)
	for i := range 2 {
		require.NoError(t, f.fail(i, "master-dead"))
		failed, _ := f.FailedLately(f.now)
		assert.Len(t, failed, i+1, "an open failover counts")
		f.finish(i)
	}
	f.now = noon.Add(brakeWindow - time.Second)
	require.ErrorIs(t, f.fail(2, "master-dead"), ErrBraked, "one that is finished counts too")
	f.now = noon.Add(brakeWindow)
	failed, most := f.FailedLately(f.now)
	assert.Empty(t, failed)
	assert.Equal(t, 2, most)
	assert.NoError(t, f.fail(2, "master-dead"))
}

func TestAClockThatWentBackDoesNotReleaseTheBrake(t *testing.T) {
	f := newFleet(t, 3)
	for i := range 2 {
		require.NoError(t, f.fail(i, "master-dead"))
		f.finish(i)
	}
	f.now = noon.Add(-time.Minute) // another leader's clock
	assert.ErrorIs(t, f.fail(2, "master-dead"), ErrBraked)
}

func TestAProductDoesNotBrakeItself(t *testing.T) {
	f := newFleet(t, 3)
	for i := range 2 {
		require.NoError(t, f.fail(i, "master-dead"))
		f.finish(i)
	}
	assert.NoError(t, f.fail(1, "master-dead"), "its new master died: one other product failed, not two")
	f.finish(1)
	failed, _ := f.FailedLately(f.now)
	assert.Equal(t, []string{"p00", "p01"}, failed, "and it counts once")
}

func TestTheBrakeIsForAutomaticFailoversOnly(t *testing.T) {
	f := newFleet(t, 5)
	require.NoError(t, f.command(Command{Actor: "ann", Brake: &Brake{Mode: BrakeOn, Reason: "core switch"}}))
	err := f.fail(0, "master-dead")
	require.ErrorIs(t, err, ErrBraked)
	assert.Contains(t, err.Error(), "ann put it on (core switch)")
	assert.NoError(t, f.fail(1, "operator"), "a person's failover is not braked")

	handover := switchover(f.Products["p02"].Chain)
	handover.Product, handover.After.Product = "p02", "p02"
	assert.NoError(t, f.command(Command{Accept: handover}), "nor is a switchover")
	repair := &promote.Plan{Product: "p03", Kind: promote.Publish, Epoch: 1, Commit: 1, Steps: []promote.Step{{Goal: promote.Published}}}
	assert.NoError(t, f.command(Command{Accept: repair}), "nor is a repair")
}

func TestSwitchoversDoNotBrake(t *testing.T) {
	f := newFleet(t, 4)
	for i := range 3 {
		plan := switchover(f.Products[fleetName(i)].Chain)
		plan.Product, plan.After.Product = fleetName(i), fleetName(i)
		plan.After.Last = &topology.Promotion{Epoch: 2, Kind: string(promote.Switchover), From: "a", To: "b"}
		require.NoError(t, f.command(Command{Accept: plan}))
		f.finish(i)
	}
	failed, _ := f.FailedLately(f.now)
	assert.Empty(t, failed)
	assert.NoError(t, f.fail(3, "master-dead"))
}

func TestABrakeThatIsOffHoldsNothingUntilItsTimeIsOver(t *testing.T) {
	f := newFleet(t, 6)
	until := noon.Add(10 * time.Minute)
	require.NoError(t, f.command(Command{Actor: "ann", Brake: &Brake{Mode: BrakeOff, Reason: "power is back", Until: until}}))
	for i := range 4 {
		require.NoError(t, f.fail(i, "master-dead"))
	}
	f.now = until.Add(-time.Second)
	assert.Equal(t, BrakeOff, f.BrakeAt(f.now))
	require.NoError(t, f.fail(4, "master-dead"))
	f.now = until
	assert.Equal(t, BrakeWatch, f.BrakeAt(f.now), "its time is over")
	assert.ErrorIs(t, f.fail(5, "master-dead"), ErrBraked)
	last := f.History[len(f.History)-1]
	assert.Equal(t, "brake off", last.What)
	assert.Equal(t, "ann", last.Actor)
	assert.Equal(t, "power is back", last.Why)
	assert.Equal(t, until, last.Until)
	assert.Empty(t, last.Product)
}

func TestTheBrakeIsSetByItsThreeNamesOnly(t *testing.T) {
	f := newFleet(t, 1)
	entries := len(f.History)
	require.Error(t, f.command(Command{Brake: &Brake{Mode: "maybe"}}))
	assert.Len(t, f.History, entries)
	require.NoError(t, f.command(Command{Actor: "ann", Brake: &Brake{Mode: BrakeOn, Actor: "somebody else"}}))
	assert.Equal(t, "ann", f.Brake.Actor, "who proposes it is who did it")
	require.NoError(t, f.command(Command{Actor: "bob", Brake: &Brake{Mode: BrakeWatch}}))
	assert.Nil(t, f.Brake)
	assert.Equal(t, BrakeWatch, f.BrakeAt(f.now))
	assert.Equal(t, "brake watch", f.History[len(f.History)-1].What)
}

func TestASkippedFailoverIsInTheHistory(t *testing.T) {
	f := newFleet(t, 1)
	skip := Skipped{Product: "p00", Action: topology.Failover, Rule: "master-dead", Why: "a is dead", Because: "the global brake holds"}
	require.NoError(t, f.command(Command{Actor: "failoverd", Skipped: &skip}))
	last := f.History[len(f.History)-1]
	assert.Equal(t, "failover", last.What)
	assert.Equal(t, "skipped: the global brake holds", last.Outcome)
	assert.Equal(t, "a is dead", last.Why)
	assert.Zero(t, last.Plan)
	skip.Product = "gone"
	require.Error(t, f.command(Command{Skipped: &skip}))
}

func TestTheBrakeIsInSnapshots(t *testing.T) {
	f := newFleet(t, 1)
	require.NoError(t, f.command(Command{Actor: "ann", Brake: &Brake{Mode: BrakeOn, Reason: "x"}}))
	data, err := f.Encode()
	require.NoError(t, err)
	restored, err := Decode(data)
	require.NoError(t, err)
	assert.Equal(t, BrakeOn, restored.BrakeAt(noon))
	assert.True(t, errors.Is(restored.braked(promote.Plan{Product: "p00", Kind: promote.Failover}, noon), ErrBraked))
}
