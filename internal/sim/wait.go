package sim

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/failoverd/failoverd/internal/promote"
	"github.com/failoverd/failoverd/internal/topology"
)

// waitSlice is how long one query waits before the server is asked again.
const waitSlice = 500 * time.Millisecond

// WaitExecuted implements promote.Server.
func (c *control) WaitExecuted(ctx context.Context, set topology.GTIDSet, atMost time.Duration) error {
	if set.Empty() {
		return nil
	}
	want, deadline := vecOf(set), c.now()+atMost
	for first := true; ; first = false {
		slice := min(deadline-c.now(), waitSlice)
		if !first && slice <= 0 {
			return fmt.Errorf("wait executed: within %s: %w", atMost, promote.ErrNotYet)
		}
		done := false
		err := c.call(ctx, "wait executed", max(slice, 0)+lookTimeout, func(r *request) {
			c.s.waitExecuted(want, slice, func(err error) {
				done = err == nil
				switch {
				case done:
					r.reply(nil)
				case c.s.link != nil && c.s.link.sqlErr != "":
					r.reply(errors.New("the applier stopped with " + c.s.link.sqlErr))
				default:
					r.reply(nil)
				}
			})
		})
		if err != nil || done {
			return err
		}
	}
}

func (s *server) waitExecuted(want vec, atMost time.Duration, done func(error)) {
	switch {
	case s.executed.contains(want):
		done(nil)
	case atMost <= 0:
		done(promote.ErrNotYet)
	default:
		over := false
		wait := &executedWait{set: want}
		wait.done = func(err error) {
			if !over {
				over = true
				done(err)
			}
		}
		s.waits = append(s.waits, wait)
		s.w.serverAfter(s, atMost, func() {
			for i, other := range s.waits {
				if other == wait {
					s.waits = append(s.waits[:i:i], s.waits[i+1:]...)
					break
				}
			}
			wait.done(promote.ErrNotYet)
		})
	}
}
