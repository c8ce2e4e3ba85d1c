package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/failoverd/failoverd/internal/api"
	"github.com/failoverd/failoverd/internal/errant"
	"github.com/failoverd/failoverd/internal/journal"
	"github.com/failoverd/failoverd/internal/promote"
	"github.com/failoverd/failoverd/internal/s3"
	"github.com/failoverd/failoverd/internal/topology"
	"github.com/failoverd/failoverd/testenv"
	"github.com/failoverd/failoverd/testenv/stage"
)

// Whoever holds what the chain does not have is rebuilt, and no person is needed
// unless the policy asks for one.
func TestServersWithErrantTransactionsAreRebuilt(t *testing.T) {
	s := newStage(t, stage.Options{Policy: []string{"holdDown: 1s"}})
	ctx := t.Context()
	epoch := uint64(1)
	awaitWriting(t, s, epoch)

	t.Run("a master that was frozen under load", func(t *testing.T) {
		old := s.Master(ctx)
		orphans := []string{"orphan-1", "orphan-2", "orphan-3"}
		zombies := connections(t, s, old, len(orphans))
		require.NoError(t, old.Freeze())
		awaitFrozen(t, old)
		frozen := time.Now()
		outcomes := make(chan error, len(orphans))
		for i, id := range orphans { // sent to the frozen server, read when it thaws
			go func() {
				_, err := zombies[i].ExecContext(ctx, "INSERT INTO ledger (id, web, epoch) VALUES (?, 'zombie', 0)", id)
				outcomes <- err
			}()
		}
		epoch++
		awaitEpoch(t, s, epoch)
		awaitWriting(t, s, epoch)
		<-time.After(time.Until(frozen.Add(20 * time.Second)))
		require.NoError(t, old.Thaw())
		for range orphans {
			assert.Error(t, <-outcomes, "the old master acknowledged a write after the promotion")
		}
		awaitRebuilt(t, s, old.Name)
		nothingLost(t, s)

		m, text := saved(t, s, old.Name)
		assert.Equal(t, epoch, m.Epoch)
		assert.Equal(t, m.Set.String(), m.Found.String(), "all of it was in the binary log")
		found := 0
		for _, id := range orphans {
			if strings.Contains(text, "'"+id+"'") {
				found++
			}
		}
		t.Logf("%d of %d orphans among %d errant transactions\n%s", found, len(orphans), m.Set.Count(), text)
		assert.NotZero(t, found, "the writes that waited are there to read")
		for _, web := range s.Webs { // whatever else is there, nobody was told that it is committed
			ledger, err := stage.ReadLedger(web.Ledger)
			require.NoError(t, err)
			for _, w := range ledger {
				if w.Outcome == stage.Acked {
					assert.NotContains(t, text, "'"+w.ID+"'")
				}
			}
		}
		alike(t, s)
	})

	t.Run("a candidate that somebody wrote to", func(t *testing.T) {
		candidate := seated(t, s, topology.Candidate)
		byHand := writeByHand(t, candidate, "by-hand-1", "by-hand-2")
		awaitRebuilt(t, s, candidate.Name)
		m, text := saved(t, s, candidate.Name)
		assert.True(t, m.Found.Contains(byHand), "%s of %s", m.Found, byHand)
		assert.Contains(t, text, "'by-hand-2'")
		require.NoError(t, s.Await(ctx, "the GTIDs out of use", func(api.Product) bool {
			return executed(t, s.Master(ctx)).Contains(byHand)
		}))
		alike(t, s)

		// The slave took its seat meanwhile.
		if seated(t, s, topology.Candidate) != candidate {
			code, out, errs := command(t, s, "raise", "shop", candidate.Name, "--yes", "--reason", "to promote it")
			require.Zero(t, code, out+errs)
			awaitHealth(t, s)
		}
		code, out, errs := command(t, s, "switchover", "shop", "--to", candidate.Name, "--yes", "--reason", "to see what GTIDs it gives")
		require.Zero(t, code, out+errs)
		awaitWriting(t, s, epoch+1)
		epoch = must(s.Status(ctx)).Epoch
		require.Equal(t, candidate.Name, s.Master(ctx).Name)
		assert.Greater(t, executed(t, candidate).Last(m.UUID), byHand.Last(m.UUID), "it goes on behind what is out of use")
		awaitHealth(t, s)
		nothingLost(t, s)
		alike(t, s)
	})

	t.Run("with rebuild: ask a person says when", func(t *testing.T) {
		inventory, err := s.Client.Inventory(ctx)
		require.NoError(t, err)
		asks := strings.Replace(inventory.Inventory, "    servers:", "    rebuild: ask\n    servers:", 1)
		_, err = s.Client.Apply(ctx, api.InventoryRequest{Inventory: asks})
		require.NoError(t, err)
		dump := seated(t, s, topology.Dump)
		writeByHand(t, dump, "asked-1")
		require.NoError(t, s.Await(ctx, "the quarantine", func(p api.Product) bool {
			return standing(p, dump.Name) == topology.Quarantined && p.Open == nil
		}))
		for until := time.Now().Add(3 * time.Second); time.Now().Before(until); <-time.After(100 * time.Millisecond) {
			p := must(s.Status(ctx))
			require.Equal(t, topology.Quarantined, standing(p, dump.Name))
			require.Nil(t, p.Open)
		}
		_, out, _ := command(t, s, "status")
		t.Log(out)
		assert.Contains(t, out, "failoverd rebuild shop "+dump.Name)
		code, out, errs := command(t, s, "rebuild", "shop", dump.Name, "--yes", "--reason", "the row is of no use")
		require.Zero(t, code, out+errs)
		t.Log(out)
		awaitRebuilt(t, s, dump.Name)
		_, text := saved(t, s, dump.Name)
		assert.Contains(t, text, "'asked-1'")
		awaitHealth(t, s)
		nothingLost(t, s)
		alike(t, s)
	})

	assert.Equal(t, epoch, must(s.Status(ctx)).Epoch, "nobody else was promoted")
	if leader := s.Leader(ctx); leader != nil {
		t.Logf("log of %s:\n%s", leader.Name, leader.Output())
	}
}

