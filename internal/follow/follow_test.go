package follow_test

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/failoverd/failoverd/internal/follow"
	"github.com/failoverd/failoverd/internal/object"
	"github.com/failoverd/failoverd/internal/publish"
)

func (w *world) state(path string) follow.TargetState {
	w.t.Helper()
	var state follow.State
	if source := w.read("cache/state.json"); source != "" {
		require.NoError(w.t, json.Unmarshal([]byte(source), &state))
	}
	return state.Targets[path]
}

func TestRenderCheckSwapReload(t *testing.T) {
	w := newWorld(t)
	target := w.target()
	target.Check = `grep -q writer= {} && test "$FAILOVERD_FILE" = {} && test {} != ` + target.Path
	stop := w.run(w.config(target))
	w.feed.Set(w.render(1, "db1"))
	w.eventuallyReads("reloads", "writer=db1:3306\n")
	w.feed.Set(w.render(2, "db2"))
	w.eventuallyReads("reloads", "writer=db1:3306\nwriter=db2:3306\n")
	w.eventually(func() bool { return w.state(target.Path).Version == 2 }, "state file")
	assert.Empty(t, w.state(target.Path).Error)

	// Nothing of the target's content changes: nothing is reloaded.
	w.head, _ = publish.Render(w.head, publish.Input{Zones: []string{"a", "b", "c"}}, w.key, time.Now())
	w.feed.Set(w.head)
	w.eventually(func() bool { return w.state(target.Path).Version == 3 }, "state file")
	stop()
	stop = w.run(w.config(target))
	w.feed.Set(w.render(3, "db3"))
	w.eventuallyReads("reloads", "writer=db1:3306\nwriter=db2:3306\nwriter=db3:3306\n")
	stop()
	leftovers, err := filepath.Glob(filepath.Join(w.dir, ".web*"))
	require.NoError(t, err)
	assert.Empty(t, leftovers)
}

func TestModeOwnerAndSymlinkAreKept(t *testing.T) {
	w := newWorld(t)
	target := w.target()
	real := w.write("real.conf", "old\n")
	require.NoError(t, os.Chmod(real, 0o640))
	require.NoError(t, os.Symlink("real.conf", target.Path))
	w.put(w.render(1, "db1"))
	require.NoError(t, follow.RunOnce(t.Context(), w.config(target), w.logger()))
	assert.Equal(t, "writer=db1:3306\n", w.read("real.conf"))
	info, err := os.Lstat(real)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o640), info.Mode())
	link, err := os.Readlink(target.Path)
	require.NoError(t, err)
	assert.Equal(t, "real.conf", link)

	target.Mode = "0600"
	require.NoError(t, follow.RunOnce(t.Context(), w.config(target), w.logger()))
	info, err = os.Lstat(real)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), info.Mode(), "a mode that is asked for is set")
}

func TestACheckThatFailsKeepsTheOldFile(t *testing.T) {
	w := newWorld(t)
	target := w.target()
	w.write("web.conf", "old\n")
	target.Check = "echo line 1 is bad >&2; exit 3"
	w.put(w.render(1, "db1"))
	err := follow.RunOnce(t.Context(), w.config(target), w.logger())
	require.ErrorContains(t, err, "check: exit status 3: line 1 is bad")
	assert.Equal(t, "old\n", w.read("web.conf"))
	assert.Empty(t, w.read("reloads"))
	assert.Contains(t, w.state(target.Path).Error, "line 1 is bad")
	leftovers, err := filepath.Glob(filepath.Join(w.dir, ".web*"))
	require.NoError(t, err)
	assert.Empty(t, leftovers)
}

