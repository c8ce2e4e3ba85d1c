package mysql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/failoverd/failoverd/internal/promote"
	"github.com/failoverd/failoverd/internal/topology"
)

// Server says the primitives of promotion to one MySQL server with the control
// account. It implements promote.Server and may be used by several goroutines.
type Server struct {
	cfg      Config
	sessions *sessions
	closing  chan struct{} // closed by Close
	close    sync.Once
	clones   sync.WaitGroup
	glance   glance
}

var _ promote.Server = (*Server)(nil)

// Open prepares a server; it connects when it is first used.
func Open(cfg Config) (*Server, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	pool, err := openSessions(cfg, 4)
	if err != nil {
		return nil, err
	}
	return &Server{cfg: cfg, sessions: pool, closing: make(chan struct{})}, nil
}

// Close ends the server's sessions. A clone goes on.
func (s *Server) Close() error {
	s.close.Do(func() { close(s.closing) })
	s.clones.Wait()
	return s.sessions.db.Close()
}

// Look implements promote.Server.
func (s *Server) Look(ctx context.Context) (facts topology.Facts, err error) {
	err = s.read(ctx, "look", s.cfg.LookTimeout, func(ctx context.Context, conn *sql.Conn) error {
		facts, err = s.glance.at(ctx, conn)
		return err
	})
	return facts, err
}

// StopReceiver implements promote.Server. While the IO thread is connecting to a
// source that does not answer, it notices only when that try ends; the stop stays
// ordered meanwhile. ErrNotYet is returned when that takes longer than the bound.
func (s *Server) StopReceiver(ctx context.Context) error {
	err := s.change(ctx, "stop receiver", 2*s.cfg.Timeout, func(ctx context.Context, conn *sql.Conn) error {
		return exec(ctx, conn, stopReceiverSQL)
	})
	if err == nil || ctx.Err() != nil || !errors.Is(err, promote.ErrUnreachable) {
		return err
	}
	var state string
	look := s.read(ctx, "stop receiver", s.cfg.LookTimeout, func(ctx context.Context, conn *sql.Conn) error {
		return conn.QueryRowContext(ctx, receiverStateSQL).Scan(&state)
	})
	switch {
	case look != nil:
		return err
	case state == string(topology.Off):
		return nil
	}
	return fmt.Errorf("stop receiver: the IO thread is still %s: %w", state, promote.ErrNotYet)
}

// StartReceiver implements promote.Server.
func (s *Server) StartReceiver(ctx context.Context) error {
	return s.exec(ctx, "start receiver", startReceiverSQL)
}

// StartApplier implements promote.Server.
func (s *Server) StartApplier(ctx context.Context) error {
	return s.exec(ctx, "start applier", startApplierSQL)
}

// Follow implements promote.Server. Changing the source throws the relay log away,
// so the receiver is stopped first and the applier given a second to execute what
// is left. When that is not enough ErrNotYet is returned, with the link and its
// relay log still there and the receiver stopped, so that a repetition succeeds.
func (s *Server) Follow(ctx context.Context, source topology.Server) error {
	op := "follow " + source.Name
	account := s.cfg.Replication.Account
	if account.User == "" {
		return fmt.Errorf("%s: no replication account is configured", op)
	}
	args := []any{source.Host, source.Port, account.User, account.Password}
	tls := ""
	switch {
	case s.cfg.Replication.CA != "":
		tls, args = changeSourceTLSCA, append(args, s.cfg.Replication.CA)
	case s.cfg.Replication.TLS:
		tls = changeSourceTLS
	}
	stopped, err := s.haltApplier(ctx, op)
	if err != nil {
		return err
	}
	return s.change(ctx, op, 2*s.cfg.Timeout, func(ctx context.Context, conn *sql.Conn) error {
		if err := stopDrained(ctx, conn, stopped); err != nil {
			return err
		}
		if _, err := conn.ExecContext(ctx, fmt.Sprintf(changeSourceSQL, tls), args...); err != nil {
			return err
		}
		return exec(ctx, conn, startReplicaSQL)
	})
}

// ForgetSource implements promote.Server. It keeps an undrained relay log as
// Follow does.
func (s *Server) ForgetSource(ctx context.Context) error {
	stopped, err := s.haltApplier(ctx, "forget source")
	if err != nil {
		return err
	}
	return s.change(ctx, "forget source", 2*s.cfg.Timeout, func(ctx context.Context, conn *sql.Conn) error {
		if err := stopDrained(ctx, conn, stopped); err != nil {
			return err
		}
		return exec(ctx, conn, resetReplicaSQL)
	})
}

