package follow

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/google/renameio/v2"

	"github.com/failoverd/failoverd/internal/publish"
)

// target is a Target with what is known about it.
type target struct {
	Target
	state *state
}

// file is a target's content with what a swap must keep.
type file struct {
	exists   bool
	path     string // where it really is: symlinks are followed, not replaced
	content  []byte
	mode     fs.FileMode
	uid, gid int
}

// apply brings the target to the document: render, stage beside it, check, swap,
// reload. When the reload fails the old file is put back and reloaded, and the
// error is returned. Nothing is done when the file says so already and the
// server has been reloaded with it. Once begun it is not cut short by ctx, only
// by the commands' timeouts.
func (t *target) apply(ctx context.Context, head *publish.Head) (changed bool, err error) {
	ctx = context.WithoutCancel(ctx)
	version := head.Document.Version
	old, next, err := t.plan(head)
	if err != nil {
		return false, err
	}
	hash := contentHash(next.content)
	same := old.same(next)
	if same && t.state.running(t.Path) == hash {
		return false, nil
	}
	if !same {
		if err := t.swap(ctx, next, version); err != nil {
			return false, err
		}
	}
	if err := t.reload(ctx, version); err != nil {
		if same {
			return false, err
		}
		return false, t.rollBack(ctx, old, version, err)
	}
	t.state.setRunning(t.Path, hash)
	return true, nil
}

// preview prints what apply would change.
func (t *target) preview(head *publish.Head, out io.Writer) error {
	old, next, err := t.plan(head)
	if err != nil {
		return fmt.Errorf("target %s: %w", t.Path, err)
	}
	_, err = io.WriteString(out, unifiedDiff(t.Path, old.content, next.content))
	return err
}

// plan reads the file as it is and renders it as it should be.
func (t *target) plan(head *publish.Head) (old, next file, err error) {
	content, err := render(t.Template, head.Document)
	if err != nil {
		return file{}, file{}, err
	}
	if old, err = readFile(t.Path); err != nil {
		return file{}, file{}, err
	}
	next = old
	next.exists, next.content = true, content
	mode, err := t.mode()
	if err != nil {
		return file{}, file{}, err
	}
	if mode != 0 {
		next.mode = mode
	}
	return old, next, nil
}

func (t *target) swap(ctx context.Context, next file, version uint64) error {
	staged, err := next.stage()
	if err != nil {
		return err
	}
	defer staged.Cleanup() //nolint:errcheck // nothing is left to clean after a swap
	if t.Check != "" {
		if err := runCommand(ctx, t.Check, staged.Name(), version, t.Timeout); err != nil {
			return fmt.Errorf("check: %w", err)
		}
	}
	return staged.CloseAtomicallyReplace()
}

func (t *target) reload(ctx context.Context, version uint64) error {
	if t.Reload == "" {
		return nil
	}
	if err := runCommand(ctx, t.Reload, t.Path, version, t.Timeout); err != nil {
		return fmt.Errorf("reload: %w", err)
	}
	return nil
}

// rollBack returns the error to report, which says how the way back went.
func (t *target) rollBack(ctx context.Context, old file, version uint64, reloadErr error) error {
	if err := old.restore(); err != nil {
		t.state.setRunning(t.Path, "")
		return fmt.Errorf("%w; putting the old file back failed too: %w", reloadErr, err)
	}
	if err := t.reload(ctx, version); err != nil {
		t.state.setRunning(t.Path, "") // the old file must be reloaded when it is wanted again
		return fmt.Errorf("%w; the old file is back, but with it: %w", reloadErr, err)
	}
	t.state.setRunning(t.Path, contentHash(old.content))
	return fmt.Errorf("%w; the old file is back and reloaded", reloadErr)
}

func readFile(path string) (file, error) {
	resolved, err := filepath.EvalSymlinks(path)
	if errors.Is(err, fs.ErrNotExist) {
		return file{path: path, mode: defaultMode, uid: -1, gid: -1}, nil
	}
	if err != nil {
		return file{}, err
	}
	info, err := os.Stat(resolved)
	if err != nil {
		return file{}, err
	}
	if !info.Mode().IsRegular() {
		return file{}, fmt.Errorf("%s is not a regular file", resolved)
	}
	content, err := os.ReadFile(resolved)
	if err != nil {
		return file{}, err
	}
	f := file{exists: true, path: resolved, content: content, mode: info.Mode().Perm(), uid: -1, gid: -1}
	if owner, known := info.Sys().(*syscall.Stat_t); known {
		f.uid, f.gid = int(owner.Uid), int(owner.Gid)
	}
	return f, nil
}

func (f file) same(next file) bool {
	return f.exists && f.mode == next.mode && bytes.Equal(f.content, next.content)
}

// stage writes the file beside its place, under a name that starts with a dot so
// that no include pattern of the server matches it.
func (f file) stage() (*renameio.PendingFile, error) {
	staged, err := renameio.NewPendingFile(f.path,
		renameio.WithTempDir(filepath.Dir(f.path)), renameio.WithStaticPermissions(f.mode))
	if err != nil {
		return nil, err
	}
	_, err = staged.Write(f.content)
	if err == nil && f.uid >= 0 && (f.uid != os.Geteuid() || f.gid != os.Getegid()) {
		// A change of owner may clear mode bits.
		err = errors.Join(staged.Chown(f.uid, f.gid), staged.Chmod(f.mode))
	}
	if err != nil {
		return nil, errors.Join(err, staged.Cleanup())
	}
	return staged, nil
}

func (f file) restore() error {
	if !f.exists {
		return os.Remove(f.path)
	}
	staged, err := f.stage()
	if err != nil {
		return err
	}
	defer staged.Cleanup() //nolint:errcheck // nothing is left to clean after a swap
	return staged.CloseAtomicallyReplace()
}
