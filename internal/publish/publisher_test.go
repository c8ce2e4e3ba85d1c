package publish_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/failoverd/failoverd/internal/object"
	"github.com/failoverd/failoverd/internal/publish"
)

// announced collects what a publisher announces.
type announced struct {
	mu    sync.Mutex
	heads []*publish.Head
	err   error
}

func (a *announced) announce(_ context.Context, head *publish.Head) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.err == nil {
		a.heads = append(a.heads, head)
	}
	return a.err
}

func (a *announced) versions() []uint64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	var versions []uint64
	for _, head := range a.heads {
		versions = append(versions, head.Document.Version)
	}
	return versions
}

func newPublisher(store object.Store, key publish.PrivateKey, a *announced, trust ...publish.PublicKey) *publish.Publisher {
	if a == nil {
		a = &announced{}
	}
	return publish.NewPublisher(store, key, publish.Options{
		Trust: trust, Announce: a.announce, Now: func() time.Time { return noon },
	})
}

func storedHead(t *testing.T, store object.Store, key publish.PrivateKey) *publish.Head {
	t.Helper()
	o, err := store.Get(context.WithoutCancel(t.Context()), publish.HeadKey)
	require.NoError(t, err)
	head, err := publish.Trust{key.Public()}.Verify(o.Body)
	require.NoError(t, err)
	return head
}

// requireChain checks that the history leads from the head back to the first
// document, by hash, with versions and epochs that only grow.
func requireChain(t *testing.T, store object.Store, key publish.PrivateKey) (length int) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	entries, err := store.List(ctx, publish.HistoryPrefix)
	require.NoError(t, err)
	byHash := map[string]*publish.Head{}
	for _, entry := range entries {
		o, err := store.Get(ctx, entry.Key)
		require.NoError(t, err)
		head, err := publish.Trust{key.Public()}.Verify(o.Body)
		require.NoError(t, err)
		require.Equal(t, entry.Key, publish.HistoryKey(head))
		byHash[head.Hash] = head
	}
	for at := storedHead(t, store, key); ; length++ {
		require.Contains(t, byHash, at.Hash)
		if at.Document.Previous == "" {
			return length + 1
		}
		previous := byHash[at.Document.Previous]
		require.NotNil(t, previous, "version %d follows %s", at.Document.Version, at.Document.Previous)
		require.NoError(t, at.Document.Supersedes(previous.Document))
		at = previous
	}
}

func away(context.Context, object.Call) object.Fault {
	return object.Fault{Err: object.ErrUnavailable}
}

func TestPublish(t *testing.T) {
	ctx, key, store := t.Context(), newKey(t), object.NewMemory()
	p := newPublisher(store, key, nil)
	result, err := p.Publish(ctx, shop(1, "db1"))
	require.NoError(t, err)
	head := storedHead(t, store, key)
	assert.Equal(t, publish.Result{
		Version: 1, Hash: head.Hash, ETag: object.ETagOf(head.Bytes), Bytes: head.Bytes, Changed: true, Stored: true,
	}, result)
	assert.Equal(t, head, p.Head())

	writes := store.Writes()
	result, err = p.Publish(ctx, shop(1, "db1"))
	require.NoError(t, err)
	assert.False(t, result.Changed)
	assert.True(t, result.Stored)
	result, err = newPublisher(store, key, nil).Publish(ctx, shop(1, "db1"))
	require.NoError(t, err)
	assert.False(t, result.Changed)
	assert.Equal(t, writes, store.Writes(), "the same content is not written again")

	result, err = p.Publish(ctx, shop(2, "db2"))
	require.NoError(t, err)
	assert.EqualValues(t, 2, result.Version)
	assert.Equal(t, 2, requireChain(t, store, key))
}

