// Package cluster keeps the watchers of one installation of one mind: a Raft node over mutual TLS around a state
// machine that the caller brings.
//
// It adds to hashicorp/raft what a failover manager must be able to rely on: only a watcher's certificate gets
// in; every outcome that is not certain is called unknown; a leader's work runs under a context that dies with
// its leadership; a node whose disk or machine hangs gives the leadership up; and a node that lost its disk
// does not vote before it has caught up.
package cluster

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
)

// Machine is the replicated state. All its methods are called by one goroutine at a time.
type Machine interface {
	// Apply changes the state by a committed command. It must be deterministic and quick: no clock, no
	// chance, no I/O. What it returns is handed to the caller of Node.Apply on the leader; an error value
	// means that the command was refused and changed nothing.
	Apply(index uint64, command []byte) any

	// Snapshot returns the whole state, well below 1 MB. It is written to disk after the call.
	Snapshot() ([]byte, error)

	// Restore replaces the whole state by what Snapshot returned once.
	Restore(snapshot []byte) error
}

// Peer is a member of the cluster.
type Peer struct {
	ID    string
	Addr  string // host:port of its Raft listener, as the others reach it
	Voter bool   // set in what is reported; a peer in Config.Peers is always a voter
}

// Config says how a node is opened.
type Config struct {
	ID        string // unique for ever: a watcher that lost its disk comes back by Remove and Join
	Bind      string // host:port to listen on
	Advertise string // host:port under which the peers reach it; Bind when empty
	Dir       string // the node's own data directory, mode 0700

	// ServerTLS and ClientTLS are what pki.LoadTLS returns. The node adds that the other end must be a watcher.
	ServerTLS, ClientTLS *tls.Config

	// Bootstrap lets a node without state found the cluster of Peers. See bootstrap in bootstrap.go for what
	// keeps it from founding a second one.
	Bootstrap bool
	Peers     []Peer // the founding members, the same list on each of them, this node included

	Timing Timing
	Logger hclog.Logger

	// OnStuck is called, in a goroutine of its own, when a write to disk, the machine's Apply or raft's main loop
	// has been hanging for longer than Timing.Hopeless: the process should end, for its supervisor to start it
	// anew. The node let go of its leadership at Timing.Stuck. A full disk is no reason: a restart frees nothing.
	OnStuck func(what string, age time.Duration)

	testing seams
}

// seams are where a test of this package puts its own parts.
type seams struct {
	listener  net.Listener
	transport raft.Transport
	logs      func(raft.LogStore) raft.LogStore
	inMemory  bool
}

// Node is one watcher's part of the cluster. Its methods may be called by any goroutine.
type Node struct {
	cfg       Config
	timing    Timing
	log       hclog.Logger
	raft      *raft.Raft
	stream    *stream // nil when a test brought its own transport
	transport *guard
	store     *store
	notify    chan bool // raft tells gained and lost leadership here
	stopwatch *stopwatch

	mu        sync.Mutex
	term      *term         // nil unless raft says that this node leads
	termMoved chan struct{} // closed and replaced whenever term changes or becomes current
	stuck     string        // what hangs; "" when nothing does
	stuckCh   chan struct{} // closed while stuck is not ""
	diskErr   error         // what the last disk probe met

	closing   atomic.Bool
	done      chan struct{} // closed when the node's goroutines shall end
	workers   sync.WaitGroup
	closeOnce sync.Once
	closeErr  error
}

// Open starts the node. The directory is locked against a second process. An error names the file at fault and
// what to do about it.
func Open(cfg Config, m Machine) (node *Node, err error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	n := &Node{
		cfg:       cfg,
		timing:    cfg.Timing.withDefaults(),
		log:       cfg.Logger,
		notify:    make(chan bool),
		stopwatch: newStopwatch(),
		termMoved: make(chan struct{}),
		stuckCh:   make(chan struct{}),
		done:      make(chan struct{}),
	}
	if n.log == nil {
		n.log = hclog.NewNullLogger()
	}
	if err := n.timing.check(); err != nil {
		return nil, err
	}
	n.store, err = openStore(cfg, n.stopwatch, quieter(n.log))
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			n.abandon()
		}
	}()
	if err := n.openTransport(); err != nil {
		return nil, err
	}
	if err := n.startRaft(m); err != nil {
		return nil, err
	}
	n.workers.Go(n.watchLeadership) // raft waits with each notice until it is taken
	n.workers.Go(n.watchStuck)
	n.workers.Go(n.probeDisk)
	n.workers.Go(n.probeLoop)
	n.observe()
	n.compareAddress()
	return n, nil
}

func (c Config) check() error {
	if c.ID == "" {
		return errors.New("cluster: this node needs an id")
	}
	if c.testing.transport == nil && (c.ServerTLS == nil || c.ClientTLS == nil) {
		return errors.New("cluster: the peers speak mutual TLS only; no certificate was given")
	}
	if !c.Bootstrap {
		return nil
	}
	ids, addrs := map[string]bool{}, map[string]bool{}
	for _, p := range c.Peers {
		if p.ID == "" || p.Addr == "" {
			return fmt.Errorf("cluster: founding peer %+v needs an id and an address", p)
		}
		if ids[p.ID] || addrs[p.Addr] {
			return fmt.Errorf("cluster: founding peer %s at %s is named twice", p.ID, p.Addr)
		}
		ids[p.ID], addrs[p.Addr] = true, true
	}
	if !ids[c.ID] {
		return fmt.Errorf("cluster: %s is not among the founding peers", c.ID)
	}
	return nil
}

