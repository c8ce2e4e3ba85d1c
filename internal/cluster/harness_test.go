package cluster

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/failoverd/failoverd/internal/pki"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

// patience is what a test waits for an event that must come. It is generous: the machine may be busy with
// something else. What the package promises is measured by TestMeasure instead.
const patience = 20 * time.Second

// ledger is a machine that remembers its commands in order.
type ledger struct {
	mu      sync.Mutex
	entries []string
	block   chan struct{} // Apply waits for it, unless nil
}

var errRefused = errors.New("refused by the machine")

func (l *ledger) Apply(_ uint64, command []byte) any {
	l.mu.Lock()
	block := l.block
	l.mu.Unlock()
	if block != nil {
		<-block
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if string(command) == "refuse" {
		return errRefused
	}
	l.entries = append(l.entries, string(command))
	return len(l.entries)
}

func (l *ledger) Snapshot() ([]byte, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return json.Marshal(l.entries)
}

func (l *ledger) Restore(content []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.entries = nil
	return json.Unmarshal(content, &l.entries)
}

func (l *ledger) all() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]string(nil), l.entries...)
}

// member is one watcher of a test's cluster.
type member struct {
	*Node
	cfg     Config
	machine *ledger
}

// trio is a cluster over loopback TLS.
type trio struct {
	t       *testing.T
	dir     string
	members map[string]*member
	timing  Timing
	tune    func(*Config)
}

func newTrio(t *testing.T, ids ...string) *trio {
	t.Helper()
	c := prepareTrio(t, ids...)
	c.openAll()
	return c
}

// prepareTrio makes certificates and addresses, and starts nobody.
func prepareTrio(t *testing.T, ids ...string) *trio {
	t.Helper()
	c := &trio{t: t, dir: t.TempDir(), members: map[string]*member{}}
	require.NoError(t, pki.CreateCA(c.path("ca.crt"), c.path("ca.key")))
	var founders []Peer
	for _, id := range ids {
		m := c.prepare(id)
		founders = append(founders, Peer{ID: id, Addr: m.cfg.Advertise})
	}
	for _, id := range ids {
		c.members[id].cfg.Bootstrap, c.members[id].cfg.Peers = true, founders
	}
	t.Cleanup(func() {
		for _, m := range c.members {
			if m.Node != nil {
				m.crash()
			}
		}
	})
	return c
}

func (c *trio) path(parts ...string) string {
	return filepath.Join(append([]string{c.dir}, parts...)...)
}

// tls returns both halves of what a certificate with this role allows.
func (c *trio) tls(id, role string) (server, client *tls.Config) {
	c.t.Helper()
	cert, key := c.path(id+".crt"), c.path(id+".key")
	require.NoError(c.t, pki.Issue(c.path("ca.crt"), c.path("ca.key"), cert, key, pki.Request{Role: role, Name: id, Hosts: []string{"127.0.0.1"}}))
	server, client, err := pki.LoadTLS(c.path("ca.crt"), cert, key)
	require.NoError(c.t, err)
	return server, client
}

// prepare gives a watcher its address, certificate and directory, and does not start it.
func (c *trio) prepare(id string) *member {
	c.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(c.t, err)
	c.t.Cleanup(func() { l.Close() })
	m := &member{}
	m.cfg = Config{ID: id, Bind: l.Addr().String(), Advertise: l.Addr().String(), Dir: c.path(id)}
	m.cfg.ServerTLS, m.cfg.ClientTLS = c.tls(id, pki.RoleWatcher)
	m.cfg.testing.listener = l
	m.cfg.Logger = hclog.New(&hclog.LoggerOptions{Level: hclog.Info, Output: logTo{c.t}, Name: id})
	c.members[id] = m
	return m
}

// openAll starts every watcher at once. The founders ask each other first, and one whose listener is there but not
// served would be waited for.
func (c *trio) openAll() {
	var starting sync.WaitGroup
	for id := range c.members {
		starting.Go(func() { c.open(id) })
	}
	starting.Wait()
	for id, m := range c.members {
		require.NotNil(c.t, m.Node, "%s did not start", id)
	}
}

// open starts a watcher, for the first time or again with what it has on disk.
func (c *trio) open(id string) *member {
	c.t.Helper()
	m := c.members[id]
	m.machine = &ledger{}
	cfg := m.cfg
	cfg.Timing = c.timing
	if c.tune != nil {
		c.tune(&cfg)
	}
	node, err := Open(cfg, m.machine)
	if !assert.NoError(c.t, err) {
		runtime.Goexit() // as require does, but from any goroutine
	}
	m.Node, m.cfg.testing.listener = node, nil
	return m
}

// leader waits for a leader among the running members whose state is current.
func (c *trio) leader() *member {
	c.t.Helper()
	var found *member
	require.Eventually(c.t, func() bool {
		found = nil
		for _, m := range c.members {
			if m.Node != nil && m.IsLeader() {
				found = m
			}
		}
		return found != nil
	}, patience, 5*time.Millisecond, "nobody leads")
	return found
}

// followers returns the running members beside the leader, in the order of their IDs.
func (c *trio) followers() (others []*member) {
	leader := c.leader()
	for _, m := range c.members {
		if m != leader && m.Node != nil {
			others = append(others, m)
		}
	}
	slices.SortFunc(others, func(a, b *member) int { return strings.Compare(a.cfg.ID, b.cfg.ID) })
	return others
}

func (m *member) stopHard() {
	m.crash()
	m.Node = nil
}

func (c *trio) apply(m *member, command string) any {
	c.t.Helper()
	got, err := m.Apply(within(c.t, patience), []byte(command))
	require.NoError(c.t, err)
	return got
}

// hold waits until a member's machine holds exactly these commands.
func (c *trio) hold(m *member, want ...string) {
	c.t.Helper()
	require.Eventually(c.t, func() bool { return fmt.Sprint(m.machine.all()) == fmt.Sprint(want) },
		patience, 5*time.Millisecond, "%s holds not %v", m.cfg.ID, want)
}

func within(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

// logTo writes a log into the test's own output.
type logTo struct{ t *testing.T }

func (l logTo) Write(p []byte) (int, error) {
	l.t.Logf("%s", p[:len(p)-1])
	return len(p), nil
}
