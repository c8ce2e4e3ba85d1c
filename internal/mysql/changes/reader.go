package changes

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/go-mysql-org/go-mysql/replication"

	"github.com/failoverd/failoverd/internal/mysql"
	"github.com/failoverd/failoverd/internal/snapshot"
	"github.com/failoverd/failoverd/internal/topology"
)

var _ snapshot.Changes = (*Reader)(nil)

// Reader reads the binary log of one server. Its account needs REPLICATION SLAVE
// and REPLICATION CLIENT.
type Reader struct {
	config mysql.Config
}

// NewReader returns a Reader of the server that config names, with its Account.
func NewReader(config mysql.Config) *Reader { return &Reader{config: config} }

// Since implements snapshot.Changes.
func (r *Reader) Since(ctx context.Context, from, upto topology.GTIDSet, schema snapshot.Schema, limit int64) (snapshot.Changed, error) {
	wanted := upto.Minus(from)
	if missing := from.Minus(upto); !missing.Empty() {
		return snapshot.Changed{Whole: fmt.Sprintf("the server lacks transactions that the earlier snapshot has: %s", missing)}, nil
	}
	if wanted.Empty() {
		return snapshot.Changed{}, nil
	}
	native, err := r.nativeForeignKeys(ctx)
	if err != nil {
		return snapshot.Changed{}, err
	}
	g := newGatherer(wanted, schema, limit)
	g.unlogged = native
	err = r.config.ReadBinlog(ctx, from, g.event, func() (bool, error) { return false, nil })
	switch {
	case mysql.IsPurged(err):
		return snapshot.Changed{Whole: "the server no longer has all of its binary log since the earlier snapshot"}, nil
	case err != nil:
		return snapshot.Changed{}, err
	}
	return g.result(), nil
}

// cascadesLogged is the first version that logs what foreign keys change in other
// tables (MySQL 9.6 Release Notes: foreign keys are enforced by the SQL layer).
const cascadesLogged = 90600

// gatherer notes what the wanted transactions changed.
type gatherer struct {
	wanted, found topology.GTIDSet
	schema        snapshot.Schema
	tables        map[snapshot.TableID]*snapshot.Table
	limit         int64
	changed       snapshot.Changed
	parser        *replication.BinlogParser

	stream   transactions
	keep     bool // the present transaction is wanted
	layouts  map[uint64]*layout
	unlogged bool     // some server enforces foreign keys without logging what that changes
	cascaded bool     // and rows were updated or deleted
	pending  [][]byte // the images of rows events that are not yet taken
	unshed   int64    // bytes of rows since memory was looked at
}

func newGatherer(wanted topology.GTIDSet, schema snapshot.Schema, limit int64) *gatherer {
	g := &gatherer{wanted: wanted, schema: schema, limit: limit, tables: map[snapshot.TableID]*snapshot.Table{}, layouts: map[uint64]*layout{}}
	for i := range g.schema.Tables {
		t := &g.schema.Tables[i]
		g.tables[t.ID()] = t
	}
	g.parser = replication.NewBinlogParser()
	g.parser.SetTimestampStringLocation(time.UTC)
	g.parser.SetPayloadDecoderConcurrency(1)
	// The kind of a rows event is known to take only, in which compressed transactions are open.
	g.parser.SetRowsEventDecodeFunc(func(e *replication.RowsEvent, data []byte) error {
		at, err := e.DecodeHeader(data)
		if err == nil {
			g.pending = append(g.pending, data[at:])
		}
		return err
	})
	return g
}

// event takes one raw event and says whether more is needed.
func (g *gatherer) event(raw []byte) (more bool, err error) {
	g.changed.ReadBytes += int64(len(raw))
	if g.changed.Whole != "" {
		return false, nil
	}
	// Whether it is wanted is asked before its rows are decoded.
	step, err := g.stream.event(raw)
	if err != nil {
		return false, err
	}
	if step.Begins {
		g.keep = g.wanted.Contains(step.GTID) && !g.found.Contains(step.GTID)
		if g.keep {
			g.found = g.found.Union(step.GTID)
			g.unlogged = g.unlogged || step.oldestVersion < cascadesLogged
		}
		clear(g.layouts)
	}
	if g.stream.inside || step.Ends || step.Artificial {
		if step.Artificial || g.keep {
			if err := g.parse(raw); err != nil {
				return false, err
			}
		}
	}
	return !step.Ends || !g.found.Contains(g.wanted), nil
}

func (g *gatherer) parse(raw []byte) error {
	e, err := g.parser.Parse(raw)
	if err != nil {
		return fmt.Errorf("binary log: %w", err)
	}
	return g.take(e)
}

