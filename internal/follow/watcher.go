package follow

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/google/renameio/v2"
	"github.com/hashicorp/go-hclog"

	"github.com/failoverd/failoverd/internal/object"
	"github.com/failoverd/failoverd/internal/publish"
)

// Watcher yields verified documents from the store and the watchers' feeds, the
// newest one at any time, without rendering anything.
type Watcher struct {
	cfg    Config
	trust  publish.Trust
	client *http.Client
	logger hclog.Logger

	mu      sync.Mutex
	head    *publish.Head
	changed chan struct{} // closed when head changes

	saving sync.Mutex
}

// cachedCopy is the last good document's name in the cache directory.
const cachedCopy = "config.json"

// NewWatcher checks cfg and reads the keys and the last good copy. Nothing is
// asked before Run or Refresh.
func NewWatcher(cfg Config, logger hclog.Logger) (*Watcher, error) {
	if wrong := cfg.check(); wrong != nil {
		return nil, wrong
	}
	if cfg.StoreURL != "" && cfg.Store == nil {
		return nil, errors.New("follow: the store was not opened")
	}
	if cfg.Poll == 0 {
		cfg.Poll = defaultPoll
	}
	trust, err := cfg.trust()
	if err != nil {
		return nil, err
	}
	tlsConfig, err := cfg.TLS.config()
	if err != nil {
		return nil, err
	}
	if cfg.CacheDir != "" {
		if err := os.MkdirAll(cfg.CacheDir, 0o755); err != nil {
			return nil, fmt.Errorf("cacheDir: %w", err)
		}
	}
	w := &Watcher{
		cfg: cfg, trust: trust, logger: logger, changed: make(chan struct{}),
		client: &http.Client{
			Transport: &http.Transport{
				TLSClientConfig:     tlsConfig,
				TLSHandshakeTimeout: connectTimeout,
				DialContext:         (&net.Dialer{Timeout: connectTimeout, KeepAlive: 5 * time.Second}).DialContext,
			},
			// A redirect would lead to a server that the config does not name.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
	w.loadCopy()
	return w, nil
}

// Head returns the newest document, or nil as long as there is none.
func (w *Watcher) Head() *publish.Head {
	head, _ := w.look()
	return head
}

// Next waits for a document other than after, which may be nil. It returns the
// newest; those between are skipped. The error is the context's.
func (w *Watcher) Next(ctx context.Context, after *publish.Head) (*publish.Head, error) {
	for {
		if err := ctx.Err(); err != nil {
			return after, err
		}
		head, changed := w.look()
		if head != nil && head != after {
			return head, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
		}
	}
}

// Run listens to all sources until ctx ends.
func (w *Watcher) Run(ctx context.Context) {
	defer w.client.CloseIdleConnections()
	var wg sync.WaitGroup
	if w.cfg.Store != nil {
		wg.Go(func() { w.pollStore(ctx) })
	}
	for _, endpoint := range w.cfg.Endpoints {
		wg.Go(func() { w.pollEndpoint(ctx, endpoint) })
	}
	wg.Wait()
}

// Refresh asks every source once, all at the same time. It returns nil when any
// of them had a usable answer, and otherwise all their errors.
func (w *Watcher) Refresh(ctx context.Context) error {
	defer w.client.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(ctx, onceTimeout)
	defer cancel()
	asks := map[string]func() error{}
	if w.cfg.Store != nil {
		asks["store"] = func() error {
			o, err := w.cfg.Store.Get(ctx, publish.HeadKey)
			if err != nil {
				return err
			}
			return w.offer(o.Body, "store")
		}
	}
	for _, endpoint := range w.cfg.Endpoints {
		asks[endpoint] = func() error {
			body, err := w.ask(ctx, endpoint, 0, 0)
			if err != nil || body == nil {
				return err
			}
			return w.offer(body, endpoint)
		}
	}
	type answer struct {
		source string
		err    error
	}
	answers := make(chan answer, len(asks))
	for source, ask := range asks {
		go func() { answers <- answer{source, ask()} }()
	}
	usable := false
	var failed []error
	for range asks {
		a := <-answers
		if a.err == nil || errors.Is(a.err, publish.ErrOld) {
			usable = true
			continue
		}
		failed = append(failed, fmt.Errorf("%s: %w", a.source, a.err))
	}
	if !usable {
		return errors.Join(failed...)
	}
	for _, err := range failed {
		w.logger.Warn("config source failing", "error", err)
	}
	return nil
}

func (w *Watcher) look() (*publish.Head, <-chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.head, w.changed
}

// offer takes a document from a source if it is good and newer. Errors:
// publish.ErrOld when it is not newer, which is normal; ErrUnverified,
// ErrMalformed and ErrEpochBehind when it is refused.
func (w *Watcher) offer(body []byte, source string) error {
	head, err := w.trust.Verify(body)
	if err != nil {
		return err
	}
	w.mu.Lock()
	if w.head != nil {
		if err := head.Document.Supersedes(w.head.Document); err != nil {
			w.mu.Unlock()
			return err
		}
	}
	w.head = head
	close(w.changed)
	w.changed = make(chan struct{})
	w.mu.Unlock()
	w.logger.Info("config received", "version", head.Document.Version, "source", source)
	// Those who wait go ahead meanwhile: the copy is for the next start.
	if err := w.saveCopy(); err != nil {
		w.logger.Warn("last good copy not saved", "error", err)
	}
	return nil
}

func (w *Watcher) saveCopy() error {
	if w.cfg.CacheDir == "" {
		return nil
	}
	w.saving.Lock()
	defer w.saving.Unlock()
	return renameio.WriteFile(filepath.Join(w.cfg.CacheDir, cachedCopy), w.Head().Bytes, 0o644,
		renameio.WithTempDir(w.cfg.CacheDir))
}

func (w *Watcher) loadCopy() {
	if w.cfg.CacheDir == "" {
		return
	}
	body, err := os.ReadFile(filepath.Join(w.cfg.CacheDir, cachedCopy))
	if errors.Is(err, os.ErrNotExist) {
		return
	}
	if err == nil {
		w.head, err = w.trust.Verify(body)
	}
	if err != nil {
		w.logger.Warn("last good copy not usable", "error", err)
	}
}

// pollStore asks for the head by its ETag, so an unchanged one costs little.
func (w *Watcher) pollStore(ctx context.Context) {
	etag, health := "", health{logger: w.logger, source: "store"}
	for ctx.Err() == nil {
		o, err := w.cfg.Store.GetIfChanged(ctx, publish.HeadKey, etag)
		if err == nil {
			etag = o.ETag // also of one that is refused: it stays refused
			err = w.offer(o.Body, "store")
		} else if errors.Is(err, object.ErrNotModified) {
			err = health.refused
		}
		if ctx.Err() == nil {
			sleep(ctx, health.note(err, w.cfg.Poll))
		}
	}
}

// health logs a source's turn to the worse or the better once, and says when to
// ask it again.
type health struct {
	logger  hclog.Logger
	source  string
	refused error // the last answer's, if it was refused
	failing string
	backoff time.Duration
}

const maxBackoff = 10 * time.Second

func (h *health) note(err error, interval time.Duration) (pause time.Duration) {
	h.refused = nil
	if err == nil || errors.Is(err, publish.ErrOld) {
		if h.failing != "" {
			h.logger.Info("config source recovered", "source", h.source)
		}
		h.failing, h.backoff = "", 0
		return jitter(interval)
	}
	kind := "config source failing"
	if errors.Is(err, publish.ErrUnverified) || errors.Is(err, publish.ErrMalformed) || errors.Is(err, publish.ErrEpochBehind) {
		kind, h.refused = "config refused", err
	}
	if h.failing != kind {
		h.failing = kind
		h.logger.Warn(kind, "source", h.source, "error", err)
	}
	h.backoff = min(max(2*h.backoff, interval, 100*time.Millisecond), maxBackoff)
	return jitter(h.backoff)
}

// jitter keeps a thousand web servers from asking in step.
func jitter(d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	return d*4/5 + rand.N(d*2/5+1)
}

func sleep(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
