package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/failoverd/failoverd/internal/api"
	"github.com/failoverd/failoverd/internal/publish"
	"github.com/failoverd/failoverd/internal/s3"
	"github.com/failoverd/failoverd/internal/topology"
	"github.com/failoverd/failoverd/testenv"
	"github.com/failoverd/failoverd/testenv/stage"
)

// newStage sets up a real deployment whose programs are this test binary, unless others are given.
func newStage(t *testing.T, o stage.Options) *stage.Stage {
	t.Helper()
	if testing.Short() {
		t.Skip("needs real MySQL servers")
	}
	binary, err := os.Executable()
	require.NoError(t, err)
	require.NoError(t, os.Setenv(asProgram, "1"))
	if o.Binary == "" {
		o.Binary = binary
	}
	o.Progress = func(text string) { t.Log(text) }
	if keep := os.Getenv("FAILOVERD_TEST_KEEP"); keep != "" {
		o.Dir = filepath.Join(keep, t.Name())
	}
	s, err := stage.New(t.Context(), o)
	require.NoError(t, err)
	t.Cleanup(func() {
		if t.Failed() {
			for _, w := range s.Watchers {
				t.Logf("log of %s:\n%s", w.Name, w.Output())
			}
		}
		assert.NoError(t, s.Close())
	})
	return s
}

// command runs a command line as an operator of the stage would.
func command(t *testing.T, s *stage.Stage, args ...string) (code int, out, errs string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code = run(t.Context(), streams{in: strings.NewReader(""), out: &stdout, err: &stderr, env: func(string) string { return "" }, now: time.Now},
		append(append([]string{}, args...), s.Flags...))
	return code, stdout.String(), stderr.String()
}

// ledgers are the webs' ledgers so far.
func ledgers(t *testing.T, s *stage.Stage) []stage.Ledger {
	t.Helper()
	var out []stage.Ledger
	for _, w := range s.Webs {
		ledger, err := stage.ReadLedger(w.Ledger)
		require.NoError(t, err)
		out = append(out, ledger)
	}
	return out
}

// awaitWriting waits until every web server has a write acknowledged in at least the epoch.
func awaitWriting(t *testing.T, s *stage.Stage, epoch uint64) {
	t.Helper()
	require.Eventually(t, func() bool {
		for _, ledger := range ledgers(t, s) {
			n := len(ledger)
			if n == 0 || ledger[n-1].Epoch < epoch || ledger[n-1].Outcome != stage.Acked {
				return false
			}
		}
		return true
	}, 60*time.Second, 50*time.Millisecond)
}

func awaitEpoch(t *testing.T, s *stage.Stage, epoch uint64) {
	t.Helper()
	require.NoError(t, s.Await(t.Context(), fmt.Sprintf("epoch %d", epoch), func(p api.Product) bool { return p.Epoch >= epoch && p.Open == nil }))
}

// restore brings back everything that is down and waits for a chain that is whole.
// Servers in quarantine are let in again: their errant transactions are writes
// that nobody was told of, and rebuilding servers is not what these tests are about.
func restore(t *testing.T, s *stage.Stage) {
	t.Helper()
	for _, w := range s.Watchers {
		if !w.Running() {
			require.NoError(t, w.Start())
		}
	}
	for _, server := range s.Chain.Servers {
		if !server.Running() {
			require.NoError(t, server.Start(t.Context()))
		}
	}
	require.NoError(t, s.Await(t.Context(), "every server's return", func(p api.Product) bool {
		for _, server := range p.Servers {
			if server.Standing == topology.Out || !server.Up {
				return false
			}
		}
		return p.Open == nil
	}))
}

// nothingLost judges all that was acknowledged so far at the present master.
func nothingLost(t *testing.T, s *stage.Stage) {
	t.Helper()
	all := ledgers(t, s)
	j, err := stage.Judge(t.Context(), s.Master(t.Context()), all...)
	require.NoError(t, err)
	assert.Empty(t, j.Lost, "acknowledged writes that are not there")
	assert.Empty(t, j.Phantom, "refused writes that are there")
	t.Logf("%d acknowledged, %d failed, %d unknown", j.Acked, j.Failed, j.Unknown)
}

// storeHead is the document that the object store has.
func storeHead(t *testing.T, s *stage.Stage) *publish.Head {
	t.Helper()
	store, err := s3.Open(t.Context(), s.StoreURL(), s3.Options{AccessKeyID: s.S3.AccessKey, SecretAccessKey: s.S3.SecretKey})
	require.NoError(t, err)
	object, err := store.Get(t.Context(), publish.HeadKey)
	if err != nil {
		return nil
	}
	head, err := s.Trust.Verify(object.Body)
	require.NoError(t, err)
	return head
}

