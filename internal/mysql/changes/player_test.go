package changes

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/failoverd/failoverd/internal/object"
	"github.com/failoverd/failoverd/internal/snapshot"
	"github.com/failoverd/failoverd/internal/topology"
	"github.com/failoverd/failoverd/testenv"
)

// shipAll ships until the store has all that the server executed.
func shipAll(t *testing.T, s *testenv.Server, store object.Store, box *snapshot.Box, start topology.GTIDSet, size int) {
	t.Helper()
	want := executed(t, s)
	ctx, cancel := context.WithTimeoutCause(t.Context(), time.Minute, errors.New("the store does not get everything"))
	defer cancel()
	var last snapshot.Shipped
	err := snapshot.Ship(ctx, snapshot.ShipRequest{Log: NewReader(configOf(s)), Store: store, Box: box, Product: "shop", Epoch: func() uint64 { return 1 }, Start: &start,
		Every: 100 * time.Millisecond, Bytes: size, Report: func(now snapshot.Shipped) {
			if last = now; now.GTIDs.Contains(want) && !now.Until.IsZero() {
				cancel()
			}
		}})
	require.ErrorIs(t, err, context.Canceled)
	require.True(t, last.GTIDs.Contains(want), "%s", context.Cause(ctx))
}

// checksums are of all tables of work.
func checksums(t *testing.T, s *testenv.Server, tables ...string) (out []string) {
	t.Helper()
	for _, table := range tables {
		var name, sum string
		require.NoError(t, s.DB().QueryRowContext(t.Context(), "CHECKSUM TABLE work."+table).Scan(&name, &sum))
		out = append(out, table+" "+sum)
	}
	return out
}

func TestHistoryIsPlayedIntoAServer(t *testing.T) {
	for _, setting := range []string{"binlog_transaction_compression = OFF", "binlog_transaction_compression = ON"} {
		t.Run(setting, func(t *testing.T) { playHistory(t, setting) })
	}
}

