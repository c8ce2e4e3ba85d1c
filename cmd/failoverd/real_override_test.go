package main

import (
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/failoverd/failoverd/internal/api"
	"github.com/failoverd/failoverd/internal/topology"
	"github.com/failoverd/failoverd/testenv"
	"github.com/failoverd/failoverd/testenv/stage"
)

// Master and candidate die together: failoverd waits and says for whom, and only a
// person who accepts the loss has the slave promoted.
func TestAPersonGoesOnWithoutWhatIsLost(t *testing.T) {
	s := newStage(t, stage.Options{Policy: []string{"rebuild: ask"}})
	ctx := t.Context()
	master, candidate := s.Chain.At(testenv.Master), s.Chain.At(testenv.Candidate)
	awaitWriting(t, s, 1)
	// Only master and candidate have the last writes. The pause keeps failoverd
	// from mending that.
	code, _, errs := command(t, s, "pause", "shop", "--reason", "to lose something", "--for", "1h")
	require.Zero(t, code, errs)
	pauseWriting(t, s, func() {
		for _, seat := range []string{testenv.Slave, testenv.Dump} {
			require.NoError(t, s.Chain.At(seat).Exec(ctx, "STOP REPLICA IO_THREAD"))
		}
	})
	require.NoError(t, s.Await(ctx, "writes that two servers lack", func(p api.Product) bool {
		behind := 0
		for _, server := range p.Servers {
			if server.Lag != nil && *server.Lag >= 20 {
				behind++
			}
		}
		return behind == 2
	}))
	var wg sync.WaitGroup
	wg.Go(master.Kill)
	wg.Go(candidate.Kill)
	wg.Wait()
	require.NoError(t, s.Await(ctx, "the rule", func(p api.Product) bool { return p.Verdict.Rule == "master-dead-no-target" && p.Open == nil }))

	code, out, errs := command(t, s, "status")
	require.Zero(t, code, errs)
	assert.Contains(t, out, "paused by operator (to lose something) until ")
	assert.Contains(t, out, "db2 (refused for 3 of 3 watchers)")
	code, out, errs = command(t, s, "explain", "shop")
	require.Zero(t, code, errs)
	assert.Contains(t, out, "\"failoverd failover shop --accept-data-loss --reason TEXT\"")
	assert.Contains(t, out, "TWO")
	t.Log(out)
	code, _, errs = command(t, s, "failover", "shop", "--yes", "--reason", "both hosts are gone")
	assert.Equal(t, exitRefused, code)
	assert.Contains(t, errs, "db2 (refused for 3 of 3 watchers)")
	assert.Contains(t, errs, "failoverd failover shop --accept-data-loss")
	code, out, errs = command(t, s, "failover", "shop", "--accept-data-loss", "--dry-run")
	require.Zero(t, code, errs)
	assert.Contains(t, out, "what may be lost:")
	p := must(s.Status(ctx))
	require.Equal(t, uint64(1), p.Epoch)
	require.Nil(t, p.Open)

	code, _, errs = command(t, s, "resume", "shop")
	require.Zero(t, code, errs)
	code, out, errs = command(t, s, "failover", "shop", "--accept-data-loss", "--yes", "--reason", "both hosts are gone")
	require.Zero(t, code, out+errs)
	t.Log(out)
	assert.Regexp(t, `at least \d+ transactions that db1 had committed`, out)
	assert.Contains(t, out, "what db2 acknowledged and nobody else received")
	assert.Contains(t, out, "db3 is the master of shop, epoch 2")
	awaitEpoch(t, s, 2)
	awaitWriting(t, s, 2)
	code, out, errs = command(t, s, "history", "shop")
	require.Zero(t, code, errs)
	assert.Contains(t, out, "failover skipped")
	assert.Regexp(t, `at least \d+ transactions that db1 had committed`, out)
	assert.Contains(t, out, "why: both hosts are gone")
	assert.Contains(t, out, "loss that operator accepted:")

	// Whoever comes back with what the chain does not have is not let in.
	require.NoError(t, master.Start(ctx))
	require.NoError(t, candidate.Start(ctx))
	require.NoError(t, s.Await(ctx, "the quarantine of both", func(p api.Product) bool {
		quarantined := 0
		for _, server := range p.Servers {
			if server.Standing == topology.Quarantined {
				quarantined++
			}
		}
		return quarantined == 2 && p.Open == nil
	}))
	awaitWriting(t, s, 2)
	p = must(s.Status(ctx))
	assert.Equal(t, uint64(2), p.Epoch)
	code, out, errs = command(t, s, "status")
	require.Zero(t, code, errs)
	t.Log(out)
	assert.Contains(t, out, "db1: quarantined: ")
	code, out, errs = command(t, s, "rebuild", "shop", "db1", "--dry-run")
	require.Zero(t, code, errs)
	assert.Contains(t, out, "ALL DATA of db1")
	assert.Contains(t, out, "saved to the object store first")
	t.Log(out)
	j, err := stage.Judge(ctx, s.Master(ctx), ledgers(t, s)...)
	require.NoError(t, err)
	t.Logf("%d acknowledged, %d of them lost as accepted", j.Acked, len(j.Lost))
	assert.NotEmpty(t, j.Lost, "else nothing was tested")
}

// pauseWriting does something while nothing is written and everybody has it all:
// a receiver that is stopped under load has half a transaction in its relay log,
// and its applier then takes a minute to stop.
func pauseWriting(t *testing.T, s *stage.Stage, do func()) {
	t.Helper()
	conn, err := s.Chain.At(testenv.Master).DB().Conn(t.Context())
	require.NoError(t, err)
	defer conn.Close()
	_, err = conn.ExecContext(t.Context(), "FLUSH TABLES WITH READ LOCK")
	require.NoError(t, err)
	var all string
	require.NoError(t, conn.QueryRowContext(t.Context(), "SELECT @@global.gtid_executed").Scan(&all))
	for _, server := range s.Chain.Servers {
		var late int
		require.NoError(t, server.DB().QueryRowContext(t.Context(), "SELECT WAIT_FOR_EXECUTED_GTID_SET(?, 20)", all).Scan(&late))
		require.Zero(t, late, server.Name)
	}
	do()
	_, err = conn.ExecContext(t.Context(), "UNLOCK TABLES")
	require.NoError(t, err)
}
