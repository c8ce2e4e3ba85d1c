package errant

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-mysql-org/go-mysql/replication"

	"github.com/failoverd/failoverd/internal/topology"
)

// rowsMode is the SQL mode in which the statements mean exactly what they say:
// backslashes escape, nothing is refused for strictness, zero is zero.
const rowsMode = "'NO_AUTO_VALUE_ON_ZERO'"

// preamble says what the SQL is and makes the session fit for it.
func preamble(m Manifest) []byte {
	var b strings.Builder
	b.WriteString("-- Transactions that server " + oneLine(m.Server) + " (" + m.UUID + ") of " + oneLine(m.Product) + " executed and its chain did not.\n")
	b.WriteString("-- " + m.Set.String() + "\n")
	b.WriteString("-- Read before you replay: other rows may have taken their place meanwhile. Lines like this one are comments;\n")
	b.WriteString("-- where a change could not be written exactly, it is one, and the binary log has it.\n")
	b.WriteString("SET NAMES utf8mb4;\nSET time_zone = '+00:00';\nSET sql_mode = " + rowsMode + ";\n")
	return []byte(b.String())
}

// renderer writes SQL.
type renderer struct {
	ctx    context.Context // of the one Save that this is part of
	source Source
	out    *parts
	tables map[string][]Column // as the server described them
}

func (r *renderer) line(text string) error { return r.out.write([]byte(text + "\n")) }

func (r *renderer) comment(format string, args ...any) error {
	text := fmt.Sprintf(format, args...)
	return r.line("-- " + strings.NewReplacer("\r", " ", "\n", "\n-- ").Replace(text))
}

func (r *renderer) begin(gtid topology.GTIDSet, at time.Time, serverID uint32) error {
	return r.line(fmt.Sprintf("\n-- transaction %s, committed %s at server id %d", gtid, at.UTC().Format("2006-01-02 15:04:05.000000"), serverID))
}

func isXAStart(query string) bool { return strings.HasPrefix(query, "XA START ") }

// suppressUse marks a query that does not depend on its database, which it may
// create or drop (LOG_EVENT_SUPPRESS_USE_F).
const suppressUse = 0x8

// query writes a statement as it was: DDL, mostly.
func (r *renderer) query(header *replication.EventHeader, e *replication.QueryEvent) error {
	r.tables = nil // they may be others now
	query := string(e.Query)
	if !utf8.ValidString(query) {
		return r.comment("a statement that is no UTF-8: %x", query)
	}
	words := strings.Fields(strings.ToUpper(query[:min(len(query), 80)]))
	if len(words) > 1 && slices.Contains([]string{"CREATE USER", "ALTER USER", "SET PASSWORD"}, words[0]+" "+words[1]) {
		return r.comment("%s %s: left out here, for it holds a password's hash", words[0], words[1])
	}
	// The form that CREATE TABLE ... SELECT is logged in; its rows follow.
	query = strings.TrimSuffix(strings.TrimSpace(query), " START TRANSACTION")
	var b strings.Builder
	if len(e.Schema) > 0 && header.Flags&suppressUse == 0 {
		fmt.Fprintf(&b, "USE %s;\n", identifier(string(e.Schema)))
	}
	mode, known := modeOf(e.StatusVars)
	if known {
		fmt.Fprintf(&b, "SET sql_mode = %d;\n", mode)
	}
	if strings.Contains(query, ";") {
		fmt.Fprintf(&b, "DELIMITER ;;\n%s\n;;\nDELIMITER ;\n", query)
	} else {
		b.WriteString(query + ";\n")
	}
	if known {
		b.WriteString("SET sql_mode = " + rowsMode + ";\n")
	}
	return r.out.write([]byte(b.String()))
}

// modeOf reads sql_mode from a query's status variables, of which the flags come
// first and the mode second (MySQL source documentation, "Query_event").
func modeOf(status []byte) (mode uint64, known bool) {
	if len(status) >= 5 && status[0] == 0 {
		status = status[5:]
	}
	if len(status) >= 9 && status[0] == 1 {
		return binary.LittleEndian.Uint64(status[1:]), true
	}
	return 0, false
}

// rows writes each changed row as a statement.
func (r *renderer) rows(e *replication.RowsEvent) error {
	columns, err := r.columns(e.Table)
	if err != nil {
		return err
	}
	w := rowWriter{table: e.Table, columns: columns, name: identifier(string(e.Table.Schema)) + "." + identifier(string(e.Table.Table))}
	w.collations = e.Table.CollationMap()
	step := 1
	if e.Type() == replication.EnumRowsEventTypeUpdate {
		step = 2
	}
	for i := 0; i+step <= len(e.Rows); i += step {
		var statement string
		w.inexact = columns == nil
		switch e.Type() {
		case replication.EnumRowsEventTypeInsert:
			statement = w.insert(e.Rows[i], e.SkippedColumns[i])
		case replication.EnumRowsEventTypeUpdate:
			statement = w.update(e.Rows[i], e.SkippedColumns[i], e.Rows[i+1], e.SkippedColumns[i+1])
		case replication.EnumRowsEventTypeDelete:
			statement = w.delete(e.Rows[i], e.SkippedColumns[i])
		default:
			statement, w.inexact = "rows of an unknown kind of event in "+w.name, true
		}
		if w.inexact {
			err = r.comment("%s", statement)
		} else {
			err = r.line(statement)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// columns are those that the rows of the event have, nil when nobody knows them:
// the event names them with binlog_row_metadata=FULL, else the table as it is now
// does, if it still has as many.
func (r *renderer) columns(t *replication.TableMapEvent) ([]Column, error) {
	key := identifier(string(t.Schema)) + "." + identifier(string(t.Table))
	now, known := r.tables[key]
	if !known {
		var err error
		if now, err = r.source.Columns(r.ctx, string(t.Schema), string(t.Table)); err != nil {
			return nil, err
		}
		if r.tables == nil {
			r.tables = map[string][]Column{}
		}
		r.tables[key] = now
	}
	names := t.ColumnNameString()
	if len(names) != int(t.ColumnCount) {
		if len(now) != int(t.ColumnCount) {
			return nil, nil
		}
		return now, nil
	}
	columns := make([]Column, len(names))
	for i, name := range names {
		columns[i] = Column{Name: name, Key: slices.Contains(t.PrimaryKey, uint64(i))}
		columns[i].Generated = slices.ContainsFunc(now, func(c Column) bool { return c.Name == name && c.Generated })
	}
	return columns, nil
}

func identifier(name string) string { return "`" + strings.ReplaceAll(name, "`", "``") + "`" }

func oneLine(text string) string { return strings.NewReplacer("\n", " ", "\r", " ").Replace(text) }
