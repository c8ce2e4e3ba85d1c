package testenv

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"time"

	"github.com/go-sql-driver/mysql"
	"golang.org/x/sync/errgroup"
)

// The seats of a chain.
const (
	Master    = "master"
	Candidate = "candidate"
	Slave     = "slave"
	Dump      = "dump"
)

// ServerSpec describes one server of a chain to make.
type ServerSpec struct {
	Name   string
	Zone   string
	Seat   string
	Source string // name of the server it replicates from, empty for the master
}

// DefaultServers is db1 → db2 → db3 and db1 → db4: master, candidate, slave in three zones, and the dump slave in
// the master's.
func DefaultServers() []ServerSpec {
	return []ServerSpec{
		{Name: "db1", Zone: "a", Seat: Master},
		{Name: "db2", Zone: "b", Seat: Candidate, Source: "db1"},
		{Name: "db3", Zone: "c", Seat: Slave, Source: "db2"},
		{Name: "db4", Zone: "a", Seat: Dump, Source: "db1"},
	}
}

// Options say what chain to make. The zero value is a durable, replicating chain of four on loopback.
type Options struct {
	Product string       // default "shop"
	Servers []ServerSpec // default DefaultServers()
	Network Network      // default Loopback
	// Dir holds everything of the chain. Default: a new temporary directory, which Close removes.
	Dir string
	// Keep leaves the directory where it is at Close.
	Keep bool
	// Bare leaves every server as it boots: read-only, standalone, semi-sync off, with an empty GTID set.
	Bare bool
	// Relaxed gives up fsync at commit, for tests that do not care. The default is as durable as production.
	Relaxed bool
	// Disks gives each server's data directory a Disk, which can be full or stand still. It needs root on Linux.
	Disks bool
	// Config has lines to append to every server's my.cnf.
	Config []string
	// Progress hears what takes long. May be nil.
	Progress func(string)
}

// Chain is a set of running servers. Close it, or they run until the program ends.
type Chain struct {
	Product string
	Dir     string
	Install Install
	Servers []*Server // in the order of Options.Servers

	keep    bool
	network Network
	links   *links
	spaces  *namespaces // only in the Netns network
	disks   []*Disk
	made    []string // what Close removes
	unlock  func()
	cleanup []func()
}

// NewChain finds or unpacks MySQL, copies the template data directory for every server, starts all of them at
// once and, unless Options.Bare, sets up replication: GTID auto-position, lossless semi-sync with the candidates
// as the only ackers, the master open for writes. On error nothing is left running.
func NewChain(ctx context.Context, o Options) (*Chain, error) {
	if o.Progress == nil {
		o.Progress = func(string) {}
	}
	if o.Product == "" {
		o.Product = "shop"
	}
	if len(o.Servers) == 0 {
		o.Servers = DefaultServers()
	}
	in, err := FindServer(ctx, o.Progress)
	if err != nil {
		return nil, err
	}
	data, err := template(ctx, in, o.Progress)
	if err != nil {
		return nil, err
	}
	c := &Chain{Product: o.Product, Install: in, keep: o.Keep, network: o.Network}
	if err := c.build(ctx, o, data); err != nil {
		return nil, errors.Join(fmt.Errorf("chain %s: %w", o.Product, err), c.Close())
	}
	return c, nil
}

func (c *Chain) build(ctx context.Context, o Options, data string) error {
	if err := c.makeDir(ctx, o.Dir); err != nil {
		return err
	}
	for i, spec := range o.Servers {
		s := &Server{Name: spec.Name, Zone: spec.Zone, Seat: spec.Seat, Dir: filepath.Join(c.Dir, spec.Name)}
		s.ErrorLog = filepath.Join(s.Dir, "error.log")
		socket, removeSocket, err := socketPath(s.Dir)
		if err != nil {
			return err
		}
		c.cleanup = append(c.cleanup, removeSocket)
		c.made = append(c.made, s.Dir)
		s.Socket = socket
		s.config = serverConfig{install: c.Install, dir: s.Dir, socket: socket, id: i + 1,
			relaxed: o.Relaxed, extra: o.Config}
		if o.Disks {
			if s.Disk, err = c.NewDisk(ctx, filepath.Join(spec.Name, "data")); err != nil {
				return err
			}
		}
		c.Servers = append(c.Servers, s)
	}
	if err := c.place(ctx); err != nil {
		return err
	}
	o.Progress("starting " + fmt.Sprint(len(c.Servers)) + " servers")
	all, allCtx := errgroup.WithContext(ctx)
	for _, s := range c.Servers {
		all.Go(func() error {
			if err := s.prepare(data); err != nil {
				return err
			}
			return s.Start(allCtx)
		})
	}
	if err := all.Wait(); err != nil {
		return err
	}
	if o.Bare {
		return nil
	}
	o.Progress("setting up replication")
	return c.replicate(ctx, o.Servers)
}

// Close kills every server and removes the chain's directory unless Options.Keep.
func (c *Chain) Close() error {
	var all errgroup.Group
	for _, s := range c.Servers {
		all.Go(func() error { s.close(); return nil })
	}
	_ = all.Wait()
	var failed error
	for _, d := range c.disks {
		failed = errors.Join(failed, d.Close())
	}
	if c.links != nil {
		c.links.close()
	}
	if c.spaces != nil {
		c.spaces.close()
	}
	for _, f := range c.cleanup {
		f()
	}
	return errors.Join(failed, c.removeDir())
}

// NewDisk makes a disk that the chain closes with itself, at a path in its directory.
func (c *Chain) NewDisk(ctx context.Context, path string) (*Disk, error) {
	d, err := NewDisk(ctx, filepath.Join(c.Dir, path))
	if err == nil {
		c.disks = append(c.disks, d)
	}
	return d, err
}

// Server returns the server of that name, or nil.
func (c *Chain) Server(name string) *Server {
	for _, s := range c.Servers {
		if s.Name == name {
			return s
		}
	}
	return nil
}

// At returns the first server that was made for the seat, or nil. It does not follow promotions.
func (c *Chain) At(seat string) *Server {
	for _, s := range c.Servers {
		if s.Seat == seat {
			return s
		}
	}
	return nil
}

// Open returns a connection pool as an account sees it from viewer to server. database may be empty.
func (c *Chain) Open(from, to string, as Account, database string) (*sql.DB, error) {
	s := c.Server(to)
	if s == nil {
		return nil, fmt.Errorf("no server %q", to)
	}
	config := mysql.NewConfig()
	config.User, config.Passwd, config.DBName = as.User, as.Password, database
	config.Net, config.Addr = "tcp", s.Addr()
	config.Timeout = 5 * time.Second
	config.Logger = &mysql.NopLogger{}
	config.DialFunc = c.Dialer(from)
	connector, err := mysql.NewConnector(config)
	if err != nil {
		return nil, err
	}
	return sql.OpenDB(connector), nil
}

// DialFunc is how go-sql-driver, net/http and others take a dialer.
type DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error)
