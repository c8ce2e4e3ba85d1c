package load

import (
	"context"
	"database/sql"
	"fmt"
	"strings"

	"github.com/failoverd/failoverd/internal/snapshot"
	"github.com/failoverd/failoverd/internal/topology"
)

// Finish implements snapshot.Target. What the restore remembers goes last, so that
// any error leaves a server that another try finishes.
func (s *Server) Finish(ctx context.Context) (notes []snapshot.Note, err error) {
	if s.sealed {
		return nil, s.finished(ctx)
	}
	err = s.session(ctx, func(conn *sql.Conn) error {
		if notes, err = s.complete(ctx, conn); err != nil {
			return err
		}
		return s.seal(ctx, conn)
	})
	if err != nil {
		return notes, fmt.Errorf("server %s: %w", s.cfg.Addr, err)
	}
	return notes, nil
}

// complete makes everything that is not a table or its rows.
func (s *Server) complete(ctx context.Context, conn *sql.Conn) (notes []snapshot.Note, err error) {
	for _, d := range s.job.Schema.Databases {
		if err := s.createDatabase(ctx, conn, d.Name); err != nil { // those without tables
			return notes, err
		}
	}
	for _, t := range s.job.Schema.Tables {
		more, err := constrain(ctx, conn, t)
		if err != nil {
			return notes, fmt.Errorf("table %s: %w", t.ID(), err)
		}
		notes = append(notes, more...)
	}
	if s.job.Single {
		return notes, nil
	}
	if err := s.createAccounts(ctx, conn); err != nil {
		return notes, err
	}
	waiting, err := s.grantFirst(ctx, conn)
	if err != nil {
		return notes, err
	}
	more, err := s.createObjects(ctx, conn)
	if notes = append(notes, more...); err != nil {
		return notes, err
	}
	more, err = s.grantLast(ctx, conn, waiting)
	if notes = append(notes, more...); err != nil {
		return notes, err
	}
	for _, d := range s.job.Schema.Databases {
		if strings.Contains(d.Create, "/* READ ONLY=1 */") {
			if err := exec(ctx, conn, fmt.Sprintf(readOnlySQL, quote(d.Name))); err != nil {
				return notes, fmt.Errorf("database %s: %w", d.Name, err)
			}
		}
	}
	return notes, nil
}

// seal says which transactions the server has, puts its settings back, and closes it.
func (s *Server) seal(ctx context.Context, conn *sql.Conn) error {
	if !s.job.Single {
		err := exec(ctx, conn, resetSQL)
		if errorNumber(err) == errSyntax {
			err = exec(ctx, conn, resetOldSQL)
		}
		if err != nil {
			return err
		}
		if !s.job.GTIDs.Empty() {
			if err := exec(ctx, conn, fmt.Sprintf(purgedSQL, s.job.GTIDs)); err != nil {
				return err
			}
		}
	}
	if err := s.putBack(ctx, conn); err != nil {
		return err
	}
	last := dropStateSQL
	if s.opts.Keep {
		last = sealedSQL
	}
	if err := exec(ctx, conn, last); err != nil {
		return err
	}
	if s.opts.Passing && !s.has(s.self) {
		if err := exec(ctx, conn, fmt.Sprintf(dropUserSQL, accountText(s.self))); err != nil {
			return err
		}
	}
	return s.closeAgain(ctx, conn)
}

// finished takes a server as it is that an earlier try put the snapshot into.
func (s *Server) finished(ctx context.Context) error {
	if s.opts.Keep {
		return nil
	}
	executed, err := column[string](ctx, s.db, executedSQL)
	if err != nil {
		return fmt.Errorf("server %s: %w", s.cfg.Addr, err)
	}
	if have, err := topology.ParseGTIDSet(executed[0]); err != nil {
		return fmt.Errorf("server %s: %w", s.cfg.Addr, err)
	} else if more := have.Minus(s.job.GTIDs); !more.Empty() {
		return fmt.Errorf("server %s: binary log was played into it after the snapshot, %d transactions: take an empty server", s.cfg.Addr, more.Count())
	}
	return s.Forget(ctx)
}

// Forget removes what Keep left. The server stays closed.
func (s *Server) Forget(ctx context.Context) error {
	err := s.session(ctx, func(conn *sql.Conn) error {
		if err := s.letIn(ctx, conn); err != nil {
			return err
		}
		if err := exec(ctx, conn, dropStateSQL); err != nil {
			return err
		}
		return s.closeAgain(ctx, conn)
	})
	if err != nil {
		return fmt.Errorf("server %s: %w", s.cfg.Addr, err)
	}
	return nil
}