func TestADeploymentThroughItsTroubles(t *testing.T) {
	s := newStage(t, stage.Options{Policy: []string{"holdDown: 1s"}})
	epoch := uint64(1)

	t.Run("operators see the chain", func(t *testing.T) {
		code, out, errs := command(t, s, "status")
		require.Zero(t, code, errs)
		assert.Contains(t, out, "shop")
		code, out, _ = command(t, s, "explain", "shop")
		assert.Zero(t, code)
		assert.Contains(t, out, "healthy")
		code, out, _ = command(t, s, "topology", "shop")
		assert.Zero(t, code)
		assert.Contains(t, out, "db4")
		code, out, errs = command(t, s, "doctor", "shop")
		assert.Zero(t, code, out+errs)
	})

	t.Run("a switchover loses nothing and leaves the old master in rotation", func(t *testing.T) {
		code, out, errs := command(t, s, "switchover", "shop", "--yes", "--reason", "test")
		require.Zero(t, code, out+errs)
		epoch++
		awaitWriting(t, s, epoch)
		nothingLost(t, s)
		require.NoError(t, s.Await(t.Context(), "health", func(p api.Product) bool { return p.Verdict.Rule == "healthy" }))
		for _, server := range must(s.Status(t.Context())).Servers {
			assert.Equal(t, topology.In, server.Standing, server.Name)
		}
	})

	t.Run("a refused switchover changes nothing and says every reason", func(t *testing.T) {
		code, _, errs := command(t, s, "switchover", "shop", "--to", "db4", "--yes")
		assert.Equal(t, exitRefused, code)
		assert.Contains(t, errs, "dump slave")
		assert.Equal(t, epoch, must(s.Status(t.Context())).Epoch)
	})

	t.Run("two operators who race get one switchover", func(t *testing.T) {
		codes := make(chan int, 2)
		for range 2 {
			go func() {
				_, err := s.Client.Switchover(t.Context(), s.Product, api.SwitchoverRequest{Reason: "race", Epoch: epoch})
				if err != nil {
					codes <- 1
					return
				}
				codes <- 0
			}()
		}
		assert.Equal(t, 1, <-codes+<-codes, "one is refused")
		epoch++
		awaitEpoch(t, s, epoch)
		awaitWriting(t, s, epoch)
		assert.Equal(t, epoch, must(s.Status(t.Context())).Epoch)
		require.NoError(t, s.Await(t.Context(), "health", func(p api.Product) bool { return p.Verdict.Rule == "healthy" }))
	})

	t.Run("a switchover that cannot be finished goes back to the old master", func(t *testing.T) {
		master := s.Master(t.Context())
		conn, err := master.DB().Conn(t.Context())
		require.NoError(t, err)
		defer conn.Close()
		for _, statement := range []string{"CREATE TABLE IF NOT EXISTS shop.held (id INT)", "LOCK TABLES shop.held WRITE"} {
			_, err = conn.ExecContext(t.Context(), statement) // super_read_only waits for held table locks
			require.NoError(t, err)
		}
		code, out, errs := command(t, s, "switchover", "shop", "--yes")
		assert.Equal(t, exitRefused, code, out+errs)
		_, err = conn.ExecContext(t.Context(), "UNLOCK TABLES")
		require.NoError(t, err)
		awaitWriting(t, s, epoch)
		p := must(s.Status(t.Context()))
		assert.Equal(t, epoch, p.Epoch)
		assert.Nil(t, p.Open)
		nothingLost(t, s)
	})

	t.Run("a freeze of 1.5 s moves nothing", func(t *testing.T) {
		master := s.Master(t.Context())
		require.NoError(t, master.Freeze())
		<-time.After(1500 * time.Millisecond)
		require.NoError(t, master.Thaw())
		awaitWriting(t, s, epoch)
		assert.Equal(t, epoch, must(s.Status(t.Context())).Epoch)
	})

	t.Run("without S3 a dead master is replaced as fast, and S3 catches up", func(t *testing.T) {
		s.S3.Down()
		before := s.Master(t.Context())
		go before.Kill()
		epoch++
		awaitWriting(t, s, epoch) // the web servers heard it from the watchers
		nothingLost(t, s)
		require.NoError(t, s.S3.Up(t.Context()))
		require.Eventually(t, func() bool {
			head := storeHead(t, s)
			return head != nil && head.Document.Products[s.Product].Epoch == epoch
		}, 30*time.Second, 100*time.Millisecond)
		restore(t, s)
	})

	t.Run("a thawed master acknowledges nothing and is closed", func(t *testing.T) {
		require.NoError(t, s.Await(t.Context(), "health of all but the quarantined", func(p api.Product) bool { return p.Open == nil && p.Protected }))
		old := s.Master(t.Context())
		zombie, err := s.Chain.Open(testenv.Clients, old.Name, testenv.Accounts.App, testenv.Database)
		require.NoError(t, err)
		defer zombie.Close()
		zombie.SetMaxOpenConns(1)
		require.NoError(t, zombie.PingContext(t.Context()))
		require.NoError(t, old.Freeze())
		require.Eventually(t, func() bool { // on a busy machine its threads stop a moment after the signal
			ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
			defer cancel()
			return old.DB().PingContext(ctx) != nil
		}, 5*time.Second, time.Millisecond)
		acked := make(chan error, 1)
		go func() { // it is sent before the thaw, and read after it
			_, err := zombie.ExecContext(t.Context(), "INSERT INTO ledger (id, web, epoch) VALUES ('zombie', 'zombie', 0)")
			acked <- err
		}()
		epoch++
		awaitEpoch(t, s, epoch)
		awaitWriting(t, s, epoch)
		require.NoError(t, old.Thaw())
		select {
		case err := <-acked:
			assert.Error(t, err, "the old master acknowledged a write after the promotion")
		case <-time.After(30 * time.Second):
			t.Error("the zombie's client was never told")
		}
		require.Eventually(t, func() bool {
			var closed bool
			return old.DB().QueryRowContext(t.Context(), "SELECT @@super_read_only").Scan(&closed) == nil && closed
		}, 20*time.Second, 50*time.Millisecond)
		nothingLost(t, s)
	})
}

