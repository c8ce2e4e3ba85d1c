package mysql

import (
	"context"
	"database/sql"
	"fmt"
	"strconv"
	"time"

	"github.com/failoverd/failoverd/internal/promote"
	"github.com/failoverd/failoverd/internal/topology"
)

// waitSlice is how long one query waits before the applier is looked at again.
const waitSlice = 500 * time.Millisecond

// WaitExecuted implements promote.Server. An applier that stopped with an error
// ends the wait at once with that error.
func (s *Server) WaitExecuted(ctx context.Context, set topology.GTIDSet, atMost time.Duration) error {
	const op = "wait executed"
	if set.Empty() {
		return nil
	}
	text, deadline := set.String(), time.Now().Add(atMost)
	if own, ok := ctx.Deadline(); ok && own.Before(deadline) {
		deadline = own.Add(-10 * time.Millisecond) // leave the last answer time to arrive
	}
	for first := true; ; first = false {
		slice := min(time.Until(deadline), waitSlice)
		if !first && slice <= 0 {
			return fmt.Errorf("%s: %s within %s: %w", op, set, atMost, promote.ErrNotYet)
		}
		done := false
		err := s.read(ctx, op, max(slice, 0)+s.cfg.LookTimeout, func(ctx context.Context, conn *sql.Conn) (err error) {
			if done, err = executed(ctx, conn, text, slice); err != nil || done {
				return err
			}
			return applierError(ctx, conn)
		})
		if err != nil || done {
			return err
		}
	}
}

// executed waits up to slice; without time left it asks once.
func executed(ctx context.Context, conn *sql.Conn, set string, slice time.Duration) (bool, error) {
	var answer int
	if slice < time.Millisecond {
		err := conn.QueryRowContext(ctx, executedSQL, set).Scan(&answer)
		return answer == 1, err
	}
	seconds := strconv.FormatFloat(slice.Seconds(), 'f', 3, 64)
	err := conn.QueryRowContext(ctx, waitExecutedSQL, set, seconds).Scan(&answer)
	return answer == 0 && err == nil, err
}

// applierError is the error that the SQL thread stopped with, if it did.
func applierError(ctx context.Context, conn *sql.Conn) error {
	var state, message string
	var number int64
	err := conn.QueryRowContext(ctx, applierSQL).Scan(&state, &number, &message)
	if err == sql.ErrNoRows {
		return nil
	}
	if err != nil || state != string(topology.Off) || number == 0 {
		return err
	}
	return fmt.Errorf("the applier stopped with %s", replicationError(number, message))
}