func (g *gatherer) take(e *replication.BinlogEvent) error {
	switch event := e.Event.(type) {
	case *replication.TransactionPayloadEvent:
		for _, inner := range event.Events {
			if err := g.take(inner); err != nil {
				return err
			}
		}
	case *replication.RowsEvent:
		images := g.pending[0]
		g.pending = g.pending[1:]
		if e.Header.EventType == replication.PARTIAL_UPDATE_ROWS_EVENT {
			g.changed.For(idOf(event.Table)).ReadWhole("the binary log has parts of JSON documents (binlog_row_value_options='' helps)")
			return nil
		}
		return g.rows(event, images)
	case *replication.QueryEvent:
		g.statement(string(event.Query))
	case *replication.BeginLoadQueryEvent, *replication.ExecuteLoadQueryEvent, *replication.IntVarEvent:
		g.changed.Whole = "the binary log has statements instead of rows (binlog_format=ROW helps)"
	}
	switch e.Header.EventType {
	case replication.RAND_EVENT, replication.USER_VAR_EVENT, replication.APPEND_BLOCK_EVENT:
		g.changed.Whole = "the binary log has statements instead of rows (binlog_format=ROW helps)"
	case replication.INCIDENT_EVENT:
		g.changed.Whole = "the binary log tells of an incident: something is missing in it"
	case replication.XA_PREPARE_LOG_EVENT:
		g.changed.Whole = "the binary log has distributed transactions (XA)"
	}
	return nil
}

func (g *gatherer) statement(statement string) {
	trimmed := strings.ToUpper(strings.TrimSpace(statement))
	if strings.HasPrefix(trimmed, "XA COMMIT") || strings.HasPrefix(trimmed, "XA ROLLBACK") || strings.HasPrefix(trimmed, "XA START") {
		// What was prepared before the earlier snapshot is not in this log.
		g.changed.Whole = "the binary log has distributed transactions (XA)"
		return
	}
	r := reachOf(statement)
	switch r {
	case nothing:
		return
	case anything:
		g.changed.Whole = "the binary log has a statement of which nobody can tell what it changed: " + head(statement)
		return
	}
	clear(g.layouts)
	for _, id := range tablesOf(statement, r, &g.schema) {
		g.changed.For(id).ReadWhole("it may have been changed by " + head(statement))
	}
}

// head is the first words of a statement: no values, which may be secret.
func head(statement string) string {
	words := strings.Fields(statement)
	return strings.Join(words[:min(len(words), 3)], " ") + " …"
}

func idOf(m *replication.TableMapEvent) snapshot.TableID {
	return snapshot.TableID{Database: string(m.Schema), Name: string(m.Table)}
}

// rows notes the rows of an event.
func (g *gatherer) rows(e *replication.RowsEvent, images []byte) (err error) {
	id := idOf(e.Table)
	table, known := g.tables[id]
	isInsert := e.Type() == replication.EnumRowsEventTypeInsert
	if !isInsert {
		g.cascaded = true
	}
	if !known {
		return nil // a system table, or one that was dropped meanwhile
	}
	t := g.changed.For(id)
	if t.Whole != "" {
		return nil
	}
	l, known := g.layouts[e.TableID]
	if !known {
		if l, err = newLayout(*table, e.Table); err != nil {
			t.ReadWhole(err.Error())
			return nil
		}
		g.layouts[e.TableID] = l
	}
	for rest := images; len(rest) > 0; {
		var first, second []byte
		if first, rest, err = l.next(nil, rest, e.ColumnBitmap1); err == nil && e.Type() == replication.EnumRowsEventTypeUpdate {
			second, rest, err = l.next(nil, rest, e.ColumnBitmap2)
		}
		if err != nil {
			t.ReadWhole(err.Error())
			return nil
		}
		switch e.Type() {
		case replication.EnumRowsEventTypeInsert:
			err = t.Note(table, nil, first)
		case replication.EnumRowsEventTypeDelete:
			err = t.Note(table, first, nil)
		case replication.EnumRowsEventTypeUpdate:
			err = t.Note(table, first, second)
		default:
			t.ReadWhole("the binary log has rows of an unknown kind")
		}
		if err != nil {
			return err
		}
	}
	if g.unshed += int64(len(images)); g.unshed > g.limit/16 {
		g.changed.Shed(g.tables, g.limit)
		g.unshed = 0
	}
	return nil
}

// result is what was gathered, when the log is at its end or enough was read.
func (g *gatherer) result() snapshot.Changed {
	if missing := g.wanted.Minus(g.found); !missing.Empty() && g.changed.Whole == "" {
		g.changed.Whole = fmt.Sprintf("the server's binary log lacks %s", missing)
	}
	if g.changed.Whole != "" {
		return snapshot.Changed{Whole: g.changed.Whole, ReadBytes: g.changed.ReadBytes}
	}
	if g.unlogged && g.cascaded {
		for i := range g.schema.Tables {
			if t := &g.schema.Tables[i]; cascades(t.Create) {
				g.changed.For(t.ID()).ReadWhole("its foreign keys may have changed rows, which servers before 9.6 do not log")
			}
		}
	}
	return g.changed
}

// cascades is whether a foreign key of the table changes its rows when others' change.
func cascades(create string) bool {
	for _, action := range []string{"ON DELETE CASCADE", "ON DELETE SET NULL", "ON UPDATE CASCADE", "ON UPDATE SET NULL", "ON DELETE SET DEFAULT", "ON UPDATE SET DEFAULT"} {
		if strings.Contains(create, action) {
			return true
		}
	}
	return false
}
