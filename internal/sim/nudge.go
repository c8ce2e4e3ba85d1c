package sim

import (
	"context"

	"github.com/failoverd/failoverd/internal/topology"
)

// Burn implements promote.Server.
func (c *control) Burn(ctx context.Context, set topology.GTIDSet) error {
	want := vecOf(set)
	return c.change(ctx, "burn", func(r *request) {
		if c.s.disk.stuck || c.s.offline {
			return
		}
		for origin, last := range want {
			for c.s.logged[origin] < last {
				c.s.log(txn{origin: int8(origin), n: c.s.logged[origin] + 1}, &write{over: true})
			}
		}
		c.s.waitExecuted(want, controlTimeout/2, r.reply)
	})
}

// Nudge implements promote.Server.
func (c *control) Nudge(ctx context.Context) error {
	return c.change(ctx, "nudge", func(r *request) {
		if c.s.disk.stuck {
			return
		}
		if !c.s.closed && !c.s.offline {
			t := txn{origin: int8(c.s.id), n: c.s.logged[c.s.id] + 1}
			c.s.w.given(c.s, t)
			c.s.log(t, &write{over: true})
			c.s.waitExecuted(c.s.logged, controlTimeout/2, r.reply)
			return
		}
		r.reply(nil)
	})
}
