package scratch

import (
	"context"
	"os"
	"path/filepath"
	"time"

	"github.com/failoverd/failoverd/internal/mysql"
	"github.com/failoverd/failoverd/internal/snapshot"
)

// Scratch makes servers for drills: a snapshot.Scratch.
type Scratch struct {
	// Dir holds their directories; the system's temporary one when empty.
	Dir string
	// Mysqld and Memory are as in Options.
	Mysqld string
	Memory int64
	// Target and Source are the adapters that fill and read a server.
	Target func(mysql.Config) (snapshot.Target, error)
	Source func(mysql.Config) (snapshot.Source, error)
	// From is the host:port that the restored server replicates from, empty for nothing,
	// as Replication.
	From        string
	Replication mysql.Replication
}

var _ snapshot.Scratch = Scratch{}

// Start implements snapshot.Scratch.
func (s Scratch) Start(ctx context.Context, settings map[string]string) (snapshot.Rehearsal, error) {
	dir, err := os.MkdirTemp(s.Dir, "failoverd-drill-")
	if err != nil {
		return nil, err
	}
	server, err := New(ctx, Options{Dir: filepath.Join(dir, "server"), Mysqld: s.Mysqld, Settings: settings, Memory: s.Memory})
	if err != nil {
		_ = os.RemoveAll(dir)
		return nil, err
	}
	return rehearsal{Scratch: s, server: server, dir: dir}, nil
}

type rehearsal struct {
	Scratch
	server *Server
	dir    string
}

// joining bounds how long something may take to arrive. A copy that is old has much to
// catch up with, but the first of it comes soon.
const joining = time.Minute

func (r rehearsal) Target() (snapshot.Target, error) { return r.Scratch.Target(r.server.Config()) }
func (r rehearsal) Source() (snapshot.Source, error) { return r.Scratch.Source(r.server.Config()) }
func (r rehearsal) Own() []string                    { return []string{r.server.Own()} }

func (r rehearsal) Join(ctx context.Context) (string, error) {
	if r.From == "" {
		return "", snapshot.ErrNoSource
	}
	ctx, cancel := context.WithTimeout(ctx, joining)
	defer cancel()
	return r.server.Join(ctx, r.From, r.Replication)
}

func (r rehearsal) Close() error {
	err := r.server.Remove()
	if err == nil {
		err = os.Remove(r.dir)
	}
	return err
}
