package sim

import (
	"context"
	"errors"
)

// wakesEvents marks the transaction that enables the scheduled events. Where it
// arrives by replication they are asleep.
const wakesEvents = -1

// events is how many scheduled events there are.
const events = 2

// WakeEvents implements promote.Server.
func (c *control) WakeEvents(ctx context.Context, _ []string) (woken int, err error) {
	err = c.change(ctx, "wake events", func(r *request) {
		s := c.s
		switch {
		case s.awake:
			r.reply(nil)
		case s.closed:
			r.reply(errors.New("error 1290: the server is read-only"))
		case s.disk.stuck:
		default:
			woken = events
			t := txn{origin: int8(s.id), n: s.logged[s.id] + 1, write: wakesEvents}
			s.w.given(s, t)
			s.log(t, &write{w: s.w, t: t, server: s, told: func(o Outcome) {
				if o == Acked {
					r.reply(nil)
				}
			}})
		}
	})
	return woken, err
}