// haltApplier stops the applier of a link that receives, and says whether it did.
//
// It goes before the receiver: that may stop in the middle of a transaction, and
// an applier that is in the middle of that one waits a minute for its rest. One
// that does not stop at once is held up by half a transaction of an earlier
// connection, and is ended: see endHalf for why that is safe.
func (s *Server) haltApplier(ctx context.Context, op string) (stopped bool, err error) {
	err = s.read(ctx, op, s.cfg.LookTimeout, func(ctx context.Context, conn *sql.Conn) error {
		var receiver, applier, ignored string
		if err := conn.QueryRowContext(ctx, receiverStateSQL).Scan(&receiver); err != nil {
			return err
		}
		if err := conn.QueryRowContext(ctx, applierSQL).Scan(&applier, &ignored, &ignored); err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		stopped = receiver != string(topology.Off) && applier == string(topology.On)
		return nil
	})
	if err != nil || !stopped {
		return stopped, err
	}
	err = s.change(ctx, op, s.cfg.Timeout/2, func(ctx context.Context, conn *sql.Conn) error { return exec(ctx, conn, stopApplierSQL) })
	if err == nil || ctx.Err() != nil || !errors.Is(err, promote.ErrUnreachable) {
		return true, err
	}
	return true, s.change(ctx, op, s.cfg.Timeout, func(ctx context.Context, conn *sql.Conn) error {
		return endApplier(ctx, conn, coordinatorSQL)
	})
}

// stopDrained stops both threads once the relay log has nothing left to execute.
// An applier that was stopped for it executes what is left, up to the last whole
// transaction.
func stopDrained(ctx context.Context, conn *sql.Conn, applierStopped bool) error {
	if err := exec(ctx, conn, stopReceiverSQL); err != nil {
		return err
	}
	var undrained string
	if err := conn.QueryRowContext(ctx, undrainedSQL).Scan(&undrained); err != nil {
		return err
	}
	if undrained != "" {
		if applierStopped {
			if err := exec(ctx, conn, fmt.Sprintf(startApplierUntilSQL, undrained)); err != nil {
				return err
			}
		}
		done, err := executed(ctx, conn, undrained, time.Second)
		if err != nil {
			return err
		}
		if !done {
			return fmt.Errorf("the relay log holds %s, not executed: %w", undrained, promote.ErrNotYet)
		}
	}
	if err := endHalf(ctx, conn); err != nil {
		return err
	}
	return exec(ctx, conn, stopReplicaSQL)
}

// SetSuperReadOnly implements promote.Server. Closing waits at most a second for
// statements and commits in flight, then fails with the server's lock wait timeout
// (1205) and names them.
func (s *Server) SetSuperReadOnly(ctx context.Context, on bool) error {
	if on {
		return s.closeForWrites(ctx)
	}
	return s.change(ctx, "open for writes", s.cfg.Timeout, func(ctx context.Context, conn *sql.Conn) error {
		var until string
		if err := conn.QueryRowContext(ctx, openUntilSQL).Scan(&until); err != nil {
			return err
		}
		if _, err := conn.ExecContext(ctx, openSQL, until, until); err != nil {
			return err
		}
		var closed bool
		if err := conn.QueryRowContext(ctx, closedSQL).Scan(&closed); err != nil {
			return err
		}
		if closed {
			return errors.New("the server read the order too late and stayed closed")
		}
		return nil
	})
}

// SetOffline implements promote.Server.
func (s *Server) SetOffline(ctx context.Context, on bool) error {
	if on {
		return s.exec(ctx, "set offline", offlineSQL)
	}
	return s.exec(ctx, "set online", onlineSQL)
}

// SetSourceSemiSync implements promote.Server.
func (s *Server) SetSourceSemiSync(ctx context.Context, acks int) error {
	statement, on := sourceSemiSyncOffSQL, acks > 0
	if on {
		statement = fmt.Sprintf(sourceSemiSyncOnSQL, acks)
	}
	err := s.exec(ctx, "set semi-sync source", statement)
	if serverNumber(err) == errUnknownVariable {
		if !on {
			return nil // without the plugin no commit waits
		}
		return fmt.Errorf("%w: the plugin is missing; as root: %s", err, mendSourcePlugin)
	}
	return err
}

// SetReplicaSemiSync implements promote.Server.
func (s *Server) SetReplicaSemiSync(ctx context.Context, on bool) error {
	statement := replicaSemiSyncOffSQL
	if on {
		statement = replicaSemiSyncOnSQL
	}
	err := s.exec(ctx, "set semi-sync replica", statement)
	if serverNumber(err) == errUnknownVariable {
		if !on {
			return nil // without the plugin it cannot acknowledge
		}
		return fmt.Errorf("%w: the plugin is missing; as root: %s", err, mendReplicaPlugin)
	}
	return err
}