// connections are established sessions of the application, one each.
func connections(t *testing.T, s *stage.Stage, server *testenv.Server, n int) []*sql.Conn {
	t.Helper()
	db, err := s.Chain.Open(testenv.Clients, server.Name, testenv.Accounts.App, testenv.Database)
	require.NoError(t, err)
	t.Cleanup(func() { db.Close() })
	var out []*sql.Conn
	for range n {
		conn, err := db.Conn(t.Context())
		require.NoError(t, err)
		t.Cleanup(func() { conn.Close() })
		out = append(out, conn)
	}
	return out
}

// awaitFrozen waits until nothing answers: on a busy machine a server's threads stop a moment after the signal.
func awaitFrozen(t *testing.T, server *testenv.Server) {
	t.Helper()
	require.Eventually(t, func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		return server.DB().PingContext(ctx) != nil
	}, 5*time.Second, time.Millisecond)
}

// writeByHand opens a replica as root, writes ledger rows and leaves it open. The
// result are the transactions.
func writeByHand(t *testing.T, server *testenv.Server, ids ...string) topology.GTIDSet {
	t.Helper()
	conn, err := server.DB().Conn(t.Context())
	require.NoError(t, err)
	defer conn.Close()
	var uuid string
	require.NoError(t, conn.QueryRowContext(t.Context(), "SELECT @@server_uuid").Scan(&uuid))
	before := executed(t, server).OfServer(uuid)
	_, err = conn.ExecContext(t.Context(), "SET GLOBAL read_only = OFF")
	require.NoError(t, err)
	for _, id := range ids {
		_, err := conn.ExecContext(t.Context(), "INSERT INTO shop.ledger (id, web, epoch) VALUES (?, 'hand', 0)", id)
		require.NoError(t, err)
	}
	set := executed(t, server).OfServer(uuid).Minus(before)
	require.GreaterOrEqual(t, set.Count(), int64(len(ids)))
	return set
}

func executed(t *testing.T, server *testenv.Server) topology.GTIDSet {
	t.Helper()
	text, err := server.Executed(t.Context())
	require.NoError(t, err)
	set, err := topology.ParseGTIDSet(text)
	require.NoError(t, err)
	return set
}

func seated(t *testing.T, s *stage.Stage, seat topology.Seat) *testenv.Server {
	t.Helper()
	for _, server := range must(s.Status(t.Context())).Servers {
		if server.Seat == seat {
			return s.Chain.Server(server.Name)
		}
	}
	require.Fail(t, "nobody has the seat", "%s", seat)
	return nil
}

