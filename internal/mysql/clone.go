package mysql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/failoverd/failoverd/internal/promote"
	"github.com/failoverd/failoverd/internal/topology"
)

// Clone implements promote.Server. CLONE INSTANCE FROM runs on a session of its
// own, which is let go once the old data is gone: the server goes on with the copy
// when its client leaves, but KILL of the session breaks it off and leaves the
// server empty, so KillOlderSessions spares it. Clone returns nil once the old
// data is gone, or when dropping it takes longer than the bound; an error before
// that means that the data is as it was.
//
// The server must be closed. CLONE is refused under super_read_only, so only
// read_only keeps clients out until the old data is gone; then the server is
// closed fully again, and its link removed, for a server whose clone failed would
// otherwise resume replication without any data at its next start. The applier is
// stopped first: with half a transaction, whose rest is lost with its source, it
// would hold on to the tables that are to go. It then waits a minute for that rest;
// ErrUnderway is returned meanwhile. Offline mode, a running receiver and the
// semi-sync plugins do not matter.
//
// When the copy is complete the server restarts by itself: its connections break,
// and for some seconds it is Refused. Without a supervisor it shuts down (error
// 3707) and is there again, complete, once somebody starts it. It comes back with
// its own UUID, my.cnf and persisted variables, so closed and with semi-sync off,
// with gtid_executed and gtid_purged those of the donor, with the donor's
// accounts, and with the donor's link, which it follows at once: harmless, since
// the donor's source is of the chain, and Follow replaces it.
func (s *Server) Clone(ctx context.Context, donor topology.Server) error {
	op := "clone from " + donor.Name
	account := s.cfg.Replication.Account
	if account.User == "" {
		return fmt.Errorf("%s: no replication account is configured", op)
	}
	applies, err := s.stopApplier(ctx, op)
	if err != nil {
		return err
	}
	touched := false
	err = s.change(ctx, op, 2*s.cfg.Timeout, func(ctx context.Context, conn *sql.Conn) error {
		facts, err := lookAt(ctx, conn)
		switch {
		case err != nil:
			return err
		case facts.Clone != nil && facts.Clone.State == topology.CloneInProgress:
			if facts.Clone.Emptied && !facts.SuperReadOnly {
				return sealEmptied(ctx, conn)
			}
			return nil
		case facts.Open():
			return errors.New("the server is open for writes")
		}
		touched = true
		return s.prepareClone(ctx, conn, facts, donor)
	})
	switch {
	case !touched && err != nil && applies:
		return errors.Join(err, s.StartApplier(ctx))
	case !touched:
		return err
	case err != nil && errors.Is(err, promote.ErrUnreachable):
		return err // the next attempt, or a restart, closes it
	case err != nil:
		return errors.Join(err, s.undoClone(ctx, applies))
	}
	return s.cloneFrom(ctx, op, donor, applies)
}

// stopApplier stops the SQL thread and says whether it ran.
func (s *Server) stopApplier(ctx context.Context, op string) (ran bool, err error) {
	facts, err := s.Look(ctx)
	if err != nil || facts.Link == nil || facts.Link.SQL != topology.On || facts.Open() {
		return false, err
	}
	err = s.change(ctx, op, s.cfg.Timeout, func(ctx context.Context, conn *sql.Conn) error {
		if err := endHalf(ctx, conn); err != nil {
			return err
		}
		return exec(ctx, conn, stopApplierSQL)
	})
	if err == nil || ctx.Err() != nil || !errors.Is(err, promote.ErrUnreachable) {
		return true, err
	}
	if facts, look := s.Look(ctx); look != nil || facts.Link == nil || facts.Link.SQL != topology.On {
		return true, look
	}
	return true, fmt.Errorf("%s: the applier is still stopping: %w", op, promote.ErrUnderway)
}

// undoClone makes a server that does not clone what it was before, or seals it
// when the old data is gone.
func (s *Server) undoClone(ctx context.Context, applies bool) error {
	return s.change(ctx, "undo clone", s.cfg.Timeout, func(ctx context.Context, conn *sql.Conn) error {
		facts, err := lookAt(ctx, conn)
		switch {
		case err != nil:
			return err
		case facts.Clone != nil && facts.Clone.Emptied:
			return sealEmptied(ctx, conn)
		}
		if err := exec(ctx, conn, closeSQL); err != nil || !applies {
			return err
		}
		return exec(ctx, conn, startApplierSQL)
	})
}

// prepareClone gets everything ready that CLONE needs.
func (s *Server) prepareClone(ctx context.Context, conn *sql.Conn, facts topology.Facts, donor topology.Server) error {
	if err := exec(ctx, conn, halfOpenSQL); err != nil {
		return err
	}
	if _, installed := facts.Settings["clone_valid_donor_list"]; !installed {
		if err := exec(ctx, conn, mendClonePlugin); err != nil {
			return fmt.Errorf("%w: the plugin is missing; as root, while super_read_only is off: %s", err, mendClonePlugin)
		}
	}
	_, err := conn.ExecContext(ctx, cloneSettingsSQL, donor.Addr(), s.cfg.CloneDataRate, s.cfg.CloneNetworkRate, s.cfg.Replication.CA)
	return err
}

