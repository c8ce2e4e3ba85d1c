package dump

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/failoverd/failoverd/internal/mysql"
)

func TestOneCopiesAServerAtATime(t *testing.T) {
	_, slave := servers(t)
	server := New(mysql.Config{Addr: slave.Addr(), Account: credentials})
	release, err := server.Lock(t.Context())
	require.NoError(t, err)
	_, err = server.Lock(t.Context())
	require.ErrorIs(t, err, ErrLocked)
	assert.Contains(t, err.Error(), "session")
	release()
	require.EventuallyWithT(t, func(c *assert.CollectT) { // the server notices that the session is gone
		again, err := server.Lock(t.Context())
		if assert.NoError(c, err) {
			again()
		}
	}, 30*time.Second, 20*time.Millisecond)
}

func TestWhatAnAccountLacksIsTold(t *testing.T) {
	master, slave := servers(t)
	missing, err := MissingGrants(t.Context(), mysql.Config{Addr: slave.Addr(), Account: credentials})
	require.NoError(t, err)
	assert.Empty(t, missing)
	require.NoError(t, master.Exec(t.Context(), "CREATE USER poor@'%' IDENTIFIED BY 'p'"))
	t.Cleanup(func() { assert.NoError(t, master.Exec(context.WithoutCancel(t.Context()), "DROP USER poor@'%'")) })
	caughtUp(t, master, slave)
	missing, err = MissingGrants(t.Context(), mysql.Config{Addr: slave.Addr(), Account: mysql.Account{User: "poor", Password: "p"}})
	require.NoError(t, err)
	assert.Contains(t, missing, "GRANT SELECT ON *.* TO 'poor'@'%'")
	assert.Contains(t, missing, "GRANT BACKUP_ADMIN ON *.* TO 'poor'@'%'")
}
