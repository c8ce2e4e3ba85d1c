package mysql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/failoverd/failoverd/internal/promote"
)

// WakeEvents implements promote.Server. The server must be open. Every event that
// is asleep here is altered one way or the other, those to be left first, so that
// afterwards no replica of this server shows an event as switched off by a person:
// only the servers that are out of its reach do, and they as it was before. Its
// definer, SQL mode, time zone and comment stay. What one event refuses does not
// keep the others asleep; the error names the statements.
//
// The scheduler itself needs nothing: where super_read_only stopped it (after one
// line in the error log: no event runs on a closed server, and none is an errant
// transaction), opening the server starts it again since 8.0.26, if event_scheduler is ON.
func (s *Server) WakeEvents(ctx context.Context, leave []string) (woken int, err error) {
	const op = "wake events"
	err = s.change(ctx, op, 2*s.cfg.Timeout, func(ctx context.Context, conn *sql.Conn) error {
		events, err := asleep(ctx, conn)
		if err != nil {
			return err
		}
		left := func(e event) bool { return slices.Contains(leave, e.schema+"."+e.name) }
		slices.SortStableFunc(events, func(a, b event) int {
			switch {
			case left(a) && !left(b):
				return -1
			case left(b) && !left(a):
				return 1
			}
			return 0
		})
		var refused []error
		for i, e := range events {
			status := "ENABLE"
			if left(e) {
				status = "DISABLE"
			}
			statement := fmt.Sprintf(alterEventSQL, definer(e.definer), identifier(e.schema)+"."+identifier(e.name), status)
			err := exec(ctx, conn, statement)
			switch {
			case err != nil && ctx.Err() != nil:
				return fmt.Errorf("%d of %d events are still asleep: %w", len(events)-i, len(events), promote.ErrNotYet)
			case err != nil && noAnswer(err):
				return err
			case err != nil:
				refused = append(refused, fmt.Errorf("%s: %w", statement, err))
			case !left(e):
				woken++
			}
		}
		return errors.Join(refused...)
	})
	return woken, err
}

type event struct{ schema, name, definer string }

func asleep(ctx context.Context, conn *sql.Conn) ([]event, error) {
	rows, err := conn.QueryContext(ctx, asleepSQL)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var events []event
	for rows.Next() {
		var e event
		if err := rows.Scan(&e.schema, &e.name, &e.definer); err != nil {
			return nil, err
		}
		events = append(events, e)
	}
	return events, rows.Err()
}

// definer quotes an account as information_schema prints it, user@host.
func definer(account string) string {
	i := strings.LastIndexByte(account, '@')
	if i < 0 {
		return quote(account) // a role
	}
	return quote(account[:i]) + "@" + quote(account[i+1:])
}

func identifier(name string) string { return "`" + strings.ReplaceAll(name, "`", "``") + "`" }
