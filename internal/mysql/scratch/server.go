package scratch

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	driver "github.com/go-sql-driver/mysql"

	"github.com/failoverd/failoverd/internal/mysql"
)

// Options say what server to make.
type Options struct {
	// Dir holds everything of it: my.cnf, data, error.log and the socket. It must be
	// empty or not there.
	Dir string
	// Mysqld is the program. Empty: FAILOVERD_MYSQLD, else mysqld on PATH.
	Mysqld string
	// Settings are those of the snapshot's Schema.
	Settings map[string]string
	// Memory is for the buffer pool while it is filled, bytes; 0 is 512 MiB.
	Memory int64
}

// Server is a mysqld of our own, which ends with this program.
type Server struct {
	dir     string
	in      install
	port    int
	account mysql.Account
	proc    *process
	db      *sql.DB
}

// account is that of the restore.
const accountName = "failoverd_restore"

// starting bounds how long a server may take to initialize, and then to start.
const starting = 5 * time.Minute

// New initializes a server in a directory and starts it for being filled: empty,
// closed, with the account Config names. What a failed New made is removed.
func New(ctx context.Context, o Options) (s *Server, err error) {
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return nil, err
	}
	if held, err := os.ReadDir(dir); err == nil && len(held) > 0 {
		return nil, fmt.Errorf("%s is not empty: it holds %s", dir, held[0].Name())
	} else if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	in, err := findInstall(o.Mysqld)
	if err != nil {
		return nil, err
	}
	s = &Server{dir: dir, in: in, account: mysql.Account{User: accountName, Password: rand.Text()}}
	made := s // what is returned with an error is nil
	defer func() {
		if err != nil {
			err = errors.Join(err, made.Remove())
		}
	}()
	if s.port, err = freePort(); err != nil {
		return nil, err
	}
	var id [4]byte
	_, _ = rand.Read(id[:]) // never fails (documentation of crypto/rand)
	config, err := configText(in, dir, s.port, binary.LittleEndian.Uint32(id[:])|1<<31, o.Settings)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, err
	}
	if err := os.WriteFile(s.config(), []byte(config), 0o640); err != nil {
		return nil, err
	}
	if err := s.initialize(ctx); err != nil {
		return nil, err
	}
	if o.Memory <= 0 {
		o.Memory = 512 << 20
	}
	if err := s.start(ctx, whileFilling(o.Memory)); err != nil {
		return nil, err
	}
	return s, nil
}

func (s *Server) config() string { return filepath.Join(s.dir, "my.cnf") }
func (s *Server) log() string    { return filepath.Join(s.dir, "error.log") }

// initialize makes the data directory.
func (s *Server) initialize(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, starting)
	defer cancel()
	first := filepath.Join(s.dir, "first.sql")
	if err := os.WriteFile(first, fmt.Appendf(nil, firstStatements, s.account.User, s.account.Password), 0o600); err != nil {
		return err
	}
	defer os.Remove(first)
	p, err := startProcess(s.log(), s.in.mysqld, "--defaults-file="+s.config(), "--initialize-insecure", "--init-file="+first,
		"--innodb-doublewrite=OFF", "--super-read-only=OFF", "--read-only=OFF")
	if err != nil {
		return err
	}
	if err := p.await(ctx); err != nil {
		return fmt.Errorf("initialize %s: %w: %w", s.dir, err, lastErrors(s.log()))
	}
	return nil
}

// start starts the server and waits until it answers.
func (s *Server) start(ctx context.Context, options []string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, starting, fmt.Errorf("it did not answer within %s", starting))
	defer cancel()
	d := driver.NewConfig()
	d.Net, d.Addr = "tcp", s.Addr()
	d.User, d.Passwd = s.account.User, s.account.Password
	d.Logger = &driver.NopLogger{}
	d.InterpolateParams = true
	connector, err := driver.NewConnector(d)
	if err != nil {
		return err
	}
	if s.proc, err = startProcess(s.log(), s.in.mysqld, append([]string{"--defaults-file=" + s.config()}, options...)...); err != nil {
		return err
	}
	s.db = sql.OpenDB(connector)
	for {
		if err = s.db.PingContext(ctx); err == nil {
			return nil
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-s.proc.done:
			return fmt.Errorf("mysqld of %s ended: %w: %w", s.dir, s.proc.err, lastErrors(s.log()))
		case <-ctx.Done():
			return fmt.Errorf("mysqld of %s: %w: %w", s.dir, context.Cause(ctx), err)
		}
	}
}

// Addr is its host:port, on loopback.
func (s *Server) Addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)) }

// Config is how it is reached, with the account that may do everything.
func (s *Server) Config() mysql.Config { return mysql.Config{Addr: s.Addr(), Account: s.account} }

// Own is the account's name, user@host.
func (s *Server) Own() string { return accountName + "@127.0.0.1" }

// Stop shuts the server down cleanly and leaves it in its directory, to be started
// with the my.cnf there.
func (s *Server) Stop(ctx context.Context) error {
	if s.db != nil {
		s.db.Close()
	}
	if s.proc == nil {
		return nil
	}
	if err := s.proc.stop(ctx); err != nil {
		return fmt.Errorf("shut down mysqld of %s: %w", s.dir, err)
	}
	return nil
}

// Remove ends the server, however, and removes all of it.
func (s *Server) Remove() error {
	if s.db != nil {
		s.db.Close()
	}
	if s.proc != nil {
		s.proc.kill()
	}
	return os.RemoveAll(s.dir)
}

// Log are the last errors of its log.
func (s *Server) Log() string { return strings.TrimSpace(lastErrors(s.log()).Error()) }

func freePort() (int, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port, nil
}
