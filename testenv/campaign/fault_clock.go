package campaign

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// clockSkew is how wrong a clock is.
const clockSkew = time.Hour

// clockFaults let the leading watcher's clock be wrong.
func clockFaults() []Fault {
	clocks := Needs{Clocks: true}
	return []Fault{
		{Name: "clock-ahead", What: "the clock of the leading watcher is an hour ahead, then the master is killed", Promotions: one, Awaits: true, Hold: 2 * time.Second,
			Needs: clocks, Workloads: []Workload{Writes, Idle}, Begin: skewLeader(clockSkew)},
		{Name: "clock-behind", What: "the clock of the leading watcher is an hour behind, then the master is killed", Promotions: one, Awaits: true, Hold: 2 * time.Second,
			Needs: clocks, Workloads: []Workload{Writes, Idle}, Begin: skewLeader(-clockSkew)},
	}
}

// skewLeader restarts a watcher with a wrong clock and makes it the leader.
func skewLeader(skew time.Duration) func(context.Context, *Scene) error {
	return func(ctx context.Context, s *Scene) error {
		program, err := skewedBinary(ctx)
		if err != nil {
			return err
		}
		w := s.following()[0]
		right := w.Path()
		w.Kill()
		w.Become(program, fmt.Sprintf("%s=%d", skewVariable, int64(skew.Seconds())))
		s.afterwards(func(context.Context) error {
			w.Kill()
			w.Become(right)
			return w.Start()
		})
		if err := w.Start(); err != nil {
			return err
		}
		if err := poll(ctx, 30*time.Second, func(ctx context.Context) error {
			if leader := s.Leader(ctx); leader == w {
				return nil
			}
			return errors.Join(fmt.Errorf("%s does not lead", w.Name), s.Client.Transfer(ctx, w.Name))
		}); err != nil {
			return err
		}
		if err := pause(ctx, 3*time.Second); err != nil {
			return err
		}
		s.kill(s.master())
		return nil
	}
}
