package changes

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/failoverd/failoverd/internal/mysql"
	"github.com/failoverd/failoverd/internal/mysql/dump"
	"github.com/failoverd/failoverd/internal/object"
	"github.com/failoverd/failoverd/internal/snapshot"
	"github.com/failoverd/failoverd/testenv"
	"github.com/failoverd/failoverd/testenv/horrors"
)

func name(parts ...string) string {
	for i := range parts {
		parts[i] = "`" + strings.ReplaceAll(parts[i], "`", "``") + "`"
	}
	return strings.Join(parts, ".")
}

// loadHorrors makes the database of horrors, and takes it away after the test.
func loadHorrors(t *testing.T, s *testenv.Server) {
	t.Helper()
	require.NoError(t, horrors.Load(t.Context(), s))
	t.Cleanup(func() {
		s.DB().SetMaxIdleConns(0) // the sessions that loaded them are not like others
		s.DB().SetMaxIdleConns(2)
		for _, database := range append(slices.Clone(horrors.Databases), "aside") {
			assert.NoError(t, s.Exec(context.Background(), "DROP DATABASE IF EXISTS "+name(database)))
		}
	})
}

// TestRowsOfTheLogAreExact takes a snapshot of the horrors with their tables empty, lets
// the log say how every row came back, and holds that against the rows that the server
// sends when everything is read.
func TestRowsOfTheLogAreExact(t *testing.T) {
	s := mysqld(t, "a")
	loadHorrors(t, s)
	cfg := mysql.Config{Addr: s.Addr(), Account: mysql.Account{User: "taker", Password: "taker-secret"}}
	exec(t, s, dump.Grants(cfg.Account)...)
	t.Cleanup(func() { assert.NoError(t, s.Exec(context.Background(), "DROP USER taker@'%'")) })
	source := dump.New(cfg)
	point, err := source.Open(t.Context(), 1)
	require.NoError(t, err)
	schema, err := point.Schema(t.Context())
	require.NoError(t, err)
	require.NoError(t, point.Close())

	conn, err := s.DB().Conn(t.Context())
	require.NoError(t, err)
	defer conn.Close()
	do := func(statement string) {
		t.Helper()
		_, err := conn.ExecContext(t.Context(), statement)
		require.NoError(t, err, "%.300s", statement)
	}
	do("CREATE DATABASE aside")
	do("SET foreign_key_checks = 0, unique_checks = 0, sql_mode = 'NO_AUTO_VALUE_ON_ZERO', show_gipk_in_create_table_and_information_schema = ON")
	back := map[snapshot.TableID]string{}
	for i, table := range schema.Tables {
		if table.Engine != "InnoDB" {
			continue
		}
		var columns []string
		for _, c := range table.Columns {
			columns = append(columns, name(c.Name))
		}
		list, from, aside := strings.Join(columns, ", "), name(table.Database, table.Name), name("aside", fmt.Sprintf("t%d", i))
		do("CREATE TABLE " + aside + " LIKE " + from)
		do("INSERT INTO " + aside + " (" + list + ") SELECT " + list + " FROM " + from)
		dropTriggers(t, conn, table)
		do("DELETE FROM " + from)
		back[table.ID()] = "INSERT INTO " + from + " (" + list + ") SELECT " + list + " FROM " + aside
	}
	box, err := snapshot.NewBox()
	require.NoError(t, err)
	r := snapshot.TakeRequest{Source: source, Store: object.NewMemory(), Box: box, Product: "shop", Epoch: 1, Server: "a", Workers: 2, Changes: NewReader(cfg)}
	empty, err := snapshot.Take(t.Context(), r)
	require.NoError(t, err)
	for _, statement := range back {
		do(statement)
	}
	r.Parent, r.Full = &empty, true
	full, err := snapshot.Take(t.Context(), r)
	require.NoError(t, err)
	assert.Empty(t, full.Drifted)

	r.Full = false
	byLog, err := snapshot.Take(t.Context(), r)
	require.NoError(t, err)
	ways := map[string]int{}
	for i, table := range byLog.Tables {
		ways[table.Way]++
		assert.Equal(t, full.Tables[i].Sum, table.Sum, table.TableID)
		if back[table.TableID] != "" && full.Tables[i].Rows > 0 && table.Way == "whole" {
			t.Logf("%s is read whole: %s", table.TableID, table.Why)
		}
	}
	t.Log(ways)
	report, err := snapshot.Verify(t.Context(), r.Store, box, byLog, true)
	require.NoError(t, err)
	assert.Empty(t, report.Damages)
}

func dropTriggers(t *testing.T, conn *sql.Conn, table snapshot.Table) {
	t.Helper()
	rows, err := conn.QueryContext(t.Context(), "SELECT TRIGGER_NAME FROM information_schema.TRIGGERS WHERE EVENT_OBJECT_SCHEMA = ? AND EVENT_OBJECT_TABLE = ?", table.Database, table.Name)
	require.NoError(t, err)
	var names []string
	for rows.Next() {
		var n string
		require.NoError(t, rows.Scan(&n))
		names = append(names, n)
	}
	require.NoError(t, rows.Close())
	for _, n := range names {
		_, err := conn.ExecContext(t.Context(), "DROP TRIGGER "+name(table.Database, n))
		require.NoError(t, err)
	}
}
