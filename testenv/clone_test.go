package testenv

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A server that cloned another asks its supervisor for a restart, and boots with the donor's data.
func TestCloneRestartsTheRecipient(t *testing.T) {
	c, ctx := newChain(t, Options{Relaxed: true, Bare: true, Servers: []ServerSpec{
		{Name: "donor", Zone: "a", Seat: Master}, {Name: "recipient", Zone: "a", Seat: Slave}}}), testContext(t)
	donor, recipient := c.Server("donor"), c.Server("recipient")
	require.NoError(t, donor.Exec(ctx, "SET GLOBAL super_read_only=OFF"))
	require.NoError(t, donor.Exec(ctx, "CREATE TABLE shop.notes (id INT PRIMARY KEY)"))
	executed, err := donor.Executed(ctx)
	require.NoError(t, err)

	control, err := c.Open(Clients, "recipient", Accounts.Control, "")
	require.NoError(t, err)
	defer control.Close()
	session, err := control.Conn(ctx)
	require.NoError(t, err)
	defer session.Close()
	before := recipient.PID()
	_, err = session.ExecContext(ctx, fmt.Sprintf("SET GLOBAL clone_valid_donor_list='%s'", donor.Addr()))
	require.NoError(t, err)
	_, err = session.ExecContext(ctx, "SET GLOBAL super_read_only=OFF")
	require.NoError(t, err)
	_, err = session.ExecContext(ctx, fmt.Sprintf("CLONE INSTANCE FROM '%s'@'%s':%d IDENTIFIED BY '%s'",
		Accounts.Replication.User, donor.Host, donor.Port, Accounts.Replication.Password))
	if err != nil {
		t.Logf("the session ended with the server: %v", err)
	}
	require.Eventually(t, func() bool { return recipient.PID() != 0 && recipient.PID() != before }, 30*time.Second, 20*time.Millisecond)
	require.NoError(t, recipient.await(ctx, "answering", "SELECT TRUE"))
	got, err := recipient.Executed(ctx)
	require.NoError(t, err)
	assert.Equal(t, executed, got)
	var closed bool
	require.NoError(t, recipient.DB().QueryRowContext(ctx, "SELECT @@super_read_only").Scan(&closed))
	assert.True(t, closed, "it boots read-only, as ever")
}