// Nudge commits a transaction without content. A replica that begins to
// acknowledge is never asked about commits that it had received before (with
// auto-position nothing is sent twice), so those would wait until somebody else
// writes; the acknowledgement of the nudge releases them. It waits for that
// acknowledgement, and goes on waiting at the server when ErrUnreachable is returned.
func (s *Server) Nudge(ctx context.Context) error { return s.exec(ctx, "nudge", nudgeSQL) }

const (
	mendSourcePlugin  = "INSTALL PLUGIN rpl_semi_sync_source SONAME 'semisync_source.so'"
	mendReplicaPlugin = "INSTALL PLUGIN rpl_semi_sync_replica SONAME 'semisync_replica.so'"
	mendClonePlugin   = "INSTALL PLUGIN clone SONAME 'mysql_clone.so'"
)

// KillOlderSessions implements promote.Server. It returns when the sessions are
// gone, and ErrNotYet when one is still ending after the bound. A session that
// copies another server's data is spared: what it was to do it has done, and
// without it the server would be empty.
func (s *Server) KillOlderSessions(ctx context.Context) error {
	return s.change(ctx, "kill older sessions", s.cfg.Timeout, func(ctx context.Context, conn *sql.Conn) error {
		for poll := time.Millisecond; ; poll = min(2*poll, 100*time.Millisecond) {
			others, err := s.otherSessions(ctx, conn)
			if err != nil || len(others) == 0 {
				return err
			}
			for _, id := range others {
				if err := exec(ctx, conn, fmt.Sprintf(killSQL, id)); err != nil && serverNumber(err) != errNoSuchThread {
					return err
				}
			}
			select {
			case <-ctx.Done():
				return fmt.Errorf("%d sessions of the account are still ending: %w", len(others), promote.ErrNotYet)
			case <-time.After(poll):
			}
		}
	})
}

// otherSessions are the ids of the account's sessions that are not of this pool.
func (s *Server) otherSessions(ctx context.Context, conn *sql.Conn) ([]uint64, error) {
	rows, err := conn.QueryContext(ctx, sessionsSQL)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var others []uint64
	for rows.Next() {
		var id uint64
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		if !s.sessions.owns(id) {
			others = append(others, id)
		}
	}
	return others, rows.Err()
}

// exec sends one changing statement.
func (s *Server) exec(ctx context.Context, op, statement string) error {
	return s.change(ctx, op, s.cfg.Timeout, func(ctx context.Context, conn *sql.Conn) error {
		return exec(ctx, conn, statement)
	})
}

// read runs f on a session under a deadline.
func (s *Server) read(ctx context.Context, op string, atMost time.Duration, f func(context.Context, *sql.Conn) error) error {
	ctx, cancel := context.WithTimeout(ctx, atMost)
	defer cancel()
	conn, err := s.sessions.db.Conn(ctx)
	if err != nil {
		return failed(op, err)
	}
	defer conn.Close()
	return failed(op, f(ctx, conn))
}

// change is read for statements that change the server. When time runs out the
// session is killed, since the server would otherwise go on with the statement
// after its caller has given up. A broken session is never tried again: another
// leader may have killed it.
func (s *Server) change(ctx context.Context, op string, atMost time.Duration, f func(context.Context, *sql.Conn) error) error {
	bounded, cancel := context.WithTimeout(ctx, atMost)
	defer cancel()
	conn, err := s.sessions.db.Conn(bounded)
	if err != nil {
		return failed(op, err)
	}
	id := idOf(conn)
	err = f(bounded, conn)
	expired := bounded.Err() != nil
	conn.Close()
	if err != nil && expired {
		s.kill(context.WithoutCancel(ctx), id)
	}
	return failed(op, err, s.cfg.Replication.Account.Password, s.cfg.Account.Password)
}

// kill ends a session of ours whose statement was given up. It is a best effort:
// the statement's outcome is reported as unknown in any case.
func (s *Server) kill(ctx context.Context, id uint64) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Timeout/4)
	defer cancel()
	conn, err := s.sessions.db.Conn(ctx)
	if err != nil {
		return
	}
	defer conn.Close()
	_ = exec(ctx, conn, fmt.Sprintf(killSQL, id))
}

func exec(ctx context.Context, conn *sql.Conn, statement string) error {
	_, err := conn.ExecContext(ctx, statement)
	return err
}
