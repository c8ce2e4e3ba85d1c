package follow_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/failoverd/failoverd/internal/follow"
	"github.com/failoverd/failoverd/internal/object"
	"github.com/failoverd/failoverd/internal/publish"
)

func (w *world) watch(cfg follow.Config) *follow.Watcher {
	w.t.Helper()
	watcher, err := follow.NewWatcher(cfg, w.logger())
	require.NoError(w.t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { watcher.Run(ctx); close(done) }()
	w.t.Cleanup(func() { cancel(); <-done })
	return watcher
}

func next(t *testing.T, watcher *follow.Watcher, after *publish.Head) *publish.Head {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	head, err := watcher.Next(ctx, after)
	require.NoError(t, err)
	return head
}

func TestEitherSourceIsEnough(t *testing.T) {
	w := newWorld(t)
	first, second, third := w.render(1, "db1"), w.render(2, "db2"), w.render(3, "db3")
	w.put(first)
	watcher := w.watch(w.config())
	at := next(t, watcher, nil)
	assert.Equal(t, first, at)
	w.feed.Set(third)
	at = next(t, watcher, at)
	assert.Equal(t, third, at, "the watchers are ahead while the store is away")
	w.put(second)
	w.put(third)
	w.put(w.render(4, "db4"))
	assert.EqualValues(t, 4, next(t, watcher, at).Document.Version, "an older one in the store is skipped")
	assert.NotContains(t, w.log.String(), "WARN")
}

func TestWhatMustBeRefused(t *testing.T) {
	w := newWorld(t)
	good := w.render(5, "db1")
	stranger, err := publish.GenerateKey()
	require.NoError(t, err)
	foreign, err := publish.Render(good, input(6, "evil"), stranger, time.Now())
	require.NoError(t, err)
	back, err := publish.Render(nil, publish.Input{Products: input(4, "db9").Products, LastVersion: 50}, w.key, time.Now())
	require.NoError(t, err)
	tampered := strings.Replace(string(w.render(6, "db2").Bytes), `"host": "db2"`, `"host": "dbx"`, 1)

	for name, c := range map[string]struct{ body, log string }{
		"another key's":                       {string(foreign.Bytes), "signed by key"},
		"one byte altered":                    {tampered, "altered"},
		"a higher version with a lower epoch": {string(back.Bytes), "epoch behind"},
		"too large":                           {strings.Repeat("x", publish.MaxBytes+1), "at most"},
		"not signed":                          {"{}", "no signature"},
	} {
		t.Run(name, func(t *testing.T) {
			w := &world{t: t, key: w.key, store: object.NewMemory(), feed: publish.NewFeed(), dir: t.TempDir(), log: &logBuffer{}}
			var asked atomic.Int32
			server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
				asked.Add(1)
				_, _ = rw.Write([]byte(c.body))
			}))
			t.Cleanup(server.Close)
			w.endpoint = server.URL
			w.put(good)
			watcher := w.watch(func() follow.Config { cfg := w.config(); cfg.Endpoints = nil; return cfg }())
			require.Equal(t, good, next(t, watcher, nil))

			cfg := w.config()
			cfg.CacheDir = w.dir + "/cache" // starts from the good copy
			cfg.Store = nil
			cfg.Poll = 50 * time.Millisecond
			w.eventually(func() bool { return w.read("cache/config.json") == string(good.Bytes) }, "saved")
			watcher = w.watch(cfg)
			w.eventually(func() bool { return asked.Load() >= 3 }, "asked again")
			assert.Equal(t, good, watcher.Head(), "the last good one is kept")
			assert.Contains(t, w.log.String(), c.log)
			assert.Equal(t, 1, strings.Count(w.log.String(), "config refused"), "and it is said once")
		})
	}
}

func TestRotationAtTheFollower(t *testing.T) {
	w := newWorld(t)
	newer, err := publish.GenerateKey()
	require.NoError(t, err)
	cfg := w.config()
	cfg.Trust = append(cfg.Trust, newer.Public())
	watcher := w.watch(cfg)
	w.feed.Set(w.render(1, "db1"))
	at := next(t, watcher, nil)
	w.key = newer
	w.feed.Set(w.render(1, "db1"))
	assert.Equal(t, newer.ID(), next(t, watcher, at).KeyID)
}

func TestAStuckOrUselessEndpointHoldsNothingUp(t *testing.T) {
	w := newWorld(t)
	release := make(chan struct{})
	frozen := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(frozen.Close)
	t.Cleanup(func() { close(release) })
	var asked atomic.Int32
	useless := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		rw.WriteHeader(http.StatusNoContent) // at once, whatever wait says
	}))
	t.Cleanup(useless.Close)
	dead := httptest.NewServer(http.NotFoundHandler())
	dead.Close()
	cfg := w.config()
	cfg.Store, cfg.Poll = nil, 200*time.Millisecond
	cfg.Endpoints = []string{dead.URL, frozen.URL, useless.URL, w.endpoint}
	watcher := w.watch(cfg)
	w.feed.Set(w.render(1, "db1"))
	at := next(t, watcher, nil)
	start := time.Now()
	w.feed.Set(w.render(2, "db2"))
	next(t, watcher, at)
	assert.Less(t, time.Since(start), 2*time.Second)
	w.eventually(func() bool { return asked.Load() >= 3 }, "asked again")
	assert.Less(t, asked.Load(), int32(50), "no busy loop")
}

func TestStartsFromTheLastGoodCopy(t *testing.T) {
	w := newWorld(t)
	w.feed.Set(w.render(1, "db1"))
	next(t, w.watch(w.config()), nil)
	w.eventually(func() bool { return w.read("cache/config.json") == string(w.head.Bytes) }, "saved")

	w.store.Inject(func(context.Context, object.Call) object.Fault { return object.Fault{Err: object.ErrUnavailable} })
	cfg := w.config()
	cfg.Endpoints = nil
	watcher := w.watch(cfg)
	assert.Equal(t, w.head, watcher.Head(), "at once, with everything away")
	w.store.Inject(nil)
	w.put(w.render(2, "db2"))
	assert.EqualValues(t, 2, next(t, watcher, watcher.Head()).Document.Version)

	w.eventually(func() bool { return w.read("cache/config.json") == string(w.head.Bytes) }, "saved")
	w.write("cache/config.json", strings.Replace(string(w.head.Bytes), "db2", "dbx", 1))
	watcher, err := follow.NewWatcher(cfg, w.logger())
	require.NoError(t, err)
	assert.Nil(t, watcher.Head(), "a damaged copy is not used")
	assert.Contains(t, w.log.String(), "last good copy not usable")
}
