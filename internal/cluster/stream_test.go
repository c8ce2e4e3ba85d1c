package cluster

import (
	"crypto/tls"
	"io"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/failoverd/failoverd/internal/pki"
)

// A heartbeat of a term far ahead would unseat any leader: nobody but a watcher may get as far as sending one.
func TestOnlyWatchersGetIn(t *testing.T) {
	c := newTrio(t, "a")
	addr := c.leader().cfg.Advertise
	for _, role := range []string{pki.RoleFollower, pki.RoleOperator, pki.RoleDump} {
		t.Run(role, func(t *testing.T) {
			_, client := c.tls("intruder-"+role, role)
			conn, err := tls.Dial("tcp", addr, client)
			if err != nil {
				return
			}
			defer conn.Close()
			_, err = io.ReadAll(conn)
			assert.ErrorContains(t, err, "remote error: tls")
		})
	}
	t.Run("no certificate", func(t *testing.T) {
		_, client := c.tls("w", pki.RoleWatcher)
		conn, err := tls.Dial("tcp", addr, &tls.Config{RootCAs: client.RootCAs})
		if err != nil {
			return
		}
		defer conn.Close()
		_, err = io.ReadAll(conn)
		assert.ErrorContains(t, err, "remote error: tls")
	})
	t.Run("plaintext", func(t *testing.T) {
		conn, err := net.Dial("tcp", addr)
		require.NoError(t, err)
		defer conn.Close()
		_, err = conn.Write([]byte("\x00 a heartbeat without TLS"))
		require.NoError(t, err)
		require.NoError(t, conn.SetDeadline(time.Now().Add(patience)))
		answer, err := io.ReadAll(conn)
		if ne, ok := err.(net.Error); ok {
			assert.False(t, ne.Timeout(), "the connection was kept")
		}
		assert.LessOrEqual(t, len(answer), 7, "at most a TLS alert comes back")
	})
	t.Run("a watcher", func(t *testing.T) {
		_, client := c.tls("other", pki.RoleWatcher)
		conn, err := tls.Dial("tcp", addr, client)
		require.NoError(t, err)
		defer conn.Close()
		require.NoError(t, conn.SetReadDeadline(time.Now().Add(100*time.Millisecond)))
		_, err = conn.Read(make([]byte, 1))
		var timeout net.Error
		require.ErrorAs(t, err, &timeout)
		assert.True(t, timeout.Timeout(), "it is let in and waited for")
	})
}

func TestImpostorAtAPeersAddressIsNotSpokenTo(t *testing.T) {
	c := newTrio(t, "a")
	server, _ := c.tls("web", pki.RoleFollower)
	l, err := tls.Listen("tcp", "127.0.0.1:0", server)
	require.NoError(t, err)
	defer l.Close()
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_ = conn.(*tls.Conn).Handshake()
			conn.Close()
		}
	}()
	err = c.leader().Join(within(t, patience), "web", l.Addr().String())
	assert.ErrorContains(t, err, `role "follower"`)
	assert.Len(t, c.leader().Peers(), 1)
}
