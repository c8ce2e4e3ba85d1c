package s3

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/failoverd/failoverd/internal/object"
)

// dirUpload is an object.Upload: a file beside the one it will become. The name
// starts with a dot, so no listing shows it, and says what it is for.
type dirUpload struct {
	dir  *dir
	key  string
	file *os.File
}

// unfinishedName is the key's last segment, a random number and this ending, behind a dot.
var unfinishedName = regexp.MustCompile(`^(.+)\.([0-9a-f]{16})\.part$`)

// Upload implements object.Store.
func (d *dir) Upload(ctx context.Context, key string) (object.Upload, error) {
	u, err := d.upload(ctx, key)
	if err != nil {
		return nil, fmt.Errorf("upload %s: %w", key, err)
	}
	return u, nil
}

func (d *dir) upload(ctx context.Context, key string) (*dirUpload, error) {
	if err := errors.Join(object.CheckKey(key), ctx.Err()); err != nil {
		return nil, err
	}
	path := d.path(key)
	name := filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+"."+randomName()+".part")
	for try := 1; ; try++ {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return nil, err
		}
		file, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
		if errors.Is(err, fs.ErrNotExist) && try < 10 {
			continue // a Delete emptied the directory and removed it
		}
		if err != nil {
			return nil, err
		}
		return &dirUpload{dir: d, key: key, file: file}, nil
	}
}

// Write implements object.Upload.
func (u *dirUpload) Write(ctx context.Context, p []byte) error {
	err := ctx.Err()
	if err == nil {
		_, err = u.file.Write(p)
	}
	if err != nil {
		return fmt.Errorf("upload %s: %w", u.key, err)
	}
	return nil
}

// Commit implements object.Upload.
func (u *dirUpload) Commit(ctx context.Context, cond object.Condition) error {
	if err := u.commit(ctx, cond); err != nil {
		return fmt.Errorf("upload %s (%s): %w", u.key, cond, err)
	}
	return nil
}

// commit holds the lock only to check the condition and to rename: others write
// their files meanwhile.
func (u *dirUpload) commit(ctx context.Context, cond object.Condition) error {
	if err := u.file.Sync(); err != nil {
		return err
	}
	unlock, err := u.dir.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	holds, err := u.dir.holds(ctx, u.key, cond)
	if err != nil {
		return err
	}
	if !holds {
		return object.ErrConflict
	}
	path := u.dir.path(u.key)
	if err := os.Rename(u.file.Name(), path); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("the upload is not there any more: %w", object.ErrConflict)
	} else if err != nil {
		return err
	}
	u.file.Close() // it is synced
	return syncDir(filepath.Dir(path))
}

// holds decides the condition, and reads the object only if its content matters.
func (d *dir) holds(ctx context.Context, key string, cond object.Condition) (bool, error) {
	if _, asked := cond.Match(); asked {
		o, err := d.Get(ctx, key)
		if err != nil && !errors.Is(err, object.ErrNotFound) {
			return false, err
		}
		return cond.Holds(err == nil, o.ETag), nil
	}
	info, err := os.Stat(d.path(key))
	if err != nil && !notThere(err) {
		return false, err
	}
	return cond.Holds(err == nil && !info.IsDir(), ""), nil
}

// Abort implements object.Upload.
func (u *dirUpload) Abort(context.Context) error {
	if err := u.remove(); err != nil {
		return fmt.Errorf("abort the upload %s: %w", u.key, err)
	}
	return nil
}

// remove does nothing after a commit: the file is not under this name any more.
func (u *dirUpload) remove() error {
	u.file.Close() // what it holds is of no use
	if err := os.Remove(u.file.Name()); err != nil && !notThere(err) {
		return err
	}
	return nil
}

// Unfinished implements object.Store.
func (d *dir) Unfinished(ctx context.Context, prefix string) ([]object.Unfinished, error) {
	var all []object.Unfinished
	err := d.walk(ctx, prefix, func(path string, file fs.DirEntry) error {
		parts := unfinishedName.FindStringSubmatch(strings.TrimPrefix(file.Name(), "."))
		if parts == nil || !strings.HasPrefix(file.Name(), ".") {
			return nil
		}
		info, err := file.Info()
		if err == nil {
			key := strings.TrimSuffix(path, strings.TrimPrefix(file.Name(), ".")) + parts[1]
			all = append(all, object.Unfinished{Key: key, Begun: info.ModTime(), ID: parts[2]})
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list unfinished uploads of %s: %w", prefix, err)
	}
	slices.SortFunc(all, func(a, b object.Unfinished) int { return strings.Compare(a.Key, b.Key) })
	return all, nil
}

var unfinishedID = regexp.MustCompile(`^[0-9a-f]{16}$`)

// Discard implements object.Store.
func (d *dir) Discard(ctx context.Context, u object.Unfinished) error {
	if err := errors.Join(object.CheckKey(u.Key), ctx.Err()); err != nil {
		return err
	}
	if !unfinishedID.MatchString(u.ID) {
		return fmt.Errorf("discard the upload %s: %q names none", u.Key, u.ID)
	}
	path := d.path(u.Key)
	err := os.Remove(filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+"."+u.ID+".part"))
	if err != nil && !notThere(err) {
		return fmt.Errorf("discard the upload %s: %w", u.Key, err)
	}
	return nil
}

var _ object.Upload = (*dirUpload)(nil)
