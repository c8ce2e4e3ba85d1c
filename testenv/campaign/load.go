package campaign

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/failoverd/failoverd/internal/topology"
	"github.com/failoverd/failoverd/testenv/campaign/check"
)

// The load of one run, in transactions per second and all together about 200.
const (
	ledgerWriters = 2 // of each web server
	ledgerEvery   = time.Second / 40
	registerUsers = 3
	registerEvery = time.Second / 8
	tellers       = 2
	transferEvery = time.Second / 5
	zombies       = 2
	zombieEvery   = time.Second / 5
)

// patient is how long a client waits for an answer.
const patient = 20 * time.Second

// load is the clients of one run and what they were told.
type load struct {
	run    int
	webs   []*web
	zombie *sql.DB
	pinned string // the server that the zombies never leave

	idle atomic.Bool
	next atomic.Int64
	stop context.CancelFunc
	busy sync.WaitGroup

	mu         sync.Mutex
	inserts    []check.Write
	deletions  []check.Write
	operations []check.Operation
	transfers  int
}

func (l *load) ledgerTable() string   { return fmt.Sprintf("ledger_%d", l.run) }
func (l *load) registerTable() string { return fmt.Sprintf("registers_%d", l.run) }
func (l *load) accountTable() string  { return fmt.Sprintf("accounts_%d", l.run) }

// tables are the names with the schema.
func (l *load) tables() []string {
	return []string{"shop." + l.ledgerTable(), "shop." + l.registerTable(), "shop." + l.accountTable()}
}

// bankAccounts start with bankBalance each.
const (
	bankAccounts = 6
	bankBalance  = 1000
)

// startLoad makes the run's tables on the master and lets the clients write.
func startLoad(ctx context.Context, s *Scene, run int, webs []*web, seed uint64) (*load, error) {
	l := &load{run: run, webs: webs, pinned: s.seats[topology.Master]}
	statements := []string{
		// Without a unique key a transaction that is executed twice shows.
		"CREATE TABLE shop." + l.ledgerTable() + " (id VARCHAR(40) NOT NULL, web VARCHAR(20) NOT NULL, epoch BIGINT NOT NULL, server CHAR(36) NOT NULL, KEY (id))",
		"CREATE TABLE shop." + l.registerTable() + " (name VARCHAR(20) PRIMARY KEY, value BIGINT NOT NULL, touched BIGINT NOT NULL)",
		"CREATE TABLE shop." + l.accountTable() + " (id INT PRIMARY KEY, balance BIGINT NOT NULL)",
	}
	for i := range bankAccounts {
		statements = append(statements, fmt.Sprintf("INSERT INTO shop.%s VALUES (%d, %d)", l.accountTable(), i, bankBalance))
	}
	for _, statement := range statements {
		if err := s.master().Exec(ctx, statement); err != nil {
			return nil, err
		}
	}
	var err error
	if l.zombie, err = open(s.Chain, webNames[0], l.pinned); err != nil {
		return nil, err
	}
	ctx, l.stop = context.WithCancel(ctx)
	for i, w := range webs {
		for j := range ledgerWriters {
			l.goEvery(ctx, ledgerEvery, l.ledgerWriter(w, rand.New(rand.NewPCG(seed, uint64(10*i+j)))))
		}
	}
	keys := &register{table: l.registerTable()}
	for i := range registerUsers {
		l.goEvery(ctx, registerEvery, l.registerUser(webs[i%len(webs)], keys, i, rand.New(rand.NewPCG(seed, uint64(100+i)))))
	}
	for i := range tellers {
		l.goEvery(ctx, transferEvery, l.teller(webs[i%len(webs)], rand.New(rand.NewPCG(seed, uint64(200+i)))))
	}
	for range zombies {
		l.goEvery(ctx, zombieEvery, func(ctx context.Context) {
			answered, cancel := context.WithTimeout(ctx, patient)
			defer cancel()
			l.insert(answered, l.zombie, "zombie", &generation{server: l.pinned})
		})
	}
	return l, nil
}

// goEvery does something at most once in a while until ctx ends; while the load is idle it is not done.
func (l *load) goEvery(ctx context.Context, every time.Duration, do func(context.Context)) {
	l.busy.Go(func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			if !l.idle.Load() {
				do(ctx)
			}
		}
	})
}

// end stops the clients. What has no answer yet stays unknown.
func (l *load) end() {
	l.stop()
	l.busy.Wait()
	l.zombie.Close()
}

