package campaign

import (
	"context"
	"errors"
	"slices"
	"time"
)

// partitionFaults split servers, watchers and clients into groups. S3 is on neither side: everybody reaches it.
func partitionFaults() []Fault {
	partitions := Needs{Partitions: true, Links: true}
	return []Fault{
		{Name: "partition-master-with-clients", What: "the master is cut off from all but its clients", Promotions: one, Awaits: true, Hold: 10 * time.Second, Needs: partitions,
			Begin: func(_ context.Context, s *Scene) error { return s.isolate(s.webs(), s.master().Name) }},
		{Name: "partition-master-watcher-clients", What: "master, one watcher and all clients on one side, the rest on the other", Promotions: one, Awaits: true,
			Hold: 10 * time.Second, Needs: partitions,
			Begin: func(_ context.Context, s *Scene) error {
				return s.isolate(nil, append(s.webs(), s.master().Name, s.following()[0].Name)...)
			}},
		{Name: "partition-master-leader-clients", What: "master, the leading watcher and all clients on one side, the rest on the other", Promotions: one, Awaits: true,
			Hold: 10 * time.Second, Needs: partitions,
			Begin: func(_ context.Context, s *Scene) error {
				return s.isolate(nil, append(s.webs(), s.master().Name, s.leader)...)
			}},
		{Name: "partition-43s", What: "the master is cut off from everybody for 43 s", Promotions: one, Hold: 43 * time.Second, Needs: partitions,
			Begin: func(_ context.Context, s *Scene) error { return s.isolate(nil, s.master().Name) }},
		{Name: "partition-candidate", What: "the candidate is cut off from everybody", Promotions: none, MasterToo: true, Hold: 15 * time.Second, Needs: partitions,
			Begin: func(_ context.Context, s *Scene) error { return s.isolate(nil, s.candidate().Name) }},
		{Name: "partition-leader", What: "the leading watcher is cut off from everybody", Promotions: none, Hold: 15 * time.Second, Needs: partitions,
			Begin: func(_ context.Context, s *Scene) error { return s.isolate(nil, s.leader) }},
		{Name: "partition-watchers", What: "no watcher reaches another, all reach the servers", Promotions: none, Hold: 15 * time.Second, Needs: partitions,
			Begin: func(_ context.Context, s *Scene) error {
				var failed error
				for i, a := range s.watcherNames() {
					for _, b := range s.watcherNames()[:i] {
						failed = errors.Join(failed, s.Chain.Cut(a, b))
					}
				}
				return failed
			}},
	}
}

// everybody are all hosts.
func (s *Scene) everybody() []string {
	out := append(s.watcherNames(), s.webs()...)
	for _, server := range s.Chain.Servers {
		out = append(out, server.Name)
	}
	return out
}

// webs are the hosts of the clients.
func (s *Scene) webs() []string { return slices.Clone(webNames) }

// isolate cuts a group off from everybody else but those spared.
func (s *Scene) isolate(spared []string, group ...string) error {
	var failed error
	for _, inside := range group {
		for _, outside := range s.everybody() {
			if !slices.Contains(group, outside) && !slices.Contains(spared, outside) {
				failed = errors.Join(failed, s.Chain.Cut(inside, outside))
			}
		}
	}
	return failed
}