func (n *Node) openTransport() error {
	inner := n.cfg.testing.transport
	if inner == nil {
		s, err := listen(n.cfg, n.log)
		if err != nil {
			return err
		}
		n.stream = s
		inner = raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{
			Stream:  s,
			MaxPool: 3,
			Timeout: n.timing.RPC,
			Logger:  quieter(n.log),
		})
	}
	n.transport = newGuard(inner)
	return nil
}

func (n *Node) startRaft(m Machine) error {
	conf := n.timing.raftConfig()
	conf.LocalID = raft.ServerID(n.cfg.ID)
	conf.Logger = quieter(n.log)
	conf.NotifyCh = n.notify
	if err := n.bootstrap(conf); err != nil {
		return err
	}
	machine := &machine{inner: m, stopwatch: n.stopwatch}
	return onCorruption(n.store.path, func() error {
		r, err := raft.NewRaft(conf, machine, n.store.logs, n.store.stable, n.store.snapshots, n.transport)
		if err != nil {
			return fmt.Errorf("%s: %w; %s", n.cfg.Dir, err, remedy)
		}
		n.raft = r
		n.transport.openTo(r, n.store.joining(), n.joined)
		return nil
	})
}

// compareAddress warns of a watcher that moved: the others dial the address in the cluster's configuration, not
// the one in the file beside this node.
func (n *Node) compareAddress() {
	own := string(n.transport.LocalAddr())
	if p, ok := n.peer(n.cfg.ID); ok && p.Addr != own {
		n.log.Warn("the cluster knows this watcher under another address, join it again under the new one",
			"id", n.cfg.ID, "advertised", own, "known_as", p.Addr)
	}
}

// joined gives the node its vote for good.
func (n *Node) joined() {
	if err := n.store.setJoining(false); err != nil {
		n.log.Error("mark of a joining watcher not removed", "dir", n.cfg.Dir, "error", err)
		return
	}
	n.log.Info("watcher caught up and votes", "id", n.cfg.ID)
}

// raftLeads tells whether raft takes this node for the leader, current or not.
func (n *Node) raftLeads() bool { return n.raft.State() == raft.Leader }

// Close stops the node. A leader first hands over to another voter, waiting for two election timeouts at most,
// so that a planned restart costs the cluster a few round trips instead of an election.
func (n *Node) Close() error {
	n.closeOnce.Do(func() {
		n.closing.Store(true)
		if n.raftLeads() {
			n.handOver()
		}
		n.closeErr = n.stop()
	})
	return n.closeErr
}

// crash ends the node as a power cut would, as far as the others can tell: nothing is handed over and no
// connection says goodbye first. Tests only.
func (n *Node) crash() {
	n.closeOnce.Do(func() {
		n.closing.Store(true)
		if n.stream != nil {
			n.stream.cut()
		}
		n.closeErr = n.stop()
	})
}

func (n *Node) stop() error {
	n.endTerm(ErrClosed)
	stopped := n.raft.Shutdown()
	close(n.done)
	err := n.transport.Close()
	finished := make(chan error, 1)
	go func() {
		err := stopped.Error()
		n.workers.Wait()
		finished <- err
	}()
	select {
	case e := <-finished:
		return errors.Join(err, e, n.store.close())
	case <-time.After(closeLimit):
		// Closing the database would wait for the same write. Its lock ends with the process.
		what, _ := n.stopwatch.oldest()
		return errors.Join(err, fmt.Errorf("close cluster node: %s hangs, giving up on it", what))
	}
}

// abandon undoes a half-done Open.
func (n *Node) abandon() {
	if n.raft != nil {
		stopped := n.raft.Shutdown()
		close(n.done)
		_ = stopped.Error()
	} else {
		close(n.done)
	}
	if n.transport != nil {
		_ = n.transport.Close()
	}
	n.workers.Wait()
	_ = n.store.close()
}

// closeLimit bounds how long Close waits for a write to disk that hangs.
const closeLimit = 5 * time.Second

const dirMode = 0o700

func makeDir(dir string) error {
	if dir == "" {
		return errors.New("cluster: this node needs a data directory")
	}
	if err := os.MkdirAll(dir, dirMode); err != nil {
		return fmt.Errorf("data directory: %w; create it and give it to the user that failoverd runs as", err)
	}
	return nil
}

func inDir(dir, name string) string { return filepath.Join(dir, name) }

func founders(peers []Peer) raft.Configuration {
	// The order must be the same everywhere, for the founding entry to be the same everywhere.
	sorted := slices.SortedFunc(slices.Values(peers), func(a, b Peer) int {
		if a.ID < b.ID {
			return -1
		}
		return 1
	})
	var c raft.Configuration
	for _, p := range sorted {
		c.Servers = append(c.Servers, raft.Server{Suffrage: raft.Voter, ID: raft.ServerID(p.ID), Address: raft.ServerAddress(p.Addr)})
	}
	return c
}