// None of this is a reason to promote anybody.
func TestHarmlessFaultsPromoteNobody(t *testing.T) {
	s := newStage(t, stage.Options{})
	ctx := t.Context()
	same := func(t *testing.T) {
		t.Helper()
		awaitWriting(t, s, 1)
		require.NoError(t, s.Await(ctx, "health", func(p api.Product) bool { return p.Verdict.Rule == "healthy" && p.Protected }))
		assert.Equal(t, uint64(1), must(s.Status(ctx)).Epoch)
		nothingLost(t, s)
	}

	t.Run("the probe account is locked everywhere", func(t *testing.T) {
		for _, lock := range []string{"LOCK", "UNLOCK"} {
			for _, server := range s.Chain.Servers {
				alter := fmt.Sprintf("ALTER USER %s@'%%' ACCOUNT %s", testenv.Accounts.Probe.User, lock)
				closed := server.Name != "db1"
				require.NoError(t, withoutBinlog(ctx, server, closed, alter))
				if lock == "LOCK" {
					require.NoError(t, killSessions(ctx, server, testenv.Accounts.Probe.User))
				}
			}
			if lock == "LOCK" {
				require.NoError(t, s.Await(ctx, "the rule", func(p api.Product) bool { return p.Verdict.Rule == "master-closed-to-probes" }))
			}
		}
		same(t)
	})

	t.Run("the candidate dies: the dump slave acknowledges, then the candidate again", func(t *testing.T) {
		candidate := s.Chain.At(testenv.Candidate)
		candidate.Kill()
		require.NoError(t, s.Await(ctx, "another acker", func(p api.Product) bool { return p.Open == nil && len(p.Ackers) == 2 }))
		awaitWriting(t, s, 1)
		require.NoError(t, candidate.Start(ctx))
		require.NoError(t, s.Await(ctx, "the candidate as the only acker", func(p api.Product) bool {
			return p.Open == nil && len(p.Ackers) == 1 && p.Ackers[0] == candidate.Name
		}))
		same(t)
	})

	t.Run("the slave and the dump slave die", func(t *testing.T) {
		for _, seat := range []string{testenv.Slave, testenv.Dump} {
			s.Chain.At(seat).Kill()
		}
		awaitWriting(t, s, 1)
		for _, seat := range []string{testenv.Slave, testenv.Dump} {
			require.NoError(t, s.Chain.At(seat).Start(ctx))
		}
		same(t)
	})

	t.Run("the leading watcher dies", func(t *testing.T) {
		leader := leaderOf(t, s)
		leader.Kill()
		same(t)
		require.NoError(t, leader.Start())
		same(t)
	})

	t.Run("S3 answers nothing but errors", func(t *testing.T) {
		s.S3.Fail(500, -1)
		<-time.After(3 * time.Second)
		same(t)
		s.S3.Fail(500, 0)
	})

	t.Run("everything dies at once and comes back", func(t *testing.T) {
		for _, w := range s.Watchers {
			w.Kill()
		}
		for _, server := range s.Chain.Servers {
			server.Kill()
		}
		for _, name := range []string{"db3", "db1", "db4", "db2"} {
			require.NoError(t, s.Chain.Server(name).Start(ctx))
		}
		for _, w := range s.Watchers {
			require.NoError(t, w.Start())
		}
		same(t) // the master is opened again in its place, protected
	})
}

