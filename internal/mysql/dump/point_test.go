package dump

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/failoverd/failoverd/internal/object"
	"github.com/failoverd/failoverd/internal/snapshot"
	"github.com/failoverd/failoverd/internal/topology"
	"github.com/failoverd/failoverd/testenv"
)

// soon bounds waits for what takes milliseconds, on a machine that does much else.
const soon = 3 * time.Minute

func take(t *testing.T, source snapshot.Source) snapshot.Manifest {
	t.Helper()
	box, err := snapshot.NewBox()
	require.NoError(t, err)
	store := object.NewMemory()
	m, err := snapshot.Take(t.Context(), snapshot.TakeRequest{Source: source, Store: store, Box: box, Product: "shop", Epoch: 3, Server: "slave"})
	require.NoError(t, err)
	_, err = snapshot.Verify(t.Context(), store, box, m, true)
	require.NoError(t, err)
	return m
}

func open(t *testing.T, s *testenv.Server, workers int) (snapshot.Point, snapshot.Schema) {
	t.Helper()
	p, err := New(config(s)).Open(t.Context(), workers)
	require.NoError(t, err)
	t.Cleanup(func() { p.Close() })
	schema, err := p.Schema(t.Context())
	require.NoError(t, err)
	return p, schema
}

// rowsOf are all rows of a table, as they come.
func rowsOf(t *testing.T, p snapshot.Point, table snapshot.Table) [][]byte {
	t.Helper()
	var rows [][]byte
	ranges, err := p.Ranges(t.Context(), table, 3)
	require.NoError(t, err)
	for _, r := range ranges {
		require.NoError(t, p.Read(t.Context(), 0, table, r, func(row []byte) error {
			rows = append(rows, bytes.Clone(row))
			return nil
		}))
	}
	return rows
}

func tableOf(t *testing.T, schema snapshot.Schema, database, name string) snapshot.Table {
	t.Helper()
	i := slices.IndexFunc(schema.Tables, func(x snapshot.Table) bool { return x.Database == database && x.Name == name })
	require.GreaterOrEqual(t, i, 0, "%s.%s", database, name)
	return schema.Tables[i]
}

func TestHorrorsAreTheSameTwice(t *testing.T) {
	_, slave := servers(t)
	once := take(t, New(config(slave)))
	secure := config(slave)
	secure.TLS = &tls.Config{InsecureSkipVerify: true} // the server signs its own certificate
	twice := take(t, New(secure))
	assert.Equal(t, once.Tables, twice.Tables)
	assert.Greater(t, once.Totals.Tables, 80)
	assert.Greater(t, once.Totals.Rows, int64(3000))
	assert.Equal(t, once.Totals.Bytes, once.Totals.ReadBytes)
	require.Len(t, once.Warnings, 1)
	assert.Contains(t, once.Warnings[0], "horrors.my_isam")
	assert.True(t, applierRuns(t, slave))
}

func TestEveryRowSplitsAndJoins(t *testing.T) {
	_, slave := servers(t)
	p, schema := open(t, slave, 1)
	for _, table := range schema.Tables {
		wires := table.Wires()
		for _, row := range rowsOf(t, p, table) {
			fields, err := snapshot.SplitRow(row, wires, nil)
			require.NoError(t, err, table.ID())
			if !bytes.Equal(row, snapshot.JoinRow(nil, wires, fields)) {
				t.Errorf("%s: a row of %d bytes is not the same when joined", table.ID(), len(row))
			}
		}
	}
}

