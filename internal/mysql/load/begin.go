package load

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/failoverd/failoverd/internal/mysql"
	"github.com/failoverd/failoverd/internal/snapshot"
)

// Begin implements snapshot.Target. While the server is filled, only accounts that may
// write under read_only can, and no events run.
func (s *Server) Begin(ctx context.Context, job snapshot.Job) (snapshot.Done, error) {
	s.job = job
	if err := s.connect(ctx); err != nil {
		return nil, err
	}
	var done snapshot.Done
	err := s.session(ctx, func(conn *sql.Conn) error {
		resumed, err := s.check(ctx, conn)
		if err != nil {
			return err
		}
		if err := s.openFor(ctx, conn, resumed); err != nil {
			return err
		}
		done, err = s.resume(ctx, conn)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("server %s: %w", s.cfg.Addr, err)
	}
	return done, nil
}

// check refuses a server that must not be filled. resumed says that it holds an
// unfinished try of this job.
func (s *Server) check(ctx context.Context, conn *sql.Conn) (resumed bool, err error) {
	if s.self, err = one[string](ctx, conn, selfSQL); err != nil {
		return false, err
	}
	version, err := one[string](ctx, conn, versionSQL)
	if err != nil {
		return false, err
	}
	if err := versionFits(version, s.job.Version); err != nil {
		return false, err
	}
	if resumed, err = s.isResumed(ctx, conn); err != nil {
		return false, err
	}
	if want, known := s.job.Schema.Settings["lower_case_table_names"]; known {
		if have, err := global(ctx, conn, "lower_case_table_names"); err != nil {
			return false, err
		} else if have != want {
			return false, fmt.Errorf("lower_case_table_names is %s, the snapshot's is %s, and it can only be set when a server is initialized", have, want)
		}
	}
	if s.job.Single {
		return resumed, s.checkSingle(ctx, conn, resumed)
	}
	return resumed, s.checkWhole(ctx, conn, resumed)
}

// checkSingle refuses a server that has one of the tables, or takes no writes.
func (s *Server) checkSingle(ctx context.Context, conn *sql.Conn, resumed bool) error {
	if closed, err := global(ctx, conn, "super_read_only"); err != nil {
		return err
	} else if closed == "ON" {
		return errors.New("it is closed for writes (super_read_only): put single tables into a server that takes writes, from where they are replicated")
	}
	if resumed {
		return nil
	}
	for _, t := range s.job.Schema.Tables {
		if there, err := one[int](ctx, conn, tableThereSQL, t.Database, t.Name); err != nil {
			return err
		} else if there > 0 {
			return fmt.Errorf("it has a table %s already: rename it, or restore into another server", t.ID())
		}
	}
	return nil
}

// checkWhole refuses a server that is anything but empty and alone.
func (s *Server) checkWhole(ctx context.Context, conn *sql.Conn, resumed bool) error {
	if mode, err := global(ctx, conn, "gtid_mode"); err != nil {
		return err
	} else if mode != "ON" {
		return fmt.Errorf("gtid_mode is %s, so that it could not be told which transactions it has: start it with gtid_mode=ON and enforce_gtid_consistency=ON", mode)
	}
	if s.job.Schema.Settings["partial_revokes"] == "ON" {
		if on, err := global(ctx, conn, "partial_revokes"); err != nil {
			return err
		} else if on != "ON" {
			return errors.New("the snapshot has partial revokes: start it with partial_revokes=ON")
		}
	}
	if links, err := column[string](ctx, conn, linksSQL); err != nil {
		return err
	} else if len(links) > 0 {
		return fmt.Errorf("it is a replica of %s: RESET REPLICA ALL, if it is to be filled", strings.Join(links, ", "))
	}
	if followers, err := one[int](ctx, conn, followersSQL); err != nil {
		return err
	} else if followers > 0 {
		return fmt.Errorf("%d replicas follow it, and would not follow what is done to it", followers)
	}
	if s.sealed {
		if closed, err := global(ctx, conn, "super_read_only"); err != nil {
			return err
		} else if closed != "ON" {
			return fmt.Errorf("%s was put into it, and it is open for writes (super_read_only): if it is in use, drop its database %s", s.job.ID, stateDatabase)
		}
	}
	if resumed {
		return nil
	}
	databases, err := column[string](ctx, conn, databasesSQL)
	if err != nil {
		return err
	}
	if len(databases) > 0 {
		more := ""
		if len(databases) > 10 {
			databases, more = databases[:10], ", …"
		}
		return fmt.Errorf("it is not empty: it has the databases %s%s", strings.Join(databases, ", "), more)
	}
	return nil
}

// isResumed looks for an unfinished restore, and refuses another than ours.
func (s *Server) isResumed(ctx context.Context, conn *sql.Conn) (bool, error) {
	there, err := one[int](ctx, conn, stateThereSQL)
	if err != nil || there == 0 {
		return false, err
	}
	var id string
	err = conn.QueryRowContext(ctx, stateJobSQL).Scan(&id, &s.sealed)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if id != s.job.ID {
		return false, fmt.Errorf("it holds half of a restore of %s: finish that, or drop its databases, %s last", id, stateDatabase)
	}
	return true, nil
}

// Unfinished returns the snapshot that an earlier restore into the server began with
// and did not finish; empty when there is none.
func Unfinished(ctx context.Context, cfg mysql.Config) (id string, err error) {
	s, err := New(cfg, Options{})
	if err != nil {
		return "", err
	}
	db, err := s.open(nil)
	if err != nil {
		return "", err
	}
	defer db.Close()
	var there int
	if err = db.QueryRowContext(ctx, stateThereSQL).Scan(&there); err == nil && there > 0 {
		err = db.QueryRowContext(ctx, stateJobSQL).Scan(&id, &s.sealed)
	}
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return "", fmt.Errorf("server %s: %w", cfg.Addr, err)
	}
	id, _, _ = strings.Cut(id, " ") // single tables are named after it
	return id, nil
}

