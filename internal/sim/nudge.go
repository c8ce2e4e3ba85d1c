package sim

import "context"

// Nudge implements promote.Server. It does not wait for the acknowledgement:
// whether that comes shows in the commits before it.
func (c *control) Nudge(ctx context.Context) error {
	return c.change(ctx, "nudge", func(r *request) {
		if c.s.disk.stuck {
			return
		}
		if !c.s.closed && !c.s.offline {
			t := txn{origin: int8(c.s.id), n: c.s.logged[c.s.id] + 1}
			c.s.w.given(c.s, t)
			c.s.log(t, &write{over: true})
		}
		r.reply(nil)
	})
}
