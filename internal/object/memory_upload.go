package object

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// memoryUpload is an Upload to a Memory, whose lock guards it.
type memoryUpload struct {
	m     *Memory
	id    string
	key   string
	body  []byte
	begun time.Time
}

// Upload implements Store.
func (m *Memory) Upload(ctx context.Context, key string) (Upload, error) {
	if _, err := m.enter(ctx, "upload", key); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.begun++
	u := &memoryUpload{m: m, id: strconv.Itoa(m.begun), key: key, begun: m.now()}
	m.uploads[u.id] = u
	return u, nil
}

// Unfinished implements Store.
func (m *Memory) Unfinished(ctx context.Context, prefix string) ([]Unfinished, error) {
	if fault, err := m.ask(ctx, "unfinished", prefix); err != nil || fault.Err != nil {
		return nil, firstError(err, fault.Err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []Unfinished
	for _, u := range m.uploads {
		if strings.HasPrefix(u.key, prefix) {
			all = append(all, Unfinished{Key: u.key, Begun: u.begun, ID: u.id})
		}
	}
	slices.SortFunc(all, func(a, b Unfinished) int { return strings.Compare(a.Key, b.Key) })
	return all, nil
}

// Discard implements Store.
func (m *Memory) Discard(ctx context.Context, u Unfinished) error {
	if _, err := m.enter(ctx, "discard", u.Key); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.uploads, u.ID)
	return nil
}

// Write implements Upload.
func (u *memoryUpload) Write(ctx context.Context, p []byte) error {
	if _, err := u.m.enter(ctx, "write", u.key); err != nil {
		return err
	}
	u.m.mu.Lock()
	defer u.m.mu.Unlock()
	u.body = append(u.body, p...)
	return nil
}

// Commit implements Upload.
func (u *memoryUpload) Commit(ctx context.Context, cond Condition) error {
	fault, err := u.m.enter(ctx, "commit", u.key)
	if err != nil && !fault.Took {
		return err
	}
	u.m.mu.Lock()
	defer u.m.mu.Unlock()
	if u.m.uploads[u.id] == nil || !u.m.put(u.key, u.body, cond) {
		return firstError(err, fmt.Errorf("commit %s (%s): %w", u.key, cond, ErrConflict))
	}
	delete(u.m.uploads, u.id)
	return err
}

// Abort implements Upload.
func (u *memoryUpload) Abort(ctx context.Context) error {
	if _, err := u.m.enter(ctx, "abort", u.key); err != nil {
		return err
	}
	u.m.mu.Lock()
	defer u.m.mu.Unlock()
	delete(u.m.uploads, u.id)
	return nil
}
