package testenv

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func newChain(t *testing.T, o Options) *Chain {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	began := time.Now()
	o.Progress = func(line string) { t.Logf("%6.2fs %s", time.Since(began).Seconds(), line) }
	c, err := NewChain(ctx, o)
	require.NoError(t, err)
	t.Logf("%6.2fs up", time.Since(began).Seconds())
	t.Cleanup(func() { assert.NoError(t, c.Close()) })
	return c
}

func testContext(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func TestChainReplicatesToEveryServer(t *testing.T) {
	c, ctx := newChain(t, Options{}), testContext(t)
	app, err := c.Open(Clients, "db1", Accounts.App, Database)
	require.NoError(t, err)
	defer app.Close()
	_, err = app.ExecContext(ctx, "CREATE TABLE notes (id INT PRIMARY KEY)")
	require.NoError(t, err)
	_, err = app.ExecContext(ctx, "INSERT INTO notes VALUES (1)")
	require.NoError(t, err)
	executed, err := c.Server("db1").Executed(ctx)
	require.NoError(t, err)
	for _, s := range c.Servers {
		require.NoError(t, s.AwaitApplied(ctx, executed))
		var n int
		require.NoError(t, s.DB().QueryRowContext(ctx, "SELECT COUNT(*) FROM shop.notes").Scan(&n))
		assert.Equal(t, 1, n, s.Name)
	}
}
