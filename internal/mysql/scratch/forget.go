package scratch

import (
	"context"
	"fmt"
)

// Forget drops the account that is there for the restore. Nothing can be done through
// Config afterwards but Stop.
func (s *Server) Forget(ctx context.Context) error {
	conn, err := s.db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	for _, statement := range []string{withoutLogSQL, openServerSQL, dropOwnSQL, closeServerSQL} {
		if _, err := conn.ExecContext(ctx, statement); err != nil {
			return fmt.Errorf("drop the account of the restore: %w", err)
		}
	}
	return nil
}
