package mysql

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/failoverd/failoverd/internal/topology"
)

// TestFactsByNameAndByTableAreTheSame: the variables' values are shown in two ways.
func TestFactsByNameAndByTableAreTheSame(t *testing.T) {
	w, ctx := world(t), t.Context()
	for _, node := range []*realNode{w.A.(*realNode), w.B.(*realNode)} {
		conn, err := node.server.sessions.db.Conn(ctx)
		require.NoError(t, err)
		defer conn.Close()
		byName, err := look(ctx, conn, factsByName)
		require.NoError(t, err)
		byTable, err := look(ctx, conn, factsByTable)
		require.NoError(t, err)
		assert.Equal(t, byTable.Settings, byName.Settings)
		assert.NotEmpty(t, byName.Settings)
	}
}

// TestLookWithoutAPlugin: its variables do not exist, and do again when it is back.
func TestLookWithoutAPlugin(t *testing.T) {
	w, ctx := world(t), t.Context()
	node := w.A.(*realNode)
	server := node.server
	require.NoError(t, node.mysqld.Exec(ctx, "UNINSTALL PLUGIN clone"))
	gone, err := server.Look(ctx)
	require.NoError(t, node.mysqld.Exec(ctx, "INSTALL PLUGIN clone SONAME 'mysql_clone.so'"))
	require.NoError(t, err)
	assert.NotContains(t, gone.Settings, "clone_valid_donor_list")
	assert.Contains(t, gone.Settings, "sync_binlog")
	assert.True(t, server.glance.byTable.Load())
	for range 2 {
		back, err := server.Look(ctx)
		require.NoError(t, err)
		assert.Contains(t, back.Settings, "clone_valid_donor_list")
		assert.False(t, server.glance.byTable.Load())
	}
}

func TestEventsThatAreNotEnabled(t *testing.T) {
	const three = `[["shop.a", "DISABLED", 1], ["shop.b", "REPLICA_SIDE_DISABLED", 0], ["shop.c", "SLAVESIDE_DISABLED", 1]]`
	for _, c := range []struct {
		name, text string
		visible    bool
		asleep     int
		disabled   []string
	}{
		{"none, and none can be seen", "", false, 0, nil},
		{"none", "", true, 0, []string{}},
		{"by a person, by replication, by a person on replica", three, true, 1, []string{"shop.a", "shop.c"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var f topology.Facts
			require.NoError(t, heedEvents(&f, []byte(c.text), c.visible))
			assert.Equal(t, c.asleep, f.AsleepEvents)
			assert.Equal(t, c.disabled, f.DisabledEvents)
		})
	}
	assert.ErrorContains(t, heedEvents(&topology.Facts{}, []byte(`[["shop.a"`), true), "events")
}
