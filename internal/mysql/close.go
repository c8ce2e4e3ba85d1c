package mysql

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"time"
)

// holdUpPatience is how long the statements that hold up a closing have to end by
// themselves before it is looked who they are.
const holdUpPatience = 100 * time.Millisecond

// closeForWrites closes the server. It waits for the statements that run, and lets
// no other begin; so when the holder of a row lock would begin its next one, whoever
// waits for that row holds up the closing, which holds up the holder, and none of the
// three gets on: MySQL does not see that deadlock. Such a wait is ended (error 1317
// for the client, whose transaction could not have been committed here any more), but
// only when nothing else holds up the closing: then it would be for nothing.
func (s *Server) closeForWrites(ctx context.Context) error {
	const op = "close for writes"
	closed := make(chan error, 1)
	go func() { closed <- s.exec(ctx, op, closeSQL) }()
	for {
		select {
		case err := <-closed:
			if serverNumber(err) == errLockWait {
				err = fmt.Errorf("%w: %s", err, s.whoHoldsUp(ctx))
			}
			return err
		case <-time.After(holdUpPatience):
			s.endRowWaits(ctx)
		}
	}
}

// endRowWaits is a best effort: what it cannot do the closing says when it fails.
func (s *Server) endRowWaits(ctx context.Context) {
	_ = s.read(ctx, "end row waits", s.cfg.Timeout/4, func(ctx context.Context, conn *sql.Conn) error {
		rows, err := conn.QueryContext(ctx, holdUpsSQL)
		if err != nil {
			return err
		}
		defer rows.Close()
		var ids []uint64
		for rows.Next() {
			var id uint64
			var waits bool
			if err := rows.Scan(&id, &waits); err != nil || !waits {
				return err
			}
			ids = append(ids, id)
		}
		if err := rows.Err(); err != nil {
			return err
		}
		for _, id := range slices.Compact(ids) {
			if err := exec(ctx, conn, fmt.Sprintf(killQuerySQL, id)); err != nil && serverNumber(err) != errNoSuchThread {
				return err
			}
		}
		return nil
	})
}

// whoHoldsUp names the sessions that a closing waited for in vain.
func (s *Server) whoHoldsUp(ctx context.Context) string {
	var who []string
	err := s.read(ctx, "look who holds it up", s.cfg.LookTimeout, func(ctx context.Context, conn *sql.Conn) error {
		rows, err := conn.QueryContext(ctx, longHoldUpsSQL)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var id, seconds uint64
			var whose, statement, state string
			if err := rows.Scan(&id, &whose, &seconds, &statement, &state); err != nil {
				return err
			}
			who = append(who, fmt.Sprintf("session %d of %s (%s, %d s, %s)", id, whose, statement, seconds, state))
		}
		return rows.Err()
	})
	switch {
	case err != nil:
		return "who holds it up is not known: " + err.Error()
	case len(who) == 0:
		return "what held it up has ended since, or performance_schema does not show it: try again"
	}
	return "held up by " + strings.Join(who, ", ") + ": wait for that, or end it there"
}
