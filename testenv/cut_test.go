package testenv

import (
	"context"
	"database/sql"
	"errors"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// ask runs a trivial query as a viewer on a new connection and says how it went and how long it took.
func ask(t *testing.T, c *Chain, from, to string, limit time.Duration) (time.Duration, error) {
	t.Helper()
	db, err := c.Open(from, to, Accounts.Probe, "")
	require.NoError(t, err)
	defer db.Close()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	began := time.Now()
	err = db.QueryRowContext(ctx, "SELECT 1").Scan(new(int))
	return time.Since(began), err
}

// timedOut is true of the context's deadline and of a dialer's, whichever was seen first.
func timedOut(err error) bool {
	var network net.Error
	return errors.Is(err, context.DeadlineExceeded) || (errors.As(err, &network) && network.Timeout())
}

func appOn(t *testing.T, c *Chain, server string) *sql.DB {
	t.Helper()
	app, err := c.Open(Clients, server, Accounts.App, Database)
	require.NoError(t, err)
	t.Cleanup(func() { app.Close() })
	return app
}

func TestViewerCanBeCutResetAndDelayed(t *testing.T) {
	for _, network := range []Network{Loopback, Proxied} {
		t.Run(string("network "+network), func(t *testing.T) {
			c := newChain(t, Options{Relaxed: true, Network: network, Bare: true, Servers: DefaultServers()[:2]})
			_, err := ask(t, c, "w1", "db1", 5*time.Second)
			require.NoError(t, err)

			require.NoError(t, c.Cut("w1", "db1"))
			_, err = ask(t, c, "w1", "db1", 300*time.Millisecond)
			require.True(t, timedOut(err), "a cut is silent")
			_, err = ask(t, c, "w2", "db1", 5*time.Second)
			require.NoError(t, err, "another viewer does not notice")
			_, err = ask(t, c, "w1", "db2", 5*time.Second)
			require.NoError(t, err, "another server is reached")
			require.NoError(t, c.Heal("w1", "db1"))

			require.NoError(t, c.CutReset("w1", "db1"))
			_, err = ask(t, c, "w1", "db1", 5*time.Second)
			require.Error(t, err)
			require.False(t, timedOut(err), "a reset is immediate")
			require.NoError(t, c.HealAll())

			require.NoError(t, c.Delay("w1", "db1", 50*time.Millisecond))
			took, err := ask(t, c, "w1", "db1", 5*time.Second)
			require.NoError(t, err)
			assert.GreaterOrEqual(t, took, 200*time.Millisecond, "handshake and query are two round trips or more")
			require.NoError(t, c.HealAll())

			c.Server("db1").Kill()
			_, err = ask(t, c, "w1", "db1", 5*time.Second)
			require.Error(t, err)
			require.False(t, timedOut(err), "a dead server is no silence")
		})
	}
}

func TestLoopbackLinksBetweenServersCannotBeCut(t *testing.T) {
	c := &Chain{Servers: []*Server{{Name: "db1"}, {Name: "db2"}}, links: newLinks(nil)}
	require.ErrorIs(t, c.Cut("db1", "db2"), ErrNotCuttable)
}

func TestStalledConnectionGoesOnAfterHeal(t *testing.T) {
	c, ctx := newChain(t, Options{Relaxed: true, Bare: true, Servers: DefaultServers()[:1]}), testContext(t)
	db, err := c.Open("w1", "db1", Accounts.Probe, "")
	require.NoError(t, err)
	defer db.Close()
	conn, err := db.Conn(ctx)
	require.NoError(t, err)
	defer conn.Close()
	require.NoError(t, c.CutOneWay("db1", "w1"))
	answered := make(chan error, 1)
	go func() { answered <- conn.QueryRowContext(ctx, "SELECT 1").Scan(new(int)) }()
	select {
	case err := <-answered:
		require.Fail(t, "an answer came through the cut", "%v", err)
	case <-time.After(200 * time.Millisecond):
	}
	require.NoError(t, c.Heal("db1", "w1"))
	require.NoError(t, <-answered)
}

func TestCutBetweenServersStallsReplicationAndItsCommits(t *testing.T) {
	for _, network := range []Network{Proxied, Netns} {
		t.Run(string(network), func(t *testing.T) {
			if network == Netns {
				requireNetns(t)
			}
			c, ctx := newChain(t, Options{Relaxed: true, Network: network}), testContext(t)
			app := appOn(t, c, "db1")
			_, err := app.ExecContext(ctx, "CREATE TABLE notes (id INT PRIMARY KEY)")
			require.NoError(t, err)

			require.NoError(t, c.Cut("db1", "db2"))
			committed := make(chan error, 1)
			go func() {
				_, err := app.ExecContext(ctx, "INSERT INTO notes VALUES (1)")
				committed <- err
			}()
			require.NoError(t, c.Server("db4").await(ctx, "receiving the commit nobody acknowledged",
				"SELECT COUNT(*) = 1 FROM shop.notes"))
			var n int
			require.NoError(t, c.Server("db2").DB().QueryRowContext(ctx, "SELECT COUNT(*) FROM shop.notes").Scan(&n))
			assert.Zero(t, n, "the cut holds")
			_, err = ask(t, c, Clients, "db2", 5*time.Second)
			require.NoError(t, err, "clients reach both sides")
			select {
			case err := <-committed:
				require.Fail(t, "the commit did not wait", "%v", err)
			default:
			}
			require.NoError(t, c.Heal("db1", "db2"))
			require.NoError(t, <-committed)
		})
	}
}
