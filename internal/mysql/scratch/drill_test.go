package scratch

import (
	"context"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/failoverd/failoverd/internal/mysql"
	"github.com/failoverd/failoverd/internal/mysql/dump"
	"github.com/failoverd/failoverd/internal/mysql/load"
	"github.com/failoverd/failoverd/internal/object"
	"github.com/failoverd/failoverd/internal/snapshot"
	"github.com/failoverd/failoverd/testenv"
	"github.com/failoverd/failoverd/testenv/horrors"
)

// rehearsed is a snapshot of a chain's dump slave in a store, and what drills it.
type rehearsed struct {
	t      *testing.T
	store  *object.Memory
	box    *snapshot.Box
	m      snapshot.Manifest
	dir    string
	path   string
	from   string
	damage func(target snapshot.Target) snapshot.Target // between restore and reading back
}

// drill carries a drill out. Nothing of it is left, whatever came of it.
func (r *rehearsed) drill() snapshot.DrillReport {
	r.t.Helper()
	report, err := snapshot.Drill(r.t.Context(), snapshot.DrillRequest{
		Store: r.store, Box: r.box, Manifest: r.m, Workers: 2,
		Scratch: Scratch{
			Dir: r.dir, Mysqld: r.path, Memory: 128 << 20, From: r.from,
			Replication: mysql.Replication{Account: mysql.Account(testenv.Accounts.Replication)},
			Target: func(cfg mysql.Config) (snapshot.Target, error) {
				target, err := load.New(cfg, load.Options{Workers: 2})
				if err == nil && r.damage != nil {
					return r.damage(target), nil
				}
				return target, err
			},
			Source: func(cfg mysql.Config) (snapshot.Source, error) { return dump.New(cfg), nil },
		},
	})
	require.NoError(r.t, err)
	held, err := os.ReadDir(r.dir)
	require.NoError(r.t, err)
	assert.Empty(r.t, held)
	kept, err := r.store.Get(r.t.Context(), snapshot.DrillKey(r.m.Product, r.m.ID))
	require.NoError(r.t, err)
	var read snapshot.DrillReport
	require.NoError(r.t, json.Unmarshal(kept.Body, &read))
	assert.Equal(r.t, report.Failed, read.Failed)
	return report
}

// rewrite changes bytes of an object of the store.
func (r *rehearsed) rewrite(key string, change func([]byte) []byte) (undo func()) {
	r.t.Helper()
	was, err := r.store.Get(r.t.Context(), key)
	require.NoError(r.t, err)
	if changed := change(append([]byte{}, was.Body...)); changed == nil {
		require.NoError(r.t, r.store.Delete(r.t.Context(), key))
	} else {
		_, err = r.store.Put(r.t.Context(), key, changed, object.Always)
		require.NoError(r.t, err)
	}
	return func() {
		_, err := r.store.Put(r.t.Context(), key, was.Body, object.Always)
		require.NoError(r.t, err)
	}
}