// versionFits refuses what is older than the server that the snapshot was taken
// from: it may not know what is in it. Patch levels of a line are alike.
func versionFits(target, source string) error {
	if strings.Contains(target, "MariaDB") {
		return fmt.Errorf("it is %s, not MySQL", target)
	}
	have, err := lineOf(target)
	if err != nil {
		return err
	}
	want, err := lineOf(source)
	if err != nil {
		return fmt.Errorf("the snapshot: %w", err)
	}
	if slices.Compare(have, want) < 0 {
		return fmt.Errorf("it is MySQL %s, the snapshot is of %s: take a server that is at least as new", target, source)
	}
	return nil
}

func lineOf(version string) ([]int, error) {
	parts := strings.SplitN(version, ".", 3)
	var line []int
	for _, p := range parts[:min(2, len(parts))] {
		n, err := strconv.Atoi(p)
		if err != nil {
			return nil, fmt.Errorf("version %q is not like 9.7.4", version)
		}
		line = append(line, n)
	}
	return line, nil
}

// whileFilling are the globals that are otherwise while a whole server is filled:
// what it was is put back, except that it ends closed.
var whileFilling = map[string]string{
	"local_infile":                    "ON",
	"event_scheduler":                 "OFF",
	"log_bin_trust_function_creators": "ON",
	"innodb_flush_log_at_trx_commit":  "2",
}

