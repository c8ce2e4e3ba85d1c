package load

import (
	"context"
	"database/sql"
	"fmt"
	"strings"

	"github.com/failoverd/failoverd/internal/snapshot"
)

// Finish implements snapshot.Target. What the restore remembers goes last, so that
// any error leaves a server that another try finishes.
func (s *Server) Finish(ctx context.Context) (notes []snapshot.Note, err error) {
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
	if err := exec(ctx, conn, dropStateSQL); err != nil {
		return err
	}
	if s.opts.Passing && !s.has(s.self) {
		if err := exec(ctx, conn, fmt.Sprintf(dropUserSQL, accountText(s.self))); err != nil {
			return err
		}
	}
	return s.closeAgain(ctx, conn)
}
