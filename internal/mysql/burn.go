package mysql

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"

	"github.com/failoverd/failoverd/internal/promote"
	"github.com/failoverd/failoverd/internal/topology"
)

// Burn implements promote.Server. Each empty transaction waits for its
// acknowledgement like any other, and goes on waiting at the server when the bound
// is over, for KILL does not end that wait; the next call then waits for its GTID,
// so that there is never more than one. What is executed was acknowledged.
func (s *Server) Burn(ctx context.Context, set topology.GTIDSet) error {
	return s.change(ctx, "burn", 5*s.cfg.Timeout, func(ctx context.Context, conn *sql.Conn) error {
		var text string
		if err := conn.QueryRowContext(ctx, allExecutedSQL).Scan(&text); err != nil {
			return err
		}
		executed, err := topology.ParseGTIDSet(text)
		if err != nil {
			return err
		}
		left := set.Minus(executed)
		total, done := left.Count(), int64(0)
		for gtid := range left.Each() {
			for _, statement := range []string{fmt.Sprintf(nextGTIDSQL, gtid), beginSQL, commitSQL} {
				if err := exec(ctx, conn, statement); err != nil {
					// The session keeps its gtid_next: it must not serve anybody else.
					_ = conn.Raw(func(any) error { return driver.ErrBadConn })
					if ctx.Err() != nil {
						return fmt.Errorf("%d of %d GTIDs: %w", done, total, promote.ErrNotYet)
					}
					return err
				}
			}
			done++
		}
		return exec(ctx, conn, automaticGTIDSQL)
	})
}