// TestRangesLeaveNothingOut: however a table is cut, its rows are the same.
func TestRangesLeaveNothingOut(t *testing.T) {
	_, slave := servers(t)
	p, schema := open(t, slave, 1)
	cut := 0
	for _, table := range schema.Tables {
		whole := [][]byte{}
		if slices.Contains(elsewhere, table.Engine) {
			continue
		}
		require.NoError(t, p.Read(t.Context(), 0, table, snapshot.Range{}, func(row []byte) error {
			whole = append(whole, bytes.Clone(row))
			return nil
		}))
		for _, n := range []int{2, 3, 7, 100} {
			ranges, err := p.Ranges(t.Context(), table, n)
			require.NoError(t, err)
			require.LessOrEqual(t, len(ranges), n)
			if len(ranges) > 2 {
				cut++
			}
			at := 0
			for _, r := range ranges {
				require.NoError(t, p.Read(t.Context(), 0, table, r, func(row []byte) error {
					if at >= len(whole) || !bytes.Equal(row, whole[at]) {
						return fmt.Errorf("row %d of %s cut in %d is another one", at, table.ID(), n)
					}
					at++
					return nil
				}))
			}
			require.Equal(t, len(whole), at, "%s cut in %d", table.ID(), n)
		}
	}
	assert.Greater(t, cut, 50)
}

func TestFloatsAreExactToTheBit(t *testing.T) {
	_, slave := servers(t)
	p, schema := open(t, slave, 1)
	table := tableOf(t, schema, "horrors", "floats")
	var singles []uint32
	var doubles []uint64
	for _, row := range rowsOf(t, p, table) {
		fields, err := snapshot.SplitRow(row, table.Wires(), nil)
		require.NoError(t, err)
		if fields[1] != nil {
			singles = append(singles, binary.LittleEndian.Uint32(fields[1]))
			doubles = append(doubles, binary.LittleEndian.Uint64(fields[2]))
		}
	}
	for _, f := range []float32{16777216, 0.1, float32(math.Copysign(0, -1)), math.SmallestNonzeroFloat32, math.MaxFloat32, 1.0000001, 33554430} {
		assert.Contains(t, singles, math.Float32bits(f), "%g", f)
	}
	for _, f := range []float64{math.SmallestNonzeroFloat64, math.MaxFloat64, math.Copysign(0, -1), 0.30000000000000004, 1.0000000000000002, math.Pi} {
		assert.Contains(t, doubles, math.Float64bits(f), "%g", f)
	}
}

func applierRuns(t *testing.T, s *testenv.Server) bool {
	t.Helper()
	var state string
	require.NoError(t, s.DB().QueryRowContext(t.Context(), "SELECT SERVICE_STATE FROM performance_schema.replication_applier_status").Scan(&state))
	return state == "ON"
}

// write makes transactions, each of one row and of a transfer between two tables, until
// the test ends.
func write(t *testing.T, master *testenv.Server) {
	t.Helper()
	for _, statement := range []string{
		"DROP DATABASE IF EXISTS bank", "CREATE DATABASE bank", "CREATE TABLE bank.ledger (id INT AUTO_INCREMENT PRIMARY KEY, v VARCHAR(100))",
		"CREATE TABLE bank.a (id INT PRIMARY KEY, held BIGINT)", "CREATE TABLE bank.b LIKE bank.a", "INSERT INTO bank.a VALUES (1, 1000000), (2, 1000000), (3, 1000000)", "INSERT INTO bank.b SELECT * FROM bank.a",
	} {
		require.NoError(t, master.Exec(t.Context(), statement))
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 3)
	for i := range cap(done) {
		where := fmt.Sprintf(" WHERE id = %d", i+1) // each has rows of its own
		go func() {
			done <- func() error {
				for ctx.Err() == nil {
					tx, err := master.DB().BeginTx(context.WithoutCancel(ctx), nil)
					if err != nil {
						return err
					}
					for _, statement := range []string{"UPDATE bank.a SET held = held - 3" + where, "INSERT INTO bank.ledger (v) VALUES (UUID())", "UPDATE bank.b SET held = held + 3" + where} {
						if _, err := tx.Exec(statement); err != nil {
							return errors.Join(err, tx.Rollback())
						}
					}
					if err := tx.Commit(); err != nil {
						return err
					}
				}
				return nil
			}()
		}()
	}
	t.Cleanup(func() {
		cancel()
		for range cap(done) {
			assert.NoError(t, <-done)
		}
		assert.NoError(t, master.Exec(context.Background(), "DROP DATABASE bank"))
	})
}

