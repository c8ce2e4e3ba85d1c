package testenv

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/go-sql-driver/mysql"
)

// Server is one mysqld of a chain. Its methods may be called from several goroutines.
type Server struct {
	Name string
	Zone string
	Seat string // the seat it had when the chain was made
	Host string // the address others, replicas included, reach it by
	Port int

	Socket   string
	Dir      string // holds my.cnf, error.log and data
	ErrorLog string
	// Disk holds the data directory, nil unless Options.Disks.
	Disk *Disk

	config serverConfig
	enter  func() error
	db     *sql.DB

	mu   sync.Mutex
	proc *process
}

// Addr is Host:Port, the server's address in an inventory.
func (s *Server) Addr() string { return net.JoinHostPort(s.Host, strconv.Itoa(s.Port)) }

// DB is root over the unix socket, which no cut and no offline_mode keeps out. It stays usable over restarts.
func (s *Server) DB() *sql.DB { return s.db }

// Exec runs one statement as root.
func (s *Server) Exec(ctx context.Context, statement string, args ...any) error {
	if _, err := s.db.ExecContext(ctx, statement, args...); err != nil {
		return fmt.Errorf("%s: %w", s.Name, err)
	}
	return nil
}

// Start starts the server and waits until it answers. It boots read-only and with semi-sync off; replication
// goes on from where it was.
func (s *Server) Start(ctx context.Context) error {
	p, err := s.launch()
	if err != nil {
		return fmt.Errorf("%s: %w", s.Name, err)
	}
	if err := awaitReady(ctx, s.db, p, s.ErrorLog); err != nil {
		return fmt.Errorf("%s: %w", s.Name, err)
	}
	return nil
}

func (s *Server) launch() (*process, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.proc != nil && s.proc.running() {
		return nil, errors.New("already running")
	}
	p, err := startProcess(processSpec{
		path:  s.config.install.Mysqld,
		args:  []string{"--defaults-file=" + filepath.Join(s.Dir, "my.cnf")},
		log:   s.ErrorLog,
		enter: s.enter,
	})
	if err == nil {
		s.proc = p
	}
	return p, err
}

// Kill ends the server with SIGKILL and returns when it is gone.
func (s *Server) Kill() {
	if p := s.process(); p != nil {
		p.kill()
	}
}

// Stop shuts the server down cleanly, thawing it first if it is frozen.
func (s *Server) Stop(ctx context.Context) error {
	p := s.process()
	if p == nil || !p.running() {
		return nil
	}
	if err := p.terminate(ctx); err != nil {
		return fmt.Errorf("%s: %w", s.Name, err)
	}
	return nil
}

// Restart is Stop and Start.
func (s *Server) Restart(ctx context.Context) error {
	if err := s.Stop(ctx); err != nil {
		return err
	}
	return s.Start(ctx)
}

// Freeze stops the server with SIGSTOP: its kernel still completes TCP connects, but nothing answers.
func (s *Server) Freeze() error {
	if err := s.signal(syscall.SIGSTOP); err != nil {
		return err
	}
	// The signal takes effect when the kernel gets to it: on a busy machine the
	// server may answer for a moment longer.
	for deadline := time.Now().Add(2 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.PID()))
		if err != nil || strings.Contains(string(stat), ") T ") {
			break // or there is no such thing here
		}
	}
	return nil
}

// Thaw ends a Freeze.
func (s *Server) Thaw() error { return s.signal(syscall.SIGCONT) }

// Running says whether a process exists, frozen or not.
func (s *Server) Running() bool { p := s.process(); return p != nil && p.running() }

// PID is 0 when the server does not run.
func (s *Server) PID() int {
	if p := s.process(); p != nil {
		return p.processID()
	}
	return 0
}

func (s *Server) process() *process {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.proc
}

func (s *Server) signal(sig syscall.Signal) error {
	if p := s.process(); p == nil || !p.signal(sig) {
		return fmt.Errorf("%s: not running", s.Name)
	}
	return nil
}

// prepare copies the template and writes my.cnf.
func (s *Server) prepare(template string) error {
	if held, err := os.ReadDir(filepath.Join(s.Dir, "data")); err == nil && (s.Disk == nil || len(held) > 0) {
		return fmt.Errorf("%s: %s holds a data directory already", s.Name, s.Dir)
	}
	if err := copyTree(template, filepath.Join(s.Dir, "data")); err != nil {
		return fmt.Errorf("%s: copy template: %w", s.Name, err)
	}
	path := filepath.Join(s.Dir, "my.cnf")
	if err := os.WriteFile(path, []byte(s.config.text()), 0o644); err != nil {
		return fmt.Errorf("%s: %w", s.Name, err)
	}
	db, err := openRoot(s.Socket)
	if err != nil {
		return fmt.Errorf("%s: %w", s.Name, err)
	}
	s.db = db
	return nil
}

