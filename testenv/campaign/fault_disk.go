package campaign

import (
	"context"
	"time"

	"github.com/failoverd/failoverd/internal/topology"
	"github.com/failoverd/failoverd/testenv"
)

// slowSync is how long a slow disk lets a sync wait.
const slowSync = 300 * time.Millisecond

// diskFaults fill disks up, slow them down and make them stand still.
func diskFaults() []Fault {
	disks := Needs{Disks: true}
	// mysqld that found its disk full looks again after a minute ("How MySQL Handles a Full Disk").
	const looksAgain = 75 * time.Second
	onSeat := func(seat topology.Seat, do func(*testenv.Disk) error) func(context.Context, *Scene) error {
		return func(_ context.Context, s *Scene) error { return do(s.Server(seat).Disk) }
	}
	onLeader := func(do func(*testenv.Disk) error) func(context.Context, *Scene) error {
		return func(_ context.Context, s *Scene) error { return do(s.leading().Disk) }
	}
	fill := func(d *testenv.Disk) error { return d.Fill() }
	stall := func(d *testenv.Disk) error { return d.Freeze() }
	slow := func(d *testenv.Disk) error { d.Slow(slowSync); return nil }
	return []Fault{
		{Name: "disk-full-master", What: "the master's disk is full for 20 s", Promotions: one, Hold: 20 * time.Second, Needs: disks, Patience: 2 * looksAgain, Returning: looksAgain, Begin: onSeat(topology.Master, fill)},
		{Name: "disk-full-candidate", What: "the candidate's disk is full for 20 s", Promotions: none, MasterToo: true, Hold: 20 * time.Second, Needs: disks, Patience: 2 * looksAgain, Returning: looksAgain, Begin: onSeat(topology.Candidate, fill)},
		{Name: "disk-full-leader", What: "the leading watcher's disk is full for 15 s", Promotions: none, Hold: 15 * time.Second, Needs: disks, Begin: onLeader(fill)},
		{Name: "disk-stalled-master", What: "nothing can be written to the master's disk for 20 s", Promotions: one, Hold: 20 * time.Second, Needs: disks, Begin: onSeat(topology.Master, stall)},
		{Name: "disk-stalled-candidate", What: "nothing can be written to the candidate's disk for 20 s", Promotions: none, MasterToo: true, Hold: 20 * time.Second, Needs: disks, Begin: onSeat(topology.Candidate, stall)},
		{Name: "disk-stalled-leader", What: "nothing can be written to the leading watcher's disk for 15 s", Promotions: none, Hold: 15 * time.Second, Needs: disks, Begin: onLeader(stall)},
		{Name: "disk-stalled-leader-kill-master", What: "nothing can be written to the leading watcher's disk, then the master is killed", Promotions: one, Awaits: true,
			Hold: 2 * time.Second, Needs: disks, Begin: func(_ context.Context, s *Scene) error {
				if err := stall(s.leading().Disk); err != nil {
					return err
				}
				s.kill(s.master())
				return nil
			}},
		{Name: "disk-slow-master", What: "each sync of the master's disk takes up to 300 ms", Promotions: none, Hold: 15 * time.Second, Needs: disks, Begin: onSeat(topology.Master, slow)},
		{Name: "disk-slow-candidate", What: "each sync of the candidate's disk takes up to 300 ms", Promotions: none, Hold: 15 * time.Second, Needs: disks, Begin: onSeat(topology.Candidate, slow)},
		{Name: "disk-slow-leader", What: "each sync of the leading watcher's disk takes up to 300 ms", Promotions: none, Hold: 15 * time.Second, Needs: disks, Begin: onLeader(slow)},
	}
}