// cloneFrom starts the copy and waits until it has taken hold.
func (s *Server) cloneFrom(ctx context.Context, op string, donor topology.Server, applies bool) error {
	db := sql.OpenDB(s.sessions) // of the pool's connections none is held for hours
	db.SetMaxOpenConns(1)
	connecting, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
	defer cancel()
	conn, err := db.Conn(connecting)
	if err == nil {
		_, err = conn.ExecContext(connecting, cloneSessionSQL)
	}
	if err != nil {
		db.Close()
		return errors.Join(failed(op, err), s.undoClone(ctx, applies))
	}
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	ended, begun := make(chan error, 1), make(chan error, 1)
	s.clones.Go(func() {
		defer db.Close()
		defer conn.Close()
		statement := cloneSQL
		if s.cfg.Replication.TLS || s.cfg.Replication.CA != "" {
			statement += cloneTLS
		}
		account := s.cfg.Replication.Account
		_, err := conn.ExecContext(running, statement, account.User, donor.Host, donor.Port, account.Password)
		ended <- err
	})
	s.clones.Go(func() {
		defer stop()
		begun <- s.tendClone(running, ended, applies)
	})
	bound := time.NewTimer(2 * s.cfg.Timeout)
	defer bound.Stop()
	select {
	case err := <-begun:
		if serverNumber(err) == errTooManyClones {
			return fmt.Errorf("%s: the server is the donor of another clone: %w", op, promote.ErrNotYet)
		}
		return failed(op, err, s.cfg.Replication.Account.Password, s.cfg.Account.Password)
	case <-bound.C:
		return nil // it is still dropping the old data
	case <-ctx.Done():
		return failed(op, ctx.Err())
	}
}

// tendClone returns once the old data is gone and the server closed for good, or
// with the error of a clone that was refused before that.
func (s *Server) tendClone(ctx context.Context, ended <-chan error, applies bool) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-s.closing:
			return nil // the server goes on with it
		case err := <-ended:
			if err == nil || serverNumber(err) == errNotSupervised {
				return nil // it restarts, or shuts down, with the new data
			}
			if undo := s.undoClone(ctx, applies); undo != nil && !errors.Is(undo, promote.ErrUnreachable) {
				err = errors.Join(err, undo)
			}
			return err
		case <-tick.C:
		}
		sealed := false
		err := s.change(ctx, "seal", s.cfg.Timeout, func(ctx context.Context, conn *sql.Conn) error {
			facts, err := lookAt(ctx, conn)
			c := facts.Clone // an earlier one until the statement runs
			if err != nil || c == nil || c.State != topology.CloneInProgress || !c.Emptied || c.Stage == cloneDropStage {
				return err
			}
			err = sealEmptied(ctx, conn)
			sealed = err == nil
			return err
		})
		if sealed && err == nil {
			return nil
		}
	}
}

// sealEmptied closes a server whose old data is gone and which is being filled.
func sealEmptied(ctx context.Context, conn *sql.Conn) error {
	for _, statement := range []string{closeSQL, resetReplicaSQL} {
		if err := exec(ctx, conn, statement); err != nil && serverNumber(err) != errReplicaNotConfigured {
			return err
		}
	}
	return nil
}

// The stages of a clone (MySQL manual, "The clone_progress Table"), in order.
const cloneDropStage = "DROP DATA"

// lookAtClone reads the latest clone that the server received. The tables exist
// only while the plugin is installed, and an account of an older setup may not be
// allowed to read them: then nothing is known of a clone.
func lookAtClone(ctx context.Context, conn *sql.Conn, executed topology.GTIDSet) (*topology.Clone, error) {
	rows, err := conn.QueryContext(ctx, cloneStatusSQL)
	if number := serverNumber(err); number == errNoSuchTable || number == errTableDenied {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("clone status: %w", err)
	}
	defer rows.Close()
	var c *topology.Clone
	var number int64
	var stages []cloneStage
	for rows.Next() {
		c = &topology.Clone{}
		var stage cloneStage
		var name, state sql.NullString
		if err := rows.Scan(&c.State, &c.Source, &c.Begun, &number, &c.Error, &name, &state, &stage.percent); err != nil {
			return nil, err
		}
		c.Error = replicationError(number, c.Error)
		if stage.name, stage.state = name.String, state.String; stage.name != "" {
			stages = append(stages, stage)
		}
	}
	if c == nil || rows.Err() != nil {
		return nil, rows.Err()
	}
	judgeClone(c, number, stages, executed)
	return c, nil
}

type cloneStage struct {
	name, state string
	percent     sql.NullInt64
}

// judgeClone says what has become of a clone. A server that crashed while it was
// cloning shows "In Progress" for ever, with an error and a failed stage. One
// that was refused for super_read_only shows a failed DROP DATA and has its data.
// An attempt that does not reach its donor has no stages and hides an earlier one
// that emptied the server: an empty GTID set tells.
func judgeClone(c *topology.Clone, number int64, stages []cloneStage, executed topology.GTIDSet) {
	const notStarted = "Not Started"
	dropping := false
	for _, stage := range stages {
		if stage.state == notStarted {
			continue
		}
		if c.Stage = stage.name; stage.percent.Valid {
			c.Stage = fmt.Sprintf("%s %d%%", stage.name, min(stage.percent.Int64, 100))
		}
		dropping = dropping || stage.name == cloneDropStage && (stage.state != topology.CloneFailed || number != errReadOnly)
	}
	hasFailed := slices.ContainsFunc(stages, func(s cloneStage) bool { return s.state == topology.CloneFailed })
	if c.State == topology.CloneInProgress && (number != 0 || hasFailed) {
		c.State = topology.CloneFailed
	}
	switch c.State {
	case topology.CloneCompleted:
		c.Stage = ""
	case topology.CloneInProgress:
		c.Emptied = dropping
	case topology.CloneFailed:
		c.Emptied = dropping || executed.Empty()
	}
	c.Error = strings.TrimSpace(c.Error)
}
