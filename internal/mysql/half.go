package mysql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// endHalf ends an applier that is in the middle of a transaction whose rest the
// receiver, which is stopped, did not get. STOP REPLICA would wait a minute for
// that rest; KILL rolls the half transaction back at once. What is whole has been
// executed or is in the relay log still. The applier stays behind with error 1756
// until it is started again, and START REPLICA mends what that error warns of, for
// with GTIDs it knows what is executed. Called where the relay log is thrown away next.
func endHalf(ctx context.Context, conn *sql.Conn) error { return endApplier(ctx, conn, halfSQL) }

// endApplier kills the applier whose session the query names, if it names one, and
// returns when it names none any more.
func endApplier(ctx context.Context, conn *sql.Conn, query string) error {
	var coordinator uint64
	err := conn.QueryRowContext(ctx, query).Scan(&coordinator)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := exec(ctx, conn, fmt.Sprintf(killSQL, coordinator)); err != nil && serverNumber(err) != errNoSuchThread {
		return err
	}
	for {
		err := conn.QueryRowContext(ctx, query).Scan(&coordinator)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(10 * time.Millisecond):
		}
	}
}
