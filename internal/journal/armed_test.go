package journal

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/failoverd/failoverd/internal/promote"
	"github.com/failoverd/failoverd/internal/topology"
)

// TestWhoMayBeArmedIsRemembered: a promotion that is given up may have armed the
// next acker, and who leaves rotation without having been disarmed may still be armed.
func TestWhoMayBeArmedIsRemembered(t *testing.T) {
	l := newLog(t)
	plan := switchover(l.chain())
	plan.Steps = append([]promote.Step{{Goal: promote.Following, Server: "d"}, {Goal: promote.Armed, Server: "d", Source: "b"}}, plan.Steps...)
	plan.Commit += 2
	l.do(Command{Accept: plan})
	l.do(l.done(1, 0, noteless))
	l.do(Command{Abort: &End{Product: "shop", Plan: 1, Why: "b cannot catch up"}})
	assert.Equal(t, []string{"d"}, l.chain().Armed, "the order may have been given, done or not")
	l.do(Command{Done: &Done{Product: "shop", Plan: 1, Undoing: true}})

	id := l.repair(promote.Quarantine, promote.Step{Goal: promote.Standing, Server: "c", Standing: topology.Quarantined}, promote.Step{Goal: promote.Disarmed, Server: "c"})
	l.do(l.done(id, 0, noteless))
	assert.Equal(t, []string{"d", "c"}, l.chain().Armed)
	l.do(l.done(id, 1, noteless))
	assert.Equal(t, []string{"d"}, l.chain().Armed)

	id = l.repair(promote.Mend, promote.Step{Goal: promote.Following, Server: "d", Source: "a", Lenient: true})
	l.do(l.done(id, 0, promote.Note{Failed: true}))
	assert.Equal(t, []string{"d"}, l.chain().Armed, "it was not reached")
	id = l.repair(promote.Mend, promote.Step{Goal: promote.Following, Server: "d", Source: "a"})
	l.do(l.done(id, 0, noteless))
	assert.Empty(t, l.chain().Armed)

	id = l.repair(promote.Maintain, promote.Step{Goal: promote.Disarmed, Server: "d"}, promote.Step{Goal: promote.Standing, Server: "d", Standing: topology.Maintenance})
	l.do(l.done(id, 0, noteless))
	l.do(l.done(id, 1, noteless))
	assert.Empty(t, l.chain().Armed, "it was disarmed first")
}
