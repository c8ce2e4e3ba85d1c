package s3_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/failoverd/failoverd/internal/object"
	"github.com/failoverd/failoverd/internal/s3"
	"github.com/failoverd/failoverd/internal/snapshot"
	"github.com/failoverd/failoverd/testenv"
)

// What snapshots ask of a store, of real ones: the tests of package snapshot have a
// store in memory, and MySQL has no part in this.

var copied = snapshot.Table{Database: "shop", Name: "blobs", Columns: []snapshot.Column{{Name: "b", Type: "longblob", Wire: 251}}}

// takeCopy makes a snapshot of a table of that many rows of a megabyte, as a dump does:
// two that send packs side by side, the manifest last.
func takeCopy(ctx context.Context, store object.Store, box *snapshot.Box, rows int) (snapshot.Manifest, error) {
	now := time.Now().UTC()
	id := snapshot.NewID(now, 1)
	prefix := snapshot.DataPrefix("shop", id)
	chunks := make([]snapshot.Chunk, rows)
	group, working := errgroup.WithContext(ctx)
	const packers = 2
	for worker := range packers {
		group.Go(func() error {
			p := snapshot.NewPacker(store, box, fmt.Sprintf("%sw%d-", prefix, worker))
			defer p.Close()
			for i := worker; i < rows; i += packers {
				blob := make([]byte, 1<<20)
				_, _ = rand.NewChaCha8([32]byte{byte(i)}).Read(blob) // never fails
				row := snapshot.JoinRow(nil, copied.Wires(), [][]byte{blob})
				chunks[i] = snapshot.Chunk{Rows: 1, Raw: int64(len(row))}
				chunks[i].Sum.Add(row)
				ref, err := p.Add(working, snapshot.AppendRow(nil, row))
				if err != nil {
					return err
				}
				chunks[i].Ref = ref
			}
			return p.Flush(working)
		})
	}
	if err := group.Wait(); err != nil {
		return snapshot.Manifest{}, err
	}
	m := snapshot.Manifest{Format: snapshot.Format, ID: id, Product: "shop", Epoch: 1, Server: "db4", Started: now, Point: now, Full: true}
	table := snapshot.TableSummary{TableID: copied.ID(), Way: "whole"}
	for _, c := range chunks {
		table.Rows += c.Rows
		table.Bytes += c.Raw
		table.Sum.Join(c.Sum)
	}
	m.Tables = []snapshot.TableSummary{table}
	m.Totals = snapshot.Totals{Tables: 1, Rows: table.Rows, Bytes: table.Bytes}
	for name, part := range map[string]struct {
		to      *snapshot.Ref
		content any
	}{
		"schema":  {&m.Schema, snapshot.Schema{Tables: []snapshot.Table{copied}}},
		"catalog": {&m.Catalog, snapshot.Catalog{Tables: []snapshot.TableData{{TableID: copied.ID(), Chunks: chunks}}}},
	} {
		plain, err := json.Marshal(part.content)
		if err != nil {
			return snapshot.Manifest{}, err
		}
		if *part.to, err = snapshot.PutSealed(ctx, store, box, prefix+name, plain); err != nil {
			return snapshot.Manifest{}, err
		}
	}
	m.Finished = time.Now().UTC()
	return m, snapshot.PutManifest(ctx, store, box, m)
}

func ageBox(t *testing.T) *snapshot.Box {
	t.Helper()
	identity, err := age.GenerateX25519Identity()
	require.NoError(t, err)
	keys, err := snapshot.ParseKeys([]string{identity.Recipient().String()}, strings.NewReader(identity.String()))
	require.NoError(t, err)
	box, err := snapshot.NewEncryptedBox(keys)
	require.NoError(t, err)
	return box
}

func requireWhole(t *testing.T, store object.Store, box *snapshot.Box, want int) []snapshot.Manifest {
	t.Helper()
	all, errs := snapshot.List(t.Context(), store, box, "shop")
	require.Empty(t, errs)
	require.Len(t, all, want)
	for _, m := range all {
		report, err := snapshot.Verify(t.Context(), store, box, m, true)
		require.NoError(t, err)
		assert.Equal(t, m.Totals.Rows, report.Rows)
	}
	return all
}

// anyAge is a grace period that has always passed: S3 tells the time in whole seconds.
const anyAge = -time.Minute