func TestAHigherEpochInTheStoreIsNotOverwritten(t *testing.T) {
	ctx, key, store := t.Context(), newKey(t), object.NewMemory()
	old := newPublisher(store, key, nil)
	_, err := old.Publish(ctx, shop(5, "db1"))
	require.NoError(t, err)
	_, err = newPublisher(store, key, nil).Publish(ctx, shop(6, "db2"))
	require.NoError(t, err)

	// The old leader still has the head before that in mind.
	in := shop(5, "db1")
	in.Products["blog"] = product(1, "db7")
	_, err = old.Publish(ctx, in)
	require.ErrorIs(t, err, publish.ErrEpochBehind)
	assert.ErrorContains(t, err, "shop")
	_, err = old.Publish(ctx, in)
	require.ErrorIs(t, err, publish.ErrEpochBehind, "and stays refused")
	head := storedHead(t, store, key)
	assert.EqualValues(t, 6, head.Document.Products["shop"].Epoch)
	assert.NotContains(t, head.Document.Products, "blog", "all or nothing")

	in.Products["shop"] = product(6, "db2")
	result, err := old.Publish(ctx, in)
	require.NoError(t, err)
	assert.True(t, result.Stored)
	assert.Contains(t, storedHead(t, store, key).Document.Products, "blog")
}

func TestAHeadThatCannotBeReadIsNotOverwritten(t *testing.T) {
	ctx, key, stranger := t.Context(), newKey(t), newKey(t)
	foreign := render(t, nil, shop(1, "db1"), stranger)
	for name, body := range map[string][]byte{"another key's": foreign.Bytes, "garbage": []byte("{}"), "empty": {}} {
		store := object.NewMemory()
		_, err := store.Put(ctx, publish.HeadKey, body, object.Always)
		require.NoError(t, err)
		p := newPublisher(store, key, nil)
		_, err = p.Publish(ctx, shop(9, "db1"))
		require.ErrorIs(t, err, publish.ErrUnverified, name)
		assert.ErrorContains(t, err, "to mend:")
		assert.Nil(t, p.Head())
		o, err := store.Get(ctx, publish.HeadKey)
		require.NoError(t, err)
		assert.Equal(t, string(body), string(o.Body))
	}
	store := object.NewMemory()
	_, err := store.Put(ctx, publish.HeadKey, foreign.Bytes, object.Always)
	require.NoError(t, err)
	result, err := newPublisher(store, key, nil, stranger.Public()).Publish(ctx, shop(1, "db1"))
	require.NoError(t, err, "a trusted older key's head is replaced")
	assert.EqualValues(t, 2, result.Version)
}

func TestLostReplies(t *testing.T) {
	for _, lost := range []string{publish.HeadKey, "history"} {
		for _, kind := range []error{object.ErrUnavailable, context.DeadlineExceeded, object.ErrConflict} {
			t.Run(fmt.Sprint(lost, " ", kind), func(t *testing.T) {
				ctx, key, store := t.Context(), newKey(t), object.NewMemory()
				a := &announced{}
				p := newPublisher(store, key, a)
				_, err := p.Publish(ctx, shop(1, "db1"))
				require.NoError(t, err)
				once := true
				store.Inject(func(_ context.Context, call object.Call) object.Fault {
					if once && call.Method == "put" && (call.Key == lost || lost == "history" && call.Key != publish.HeadKey) {
						once = false
						return object.Fault{Err: kind, Took: true}
					}
					return object.Fault{}
				})
				result, err := p.Publish(ctx, shop(2, "db2"))
				require.NoError(t, err)
				assert.True(t, result.Stored)
				assert.True(t, result.Changed)
				assert.Equal(t, []uint64{1, 2}, a.versions(), "the write that took counts")
				assert.Equal(t, 2, requireChain(t, store, key))
			})
		}
	}
}

func TestPublishersRace(t *testing.T) {
	const publishers, each = 8, 5
	ctx, key, store := t.Context(), newKey(t), object.NewMemory()
	var wg sync.WaitGroup
	for i := range publishers {
		wg.Go(func() {
			p := newPublisher(store, key, nil)
			for epoch := range uint64(each) {
				name := fmt.Sprintf("product-%d", i)
				result, err := p.Publish(ctx, publish.Input{Products: map[string]publish.Product{name: product(epoch+1, "db1")}})
				if assert.NoError(t, err) {
					assert.True(t, result.Stored)
				}
			}
		})
	}
	wg.Wait()
	head := storedHead(t, store, key)
	assert.Len(t, head.Document.Products, publishers)
	for name, p := range head.Document.Products {
		assert.EqualValues(t, each, p.Epoch, name)
	}
	// A loser may skip numbers, but every head is in the chain and none is lost.
	assert.GreaterOrEqual(t, requireChain(t, store, key), publishers*each)
}

