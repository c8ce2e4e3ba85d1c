package campaign

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/failoverd/failoverd/testenv/campaign/check"
)

// perRegister is how many operations a register sees before the next one takes its place, so that each history stays
// short enough to be judged.
const perRegister = 100

// register is the row that all users work on at the moment.
type register struct {
	table string

	mu     sync.Mutex
	number int
	used   int
	values int64
	made   bool
}

// turn returns the present register, a value never used before, and whether the register is new and has to be made.
func (r *register) turn() (key string, value int64, first bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.used >= perRegister {
		r.number, r.used, r.made = r.number+1, 0, false
	}
	r.values++
	key = fmt.Sprintf("r%d", r.number)
	if !r.made {
		return key, r.values, true
	}
	r.used++
	return key, r.values, false
}

// unused takes a turn back that came to nothing: else a register would hardly outlive its master.
func (r *register) unused(key string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if key == fmt.Sprintf("r%d", r.number) {
		r.used--
	}
}

// ready says that the row is there, or that another has to be tried.
func (r *register) ready(key string, made bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if key != fmt.Sprintf("r%d", r.number) {
		return
	}
	r.made = made
	if !made {
		r.number++
	}
}

// registerUser does one operation after the other. Each is a transaction that writes the row, reads and failed swaps too:
// a plain read at a master that was cut off may be stale, and no failover manager can help that.
func (l *load) registerUser(w *web, r *register, user int, chance *rand.Rand) func(context.Context) {
	return func(context.Context) {
		g := w.current()
		if g == nil {
			return
		}
		ctx, cancel := context.WithTimeout(g.ctx, patient)
		defer cancel()
		key, value, first := r.turn()
		if first {
			_, err := g.db.ExecContext(ctx, "INSERT IGNORE INTO "+r.table+" VALUES (?, 0, 0)", key)
			r.ready(key, err == nil)
			return
		}
		o := check.Operation{Key: key, Client: user, Value: value, Sent: time.Now()}
		o.Kind = []check.Kind{check.Read, check.Put, check.Swap}[chance.IntN(3)]
		err := transact(ctx, g.db, sql.LevelDefault, func(tx *sql.Tx) error {
			var found int64
			if err := tx.QueryRowContext(ctx, "SELECT value FROM "+r.table+" WHERE name = ? FOR UPDATE", key).Scan(&found); err != nil {
				return err
			}
			next := found
			switch o.Kind {
			case check.Read:
				o.Value = found
			case check.Put:
				next = value
			case check.Swap:
				// What it expects is right more often than not; else hardly a swap would succeed.
				o.Expected = found - int64(chance.IntN(4)/3)
				if o.Swapped = found == o.Expected; o.Swapped {
					next = value
				}
			}
			_, err := tx.ExecContext(ctx, "UPDATE "+r.table+" SET value = ?, touched = touched + 1 WHERE name = ?", next, key)
			return err
		})
		o.Known, o.Outcome = time.Now(), outcomeOf(err)
		if errors.As(err, new(notCommitted)) {
			o.Outcome = check.Failed
		}
		if o.Outcome == check.Failed && !errors.Is(err, sql.ErrNoRows) {
			r.unused(key)
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		l.operations = append(l.operations, o)
	}
}
