package campaign

import (
	"context"
	"database/sql"
	"errors"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/failoverd/failoverd/testenv"
	"github.com/failoverd/failoverd/testenv/campaign/check"
	"github.com/failoverd/failoverd/testenv/stage"
)

// webNames are the hosts of the web servers.
var webNames = []string{"web1", "web2"}

// web is one web server: its clients write wherever its follower's newest file says. A change of that is a reload:
// what is under way is given up.
type web struct {
	name     string
	stage    *stage.Stage
	follower *stage.Follower

	mu       sync.Mutex
	now      *generation // nil until the follower rendered something
	readings []check.Reading
}

// generation is the time between two reloads.
type generation struct {
	stage.Target
	server string
	db     *sql.DB
	ctx    context.Context
	end    context.CancelFunc
}

// lookEvery is how often the follower's file is looked at. It is part of each measured outage.
const lookEvery = 10 * time.Millisecond

// run keeps up with the follower until ctx ends.
func (w *web) run(ctx context.Context) {
	defer func() {
		if g := w.current(); g != nil {
			g.end()
			g.db.Close()
		}
	}()
	for pause(ctx, lookEvery) == nil {
		target, err := w.follower.Read()
		if err != nil {
			continue // not rendered yet
		}
		w.note(target)
		g := w.current()
		if g != nil && g.Host == target.Host && g.Port == target.Port && g.Epoch == target.Epoch {
			continue
		}
		server := serverAt(w.stage.Chain, target)
		db, err := open(w.stage.Chain, w.name, server)
		if err != nil {
			continue
		}
		next := &generation{Target: target, server: server, db: db}
		next.ctx, next.end = context.WithCancel(ctx)
		w.mu.Lock()
		w.now = next
		w.mu.Unlock()
		if g != nil {
			g.end()
			go g.db.Close() // it waits for who still uses it
		}
	}
}

// note keeps readings that differ from the one before.
func (w *web) note(t stage.Target) {
	w.mu.Lock()
	defer w.mu.Unlock()
	r := check.Reading{Reader: w.name, Epoch: t.Epoch, Version: t.Version}
	if n := len(w.readings); n == 0 || w.readings[n-1] != r {
		w.readings = append(w.readings, r)
	}
}

func (w *web) current() *generation {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *web) read() []check.Reading {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.readings)
}

// serverAt names the server at an address, which is "" when there is none.
func serverAt(c *testenv.Chain, t stage.Target) string {
	for _, s := range c.Servers {
		if s.Host == t.Host && s.Port == t.Port {
			return s.Name
		}
	}
	return ""
}

// open returns what a client on a host uses to write to a server.
func open(c *testenv.Chain, from, server string) (*sql.DB, error) {
	db, err := c.Open(from, server, testenv.Accounts.App, testenv.Database)
	if err == nil {
		db.SetMaxIdleConns(16)
	}
	return db, err
}

// uncertain are the MySQL errors that may come after a commit: shutdown, offline mode, a killed or interrupted
// statement, and errors of the commit itself.
var uncertain = []uint16{1053, 1180, 1317, 1598, 3032, 3100, 3101}

// outcomeOf says what the error of an autocommitted statement, or of a COMMIT, tells. Only a refusal by the server,
// or a connection that never came about, is a certain no.
func outcomeOf(err error) check.Outcome {
	var refused *mysql.MySQLError
	var dial *net.OpError
	switch {
	case err == nil:
		return check.Acked
	case errors.As(err, &refused) && !slices.Contains(uncertain, refused.Number):
		return check.Failed
	case errors.As(err, &dial) && dial.Op == "dial":
		return check.Failed
	}
	return check.Unknown
}
