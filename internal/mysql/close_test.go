package mysql

import (
	"context"
	"database/sql"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// contended has one session hold the lock of a row and another wait for it.
type contended struct {
	holder *sql.Tx
	waiter chan error // what became of the other's statement
}

// makeRows makes the rows 1 and 2.
func makeRows(t *testing.T, n *realNode) {
	t.Helper()
	for _, statement := range []string{
		"DROP TABLE IF EXISTS shop.contended",
		"CREATE TABLE shop.contended (id INT PRIMARY KEY, v INT NOT NULL)",
		"INSERT INTO shop.contended VALUES (1, 0), (2, 0)",
	} {
		require.NoError(t, n.mysqld.Exec(t.Context(), statement))
	}
}

// awaitRowWait returns when one session there waits for a row lock.
func awaitRowWait(t *testing.T, n *realNode) {
	t.Helper()
	require.Eventually(t, func() bool {
		var waits int
		err := n.mysqld.DB().QueryRowContext(t.Context(), "SELECT COUNT(*) FROM performance_schema.data_lock_waits").Scan(&waits)
		return err == nil && waits == 1
	}, 10*time.Second, 10*time.Millisecond)
}

func contend(t *testing.T, n *realNode) contended {
	t.Helper()
	ctx, db := t.Context(), n.mysqld.DB()
	makeRows(t, n)
	tx, err := db.BeginTx(ctx, nil)
	require.NoError(t, err)
	t.Cleanup(func() { _ = tx.Rollback() })
	_, err = tx.ExecContext(ctx, "UPDATE shop.contended SET v = v + 1 WHERE id = 1")
	require.NoError(t, err)
	waiter := make(chan error, 1)
	go func() {
		_, err := db.ExecContext(context.WithoutCancel(ctx), "UPDATE shop.contended SET v = v + 1 WHERE id = 1")
		waiter <- err
	}()
	awaitRowWait(t, n)
	return contended{tx, waiter}
}

// TestClosingEndsWaitsForRows: the holder of a row lock waits for the closing, the
// closing for who waits for the row, and that one for the holder.
func TestClosingEndsWaitsForRows(t *testing.T) {
	w, ctx := world(t), t.Context()
	a := w.A.(*realNode)
	c := contend(t, a)
	began := time.Now()
	require.NoError(t, a.server.SetSuperReadOnly(ctx, true))
	assert.GreaterOrEqual(t, time.Since(began), holdUpPatience, "it had time to end by itself")
	assert.EqualValues(t, 1317, serverNumber(<-c.waiter), "interrupted")
	_, err := c.holder.ExecContext(ctx, "UPDATE shop.contended SET v = v + 1 WHERE id = 2")
	assert.EqualValues(t, errReadOnly, serverNumber(err))
}

// TestClosingNamesWhatItWaitedFor: and interrupts nothing that would be interrupted for nothing.
func TestClosingNamesWhatItWaitedFor(t *testing.T) {
	w, ctx := world(t), t.Context()
	a := w.A.(*realNode)
	c := contend(t, a)
	long, err := a.mysqld.DB().Conn(ctx)
	require.NoError(t, err)
	defer long.Close()
	var id int
	require.NoError(t, long.QueryRowContext(ctx, "SELECT CONNECTION_ID()").Scan(&id))
	ended := make(chan error, 1)
	go func() {
		_, err := long.ExecContext(ctx, "UPDATE\tshop.contended\tSET\tv=4711+SLEEP(30)\tWHERE\tid=2")
		ended <- err
	}()
	require.Eventually(t, func() bool {
		var runs int
		err := a.mysqld.DB().QueryRowContext(ctx, "SELECT COUNT(*) FROM performance_schema.processlist WHERE STATE = 'User sleep'").Scan(&runs)
		return err == nil && runs == 1
	}, 10*time.Second, 10*time.Millisecond)

	err = a.server.SetSuperReadOnly(ctx, true)
	assert.EqualValues(t, errLockWait, serverNumber(err))
	assert.ErrorContains(t, err, fmt.Sprintf("session %d of root@localhost (UPDATE, ", id), "and no other word of it")
	assert.ErrorContains(t, err, "User sleep")
	assert.NotContains(t, err.Error(), "4711", "values are nobody's business")
	select {
	case err := <-c.waiter:
		assert.Fail(t, "the wait for a row was ended for nothing", "%v", err)
	default:
	}
	require.NoError(t, a.mysqld.Exec(ctx, fmt.Sprintf("KILL QUERY %d", id)))
	<-ended
	require.NoError(t, c.holder.Commit())
	require.NoError(t, <-c.waiter)
	require.NoError(t, a.server.SetSuperReadOnly(ctx, true))
}

// TestClosingLeavesTheApplierAlone: a server that was opened by hand is fenced, and its
// SQL thread waits for a row of a client's.
func TestClosingLeavesTheApplierAlone(t *testing.T) {
	w, ctx := world(t), t.Context()
	a, b := w.A.(*realNode), w.B.(*realNode)
	makeRows(t, a)
	facts, err := a.server.Look(ctx)
	require.NoError(t, err)
	require.NoError(t, b.server.WaitExecuted(ctx, facts.Executed, 10*time.Second))
	require.NoError(t, b.server.SetSuperReadOnly(ctx, false))
	tx, err := b.mysqld.DB().BeginTx(ctx, nil)
	require.NoError(t, err)
	t.Cleanup(func() { _ = tx.Rollback() })
	_, err = tx.ExecContext(ctx, "UPDATE shop.contended SET v = 7 WHERE id = 1")
	require.NoError(t, err)
	require.NoError(t, a.mysqld.Exec(ctx, "UPDATE shop.contended SET v = 1 WHERE id = 1"))
	awaitRowWait(t, b)

	err = b.server.SetSuperReadOnly(ctx, true)
	assert.EqualValues(t, errLockWait, serverNumber(err))
	assert.ErrorContains(t, err, "of the SQL thread (")
	require.NoError(t, tx.Rollback())
	require.Eventually(t, func() bool { return b.server.SetSuperReadOnly(ctx, true) == nil }, 10*time.Second, 10*time.Millisecond)
	facts, err = a.server.Look(ctx)
	require.NoError(t, err)
	assert.NoError(t, b.server.WaitExecuted(ctx, facts.Executed, 10*time.Second), "the SQL thread runs")
}
