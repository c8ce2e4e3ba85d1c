package sim

import (
	"time"

	"github.com/failoverd/failoverd/internal/journal"
	"github.com/failoverd/failoverd/internal/promote"
	"github.com/failoverd/failoverd/internal/topology"
	"github.com/failoverd/failoverd/internal/watcher"
)

// operate asks the leader for something, as an operator does.
func (w *World) operate(what string, ask func(topology.Case) (*promote.Plan, error)) {
	x := w.raft.leader
	if x == nil || x.term == nil || x.mind == nil || x.paused {
		return
	}
	p, _ := x.Product(Product)
	if p.Open != nil {
		return
	}
	plan, err := ask(watcher.Gather(x.term, x, p, false))
	if err != nil {
		w.say("%s refused: %v", what, err)
		return
	}
	w.raft.propose(&proposal{x, x.termNo, journal.Command{At: x.Now(), Actor: "operator", Accept: plan}, func(error) { x.wakeMind() }})
}

func (w *World) switchover() {
	w.operate("switchover", func(c topology.Case) (*promote.Plan, error) { return promote.ForSwitchover(c, "", "operator", "test") })
}

func (w *World) raise() {
	w.operate("raise", func(c topology.Case) (*promote.Plan, error) {
		slave, _ := c.Chain.At(topology.Slave)
		return promote.ForRaise(c, slave.Name, "operator", "test")
	})
}

// maintain takes a server out of rotation, for a while or until it is brought back.
func (w *World) maintain(s *server) {
	w.operate("maintenance", func(c topology.Case) (*promote.Plan, error) {
		var until time.Time
		if w.chance(2) {
			until = c.Now.Add(w.between(time.Second, 20*time.Second))
		}
		return promote.ForMaintenance(c, s.info.Name, "operator", "test", until)
	})
}

// bringBack ends the maintenance of whatever is in it.
func (w *World) bringBack() {
	for _, s := range w.product().Chain.Servers {
		if s.Standing == topology.Maintenance {
			w.operate("return", func(c topology.Case) (*promote.Plan, error) { return promote.ForReturn(c, s.Name, "operator", "test") })
			return
		}
	}
}

// failOver asks for a failover that loses nothing.
func (w *World) failOver() {
	w.operate("failover", func(c topology.Case) (*promote.Plan, error) {
		return promote.ForFailover(c, "", "operator", "test", false)
	})
}

// rebuild asks for the rebuild of something that is in quarantine and answers.
func (w *World) rebuild() {
	var names []string
	for _, s := range w.product().Chain.Servers {
		if s.Standing == topology.Quarantined && w.byName(s.Name).up() {
			names = append(names, s.Name)
		}
	}
	if len(names) == 0 {
		return
	}
	name := names[w.rng.IntN(len(names))]
	w.operate("rebuild", func(c topology.Case) (*promote.Plan, error) {
		return promote.ForRebuild(c, name, "", "operator", "test")
	})
}

// askAnything is one of the things that operators ask for.
func (w *World) askAnything() {
	switch w.rng.IntN(6) {
	case 0, 1:
		w.switchover()
	case 2:
		w.raise()
	case 3:
		w.maintain(w.servers[w.rng.IntN(len(w.servers))])
	case 4:
		w.failOver()
	case 5:
		w.rebuild()
	}
}