// TestAPointIsOfItsTransactionsExactly: at a dump slave, whose applier is stopped for
// it, and at a server that takes writes.
func TestAPointIsOfItsTransactionsExactly(t *testing.T) {
	master, slave := servers(t)
	write(t, master)
	caughtUp(t, master, slave)
	for name, s := range map[string]*testenv.Server{"dump slave": slave, "master": master} {
		t.Run(name, func(t *testing.T) {
			var base topology.GTIDSet
			var baseRows int
			for i := range 4 {
				p, schema := open(t, s, 3)
				counts := map[string]int{}
				sum := int64(0)
				for worker, table := range []string{"ledger", "a", "b"} {
					tab := tableOf(t, schema, "bank", table)
					require.NoError(t, p.Read(t.Context(), worker, tab, snapshot.Range{}, func(row []byte) error {
						counts[table]++
						if table != "ledger" {
							fields, err := snapshot.SplitRow(row, tab.Wires(), nil)
							require.NoError(t, err)
							sum += int64(binary.LittleEndian.Uint64(fields[1]))
						}
						return nil
					}))
				}
				assert.EqualValues(t, 6000000, sum, "the sessions see different transactions")
				about := p.About()
				if i == 0 {
					base, baseRows = about.GTIDs, counts["ledger"]
				}
				assert.EqualValues(t, counts["ledger"]-baseRows, about.GTIDs.Minus(base).Count(), "rows are not those of the transactions")
				assert.Less(t, about.Stall, soon)
				require.NoError(t, p.Close())
				require.Eventually(t, func() bool { // the next point is to be of others
					var now string
					require.NoError(t, s.DB().QueryRow("SELECT @@GLOBAL.gtid_executed").Scan(&now))
					set, err := topology.ParseGTIDSet(now)
					require.NoError(t, err)
					return set.Minus(about.GTIDs).Count() > 5
				}, soon, 10*time.Millisecond)
			}
		})
	}
	assert.True(t, applierRuns(t, slave))
}

// TestDefinitionsHoldStill: a change of a table that comes while a point is open waits,
// and no row is read by another definition.
func TestDefinitionsHoldStill(t *testing.T) {
	master, slave := servers(t)
	require.NoError(t, master.Exec(t.Context(), "CREATE TABLE shop.altered_meanwhile (id INT PRIMARY KEY, v INT)"))
	require.NoError(t, master.Exec(t.Context(), "INSERT INTO shop.altered_meanwhile VALUES (1, 1), (2, 2)"))
	t.Cleanup(func() {
		assert.NoError(t, master.Exec(context.Background(), "DROP TABLE IF EXISTS shop.altered_meanwhile"))
	})
	caughtUp(t, master, slave)
	p, schema := open(t, slave, 2)
	require.NoError(t, master.Exec(t.Context(), "ALTER TABLE shop.altered_meanwhile ADD COLUMN w INT FIRST"))
	require.NoError(t, master.Exec(t.Context(), "INSERT INTO shop.altered_meanwhile VALUES (3, 3, 3)"))
	require.Eventually(t, func() bool {
		var waiting int
		require.NoError(t, slave.DB().QueryRow("SELECT COUNT(*) FROM performance_schema.threads WHERE PROCESSLIST_STATE = 'Waiting for table metadata lock'").Scan(&waiting))
		return waiting > 0
	}, soon, 10*time.Millisecond)
	table := tableOf(t, schema, "shop", "altered_meanwhile")
	ranges, err := p.Ranges(t.Context(), table, 2)
	require.NoError(t, err)
	assert.Equal(t, []snapshot.Range{{Upto: snapshot.Key{"1"}}, {After: snapshot.Key{"1"}}}, ranges)
	for worker := range 2 { // nobody waits behind the one that waits
		rows := 0
		require.NoError(t, p.Read(t.Context(), worker, table, snapshot.Range{}, func([]byte) error { rows++; return nil }))
		assert.Equal(t, 2, rows)
	}
	require.NoError(t, p.Close())
	caughtUp(t, master, slave)
}