func TestAReloadThatFailsIsRolledBackAndRetried(t *testing.T) {
	w := newWorld(t)
	target := w.target()
	bad := filepath.Join(w.dir, "bad")
	target.Reload = "cat {} >>" + filepath.Join(w.dir, "reloads") + "; if test -e " + bad + " && grep -q db2 {}; then echo no such host; exit 1; fi"
	w.run(w.config(target))
	w.feed.Set(w.render(1, "db1"))
	w.eventuallyReads("reloads", "writer=db1:3306\n")
	w.write("bad", "")
	w.feed.Set(w.render(2, "db2"))
	w.eventually(func() bool { return w.state(target.Path).Failed == 2 }, "the failure is reported")
	assert.Equal(t, "writer=db1:3306\n", w.read("web.conf"))
	assert.Equal(t, "writer=db1:3306\nwriter=db2:3306\nwriter=db1:3306\n", w.read("reloads"), "the old file was reloaded too")
	assert.Contains(t, w.state(target.Path).Error, "no such host; the old file is back and reloaded")
	assert.EqualValues(t, 1, w.state(target.Path).Version)

	require.NoError(t, os.Remove(bad))
	w.eventuallyReads("web.conf", "writer=db2:3306\n")
	w.eventually(func() bool { return w.state(target.Path).Version == 2 }, "it is retried")
	assert.Empty(t, w.state(target.Path).Error)
}

func TestAFileThatWasNotThereIsRemovedAgain(t *testing.T) {
	w := newWorld(t)
	target := w.target()
	target.Reload = "test ! -e {}"
	w.put(w.render(1, "db1"))
	require.ErrorContains(t, follow.RunOnce(t.Context(), w.config(target), w.logger()), "the old file is back")
	assert.NoFileExists(t, target.Path)
}

func TestAHangingReloadIsKilledWithItsChildren(t *testing.T) {
	w := newWorld(t)
	target := w.target()
	w.write("web.conf", "old\n")
	pid := filepath.Join(w.dir, "pid")
	target.Timeout = 200 * time.Millisecond
	target.Reload = "grep -q old {} || { sleep 600 & echo $! >" + pid + "; wait; }"
	w.put(w.render(1, "db1"))
	start := time.Now()
	err := follow.RunOnce(t.Context(), w.config(target), w.logger())
	require.ErrorContains(t, err, "reload: killed after 200ms; the old file is back and reloaded")
	assert.Less(t, time.Since(start), 10*time.Second)
	assert.Equal(t, "old\n", w.read("web.conf"))
	child := strings.TrimSpace(w.read("pid"))
	require.NotEmpty(t, child)
	w.eventually(func() bool {
		status, err := os.ReadFile("/proc/" + child + "/stat")
		return err != nil || strings.Contains(string(status), ") Z ")
	}, "the child is gone")
}

func TestOneTargetHoldsUpNoOther(t *testing.T) {
	w := newWorld(t)
	slow, quick := w.target(), w.target()
	slow.Path = filepath.Join(w.dir, "slow.conf")
	gate := filepath.Join(w.dir, "gate")
	slow.Reload = "while ! test -e " + gate + "; do sleep 0.02; done"
	slow.Timeout = time.Minute
	w.run(w.config(slow, quick))
	w.feed.Set(w.render(1, "db1"))
	w.eventuallyReads("web.conf", "writer=db1:3306\n")
	w.feed.Set(w.render(2, "db2"))
	w.eventuallyReads("web.conf", "writer=db2:3306\n")
	assert.Equal(t, "writer=db1:3306\n", w.read("slow.conf"))
	w.write("gate", "")
	w.eventuallyReads("slow.conf", "writer=db2:3306\n")
}

func TestAReloadMissedByACrashIsMadeUpFor(t *testing.T) {
	w := newWorld(t)
	target := w.target()
	w.put(w.render(1, "db1"))
	require.NoError(t, follow.RunOnce(t.Context(), w.config(target), w.logger()))
	// The next one swapped, and died before its reload.
	w.put(w.render(2, "db2"))
	w.write("web.conf", "writer=db2:3306\n")
	for range 2 {
		require.NoError(t, follow.RunOnce(t.Context(), w.config(target), w.logger()))
		assert.Equal(t, "writer=db1:3306\nwriter=db2:3306\n", w.read("reloads"))
	}
}