// withoutBinlog runs a statement that no other server is to hear of.
func withoutBinlog(ctx context.Context, server *testenv.Server, closed bool, statement string) error {
	conn, err := server.DB().Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	statements := []string{"SET sql_log_bin=0", statement, "SET sql_log_bin=1"}
	if closed {
		statements = append([]string{"SET GLOBAL super_read_only=0"}, append(statements, "SET GLOBAL super_read_only=1")...)
	}
	for _, statement := range statements {
		if _, err := conn.ExecContext(ctx, statement); err != nil {
			return err
		}
	}
	return nil
}

func killSessions(ctx context.Context, server *testenv.Server, user string) error {
	rows, err := server.DB().QueryContext(ctx, "SELECT id FROM information_schema.processlist WHERE user = ?", user)
	if err != nil {
		return err
	}
	defer rows.Close()
	var ids []int64
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			return err
		}
		ids = append(ids, id)
	}
	for _, id := range ids {
		_ = server.Exec(ctx, fmt.Sprintf("KILL %d", id)) // it may be gone already
	}
	return rows.Err()
}

// leaderOf waits for a leader: on a busy machine the first may lose its office at once.
func leaderOf(t *testing.T, s *stage.Stage) (leader *stage.Watcher) {
	t.Helper()
	require.Eventually(t, func() bool {
		leader = s.Leader(t.Context())
		return leader != nil
	}, time.Minute, 50*time.Millisecond)
	return leader
}

// A leader that is killed in the middle of a failover leaves the rest to the next.
func TestTheNextLeaderFinishesAFailover(t *testing.T) {
	for _, step := range []string{"revoked", "fed", "writable"} {
		t.Run("after "+step, func(t *testing.T) {
			s := newStage(t, stage.Options{})
			ctx := t.Context()
			leader, master := leaderOf(t, s), s.Master(ctx)
			require.NotNil(t, master)
			seen := len(leader.Output())
			go master.Kill()
			require.Eventually(t, func() bool {
				return strings.Contains(leader.Output()[seen:], "kind=failover step=\""+step) || strings.Contains(leader.Output()[seen:], "kind=failover step="+step)
			}, 30*time.Second, time.Millisecond)
			leader.Kill()
			awaitEpoch(t, s, 2)
			awaitWriting(t, s, 2)
			nothingLost(t, s)
			promotions, err := s.Promotions(ctx)
			require.NoError(t, err)
			assert.Len(t, promotions, 1)
			opened := 0
			for _, w := range s.Watchers {
				for _, line := range strings.Split(w.Output(), "\n") {
					if strings.Contains(line, "step done") && strings.Contains(line, "writable") && !strings.Contains(line, "was open") {
						opened++
					}
				}
			}
			assert.LessOrEqual(t, opened, 1, "opened once")
		})
	}
}

func TestWithoutQuorumNothingIsPromoted(t *testing.T) {
	s := newStage(t, stage.Options{})
	ctx := t.Context()
	master := s.Master(ctx)
	stopped := 0
	for _, w := range s.Watchers {
		if stopped < 2 {
			w.Kill()
			stopped++
		}
	}
	awaitWriting(t, s, 1) // losing the quorum stops no write
	master.Kill()
	candidate := s.Chain.At(testenv.Candidate)
	until := time.Now().Add(8 * time.Second)
	for time.Now().Before(until) {
		var closed bool
		require.NoError(t, candidate.DB().QueryRowContext(ctx, "SELECT @@super_read_only").Scan(&closed))
		require.True(t, closed, "the candidate was opened without a quorum")
		<-time.After(200 * time.Millisecond)
	}
	code, _, errs := command(t, s, "switchover", "shop", "--yes")
	assert.Equal(t, exitNoQuorum, code, errs)
	for _, w := range s.Watchers {
		if !w.Running() {
			require.NoError(t, w.Start())
		}
	}
	awaitEpoch(t, s, 2)
	awaitWriting(t, s, 2)
	nothingLost(t, s)
}

