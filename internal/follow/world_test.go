package follow_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/failoverd/failoverd/internal/follow"
	"github.com/failoverd/failoverd/internal/object"
	"github.com/failoverd/failoverd/internal/publish"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is a publisher with its store and one watcher's feed.
type world struct {
	t        *testing.T
	key      publish.PrivateKey
	store    *object.Memory
	feed     *publish.Feed
	endpoint string
	head     *publish.Head
	dir      string
	log      *logBuffer
}

func newWorld(t *testing.T) *world {
	t.Helper()
	key, err := publish.GenerateKey()
	require.NoError(t, err)
	w := &world{t: t, key: key, store: object.NewMemory(), feed: publish.NewFeed(), dir: t.TempDir(), log: &logBuffer{}}
	mux := http.NewServeMux()
	mux.Handle(publish.FeedPath, w.feed)
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	w.endpoint = server.URL
	return w
}

func (w *world) logger() hclog.Logger {
	return hclog.New(&hclog.LoggerOptions{Output: w.log, Level: hclog.Debug})
}

func input(epoch uint64, writer string) publish.Input {
	server := &publish.Server{Host: writer, Port: 3306, Zone: "a", ServerUUID: "uuid-" + writer}
	return publish.Input{Zones: []string{"a", "b"}, Products: map[string]publish.Product{"shop": {
		Epoch: epoch, State: "healthy", Writer: server, Protected: true,
		Readers: []publish.Server{*server, {Host: "db2", Port: 3306, Zone: "b"}},
	}}}
}

// render makes the next document without showing it to anybody.
func (w *world) render(epoch uint64, writer string) *publish.Head {
	w.t.Helper()
	head, err := publish.Render(w.head, input(epoch, writer), w.key, time.Now())
	require.NoError(w.t, err)
	w.head = head
	return head
}

func (w *world) put(head *publish.Head) {
	w.t.Helper()
	_, err := w.store.Put(context.WithoutCancel(w.t.Context()), publish.HeadKey, head.Bytes, object.Always)
	require.NoError(w.t, err)
}

func (w *world) config(targets ...follow.Target) follow.Config {
	return follow.Config{
		Endpoints: []string{w.endpoint}, Store: w.store, Trust: publish.Trust{w.key.Public()},
		CacheDir: filepath.Join(w.dir, "cache"), Poll: 10 * time.Millisecond, Targets: targets,
	}
}

func (w *world) write(name, content string) (path string) {
	w.t.Helper()
	path = filepath.Join(w.dir, name)
	require.NoError(w.t, os.WriteFile(path, []byte(content), 0o644))
	return path
}

func (w *world) read(name string) string {
	w.t.Helper()
	content, err := os.ReadFile(filepath.Join(w.dir, name))
	if os.IsNotExist(err) {
		return ""
	}
	require.NoError(w.t, err)
	return string(content)
}

// target renders the writer's name to "web.conf" and counts its reloads in "reloads".
func (w *world) target() follow.Target {
	return follow.Target{
		Template: w.write("web.tmpl", "writer={{addr (product \"shop\").Writer}}\n"),
		Path:     filepath.Join(w.dir, "web.conf"),
		Reload:   "cat {} >>" + filepath.Join(w.dir, "reloads"),
		Timeout:  5 * time.Second,
	}
}

// run follows until the test ends or stop is called.
func (w *world) run(cfg follow.Config) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- follow.Run(ctx, cfg, w.logger()) }()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			require.NoError(w.t, <-done)
		})
	}
	w.t.Cleanup(stop)
	return stop
}

func (w *world) eventually(condition func() bool, what string) {
	w.t.Helper()
	require.Eventually(w.t, condition, 20*time.Second, 2*time.Millisecond, what)
}

func (w *world) eventuallyReads(name, content string) {
	w.t.Helper()
	w.eventually(func() bool { return w.read(name) == content }, name+" becomes "+content)
}

type logBuffer struct {
	mu sync.Mutex
	b  strings.Builder
}

var _ io.Writer = (*logBuffer)(nil)

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
