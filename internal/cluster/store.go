package cluster

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
	raftboltdb "github.com/hashicorp/raft-boltdb/v2"
	"go.etcd.io/bbolt"
)

const (
	databaseName  = "raft.db"
	joiningName   = "joining"
	probeName     = "disk.probe"
	keepSnapshots = 2

	// remedy is the advice for a directory that cannot be used. A watcher's state is a copy of what the
	// other two hold, so the safe way is always to start it empty and let them fill it.
	remedy = "stop this watcher, move its data directory away and start it without bootstrap: it is filled again by the others, as long as two of them are up"
)

// store is what a node keeps on disk: log and votes in a bbolt database that is synced at every write,
// snapshots beside it, and the mark of a node that has not caught up yet.
type store struct {
	dir, path string
	bolt      *raftboltdb.BoltStore // nil when a test keeps all in memory
	logs      raft.LogStore
	stable    raft.StableStore
	snapshots raft.SnapshotStore
	inMemory  bool
}

func openStore(cfg Config, watch *stopwatch, log hclog.Logger) (*store, error) {
	s := &store{dir: cfg.Dir, path: inDir(cfg.Dir, databaseName), inMemory: cfg.testing.inMemory}
	if s.inMemory {
		memory := raft.NewInmemStore()
		s.logs, s.stable, s.snapshots = timedLogs{memory, watch}, timedStable{memory, watch}, raft.NewInmemSnapshotStore()
		return s, nil
	}
	if err := makeDir(cfg.Dir); err != nil {
		return nil, err
	}
	if err := onCorruption(s.path, s.openDatabase); err != nil {
		return nil, err
	}
	snapshots, err := raft.NewFileSnapshotStoreWithLogger(cfg.Dir, keepSnapshots, log)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w; it must belong to the user that failoverd runs as", cfg.Dir, err), s.close())
	}
	var logs raft.LogStore = s.bolt
	if cfg.testing.logs != nil {
		logs = cfg.testing.logs(logs)
	}
	s.logs, s.stable, s.snapshots = timedLogs{logs, watch}, timedStable{s.bolt, watch}, snapshots
	return s, nil
}

func (s *store) openDatabase() error {
	bolt, err := raftboltdb.New(raftboltdb.Options{
		Path:   s.path,
		NoSync: false, // a vote or an entry that is not on disk was never given
		// The file lock of another process is waited for shortly: a restart overlaps a little.
		BoltOptions: &bbolt.Options{Timeout: time.Second},
	})
	switch {
	case errors.Is(err, bbolt.ErrTimeout):
		return fmt.Errorf("%s is in use by another process: is this watcher running already?", s.path)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w; it must belong to the user that failoverd runs as", err)
	case err != nil:
		return fmt.Errorf("%s: %w; %s", s.path, err, remedy)
	}
	s.bolt = bolt
	return nil
}

func (s *store) close() error {
	if s.bolt == nil {
		return nil
	}
	return s.bolt.Close()
}

// joining tells whether this node started empty and has not caught up since. It is kept in a file, because a
// restart halfway must not give the vote back.
func (s *store) joining() bool {
	if s.inMemory {
		return false
	}
	_, err := os.Stat(inDir(s.dir, joiningName))
	return !errors.Is(err, fs.ErrNotExist) // in doubt, no vote
}

func (s *store) setJoining(joining bool) error {
	if s.inMemory {
		return nil
	}
	path := inDir(s.dir, joiningName)
	if !joining {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return syncDir(s.dir)
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		return err
	}
	return syncDir(s.dir)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// onCorruption turns the panics and memory faults with which a damaged database answers into an error. The
// database is a mapped file: a cut-off one faults where a page should be.
func onCorruption(path string, do func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		p := recover()
		if cause, ok := p.(error); ok && errors.Is(cause, raft.ErrLogNotFound) {
			// Raft falls back to an older snapshot when the newest is damaged; the log may begin too late for it.
			err = fmt.Errorf("%s: entries are missing between the newest readable snapshot and the log; %s", path, remedy)
		} else if p != nil {
			err = fmt.Errorf("%s is damaged (%v); %s", path, p, remedy)
		}
	}()
	return do()
}

// timedLogs lets the stopwatch see every write to the log.
type timedLogs struct {
	raft.LogStore
	watch *stopwatch
}

func (l timedLogs) StoreLog(entry *raft.Log) error {
	defer l.watch.start("writing the log")()
	return l.LogStore.StoreLog(entry)
}

func (l timedLogs) StoreLogs(entries []*raft.Log) error {
	defer l.watch.start("writing the log")()
	return l.LogStore.StoreLogs(entries)
}

func (l timedLogs) DeleteRange(low, high uint64) error {
	defer l.watch.start("shortening the log")()
	return l.LogStore.DeleteRange(low, high)
}

// timedStable lets the stopwatch see every write of a term or vote, and waits out a full disk: raft panics when
// it cannot store its term, and a watcher that is restarted in a loop is of less use than one that waits, does
// not stand for election and says that it hangs. Other errors mean a broken disk; they are raft's to die of.
type timedStable struct {
	raft.StableStore
	watch *stopwatch
}

func (s timedStable) Set(key, value []byte) error {
	return s.whileFull("writing a vote", func() error { return s.StableStore.Set(key, value) })
}

func (s timedStable) SetUint64(key []byte, value uint64) error {
	return s.whileFull("writing the term", func() error { return s.StableStore.SetUint64(key, value) })
}

// fullRetry is the pause before a write to a full disk is tried again.
const fullRetry = 250 * time.Millisecond

func (s timedStable) whileFull(what string, write func() error) error {
	full := func(err error) bool { return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) }
	done := s.watch.start(what)
	err := write()
	done()
	if !full(err) {
		return err
	}
	defer s.watch.start(diskFull)()
	for full(err) {
		time.Sleep(fullRetry)
		err = write()
	}
	return err
}
