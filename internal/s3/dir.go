package s3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/failoverd/failoverd/internal/object"
)

// dir is an object.Store in a directory: for a demo, a test, or a file system
// that all watchers share and whose flock works across its clients. Each object
// is a file, replaced atomically; an exclusive lock on one file makes checking a
// condition and writing a single step among all processes that use the store.
type dir struct {
	root    string
	timeout time.Duration
}

const lockFile = ".lock" // no key can name it: see object.CheckKey

func openDir(root string, timeout time.Duration) (*dir, error) {
	if err := os.MkdirAll(root, 0o755); err != nil {
		return nil, fmt.Errorf("open directory store: %w", err)
	}
	return &dir{root: root, timeout: timeout}, nil
}

// Get implements object.Store.
func (d *dir) Get(ctx context.Context, key string) (object.Object, error) {
	if err := errors.Join(object.CheckKey(key), ctx.Err()); err != nil {
		return object.Object{}, err
	}
	body, err := os.ReadFile(d.path(key))
	if notThere(err) {
		return object.Object{}, fmt.Errorf("get %s: %w", key, object.ErrNotFound)
	}
	if err != nil {
		return object.Object{}, fmt.Errorf("get %s: %w", key, err)
	}
	return object.Object{Body: body, ETag: object.ETagOf(body)}, nil
}

// GetIfChanged implements object.Store.
func (d *dir) GetIfChanged(ctx context.Context, key, etag string) (object.Object, error) {
	o, err := d.Get(ctx, key)
	if err == nil && o.ETag == etag {
		return object.Object{}, fmt.Errorf("get %s: %w", key, object.ErrNotModified)
	}
	return o, err
}

// GetRange implements object.Store.
func (d *dir) GetRange(ctx context.Context, key string, offset, size int64) ([]byte, error) {
	if err := errors.Join(object.CheckKey(key), object.CheckRange(offset, size), ctx.Err()); err != nil {
		return nil, err
	}
	file, err := os.Open(d.path(key))
	if notThere(err) {
		return nil, fmt.Errorf("get %s: %w", key, object.ErrNotFound)
	}
	if err != nil {
		return nil, fmt.Errorf("get %s: %w", key, err)
	}
	defer file.Close()
	body, err := io.ReadAll(io.NewSectionReader(file, offset, size))
	switch {
	case notThere(err), err == nil && len(body) == 0:
		return nil, fmt.Errorf("get %s: %w", key, object.ErrNotFound)
	case err != nil:
		return nil, fmt.Errorf("get %s: %w", key, err)
	}
	return body, nil
}

// Put implements object.Store.
func (d *dir) Put(ctx context.Context, key string, body []byte, cond object.Condition) (string, error) {
	u, err := d.upload(ctx, key)
	if err != nil {
		return "", fmt.Errorf("put %s: %w", key, err)
	}
	defer u.remove()
	if _, err := u.file.Write(body); err != nil {
		return "", fmt.Errorf("put %s: %w", key, err)
	}
	if err := u.commit(ctx, cond); err != nil {
		return "", fmt.Errorf("put %s (%s): %w", key, cond, err)
	}
	return object.ETagOf(body), nil
}

// List implements object.Store.
func (d *dir) List(ctx context.Context, prefix string) ([]object.Entry, error) {
	var entries []object.Entry
	err := d.walk(ctx, prefix, func(key string, file fs.DirEntry) error {
		if strings.HasPrefix(file.Name(), ".") {
			return nil
		}
		info, err := file.Info()
		if err == nil {
			entries = append(entries, object.Entry{Key: key, Size: info.Size(), Modified: info.ModTime()})
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", prefix, err)
	}
	slices.SortFunc(entries, func(a, b object.Entry) int { return strings.Compare(a.Key, b.Key) })
	return entries, nil
}

// walk visits every file whose path, taken for a key, starts with prefix; of files
// whose name starts with a dot, the path without it.
func (d *dir) walk(ctx context.Context, prefix string, visit func(key string, file fs.DirEntry) error) error {
	return filepath.WalkDir(d.root, func(path string, file fs.DirEntry, err error) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		if path == d.root {
			return err
		}
		if notThere(err) {
			return nil // deleted meanwhile
		}
		if err != nil {
			return err
		}
		hidden := strings.HasPrefix(file.Name(), ".")
		if hidden && file.IsDir() {
			return fs.SkipDir
		}
		relative, err := filepath.Rel(d.root, filepath.Join(filepath.Dir(path), strings.TrimPrefix(file.Name(), ".")))
		if err != nil {
			return err
		}
		key := filepath.ToSlash(relative)
		if file.IsDir() {
			if !strings.HasPrefix(key+"/", prefix) && !strings.HasPrefix(prefix, key+"/") {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasPrefix(key, prefix) {
			return nil
		}
		if err := visit(key, file); !notThere(err) {
			return err
		}
		return nil
	})
}

// Delete implements object.Store. Directories that it leaves empty go too: there
// would be one for each snapshot that ever was.
func (d *dir) Delete(ctx context.Context, key string) error {
	if err := object.CheckKey(key); err != nil {
		return err
	}
	unlock, err := d.lock(ctx)
	if err != nil {
		return fmt.Errorf("delete %s: %w", key, err)
	}
	defer unlock()
	path := d.path(key)
	if err := os.Remove(path); err != nil && !notThere(err) {
		return fmt.Errorf("delete %s: %w", key, err)
	}
	for path = filepath.Dir(path); path != filepath.Clean(d.root); path = filepath.Dir(path) {
		if os.Remove(path) != nil {
			break // it holds something else
		}
	}
	return nil
}

func (d *dir) path(key string) string { return filepath.Join(d.root, filepath.FromSlash(key)) }

// lock takes the store's lock. It asks again instead of blocking in the kernel,
// because a frozen process may hold it longer than our deadline.
func (d *dir) lock(ctx context.Context) (unlock func(), err error) {
	ctx, cancel := context.WithTimeout(ctx, d.timeout)
	defer cancel()
	file, err := os.OpenFile(filepath.Join(d.root, lockFile), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	for wait := time.Millisecond; ; wait = min(2*wait, 20*time.Millisecond) {
		if err := ctx.Err(); err != nil {
			file.Close()
			if errors.Is(err, context.DeadlineExceeded) {
				return nil, fmt.Errorf("another process keeps %s locked: %w", file.Name(), object.ErrUnavailable)
			}
			return nil, err
		}
		err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { file.Close() }, nil // closing releases the lock
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			file.Close()
			return nil, fmt.Errorf("lock %s: %w", file.Name(), err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
}

// syncDir makes a rename last through a power cut.
func syncDir(path string) error {
	opened, err := os.Open(path)
	if err != nil {
		return err
	}
	defer opened.Close()
	return opened.Sync()
}

// notThere also covers a key below another object, "a/b" where "a" is a file,
// and a key that is only other keys' first segments.
func notThere(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) || errors.Is(err, syscall.EISDIR)
}