// openFor makes the server ready, remembering what it was like.
func (s *Server) openFor(ctx context.Context, conn *sql.Conn, resumed bool) error {
	if s.sealed {
		return nil // it is ready, and closed
	}
	settings := whileFilling
	if s.job.Single {
		settings = map[string]string{"local_infile": "ON"}
	} else {
		if err := s.letIn(ctx, conn); err != nil {
			return err
		}
	}
	if !resumed {
		for _, statement := range makeStateSQL {
			if err := exec(ctx, conn, statement); err != nil {
				return err
			}
		}
		for name := range settings {
			value, err := global(ctx, conn, name)
			if err != nil {
				return err
			}
			if value == "DISABLED" || value == "" { // at start only, or unknown to this version
				continue
			}
			if err := exec(ctx, conn, addSettingSQL, name, value); err != nil {
				return err
			}
		}
		if err := exec(ctx, conn, addJobSQL, s.job.ID); err != nil {
			return err
		}
	}
	before := map[string]string{}
	rows, err := conn.QueryContext(ctx, settingsSQL)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var name, value string
		if err := rows.Scan(&name, &value); err != nil {
			return err
		}
		before[name] = value
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return err
	}
	s.before = before
	for name := range before {
		if err := exec(ctx, conn, fmt.Sprintf(setGlobalSQL, name, settings[name])); err != nil {
			return err
		}
	}
	return nil
}

// letIn opens the server for accounts that may write under read_only, until closeAgain.
func (s *Server) letIn(ctx context.Context, conn *sql.Conn) error {
	s.closed = true
	for _, statement := range []string{fmt.Sprintf(setGlobalSQL, "super_read_only", "OFF"), fmt.Sprintf(setGlobalSQL, "read_only", "ON")} {
		if err := exec(ctx, conn, statement); err != nil {
			return err
		}
	}
	return nil
}

// putBack sets what openFor changed.
func (s *Server) putBack(ctx context.Context, conn *sql.Conn) error {
	var all error
	for _, name := range slices.Sorted(maps.Keys(s.before)) {
		all = errors.Join(all, exec(ctx, conn, fmt.Sprintf(setGlobalSQL, name, s.before[name])))
	}
	if all == nil {
		s.before = nil
	}
	return all
}

// closeAgain closes a server that is ours to close.
func (s *Server) closeAgain(ctx context.Context, conn *sql.Conn) error {
	if !s.closed {
		return nil
	}
	err := exec(ctx, conn, fmt.Sprintf(setGlobalSQL, "super_read_only", "ON"))
	s.closed = err != nil
	return err
}

// resume reads what an earlier try did. A table whose engine has no transactions may
// hold half a piece, so it is begun anew.
func (s *Server) resume(ctx context.Context, conn *sql.Conn) (snapshot.Done, error) {
	done := snapshot.Done{}
	rows, err := conn.QueryContext(ctx, tablesSQL)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var id snapshot.TableID
		d := &snapshot.TableDone{Created: true, Pieces: map[string]bool{}}
		if err := rows.Scan(&id.Database, &id.Name, &d.Indexed); err != nil {
			return nil, err
		}
		done[id] = d
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return nil, err
	}
	for _, t := range s.job.Schema.Tables {
		if d := done[t.ID()]; d != nil && !transactional(t) && !d.Indexed {
			delete(done, t.ID())
			if err := exec(ctx, conn, forgetTableSQL, t.Database, t.Name); err != nil {
				return nil, err
			}
		}
	}
	pieces, err := conn.QueryContext(ctx, piecesSQL)
	if err != nil {
		return nil, err
	}
	defer pieces.Close()
	for pieces.Next() {
		var id snapshot.TableID
		var piece string
		if err := pieces.Scan(&id.Database, &id.Name, &piece); err != nil {
			return nil, err
		}
		if d := done[id]; d != nil {
			d.Pieces[piece] = true
		}
	}
	return done, pieces.Err()
}

func transactional(t snapshot.Table) bool { return strings.EqualFold(t.Engine, "InnoDB") }

// global is a variable's value, empty where the server does not know it.
func global(ctx context.Context, conn *sql.Conn, name string) (string, error) {
	values, err := column[string](ctx, conn, globalSQL, name)
	if err != nil || len(values) == 0 {
		return "", err
	}
	return values[0], nil
}

func one[T any](ctx context.Context, conn *sql.Conn, query string, args ...any) (T, error) {
	var value T
	err := conn.QueryRowContext(ctx, query, args...).Scan(&value)
	return value, err
}