func TestStoreAwayAtTheStart(t *testing.T) {
	w := newWorld(t)
	target := w.target()
	cfg := w.config(target)
	cfg.Endpoints = nil
	w.put(w.render(1, "db1"))
	require.NoError(t, follow.RunOnce(t.Context(), cfg, w.logger()))
	require.NoError(t, os.Remove(target.Path))

	w.store.Inject(func(context.Context, object.Call) object.Fault { return object.Fault{Err: object.ErrUnavailable} })
	err := follow.RunOnce(t.Context(), cfg, w.logger())
	require.ErrorIs(t, err, object.ErrUnavailable)
	assert.ErrorContains(t, err, "used the last good copy, version 1")
	assert.Equal(t, "writer=db1:3306\n", w.read("web.conf"))

	require.NoError(t, os.Remove(target.Path))
	w.run(cfg)
	w.eventuallyReads("web.conf", "writer=db1:3306\n")

	cfg.CacheDir = filepath.Join(w.dir, "empty")
	require.ErrorContains(t, follow.RunOnce(t.Context(), cfg, w.logger()), "no published config to be had")
}

func TestNoopPrintsADiffAndChangesNothing(t *testing.T) {
	w := newWorld(t)
	target := w.target()
	w.write("web.tmpl", "# head\n{{range .Products}}writer={{addr .Writer}}\n{{end}}# tail\n")
	w.write("web.conf", "# head\nwriter=db0:3306\n# tail\n")
	w.put(w.render(1, "db1"))
	cfg := w.config(target)
	var out strings.Builder
	cfg.Noop, cfg.Out = true, &out
	require.NoError(t, follow.Run(t.Context(), cfg, w.logger()))
	assert.Equal(t, "--- "+target.Path+"\n+++ "+target.Path+" (rendered)\n"+
		"@@ -1,3 +1,3 @@\n # head\n-writer=db0:3306\n+writer=db1:3306\n # tail\n", out.String())
	assert.Equal(t, "# head\nwriter=db0:3306\n# tail\n", w.read("web.conf"))
	assert.Empty(t, w.read("reloads"))
	assert.Empty(t, w.read("cache/state.json"))
}

func TestOnChange(t *testing.T) {
	w := newWorld(t)
	cfg := w.config()
	cfg.CacheDir = "" // not needed without targets
	var mu sync.Mutex
	var writers []string
	cfg.OnChange = func(d *publish.Document) {
		mu.Lock()
		defer mu.Unlock()
		writers = append(writers, d.Products["shop"].Writer.Host)
	}
	seen := func(n int) func() bool {
		return func() bool { mu.Lock(); defer mu.Unlock(); return len(writers) == n }
	}
	w.run(cfg)
	w.feed.Set(w.render(1, "db1"))
	w.eventually(seen(1), "first")
	w.feed.Set(w.render(2, "db2"))
	w.eventually(seen(2), "second")
	assert.Equal(t, []string{"db1", "db2"}, writers)
}

// From a watcher's push to the reload's end only a few milliseconds may pass
// beyond the commands themselves. The bound is loose for a busy machine; the
// figure itself is logged.
func TestFromPushToReload(t *testing.T) {
	w := newWorld(t)
	target := w.target()
	target.Reload = ":"
	cfg := w.config(target)
	cfg.Store = nil
	w.run(cfg)
	best := time.Hour
	for epoch := range uint64(10) {
		start := time.Now()
		w.feed.Set(w.render(epoch+1, "db1"))
		w.eventually(func() bool { return w.state(target.Path).Version == epoch+1 }, "applied")
		best = min(best, time.Since(start))
	}
	t.Log("best push to recorded reload:", best)
	assert.Less(t, best, time.Second)
}