func standing(p api.Product, name string) topology.Standing {
	at := slices.IndexFunc(p.Servers, func(s api.Server) bool { return s.Name == name })
	return p.Servers[at].Standing
}

// awaitRebuilt waits until the journal tells of a rebuild and everybody is in rotation again.
func awaitRebuilt(t *testing.T, s *stage.Stage, name string) {
	t.Helper()
	start := time.Now()
	require.NoError(t, s.Await(t.Context(), "the rebuild of "+name, func(api.Product) bool {
		entries, err := s.Client.History(t.Context(), s.Product, 200)
		return err == nil && slices.ContainsFunc(entries, func(e journal.Entry) bool {
			return e.What == string(promote.Rebuild) && e.Outcome == api.OutcomeDone && slices.ContainsFunc(e.Phases, func(n promote.Note) bool {
				return strings.HasPrefix(n.Step, string(promote.Cloned)+" "+name+" ")
			})
		})
	}))
	awaitHealth(t, s)
	t.Logf("%s was rebuilt after %s", name, time.Since(start).Round(time.Millisecond))
}

func awaitHealth(t *testing.T, s *stage.Stage) {
	t.Helper()
	require.NoError(t, s.Await(t.Context(), "health", func(p api.Product) bool {
		in := !slices.ContainsFunc(p.Servers, func(server api.Server) bool { return server.Standing != topology.In })
		return in && p.Verdict.Rule == "healthy" && p.Protected && p.Open == nil
	}))
}

// saved is the newest manifest of a server and the SQL that it names.
func saved(t *testing.T, s *stage.Stage, name string) (errant.Manifest, string) {
	t.Helper()
	store, err := s3.Open(t.Context(), s.StoreURL(), s3.Options{AccessKeyID: s.S3.AccessKey, SecretAccessKey: s.S3.SecretKey})
	require.NoError(t, err)
	entries, err := store.List(t.Context(), fmt.Sprintf("errant/%s/%s/", s.Product, name))
	require.NoError(t, err)
	var newest errant.Manifest
	for _, e := range entries {
		if strings.HasSuffix(e.Key, "/manifest.json") {
			o, err := store.Get(t.Context(), e.Key)
			require.NoError(t, err)
			var m errant.Manifest
			require.NoError(t, json.Unmarshal(o.Body, &m))
			if m.SavedAt.After(newest.SavedAt) {
				newest = m
			}
		}
	}
	require.False(t, newest.SavedAt.IsZero(), "no manifest in %v", entries)
	var text strings.Builder
	for _, part := range newest.SQL {
		o, err := store.Get(t.Context(), part.Key)
		require.NoError(t, err)
		text.Write(o.Body)
	}
	require.NotEmpty(t, newest.Binlog)
	return newest, text.String()
}

// alike requires that all servers hold the same transactions and the same rows,
// at a moment at which nobody writes.
func alike(t *testing.T, s *stage.Stage) {
	t.Helper()
	ctx := t.Context()
	master := s.Master(ctx)
	conn, err := master.DB().Conn(ctx)
	require.NoError(t, err)
	defer conn.Close()
	_, err = conn.ExecContext(ctx, "FLUSH TABLES WITH READ LOCK")
	require.NoError(t, err)
	all := executed(t, master)
	rows := rowsOf(t, master)
	for _, server := range s.Chain.Servers {
		var late int
		require.NoError(t, server.DB().QueryRowContext(ctx, "SELECT WAIT_FOR_EXECUTED_GTID_SET(?, 20)", all.String()).Scan(&late))
		require.Zero(t, late, server.Name)
		assert.Equal(t, all.String(), executed(t, server).String(), server.Name)
		assert.Equal(t, rows, rowsOf(t, server), server.Name)
	}
	_, err = conn.ExecContext(ctx, "UNLOCK TABLES")
	require.NoError(t, err)
}

// rowsOf is a digest of the ledger.
func rowsOf(t *testing.T, server *testenv.Server) string {
	t.Helper()
	var digest string
	require.NoError(t, server.DB().QueryRowContext(t.Context(),
		"SELECT CONCAT(COUNT(*), ' rows, ', BIT_XOR(CRC32(CONCAT_WS('|', id, web, epoch, at)))) FROM shop.ledger").Scan(&digest))
	return digest
}