// ledgerWriter inserts a row, and now and then deletes one that it inserted before.
func (l *load) ledgerWriter(w *web, chance *rand.Rand) func(context.Context) {
	var mine []string
	return func(context.Context) {
		g := w.current()
		if g == nil {
			return
		}
		ctx, cancel := context.WithTimeout(g.ctx, patient)
		defer cancel()
		if len(mine) > 20 && chance.IntN(20) == 0 {
			i := chance.IntN(len(mine))
			l.delete(ctx, g, w.name, mine[i])
			mine = slices.Delete(mine, i, i+1)
			return
		}
		if id, acked := l.insert(ctx, g.db, w.name, g); acked {
			mine = append(mine, id)
		}
	}
}

func (l *load) insert(ctx context.Context, db *sql.DB, client string, g *generation) (id string, acked bool) {
	id = fmt.Sprintf("%s-%d", client, l.next.Add(1))
	sent := time.Now()
	_, err := db.ExecContext(ctx, "INSERT INTO "+l.ledgerTable()+" (id, web, epoch, server) VALUES (?, ?, ?, @@server_uuid)", id, client, g.Epoch)
	w := written(id, client, g, sent, err)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.inserts = append(l.inserts, w)
	return id, w.Outcome == check.Acked
}

func (l *load) delete(ctx context.Context, g *generation, client, id string) {
	sent := time.Now()
	_, err := g.db.ExecContext(ctx, "DELETE FROM "+l.ledgerTable()+" WHERE id = ?", id)
	w := written(id, client, g, sent, err)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.deletions = append(l.deletions, w)
}

func written(id, client string, g *generation, sent time.Time, err error) check.Write {
	w := check.Write{ID: id, Client: client, Server: g.server, Epoch: g.Epoch, Version: g.Version, Sent: sent, Known: time.Now(), Outcome: outcomeOf(err)}
	if err != nil {
		w.Error = err.Error()
	}
	return w
}

// teller moves money between two accounts.
func (l *load) teller(w *web, chance *rand.Rand) func(context.Context) {
	return func(context.Context) {
		g := w.current()
		if g == nil {
			return
		}
		ctx, cancel := context.WithTimeout(g.ctx, patient)
		defer cancel()
		from, amount := chance.IntN(bankAccounts), chance.IntN(20)
		to := (from + 1 + chance.IntN(bankAccounts-1)) % bankAccounts
		err := transact(ctx, g.db, sql.LevelSerializable, func(tx *sql.Tx) error {
			var balance, other int64
			for _, row := range []struct {
				id  int
				sum *int64
			}{{from, &balance}, {to, &other}} {
				if err := tx.QueryRowContext(ctx, "SELECT balance FROM "+l.accountTable()+" WHERE id = ?", row.id).Scan(row.sum); err != nil {
					return err
				}
			}
			if _, err := tx.ExecContext(ctx, "UPDATE "+l.accountTable()+" SET balance = ? WHERE id = ?", balance-int64(amount), from); err != nil {
				return err
			}
			_, err := tx.ExecContext(ctx, "UPDATE "+l.accountTable()+" SET balance = ? WHERE id = ?", other+int64(amount), to)
			return err
		})
		if err == nil {
			l.mu.Lock()
			l.transfers++
			l.mu.Unlock()
		}
	}
}

// notCommitted is the error of a transaction that ended before its COMMIT was sent.
type notCommitted struct{ error }

func (e notCommitted) Unwrap() error { return e.error }

func transact(ctx context.Context, db *sql.DB, level sql.IsolationLevel, do func(*sql.Tx) error) error {
	tx, err := db.BeginTx(ctx, &sql.TxOptions{Isolation: level})
	if err != nil {
		return notCommitted{err}
	}
	if err := do(tx); err != nil {
		_ = tx.Rollback() // the connection may be gone, which rolls back too
		return notCommitted{err}
	}
	return tx.Commit()
}

// ackedSince says how many inserts of web servers were sent after t and acknowledged, by web server.
func (l *load) ackedSince(t time.Time) map[string]int {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := map[string]int{}
	for _, w := range slices.Backward(l.inserts) {
		if w.Known.Before(t) {
			break
		}
		if w.Sent.After(t) && w.Outcome == check.Acked {
			out[w.Client]++
		}
	}
	return out
}