// Renew replaces the server by a new one with nothing but the accounts of the template,
// as whoever lost its disk does, and starts that.
func (s *Server) Renew(ctx context.Context) error {
	s.Kill()
	in := s.config.install
	from, err := template(ctx, in, nil)
	if err != nil {
		return fmt.Errorf("%s: %w", s.Name, err)
	}
	data := filepath.Join(s.Dir, "data")
	if err := errors.Join(os.RemoveAll(data), copyTree(from, data)); err != nil {
		return fmt.Errorf("%s: %w", s.Name, err)
	}
	if err := s.Start(ctx); err != nil {
		return err
	}
	conn, err := s.db.Conn(ctx)
	if err != nil {
		return fmt.Errorf("%s: %w", s.Name, err)
	}
	defer conn.Close()
	for _, statement := range []string{
		"SET GLOBAL super_read_only = OFF", "SET SESSION sql_log_bin = OFF", "DROP DATABASE " + Database,
		"SET SESSION sql_log_bin = ON", "SET GLOBAL super_read_only = ON",
	} {
		if _, err := conn.ExecContext(ctx, statement); err != nil {
			return fmt.Errorf("%s: %w", s.Name, err)
		}
	}
	return nil
}

// close kills the server and forgets its connections.
func (s *Server) close() {
	if s.Disk != nil {
		_ = s.Disk.Thaw() // who waits for a frozen disk cannot be killed; Chain.Close reports it
	}
	s.Kill()
	if s.db != nil {
		s.db.Close()
	}
}

func openRoot(socket string) (*sql.DB, error) {
	config := mysql.NewConfig()
	config.User, config.Net, config.Addr = "root", "unix", socket
	config.Timeout = 5 * time.Second
	config.InterpolateParams = true
	config.ParseTime = true
	config.Logger = &mysql.NopLogger{}
	connector, err := mysql.NewConnector(config)
	if err != nil {
		return nil, err
	}
	return sql.OpenDB(connector), nil
}

// awaitReady polls until the server answers a query, p ended, or ctx did.
func awaitReady(ctx context.Context, db *sql.DB, p *process, errorLog string) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		attempt, cancel := context.WithTimeout(ctx, 2*time.Second)
		err := db.PingContext(attempt)
		cancel()
		if err == nil {
			return nil
		}
		select {
		case <-p.done:
			return errors.Join(fmt.Errorf("%w: %s", ErrEnded, whyOf(errorLog)), p.failure)
		case <-ctx.Done():
			return fmt.Errorf("not answering: %w: %w", context.Cause(ctx), err)
		case <-tick.C:
		}
	}
}

// ErrEnded says that mysqld ended instead of serving. The text has what its error log says of that.
var ErrEnded = errors.New("mysqld ended while starting")

// whyOf is what an error log says of a server's end: the latest errors and the signal, or else its last lines.
func whyOf(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	var grave []string
	for line := range strings.Lines(string(text)) {
		if strings.Contains(line, "[ERROR]") || strings.Contains(line, "ssertion") || strings.Contains(line, "got signal") {
			grave = append(grave, line)
		}
	}
	if len(grave) > 0 {
		return lastLines(strings.Join(grave, ""), 6)
	}
	return lastLines(string(text), 4)
}

// maxSocketPath is the room sockaddr_un leaves, less on macOS than on Linux (unix(7), unix(4)).
const maxSocketPath = 100

// socketPath is in dir unless that is too long for a unix socket.
func socketPath(dir string) (path string, remove func(), err error) {
	path = filepath.Join(dir, "mysqld.sock")
	if len(path) <= maxSocketPath {
		return path, func() {}, nil
	}
	short, err := os.MkdirTemp("/tmp", "fd-")
	if err != nil {
		return "", nil, err
	}
	return filepath.Join(short, "s"), func() { os.RemoveAll(short) }, nil
}

// KillSessions ends every session of an account.
func (s *Server) KillSessions(ctx context.Context, user string) error {
	rows, err := s.db.QueryContext(ctx, "SELECT id FROM performance_schema.processlist WHERE user = ?", user)
	if err != nil {
		return fmt.Errorf("%s: %w", s.Name, err)
	}
	defer rows.Close()
	var ids []int64
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			return fmt.Errorf("%s: %w", s.Name, err)
		}
		ids = append(ids, id)
	}
	for _, id := range ids {
		_, _ = s.db.ExecContext(ctx, "KILL "+strconv.FormatInt(id, 10)) // it may be gone already
	}
	return rows.Err()
}
