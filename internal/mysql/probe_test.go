package mysql

import (
	"context"
	"io"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/failoverd/failoverd/internal/topology"
	"github.com/failoverd/failoverd/testenv"
)

func newProbe(t *testing.T, addr string, account Account) *Probe {
	t.Helper()
	p, err := NewProbe(Config{Addr: addr, Account: account})
	require.NoError(t, err)
	t.Cleanup(func() { p.Close() })
	return p
}

// pinged is one ping with the deadline that watchers use.
func pinged(t *testing.T, p *Probe) (topology.Contact, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	contact, err := p.Ping(ctx)
	if err != nil {
		assert.NotContains(t, err.Error(), "secret")
	}
	assert.Equal(t, contact == topology.Answered, err == nil)
	return contact, err
}

func TestProbeTellsARealServersStates(t *testing.T) {
	c := chain(t)
	s, ctx := c.Server("a"), t.Context()
	p := newProbe(t, s.Addr(), credentials.Probe)
	contact, err := pinged(t, p)
	require.NoError(t, err)
	assert.Equal(t, topology.Answered, contact)
	facts, err := p.Look(ctx)
	require.NoError(t, err)
	assert.True(t, facts.SuperReadOnly)

	t.Run("frozen is silent and thawed answers on the same handshake", func(t *testing.T) {
		require.NoError(t, s.Freeze())
		// On a busy machine its threads stop a moment after the signal.
		require.Eventually(t, func() bool { contact, _ := pinged(t, p); return contact == topology.Silent }, 5*time.Second, time.Millisecond)
		for range 4 {
			contact, _ := pinged(t, p)
			assert.Equal(t, topology.Silent, contact)
		}
		p.turnHeld(func() { assert.NotNil(t, p.greeting, "one handshake outlives the pings") })
		require.NoError(t, s.Thaw())
		require.Eventually(t, func() bool { contact, _ := pinged(t, p); return contact == topology.Answered }, 5*time.Second, time.Millisecond)
		p.turnHeld(func() { assert.Nil(t, p.greeting) })
	})
	t.Run("a killed session is replaced within the same ping", func(t *testing.T) {
		require.NoError(t, control(t, s).KillOlderSessions(ctx)) // other account: must not touch the probe
		rows, err := s.DB().QueryContext(ctx, "SELECT id FROM performance_schema.processlist WHERE user = ?", credentials.Probe.User)
		require.NoError(t, err)
		defer rows.Close()
		killed := 0
		for rows.Next() {
			var id int
			require.NoError(t, rows.Scan(&id))
			require.NoError(t, s.Exec(ctx, "KILL ?", id))
			killed++
		}
		require.NoError(t, rows.Err())
		require.NotZero(t, killed)
		contact, err := pinged(t, p)
		require.NoError(t, err)
		assert.Equal(t, topology.Answered, contact)
	})
	t.Run("used up connections are busy", func(t *testing.T) {
		require.NoError(t, s.Exec(ctx, "SET GLOBAL max_connections = 10"))
		defer func() { require.NoError(t, s.Exec(ctx, "SET GLOBAL max_connections = 200")) }()
		app, err := c.Open(testenv.Clients, "a", testenv.Accounts.App, "")
		require.NoError(t, err)
		defer app.Close()
		for range 12 {
			conn, err := app.Conn(ctx)
			if err != nil {
				break
			}
			defer conn.Close()
		}
		contact, err := pinged(t, newProbe(t, s.Addr(), credentials.Probe))
		assert.Equal(t, topology.Busy, contact, "%v", err)
	})
	t.Run("a wrong password is a denial, and offline mode is told from it", func(t *testing.T) {
		contact, _ := pinged(t, newProbe(t, s.Addr(), Account{User: credentials.Probe.User, Password: "wrong-secret"}))
		assert.Equal(t, topology.Denied, contact)
		require.NoError(t, s.Exec(ctx, "SET GLOBAL offline_mode = ON"))
		contact, err := pinged(t, p)
		assert.Equal(t, topology.Offline, contact, "%v", err)
		require.NoError(t, s.Exec(ctx, "SET GLOBAL offline_mode = OFF"))
		contact, _ = pinged(t, p)
		assert.Equal(t, topology.Answered, contact)
	})
	t.Run("killed is refused at once", func(t *testing.T) {
		s.Kill()
		began := time.Now()
		contact, err := pinged(t, p)
		assert.Equal(t, topology.Refused, contact, "%v", err)
		assert.Less(t, time.Since(began), 200*time.Millisecond)
		require.NoError(t, s.Start(ctx))
		contact, err = pinged(t, p)
		assert.Equal(t, topology.Answered, contact, "%v", err)
	})
}

// turnHeld runs f while no ping does.
func (p *Probe) turnHeld(f func()) {
	<-p.turn
	defer func() { p.turn <- struct{}{} }()
	f()
}

// listen accepts connections on loopback and treats each with f.
func listen(t *testing.T, f func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go f(conn)
		}
	}()
	return l.Addr().String()
}

func TestProbeTellsStrangersFromServers(t *testing.T) {
	account := Account{User: "probe", Password: "probe-secret"}
	hold := make(chan struct{})
	t.Cleanup(func() { close(hold) })
	for _, c := range []struct {
		name string
		f    func(net.Conn)
		want topology.Contact
	}{
		{"says nothing", func(conn net.Conn) { <-hold; conn.Close() }, topology.Silent},
		{"closes in the handshake", func(conn net.Conn) { conn.Close() }, topology.Unclear},
		{"resets in the handshake", func(conn net.Conn) {
			conn.(*net.TCPConn).SetLinger(0)
			conn.Close()
		}, topology.Refused},
		{"speaks another protocol", func(conn net.Conn) { io.WriteString(conn, "\x02\x00\x00\x00\x09\x00"); <-hold; conn.Close() }, topology.Unclear},
	} {
		t.Run(c.name, func(t *testing.T) {
			contact, err := pinged(t, newProbe(t, listen(t, c.f), account))
			assert.Equal(t, c.want, contact, "%v", err)
		})
	}
	contact, err := pinged(t, newProbe(t, "name.invalid:3306", account))
	assert.Equal(t, topology.Unclear, contact, "%v", err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	l.Close()
	contact, _ = pinged(t, newProbe(t, l.Addr().String(), account))
	assert.Equal(t, topology.Refused, contact)
}

func TestProbeHandshakesAreFewWhileAServerIsFrozen(t *testing.T) {
	accepted := make(chan struct{}, 100)
	hold := make(chan struct{})
	t.Cleanup(func() { close(hold) })
	p := newProbe(t, listen(t, func(conn net.Conn) { accepted <- struct{}{}; <-hold; conn.Close() }), credentials.Probe)
	for range 8 {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		contact, _ := p.Ping(ctx)
		cancel()
		assert.Equal(t, topology.Silent, contact)
	}
	assert.Len(t, accepted, 1)
}