// TestDrillsFindDamage rehearses a copy of the horrors that is good, and then with each
// thing that may go wrong with it.
func TestDrillsFindDamage(t *testing.T) {
	path := mysqld(t)
	ctx := t.Context()
	chain, err := testenv.NewChain(ctx, testenv.Options{Relaxed: true, Bare: true, Config: horrors.Config, Servers: []testenv.ServerSpec{{Name: "master", Seat: testenv.Master}}})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, chain.Close()) })
	master := chain.Servers[0]
	do := func(statement string) { require.NoError(t, master.Exec(ctx, statement), statement) }
	do("SET GLOBAL super_read_only = OFF, GLOBAL read_only = OFF")
	do("CREATE USER copier IDENTIFIED BY 'copier'")
	do("GRANT ALL ON *.* TO copier")
	require.NoError(t, horrors.Load(ctx, master))

	box, err := snapshot.NewBox()
	require.NoError(t, err)
	r := &rehearsed{t: t, store: object.NewMemory(), box: box, dir: t.TempDir(), path: path, from: master.Addr()}
	source := dump.New(mysql.Config{Addr: master.Addr(), Account: mysql.Account{User: "copier", Password: "copier"}})
	r.m, err = snapshot.Take(ctx, snapshot.TakeRequest{Source: source, Store: r.store, Box: box, Product: "shop", Epoch: 1, Server: "master", Workers: 2})
	require.NoError(t, err)

	t.Run("a good copy passes", func(t *testing.T) {
		report := r.drill()
		require.Empty(t, report.Failed)
		assert.True(t, report.Passed)
		assert.Equal(t, r.m.Totals.Rows, report.Rows)
		assert.Equal(t, r.m.Totals.Bytes, report.Bytes)
		assert.NotEmpty(t, report.Joined)
		assert.Positive(t, report.RTOSeconds)
		assert.Positive(t, report.BytesPerSecond)
		assert.Positive(t, report.RPOSeconds)
	})

	catalog, err := snapshot.LoadCatalog(ctx, r.store, r.box, r.m)
	require.NoError(t, err)
	var chunk snapshot.Chunk
	for _, table := range catalog.Tables {
		if table.Name == "large" {
			chunk = table.Chunks[0]
		}
	}
	require.NotEmpty(t, chunk.Key)
	t.Run("a flipped bit", func(t *testing.T) {
		defer r.rewrite(chunk.Key, func(body []byte) []byte { body[chunk.Offset+chunk.Bytes/2] ^= 4; return body })()
		report := r.drill()
		require.Len(t, report.Failed, 1)
		assert.Contains(t, report.Failed[0], chunk.Key)
		assert.Contains(t, report.Failed[0], "horrors.large")
		assert.False(t, report.Passed)
	})
	t.Run("what the server has is not what it was given", func(t *testing.T) {
		defer func() { r.damage = nil }()
		r.damage = func(target snapshot.Target) snapshot.Target { return meddler{target} }
		report := r.drill()
		all := strings.Join(report.Failed, "\n")
		assert.Len(t, report.Failed, 4, all)
		assert.Contains(t, all, "table horrors.decimals has 5 rows")
		assert.Contains(t, all, "of key id", "the place is named where the key tells")
		assert.Contains(t, all, "table horrors.no_key has 4 rows")
		assert.Contains(t, all, "view horrors.z_base differs")
		assert.Contains(t, all, "account fred@% differs")
	})
}

// meddler changes something of everything before the server is closed.
type meddler struct{ snapshot.Target }

func (m meddler) Load(ctx context.Context, t snapshot.Table, piece string, rows snapshot.Rows) error {
	switch t.Name {
	case "decimals": // a digit
		inner := rows
		rows = func(yield func(row []byte) error) error {
			return inner(func(row []byte) error {
				changed := append([]byte{}, row...)
				if at := strings.IndexByte(string(changed), '9'); at >= 0 {
					changed[at] = '8'
				}
				return yield(changed)
			})
		}
	case "no_key": // a row less
		inner, first := rows, true
		rows = func(yield func(row []byte) error) error {
			return inner(func(row []byte) error {
				if first {
					first = false
					return nil
				}
				return yield(row)
			})
		}
	}
	return m.Target.Load(ctx, t, piece, rows)
}

func (m meddler) Begin(ctx context.Context, job snapshot.Job) (snapshot.Done, error) {
	job.Schema.Objects = append([]snapshot.Object{}, job.Schema.Objects...)
	for i, o := range job.Schema.Objects {
		if o.Name == "z_base" {
			job.Schema.Objects[i].Create = strings.Replace(o.Create, "DEFINER VIEW", "INVOKER VIEW", 1)
		}
	}
	job.Schema.Accounts = append([]snapshot.Account{}, job.Schema.Accounts...)
	for i, a := range job.Schema.Accounts {
		if a.User == "fred" {
			job.Schema.Accounts[i].Grants = append([]string{"GRANT SELECT ON `horrors`.`decimals` TO `fred`@`%`"}, a.Grants...)
		}
	}
	return m.Target.Begin(ctx, job)
}
