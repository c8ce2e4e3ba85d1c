package dump

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/failoverd/failoverd/internal/object"
	"github.com/failoverd/failoverd/internal/snapshot"
	"github.com/failoverd/failoverd/testenv"
)

func take(t *testing.T, s *testenv.Server) (snapshot.Manifest, object.Store) {
	t.Helper()
	box, err := snapshot.NewBox()
	require.NoError(t, err)
	store := object.NewMemory()
	m, err := snapshot.Take(t.Context(), snapshot.TakeRequest{Source: New(config(s)), Store: store, Box: box, Product: "shop", Epoch: 3, Server: "slave"})
	require.NoError(t, err)
	return m, store
}

func TestHorrorsAreTheSameTwice(t *testing.T) {
	_, slave := servers(t)
	once, _ := take(t, slave)
	twice, _ := take(t, slave)
	assert.Equal(t, once.Tables, twice.Tables)
	assert.Greater(t, once.Totals.Tables, 80)
	t.Log(once.StallMs, twice.StallMs, once.Totals, once.Warnings)
}

func TestEveryRowSplitsAndJoins(t *testing.T) {
	_, slave := servers(t)
	p, err := New(config(slave)).Open(t.Context(), 1)
	require.NoError(t, err)
	defer p.Close()
	schema, err := p.Schema(t.Context())
	require.NoError(t, err)
	rows := 0
	for _, table := range schema.Tables {
		ranges, err := p.Ranges(t.Context(), table, 4)
		require.NoError(t, err)
		wires := table.Wires()
		for _, r := range ranges {
			require.NoError(t, p.Read(t.Context(), 0, table, r, func(row []byte) error {
				rows++
				fields, err := snapshot.SplitRow(row, wires, nil)
				require.NoError(t, err, table.ID())
				if !bytes.Equal(row, snapshot.JoinRow(nil, wires, fields)) {
					t.Errorf("%s: a row of %d bytes is not the same when joined", table.ID(), len(row))
				}
				return nil
			}))
		}
	}
	assert.Greater(t, rows, 3000)
}
