package load

import (
	"context"
	"database/sql"
	sqldriver "database/sql/driver"
	"errors"
	"fmt"
	"net"
	"time"

	driver "github.com/go-sql-driver/mysql"

	"github.com/failoverd/failoverd/internal/mysql"
	"github.com/failoverd/failoverd/internal/snapshot"
)

// Options say how a server is loaded.
type Options struct {
	// Workers is how many sessions put rows in at once.
	Workers int
	// Passing says that the account that loads is there for the restore alone: at the
	// end it is dropped. Otherwise it stays, and takes the snapshot's form if that has it.
	Passing bool
	// Keep says that the binary log is played on top of the snapshot: until Forget the
	// server remembers which snapshot it holds, so that another try goes on from there.
	Keep bool
}

// Server is a server that a snapshot is put into: a snapshot.Target.
type Server struct {
	cfg  mysql.Config
	opts Options
	db   *sql.DB // as the server has it; Begin opens it
	job  snapshot.Job
	self string // CURRENT_USER()
	// before are the global variables that were changed, as they were.
	before map[string]string
	closed bool // it is ours to close again
	sealed bool // an earlier try put all of the job in
}

var _ snapshot.Target = (*Server)(nil)

// New prepares a server, which is first connected to by Begin. Only Addr, Account and TLS of cfg count.
func New(cfg mysql.Config, opts Options) (*Server, error) {
	if _, _, err := net.SplitHostPort(cfg.Addr); err != nil {
		return nil, fmt.Errorf("server address %q is not host:port", cfg.Addr)
	}
	if cfg.Account.User == "" {
		return nil, fmt.Errorf("server %s: no account given", cfg.Addr)
	}
	opts.Workers = max(1, opts.Workers)
	return &Server{cfg: cfg, opts: opts}, nil
}

// open opens sessions with these settings.
func (s *Server) open(settings map[string]string) (*sql.DB, error) {
	d := driver.NewConfig()
	d.Net, d.Addr = "tcp", s.cfg.Addr
	d.User, d.Passwd = s.cfg.Account.User, s.cfg.Account.Password
	d.TLS = s.cfg.TLS
	d.Timeout = 10 * time.Second
	d.Logger = &driver.NopLogger{}
	d.InterpolateParams = true
	d.MaxAllowedPacket = 0 // the server's own
	d.ConnectionAttributes = "program_name:failoverd"
	d.Params = settings
	connector, err := driver.NewConnector(d)
	if err != nil {
		return nil, fmt.Errorf("server %s: %w", s.cfg.Addr, err)
	}
	db := sql.OpenDB(connector)
	db.SetMaxOpenConns(s.opts.Workers + 1)
	db.SetMaxIdleConns(s.opts.Workers + 1)
	return db, nil
}

// connect opens the sessions that the job is done with. Of a single table's restore
// the server's binary log holds everything, as of any other client.
func (s *Server) connect(ctx context.Context) error {
	plain, err := s.open(nil)
	if err != nil {
		return err
	}
	defer plain.Close()
	known, err := column[string](ctx, plain, sessionVariablesSQL)
	if err != nil {
		return fmt.Errorf("server %s: %w", s.cfg.Addr, err)
	}
	settings := map[string]string{}
	for _, name := range known {
		if value, set := sessionSettings[name]; set && !(s.job.Single && name == "sql_log_bin") {
			settings[name] = value
		}
	}
	s.db, err = s.open(settings)
	return err
}

// Close implements snapshot.Target: it puts the settings of an unfinished server
// back, and closes it.
func (s *Server) Close() error {
	if s.db == nil {
		return nil
	}
	if len(s.before) == 0 && !s.closed {
		return s.db.Close()
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	err := s.session(ctx, func(conn *sql.Conn) error {
		return errors.Join(s.putBack(ctx, conn), s.closeAgain(ctx, conn))
	})
	return errors.Join(err, s.db.Close())
}

// session runs do on a session of its own. One that failed is not used again: half a
// transaction, or settings that were changed, must not meet the next user.
func (s *Server) session(ctx context.Context, do func(conn *sql.Conn) error) error {
	conn, err := s.db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := do(conn); err != nil {
		_ = conn.Raw(func(any) error { return sqldriver.ErrBadConn }) // makes the pool drop it
		return err
	}
	return nil
}

func exec(ctx context.Context, conn *sql.Conn, statement string, args ...any) error {
	_, err := conn.ExecContext(ctx, statement, args...)
	return err
}

// querier is a pool or a session.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// column reads the first column of all rows.
func column[T any](ctx context.Context, q querier, query string, args ...any) ([]T, error) {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []T
	for rows.Next() {
		var one T
		if err := rows.Scan(&one); err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, rows.Err()
}

// errorNumber is the server's number of an error, 0 if it is none of the server's.
func errorNumber(err error) uint16 {
	var e *driver.MySQLError
	if errors.As(err, &e) {
		return e.Number
	}
	return 0
}

// The server's errors that something is done about (MySQL Server Error Reference).
const (
	errSyntax       = 1064
	errNoSuchTable  = 1146
	errNoSuchColumn = 1054
	errBadField     = 1143 // column access of a grant that names no column of the table
	errUnknownDB    = 1049
	errUnknownVar   = 1193
	errNoRoutine    = 1305
	errInvalidView  = 1356
)
