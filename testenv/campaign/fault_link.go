package campaign

import (
	"context"
	"errors"
	"time"

	"github.com/failoverd/failoverd/internal/topology"
)

// linkFaults cut servers off from each other, and watchers from servers. Proxies suffice for them.
func linkFaults() []Fault {
	links := Needs{Links: true}
	return []Fault{
		{Name: "cut-watchers-master", What: "no watcher reaches the master, its replicas and clients do", Promotions: none, Hold: 15 * time.Second, Needs: links,
			Begin: func(_ context.Context, s *Scene) error {
				var failed error
				for _, w := range s.watcherNames() {
					failed = errors.Join(failed, s.Chain.Cut(w, s.master().Name))
				}
				return failed
			}},
		{Name: "cut-leader-master", What: "the leading watcher does not reach the master, the others do", Promotions: none, Hold: 10 * time.Second, Needs: links,
			Begin: func(_ context.Context, s *Scene) error { return s.Chain.Cut(s.leader, s.master().Name) }},
		{Name: "cut-leader-master-one-way", What: "the leading watcher hears the master no longer, though the master hears it", Promotions: none, Hold: 10 * time.Second, Needs: links,
			Begin: func(_ context.Context, s *Scene) error { return s.Chain.CutOneWay(s.master().Name, s.leader) }},
		{Name: "cut-master-candidate", What: "master and candidate do not reach each other, both are seen by all watchers", Promotions: none, Hold: 15 * time.Second, Needs: links,
			Begin: cutSeats(topology.Master, topology.Candidate)},
		{Name: "cut-master-candidate-one-way", What: "the candidate hears nothing of the master, though the master hears it", Promotions: none, Hold: 15 * time.Second, Needs: links,
			Begin: func(_ context.Context, s *Scene) error {
				return s.Chain.CutOneWay(s.master().Name, s.candidate().Name)
			}},
		{Name: "cut-acks-one-way", What: "the candidate's acknowledgements do not reach the master, though it receives all", Promotions: none, Hold: 15 * time.Second, Needs: links,
			Begin: func(_ context.Context, s *Scene) error {
				return s.Chain.CutOneWay(s.candidate().Name, s.master().Name)
			}},
		{Name: "cut-candidate-slave", What: "candidate and slave do not reach each other", Promotions: none, Hold: 10 * time.Second, Needs: links,
			Begin: cutSeats(topology.Candidate, topology.Slave)},
		{Name: "cut-master-dump", What: "master and dump slave do not reach each other", Promotions: none, Hold: 10 * time.Second, Needs: links,
			Begin: cutSeats(topology.Master, topology.Dump)},
	}
}

func cutSeats(a, b topology.Seat) func(context.Context, *Scene) error {
	return func(_ context.Context, s *Scene) error { return s.Chain.Cut(s.Server(a).Name, s.Server(b).Name) }
}
