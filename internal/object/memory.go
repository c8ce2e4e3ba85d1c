package object

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// Memory is a Store in memory. ETags are content hashes, so a run replays
// exactly. Give it faults with Inject.
type Memory struct {
	mu      sync.Mutex
	objects map[string]held
	uploads map[string]*memoryUpload
	inject  func(context.Context, Call) Fault
	now     func() time.Time
	begun   int // uploads, ever
	writes  int
}

type held struct {
	body     []byte
	modified time.Time
}

// NewMemory returns an empty store without faults.
func NewMemory() *Memory {
	return &Memory{objects: map[string]held{}, uploads: map[string]*memoryUpload{}, now: time.Now}
}

// SetClock makes the store tell the time by now.
func (m *Memory) SetClock(now func() time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.now = now
}

// Call is one call to a store, as an injected fault sees it.
type Call struct {
	// Method is "get", "put", "list" or "delete"; of uploads "upload", "write",
	// "commit", "abort", "unfinished" or "discard".
	Method string
	Key    string // the prefix for "list" and "unfinished"
}

// Fault is what goes wrong in a call. The zero Fault is none.
type Fault struct {
	// Err is what the caller gets.
	Err error
	// Took makes a put, a delete or a commit take before Err is returned: a lost reply.
	Took bool
}

// Inject has fault asked at the start of each call; nil ends the faults. It runs
// without a lock held, so it may wait (for latency) or call the store itself.
func (m *Memory) Inject(fault func(context.Context, Call) Fault) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.inject = fault
}

// Writes counts the puts and deletes that took.
func (m *Memory) Writes() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.writes
}

// ETagOf is the ETag that Memory (and the directory store) gives to a body.
func ETagOf(body []byte) string {
	sum := sha256.Sum256(body)
	return `"` + hex.EncodeToString(sum[:16]) + `"`
}

// Get implements Store.
func (m *Memory) Get(ctx context.Context, key string) (Object, error) {
	if _, err := m.enter(ctx, "get", key); err != nil {
		return Object{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	o, exists := m.objects[key]
	if !exists {
		return Object{}, fmt.Errorf("get %s: %w", key, ErrNotFound)
	}
	return Object{Body: bytes.Clone(o.body), ETag: ETagOf(o.body)}, nil
}

// GetIfChanged implements Store.
func (m *Memory) GetIfChanged(ctx context.Context, key, etag string) (Object, error) {
	o, err := m.Get(ctx, key)
	if err == nil && o.ETag == etag {
		return Object{}, fmt.Errorf("get %s: %w", key, ErrNotModified)
	}
	return o, err
}

// GetRange implements Store.
func (m *Memory) GetRange(ctx context.Context, key string, offset, size int64) ([]byte, error) {
	if err := CheckRange(offset, size); err != nil {
		return nil, err
	}
	if _, err := m.enter(ctx, "get", key); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	body := m.objects[key].body
	end := int64(len(body))
	if offset >= end {
		return nil, fmt.Errorf("get %s: %w", key, ErrNotFound)
	}
	if size < end-offset {
		end = offset + size
	}
	return bytes.Clone(body[offset:end]), nil
}

// Put implements Store.
func (m *Memory) Put(ctx context.Context, key string, body []byte, cond Condition) (string, error) {
	fault, err := m.enter(ctx, "put", key)
	if err != nil && !fault.Took {
		return "", err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.put(key, bytes.Clone(body), cond) && err == nil {
		err = fmt.Errorf("put %s (%s): %w", key, cond, ErrConflict)
	}
	if err != nil {
		return "", err
	}
	return ETagOf(body), nil
}

// put keeps the body itself, if cond holds. The lock is held.
func (m *Memory) put(key string, body []byte, cond Condition) (took bool) {
	current, exists := m.objects[key]
	if !cond.Holds(exists, ETagOf(current.body)) {
		return false
	}
	m.objects[key] = held{body: body, modified: m.now()}
	m.writes++
	return true
}

// List implements Store.
func (m *Memory) List(ctx context.Context, prefix string) ([]Entry, error) {
	if fault, err := m.ask(ctx, "list", prefix); err != nil || fault.Err != nil {
		return nil, firstError(err, fault.Err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	var entries []Entry
	for key, o := range m.objects {
		if strings.HasPrefix(key, prefix) {
			entries = append(entries, Entry{Key: key, Size: int64(len(o.body)), Modified: o.modified})
		}
	}
	slices.SortFunc(entries, func(a, b Entry) int { return strings.Compare(a.Key, b.Key) })
	return entries, nil
}

// Delete implements Store.
func (m *Memory) Delete(ctx context.Context, key string) error {
	fault, err := m.enter(ctx, "delete", key)
	if err != nil && !fault.Took {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, exists := m.objects[key]; exists {
		delete(m.objects, key)
		m.writes++
	}
	return err
}

func (m *Memory) enter(ctx context.Context, method, key string) (Fault, error) {
	if err := CheckKey(key); err != nil {
		return Fault{}, err
	}
	fault, err := m.ask(ctx, method, key)
	if err != nil {
		return Fault{}, err
	}
	if fault.Err != nil {
		return fault, fmt.Errorf("%s %s: %w", method, key, fault.Err)
	}
	return Fault{}, nil
}

// ask returns the injected fault, or the context's error when the context ended
// before the call could reach the store.
func (m *Memory) ask(ctx context.Context, method, key string) (Fault, error) {
	m.mu.Lock()
	inject := m.inject
	m.mu.Unlock()
	var fault Fault
	if inject != nil {
		fault = inject(ctx, Call{Method: method, Key: key})
	}
	return fault, ctx.Err()
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