// TestTheApplierIsNeverLeftStopped, whatever goes wrong.
func TestTheApplierIsNeverLeftStopped(t *testing.T) {
	_, slave := servers(t)
	t.Run("writes cannot be locked", func(t *testing.T) {
		require.NoError(t, slave.Exec(t.Context(), "SET GLOBAL super_read_only = OFF"))
		held := holdLock(t, slave, "LOCK TABLES horrors.floats WRITE")
		_, err := New(config(slave)).Open(t.Context(), 2)
		assert.ErrorIs(t, err, ErrNotNow)
		assert.True(t, applierRuns(t, slave))
		held()
		require.NoError(t, slave.Exec(t.Context(), "SET GLOBAL super_read_only = ON"))
	})
	t.Run("definitions are locked", func(t *testing.T) {
		held := holdLock(t, slave, "LOCK INSTANCE FOR BACKUP")
		_, err := New(config(slave)).Open(t.Context(), 2)
		assert.ErrorIs(t, err, ErrNotNow)
		assert.True(t, applierRuns(t, slave))
		held()
	})
	t.Run("it was stopped before", func(t *testing.T) {
		require.NoError(t, slave.Exec(t.Context(), "STOP REPLICA SQL_THREAD"))
		p, _ := open(t, slave, 1)
		assert.False(t, applierRuns(t, slave), "who stopped it wants it so")
		require.NoError(t, p.Close())
		require.NoError(t, slave.Exec(t.Context(), "START REPLICA SQL_THREAD"))
	})
	t.Run("the caller is called off", func(t *testing.T) {
		cause := errors.New("a failover begins")
		for wait := time.Millisecond; wait < 200*time.Millisecond; wait *= 2 {
			ctx, cancel := context.WithTimeoutCause(t.Context(), wait, cause)
			p, err := New(config(slave)).Open(ctx, 2)
			if err == nil {
				p.Close()
			} else {
				assert.ErrorIs(t, err, cause)
			}
			cancel()
			require.Eventually(t, func() bool { return applierRuns(t, slave) }, soon, 10*time.Millisecond)
		}
	})
}

// holdLock runs a statement on a session that lasts until the returned function is called.
func holdLock(t *testing.T, s *testenv.Server, statement string) (release func()) {
	t.Helper()
	conn, err := s.DB().Conn(t.Context())
	require.NoError(t, err)
	_, err = conn.ExecContext(t.Context(), statement)
	require.NoError(t, err)
	return func() {
		for _, statement := range []string{"UNLOCK TABLES", "UNLOCK INSTANCE"} {
			_, err := conn.ExecContext(t.Context(), statement)
			assert.NoError(t, err)
		}
		conn.Close()
	}
}

func TestWhatIsPreparedIsNamed(t *testing.T) {
	master, slave := servers(t)
	conn, err := master.DB().Conn(t.Context())
	require.NoError(t, err)
	defer conn.Close()
	for _, statement := range []string{"XA START 'left-open'", "INSERT INTO horrors.no_key VALUES (9, 'xa')", "XA END 'left-open'", "XA PREPARE 'left-open'"} {
		_, err := conn.ExecContext(t.Context(), statement)
		require.NoError(t, err)
	}
	caughtUp(t, master, slave)
	p, _ := open(t, slave, 1)
	assert.Contains(t, strings.Join(p.About().Warnings, "\n"), "0x6C6566742D6F70656E") // left-open
	require.NoError(t, p.Close())
	_, err = conn.ExecContext(t.Context(), "XA ROLLBACK 'left-open'")
	require.NoError(t, err)
}

func TestReadingEndsWithItsContext(t *testing.T) {
	_, slave := servers(t)
	p, schema := open(t, slave, 1)
	cause := errors.New("a failover begins")
	ctx, cancel := context.WithCancelCause(t.Context())
	err := p.Read(ctx, 0, tableOf(t, schema, "horrors", "large"), snapshot.Range{}, func([]byte) error {
		cancel(cause)
		return nil
	})
	require.ErrorIs(t, err, cause)
}