func playHistory(t *testing.T, setting string) {
	a, b := mysqld(t, "a"), mysqld(t, "b")
	box, err := snapshot.NewBox()
	require.NoError(t, err)
	store := object.NewMemory()
	exec(t, a, "SET GLOBAL "+setting)
	base := executed(t, a)
	// The number of b's server is that of a: what it replays was logged with its own.
	var idOfA, idOfB string
	require.NoError(t, a.DB().QueryRowContext(t.Context(), "SELECT @@server_id").Scan(&idOfA))
	require.NoError(t, b.DB().QueryRowContext(t.Context(), "SELECT @@server_id").Scan(&idOfB))
	exec(t, b, "SET GLOBAL server_id = "+idOfA)
	t.Cleanup(func() { assert.NoError(t, b.Exec(context.Background(), "SET GLOBAL server_id = "+idOfB)) })

	exec(t, a, "CREATE TABLE work.kept (id INT PRIMARY KEY, v TEXT)", "INSERT INTO work.kept VALUES (1, 'one')")
	shipAll(t, a, store, box, base, 20_000)
	snapshotOfA := executed(t, a) // b is to hold this, as a restore would make it
	exec(t, b, "GRANT ALL ON *.* TO copier@'%'", "CREATE TABLE work.kept (id INT PRIMARY KEY, v TEXT)", "INSERT INTO work.kept VALUES (1, 'one')", "RESET BINARY LOGS AND GTIDS")
	exec(t, b, "SET GLOBAL gtid_purged = '"+snapshotOfA.String()+"'", "SET GLOBAL super_read_only = ON")

	exec(t, a, "FLUSH BINARY LOGS", "INSERT INTO work.kept WITH RECURSIVE n AS (SELECT 10 AS i UNION ALL SELECT i + 1 FROM n WHERE i < 900) SELECT i, REPEAT('long ', 100) FROM n", // more than a segment
		"CREATE TABLE work.made AS SELECT id FROM work.kept WHERE id < 20", "UPDATE work.kept SET v = 'changed' WHERE id = 11")
	middle := executed(t, a)
	sums := checksums(t, a, "kept", "made")
	var toTime time.Time
	require.NoError(t, a.DB().QueryRowContext(t.Context(), "SELECT UTC_TIMESTAMP(6)").Scan(&toTime))
	exec(t, a, "DELETE FROM work.kept", "DROP TABLE work.made")
	shipAll(t, a, store, box, base, 20_000)

	r := snapshot.HistoryRequest{Store: store, Box: box, Product: "shop", From: snapshotOfA, ToTime: toTime}
	byTime, err := snapshot.FindHistory(t.Context(), r)
	require.NoError(t, err)
	r.ToTime, r.ToGTIDs = time.Time{}, middle
	byGTID, err := snapshot.FindHistory(t.Context(), r)
	require.NoError(t, err)
	assert.Equal(t, byTime.GTIDs.String(), byGTID.GTIDs.String())
	require.Greater(t, byGTID.Segments, 3)

	player := NewPlayer(configOf(b))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	require.NoError(t, player.Play(ctx, snapshotOfA, byTime))
	assert.Equal(t, middle.String(), executed(t, b).String())
	assert.Equal(t, sums, checksums(t, b, "kept", "made"))
	var id string
	require.NoError(t, b.DB().QueryRowContext(t.Context(), "SELECT @@server_id").Scan(&id))
	assert.Equal(t, idOfA, id)
	var replicas int
	require.NoError(t, b.DB().QueryRowContext(t.Context(), "SELECT COUNT(*) FROM performance_schema.replication_connection_configuration WHERE HOST <> ''").Scan(&replicas))
	assert.Zero(t, replicas)

	// Another try finds some of it there, and what a killed one left; another link it leaves alone.
	exec(t, b, "CHANGE REPLICATION SOURCE TO SOURCE_HOST = '127.0.0.1', SOURCE_PORT = 1, SOURCE_USER = 'replay', SOURCE_AUTO_POSITION = 1")
	require.NoError(t, player.Play(ctx, snapshotOfA, byTime))
	exec(t, b, "CHANGE REPLICATION SOURCE TO SOURCE_HOST = '127.0.0.1', SOURCE_PORT = 1, SOURCE_USER = 'another'")
	err = player.Play(ctx, snapshotOfA, byTime)
	require.ErrorIs(t, err, ErrNotAsLeft)
	assert.ErrorContains(t, err, "is a replica of 127.0.0.1:1")
	exec(t, b, "RESET REPLICA ALL")

	// What cannot be applied is told in the server's words.
	exec(t, b, "SET GLOBAL super_read_only = OFF")
	exec(t, b, "SET GLOBAL read_only = OFF")
	conn, err := b.DB().Conn(t.Context())
	require.NoError(t, err)
	defer conn.Close()
	for _, statement := range []string{"SET sql_log_bin = 0", "TRUNCATE work.kept", "SET sql_log_bin = 1"} {
		_, err := conn.ExecContext(t.Context(), statement)
		require.NoError(t, err)
	}
	rest := r
	rest.From, rest.ToGTIDs = middle, executed(t, a)
	end, err := snapshot.FindHistory(t.Context(), rest)
	require.NoError(t, err)
	err = player.Play(ctx, middle, end)
	assert.ErrorContains(t, err, "the server stopped")

	exec(t, b, "CREATE TABLE work.own (id INT PRIMARY KEY)")
	err = player.Play(ctx, middle, end)
	require.ErrorIs(t, err, ErrNotAsLeft)
	assert.ErrorContains(t, err, "executed more than is wanted: "+uuidOf(t, b)+":1")
}

func uuidOf(t *testing.T, s *testenv.Server) (uuid string) {
	t.Helper()
	require.NoError(t, s.DB().QueryRowContext(t.Context(), "SELECT @@server_uuid").Scan(&uuid))
	return uuid
}