func TestChainsOfOneProcessRace(t *testing.T) {
	const chains, each = 8, 5
	ctx, key, store := t.Context(), newKey(t), object.NewMemory()
	a := &announced{}
	p := newPublisher(store, key, a)
	var mu sync.Mutex
	products := map[string]publish.Product{}
	var wg sync.WaitGroup
	for i := range chains {
		wg.Go(func() {
			for epoch := range uint64(each) {
				mu.Lock() // as the replicated state does: change and announce in one order
				products[fmt.Sprintf("product-%d", i)] = product(epoch+1, "db1")
				_, err := p.Announce(ctx, publish.Input{Products: products})
				mu.Unlock()
				assert.NoError(t, err)
				_, err = p.Publish(ctx, publish.Input{})
				assert.NoError(t, err)
			}
		})
	}
	wg.Wait()
	head := storedHead(t, store, key)
	assert.EqualValues(t, chains*each, head.Document.Version, "versions grow by one")
	assert.Equal(t, chains*each, requireChain(t, store, key))
	assert.Len(t, a.versions(), chains*each)
}

func TestStoreAway(t *testing.T) {
	ctx, key, store := t.Context(), newKey(t), object.NewMemory()
	a := &announced{}
	p := newPublisher(store, key, a)
	_, err := p.Publish(ctx, shop(1, "db1"))
	require.NoError(t, err)
	store.Inject(away)
	var last publish.Result
	for epoch := range uint64(3) {
		last, err = p.Publish(ctx, shop(epoch+2, "db2"))
		require.ErrorIs(t, err, object.ErrUnavailable)
		assert.False(t, last.Stored)
		assert.Equal(t, last.Bytes, p.Head().Bytes, "it is served all the same")
	}
	store.Inject(nil)
	result, err := p.Publish(ctx, shop(4, "db2"))
	require.NoError(t, err)
	assert.Equal(t, last.Bytes, result.Bytes, "exactly what was served is stored")
	assert.Equal(t, last.Bytes, storedHead(t, store, key).Bytes)
	assert.Equal(t, []uint64{1, 2, 3, 4}, a.versions())
	assert.Equal(t, 4, requireChain(t, store, key), "what was served meanwhile is in the history")
}

func TestANewLeaderWhileTheStoreIsAway(t *testing.T) {
	ctx, key, store := t.Context(), newKey(t), object.NewMemory()
	first := newPublisher(store, key, nil)
	_, err := first.Publish(ctx, shop(1, "db1"))
	require.NoError(t, err)
	store.Inject(away)
	served, err := first.Publish(ctx, shop(2, "db2"))
	require.ErrorIs(t, err, object.ErrUnavailable)

	a := &announced{}
	second := newPublisher(store, key, a)
	in := shop(3, "db3")
	in.LastVersion = served.Version
	result, err := second.Publish(ctx, in)
	require.ErrorIs(t, err, object.ErrUnavailable)
	assert.EqualValues(t, 3, result.Version, "above what the first leader committed")

	store.Inject(nil)
	result, err = second.Publish(ctx, in)
	require.NoError(t, err)
	assert.EqualValues(t, 4, result.Version, "its version 3 was rendered without the head it replaces")
	assert.Equal(t, []uint64{3, 4}, a.versions())
	assert.Equal(t, 2, requireChain(t, store, key))

	// The first, no longer leader, wakes up with its version 2 still to store.
	_, err = first.Publish(ctx, shop(2, "db2"))
	require.ErrorIs(t, err, publish.ErrEpochBehind)
	assert.EqualValues(t, 4, storedHead(t, store, key).Document.Version)
}

func TestAnAnnouncementThatFailsIsNotUsed(t *testing.T) {
	ctx, key, store := t.Context(), newKey(t), object.NewMemory()
	a := &announced{}
	p := newPublisher(store, key, a)
	_, err := p.Publish(ctx, shop(1, "db1"))
	require.NoError(t, err)
	writes := store.Writes()
	a.err = errors.New("not the leader any more")
	_, err = p.Publish(ctx, shop(2, "db2"))
	require.ErrorIs(t, err, a.err)
	assert.Equal(t, writes, store.Writes())
	assert.EqualValues(t, 1, p.Head().Document.Version)
}