// The second chapter of the README: four servers that failoverd did not set up.
func TestARunningChainIsAdopted(t *testing.T) {
	s := newStage(t, stage.Options{Observe: true, Webs: -1, NoInventory: true})
	ctx := t.Context()
	slave := s.Chain.At(testenv.Slave)
	code, out, errs := command(t, s, "adopt", slave.Addr(), "--product", "shop")
	require.Zero(t, code, errs)
	file := filepath.Join(t.TempDir(), "products.yaml")
	require.NoError(t, os.WriteFile(file, []byte(out), 0o600))
	code, out, errs = command(t, s, "apply", "-f", file, "--dry-run", "--detailed-exitcode")
	require.Equal(t, 2, code, out+errs)
	assert.NotContains(t, out, "error ", "doctor has nothing against the chain")
	code, out, errs = command(t, s, "apply", "-f", file, "--yes", "--detailed-exitcode")
	require.Equal(t, 2, code, out+errs)
	code, out, errs = command(t, s, "apply", "-f", file, "--yes", "--detailed-exitcode")
	require.Equal(t, 0, code, "nothing changes the second time: %s", out+errs)
	p := must(s.Status(ctx))
	assert.Equal(t, topology.Observe, p.Mode)
	seats := map[string]topology.Seat{}
	for _, server := range p.Servers {
		for _, real := range s.Chain.Servers {
			if real.Addr() == server.Addr() {
				seats[real.Name] = server.Seat
			}
		}
	}
	assert.Equal(t, map[string]topology.Seat{"db1": "master", "db2": "candidate", "db3": "slave", "db4": "dump"}, seats)

	// In observe mode it says what it would do, and does nothing.
	s.Chain.At(testenv.Master).Kill()
	require.NoError(t, s.Await(ctx, "what it would do", func(p api.Product) bool { return strings.HasPrefix(p.Would, "would failover") }))
	var closed bool
	require.NoError(t, s.Chain.At(testenv.Candidate).DB().QueryRowContext(ctx, "SELECT @@super_read_only").Scan(&closed))
	assert.True(t, closed)
	code, _, errs = command(t, s, "mode", "shop", "auto")
	require.Zero(t, code, errs)
	awaitEpoch(t, s, 2)
	code, out, _ = command(t, s, "history", "shop", "-o", "json")
	require.Zero(t, code)
	var entries []map[string]any
	require.NoError(t, json.Unmarshal([]byte(out), &entries))
	assert.NotEmpty(t, entries)
}

// What is wrong with a chain is named, with what mends it, before it is relied on.
func TestDoctorNamesWhatIsWrong(t *testing.T) {
	s := newStage(t, stage.Options{Observe: true, Webs: -1})
	ctx := t.Context()
	slave, dump := s.Chain.At(testenv.Slave), s.Chain.At(testenv.Dump)
	master := s.Chain.At(testenv.Master)
	require.NoError(t, slave.Follow(ctx, master, false)) // a replica on the wrong source
	require.NoError(t, dump.Exec(ctx, "SET GLOBAL super_read_only=0"))
	require.NoError(t, dump.Exec(ctx, "CREATE DATABASE errant")) // an errant transaction
	require.NoError(t, dump.Exec(ctx, "SET GLOBAL super_read_only=1"))
	require.Eventually(t, func() bool {
		_, out, _ := command(t, s, "doctor", "shop")
		return strings.Contains(out, "errant") && strings.Contains(strings.ToLower(out), "source")
	}, 20*time.Second, 300*time.Millisecond)
	code, out, _ := command(t, s, "doctor", "shop")
	assert.Equal(t, exitFailed, code)
	t.Log(out)

	// "apply" says the same before anybody relies on the product.
	file := filepath.Join(t.TempDir(), "products.yaml")
	require.NoError(t, os.WriteFile(file, []byte(strings.Replace(s.Inventory(), "servers:", "holdDown: 7m\n    servers:", 1)), 0o600))
	code, out, errs := command(t, s, "apply", "-f", file, "--dry-run")
	require.Zero(t, code, errs)
	assert.Contains(t, out, "errant")
	assert.Contains(t, out, "mend:")
}
