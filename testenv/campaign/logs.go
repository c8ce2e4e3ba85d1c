package campaign

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/failoverd/failoverd/internal/journal"
	"github.com/failoverd/failoverd/testenv/stage"
)

// logs keeps of the processes' logs what was written during one run.
type logs struct {
	dir     string
	from    map[string]int64  // path → where the run begins
	names   map[string]string // path → what the cut is called
	history []journal.Entry
}

func newLogs(s *stage.Stage, dir string) *logs {
	l := &logs{dir: dir, from: map[string]int64{}, names: map[string]string{}}
	for _, w := range s.Watchers {
		l.names[w.Log] = w.Name + ".log"
	}
	for _, f := range s.Followers {
		l.names[f.Log] = f.Name + ".log"
	}
	for _, server := range s.Chain.Servers {
		l.names[server.ErrorLog] = server.Name + ".log"
	}
	for path := range l.names {
		if info, err := os.Stat(path); err == nil {
			l.from[path] = info.Size()
		}
	}
	return l
}

func (l *logs) name() string { return filepath.Base(l.dir) }

// keep writes the cuts, the history and, when something is broken, everything the clients were told.
func (l *logs) keep(r *run) error {
	if err := os.MkdirAll(l.dir, 0o755); err != nil {
		return err
	}
	var failed error
	for path, name := range l.names {
		failed = errors.Join(failed, l.cut(path, name))
	}
	failed = errors.Join(failed, l.write("history.json", l.history), l.write("record.json", r.record))
	if len(r.record.Broken) > 0 && r.load != nil {
		failed = errors.Join(failed, l.write("inserts.json", r.load.inserts), l.write("deletions.json", r.load.deletions), l.write("operations.json", r.load.operations))
	}
	return failed
}

func (l *logs) cut(path, name string) error {
	in, err := os.Open(path)
	if err != nil {
		return err
	}
	defer in.Close()
	if _, err := in.Seek(l.from[path], io.SeekStart); err != nil {
		return err
	}
	out, err := os.Create(filepath.Join(l.dir, name))
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

func (l *logs) write(name string, what any) error {
	data, err := json.MarshalIndent(what, "", " ")
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return os.WriteFile(filepath.Join(l.dir, name), append(data, '\n'), 0o644)
}