func TestCopiesInAStrictStore(t *testing.T) {
	store, box := strict(t, false)(s3.Options{}), ageBox(t)
	m, err := takeCopy(t.Context(), store, box, 45)
	require.NoError(t, err)
	requireWhole(t, store, box, 1)
	further := openDir(t, t.TempDir())
	require.NoError(t, snapshot.Replicate(t.Context(), store, further, box, "shop", m.ID))
	requireWhole(t, further, box, 1)
	back := strict(t, false)(s3.Options{})
	brought, err := snapshot.CatchUp(t.Context(), further, back, box, "shop", snapshot.DefaultRetention)
	require.NoError(t, err)
	assert.Equal(t, []string{m.ID}, brought)
	requireWhole(t, back, box, 1)

	for name, store := range map[string]object.Store{"s3": store, "dir": further} {
		// Something that nobody finished, beside what is whole.
		u, err := store.Upload(t.Context(), snapshot.DataPrefix("shop", "20000101T000000Z-e1-aaaaaa")+"w0-000001")
		require.NoError(t, err)
		require.NoError(t, u.Write(t.Context(), make([]byte, 20<<20)))
		_, err = store.Put(t.Context(), snapshot.DataPrefix("shop", "20000101T000000Z-e1-aaaaaa")+"w1-000001", []byte("x"), object.Always)
		require.NoError(t, err)
		report, err := snapshot.Sweep(t.Context(), snapshot.SweepRequest{Store: store, Box: box, Product: "shop"})
		require.NoError(t, err, name)
		assert.Zero(t, report.Removed+report.Discarded, "%s: it may yet be finished", name)
		report, err = snapshot.Sweep(t.Context(), snapshot.SweepRequest{Store: store, Box: box, Product: "shop", Grace: anyAge})
		require.NoError(t, err, name)
		assert.Empty(t, report.Held)
		assert.Empty(t, report.Warnings)
		assert.Equal(t, 1, report.Removed, name)
		assert.Equal(t, 1, report.Discarded, name)
		requireWhole(t, store, box, 1)
		require.NoError(t, u.Abort(t.Context()))
	}
}

// The store is killed in the midst of a snapshot, again and again. A patient client
// finishes it; one without patience leaves nothing that is listed, and a sweep removes
// what is left.
func TestCopiesOutliveAStoreThatIsKilled(t *testing.T) {
	if testing.Short() {
		t.Skip("needs versitygw")
	}
	service, err := testenv.NewStrictS3(t.Context(), t.TempDir(), false, func(said string) { t.Log(said) })
	if errors.Is(err, testenv.ErrNoStrictS3) {
		t.Skip(err)
	}
	require.NoError(t, err)
	t.Cleanup(service.Close)
	open := func(persist time.Duration) object.Store {
		store, err := s3.Open(t.Context(), service.URL(""), s3.Options{AccessKeyID: service.AccessKey, SecretAccessKey: service.SecretKey,
			Persist: persist, Attempts: 1})
		require.NoError(t, err)
		return store
	}
	box, err := snapshot.NewBox()
	require.NoError(t, err)
	const rows, kills = 50, 2
	whole := 0
	for _, patient := range []bool{false, true} {
		for range kills {
			persist := 2 * time.Minute
			if !patient {
				persist = -1
			}
			killing := &killed{Store: open(persist), service: service, at: 20<<20 + rand.IntN(20<<20), restart: patient}
			_, err := takeCopy(t.Context(), killing, box, rows)
			if patient {
				require.NoError(t, err)
				whole++
			} else {
				require.Error(t, err)
				require.NoError(t, service.Start(t.Context()))
			}
			requireWhole(t, open(time.Minute), box, whole)
		}
	}
	store := open(time.Minute)
	report, err := snapshot.Sweep(t.Context(), snapshot.SweepRequest{Store: store, Box: box, Product: "shop", Grace: anyAge})
	require.NoError(t, err)
	assert.Empty(t, report.Held)
	assert.Empty(t, report.Warnings)
	requireWhole(t, store, box, whole)
	assert.NotZero(t, report.Discarded)
	left, err := store.Unfinished(t.Context(), "")
	require.NoError(t, err)
	assert.Empty(t, left)
	t.Logf("removed %d objects of %d bytes and %d uploads", report.Removed, report.RemovedBytes, report.Discarded)
}

// killed kills the service after so many bytes were written, and may start it again.
type killed struct {
	object.Store
	service *testenv.StrictS3
	at      int
	restart bool
	written atomic.Int64
	once    sync.Once
}

// Upload implements object.Store.
func (k *killed) Upload(ctx context.Context, key string) (object.Upload, error) {
	u, err := k.Store.Upload(ctx, key)
	return &killedUpload{u, k}, err
}

type killedUpload struct {
	object.Upload
	k *killed
}

// Write implements object.Upload.
func (u *killedUpload) Write(ctx context.Context, p []byte) (err error) {
	if u.k.written.Add(int64(len(p))) > int64(u.k.at) {
		u.k.once.Do(func() {
			u.k.service.Kill()
			if u.k.restart {
				err = u.k.service.Start(ctx)
			}
		})
	}
	if err != nil {
		return err
	}
	return u.Upload.Write(ctx, p)
}
