package object

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
)

// Mirror is a Store that reads from and writes to a primary, and copies what was
// written to further stores, best effort. The primary alone decides conditions
// and errors; a mirror that is away delays nothing and is caught up by Run.
//
// What is still to be copied is kept as keys, not bodies: a copy always carries
// the primary's present content, so a mirror never ends on an old one, and
// memory stays small however long a mirror is away. The list is lost with the
// process: Mark what must be looked at again after a start.
type Mirror struct {
	Store // the primary; reads, lists and self tests go straight to it

	logger  hclog.Logger
	mirrors []*mirrored
}

// NamedStore is a mirror and the name its lag is reported under.
type NamedStore struct {
	Name  string
	Store Store
}

// Lag is how far a mirror is behind.
type Lag struct {
	Name    string
	Pending int       // objects still to copy
	Since   time.Time // when the oldest of them was written; zero when none is
	Err     error     // the last copy's error; nil when it succeeded
}

type mirrored struct {
	NamedStore
	wake chan struct{}

	mu      sync.Mutex
	pending map[string]time.Time
	err     error
}

// NewMirror returns a Mirror. It copies nothing until Run is called.
func NewMirror(primary Store, logger hclog.Logger, mirrors ...NamedStore) *Mirror {
	m := &Mirror{Store: primary, logger: logger}
	for _, named := range mirrors {
		m.mirrors = append(m.mirrors, &mirrored{
			NamedStore: named, wake: make(chan struct{}, 1), pending: map[string]time.Time{},
		})
	}
	return m
}

// Put writes to the primary and marks the key for the mirrors. A write of
// unknown outcome is marked too.
func (m *Mirror) Put(ctx context.Context, key string, body []byte, cond Condition) (string, error) {
	etag, err := m.Store.Put(ctx, key, body, cond)
	if err == nil || !errors.Is(err, ErrConflict) {
		m.Mark(key)
	}
	return etag, err
}

// Upload begins an upload to the primary; its Commit marks the key as Put does.
func (m *Mirror) Upload(ctx context.Context, key string) (Upload, error) {
	upload, err := m.Store.Upload(ctx, key)
	if err != nil {
		return nil, err
	}
	return mirrorUpload{Upload: upload, mirror: m, key: key}, nil
}

type mirrorUpload struct {
	Upload
	mirror *Mirror
	key    string
}

func (u mirrorUpload) Commit(ctx context.Context, cond Condition) error {
	err := u.Upload.Commit(ctx, cond)
	if err == nil || !errors.Is(err, ErrConflict) {
		u.mirror.Mark(u.key)
	}
	return err
}

// Delete deletes from the primary and marks the key for the mirrors.
func (m *Mirror) Delete(ctx context.Context, key string) error {
	err := m.Store.Delete(ctx, key)
	m.Mark(key)
	return err
}

// Mark has the key's present content copied to every mirror.
func (m *Mirror) Mark(keys ...string) {
	now := time.Now()
	for _, mirror := range m.mirrors {
		mirror.mu.Lock()
		for _, key := range keys {
			if _, marked := mirror.pending[key]; !marked {
				mirror.pending[key] = now
			}
		}
		mirror.mu.Unlock()
		select {
		case mirror.wake <- struct{}{}:
		default:
		}
	}
}

// Lags reports every mirror, in the order given to NewMirror.
func (m *Mirror) Lags() []Lag {
	lags := make([]Lag, 0, len(m.mirrors))
	for _, mirror := range m.mirrors {
		mirror.mu.Lock()
		lag := Lag{Name: mirror.Name, Pending: len(mirror.pending), Err: mirror.err}
		for _, since := range mirror.pending {
			if lag.Since.IsZero() || since.Before(lag.Since) {
				lag.Since = since
			}
		}
		mirror.mu.Unlock()
		lags = append(lags, lag)
	}
	return lags
}

const (
	mirrorTimeout  = 30 * time.Second // one copy
	mirrorRetryMin = time.Second
	mirrorRetryMax = time.Minute
)

// Run copies until ctx ends, each mirror on its own.
func (m *Mirror) Run(ctx context.Context) {
	var wg sync.WaitGroup
	for _, mirror := range m.mirrors {
		wg.Go(func() { m.run(ctx, mirror) })
	}
	wg.Wait()
}

func (m *Mirror) run(ctx context.Context, mirror *mirrored) {
	retry := mirrorRetryMin
	for ctx.Err() == nil {
		err := m.catchUp(ctx, mirror)
		if ctx.Err() != nil {
			return
		}
		before := mirror.setError(err)
		if err == nil {
			retry = mirrorRetryMin
			if before != nil {
				m.logger.Info("mirror caught up", "mirror", mirror.Name)
			}
			select {
			case <-ctx.Done():
			case <-mirror.wake:
			}
			continue
		}
		if before == nil {
			m.logger.Warn("mirror falls behind", "mirror", mirror.Name, "error", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(retry):
			retry = min(2*retry, mirrorRetryMax)
		}
	}
}

func (m *Mirror) catchUp(ctx context.Context, mirror *mirrored) error {
	for {
		key, since, found := mirror.oldest()
		if !found {
			return nil
		}
		if err := m.copy(ctx, key, mirror.Store); err != nil {
			mirror.putBack(key, since)
			return fmt.Errorf("copy %s: %w", key, err)
		}
	}
}

// copy repeats itself until the primary stood still meanwhile: two processes may
// copy the same key, and the one that read first may write last.
func (m *Mirror) copy(ctx context.Context, key string, to Store) error {
	ctx, cancel := context.WithTimeout(ctx, mirrorTimeout)
	defer cancel()
	o, err := m.Get(ctx, key)
	for {
		switch {
		case errors.Is(err, ErrNotModified):
			return nil
		case errors.Is(err, ErrNotFound):
			return to.Delete(ctx, key)
		case err != nil:
			return err
		}
		if _, err := to.Put(ctx, key, o.Body, Always); err != nil {
			return err
		}
		o, err = m.GetIfChanged(ctx, key, o.ETag)
	}
}

// oldest takes the longest waiting key out, so that a write during its copy
// marks it anew.
func (mirror *mirrored) oldest() (key string, since time.Time, found bool) {
	mirror.mu.Lock()
	defer mirror.mu.Unlock()
	for k, s := range mirror.pending {
		if !found || s.Before(since) || s.Equal(since) && k < key {
			key, since, found = k, s, true
		}
	}
	delete(mirror.pending, key)
	return key, since, found
}

func (mirror *mirrored) putBack(key string, since time.Time) {
	mirror.mu.Lock()
	defer mirror.mu.Unlock()
	mirror.pending[key] = since
}

func (mirror *mirrored) setError(err error) (before error) {
	mirror.mu.Lock()
	defer mirror.mu.Unlock()
	before, mirror.err = mirror.err, err
	return before
}