func TestAHangingStoreHoldsUpNoAnnouncement(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		key, store := newKey(t), object.NewMemory()
		a := &announced{}
		p := newPublisher(store, key, a)
		_, err := p.Publish(t.Context(), shop(1, "db1"))
		require.NoError(t, err)
		store.Inject(func(ctx context.Context, _ object.Call) object.Fault { <-ctx.Done(); return object.Fault{} })
		start := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		go p.Publish(ctx, shop(2, "db2"))
		synctest.Wait()
		_, err = p.Announce(ctx, shop(3, "db3"))
		require.NoError(t, err)
		assert.Zero(t, time.Since(start))
		assert.Equal(t, []uint64{1, 2, 3}, a.versions())
		_, err = p.Publish(ctx, shop(4, "db3"))
		require.ErrorIs(t, err, object.ErrUnavailable)
		assert.Equal(t, []uint64{1, 2, 3, 4}, a.versions())

		fresh := newPublisher(store, key, a)
		start = time.Now()
		_, err = fresh.Announce(t.Context(), shop(5, "db3"))
		require.NoError(t, err)
		assert.Equal(t, time.Second, time.Since(start), "a first read is waited for, briefly")
	})
}

func TestAHeadPutBackByHandIsReplaced(t *testing.T) {
	ctx, key, store := t.Context(), newKey(t), object.NewMemory()
	a := &announced{}
	p := newPublisher(store, key, a)
	_, err := p.Publish(ctx, shop(1, "db1"))
	require.NoError(t, err)
	first := p.Head()
	_, err = p.Publish(ctx, shop(2, "db2"))
	require.NoError(t, err)
	for _, mishap := range []func() error{
		func() error { _, err := store.Put(ctx, publish.HeadKey, first.Bytes, object.Always); return err },
		func() error { return store.Delete(ctx, publish.HeadKey) },
	} {
		require.NoError(t, mishap())
		newest, err := p.Read(ctx)
		require.NoError(t, err)
		assert.Equal(t, "db2", newest.Document.Products["shop"].Writer.Host, "an old head is not taken over")
		result, err := p.Publish(ctx, shop(2, "db2"))
		require.NoError(t, err)
		assert.True(t, result.Stored)
		assert.Equal(t, "db2", storedHead(t, store, key).Document.Products["shop"].Writer.Host)
		requireChain(t, store, key)
	}
	assert.IsIncreasing(t, a.versions())
}

func TestRemovedProducts(t *testing.T) {
	ctx, key, store := t.Context(), newKey(t), object.NewMemory()
	p := newPublisher(store, key, nil)
	in := shop(1, "db1")
	in.Products["blog"] = product(1, "db7")
	_, err := p.Publish(ctx, in)
	require.NoError(t, err)
	_, err = newPublisher(store, key, nil).Publish(ctx, shop(1, "db1"))
	require.NoError(t, err)
	assert.Contains(t, storedHead(t, store, key).Document.Products, "blog", "left out is not removed")

	store.Inject(away)
	in = shop(1, "db1")
	in.Remove = []string{"blog"}
	_, err = p.Publish(ctx, in)
	require.ErrorIs(t, err, object.ErrUnavailable)
	store.Inject(nil)
	_, err = p.Publish(ctx, shop(1, "db1"))
	require.NoError(t, err)
	assert.NotContains(t, storedHead(t, store, key).Document.Products, "blog")
}

func TestResignForgetsWhatWasNotStored(t *testing.T) {
	ctx, key, store := t.Context(), newKey(t), object.NewMemory()
	p := newPublisher(store, key, nil)
	_, err := p.Publish(ctx, shop(1, "db1"))
	require.NoError(t, err)
	store.Inject(away)
	in := shop(1, "db1")
	in.Products["gone"] = product(1, "db7")
	_, err = p.Publish(ctx, in)
	require.ErrorIs(t, err, object.ErrUnavailable)
	p.Resign()
	store.Inject(nil)
	_, err = newPublisher(store, key, nil).Publish(ctx, publish.Input{
		Products: map[string]publish.Product{"shop": product(2, "db2")}, LastVersion: 2})
	require.NoError(t, err)
	_, err = p.Publish(ctx, shop(2, "db2"))
	require.NoError(t, err)
	assert.NotContains(t, storedHead(t, store, key).Document.Products, "gone")
}
