package errant

import (
	"bytes"
	"fmt"
	"time"

	"github.com/go-mysql-org/go-mysql/replication"

	"github.com/failoverd/failoverd/internal/topology"
)

// reader picks the wanted transactions out of a binary log.
type reader struct {
	parser *replication.BinlogParser
	wanted topology.GTIDSet
	found  topology.GTIDSet
	binlog *parts
	sql    *renderer

	format  []byte // the format description that what follows needs
	written []byte // the one that was written last
	keep    bool   // the present transaction is wanted
	open    bool   // and has not ended
	group   bool   // it began with BEGIN, so it ends with a commit
}

func newReader(wanted topology.GTIDSet, binlog *parts, sql *renderer) *reader {
	parser := replication.NewBinlogParser()
	parser.SetTimestampStringLocation(time.UTC)
	parser.SetRenderJSONAsMySQLText(true)
	return &reader{parser: parser, wanted: wanted, binlog: binlog, sql: sql}
}

// event takes one raw event and says whether more is needed.
func (r *reader) event(raw []byte) (more bool, err error) {
	e, err := r.parser.Parse(raw)
	if err != nil {
		return false, fmt.Errorf("binary log: %w", err)
	}
	switch event := e.Event.(type) {
	case *replication.FormatDescriptionEvent:
		r.format = raw
		return true, nil
	case *replication.GTIDEvent:
		err = r.begin(e.Header, event)
	case *replication.GtidTaggedLogEvent:
		err = r.begin(e.Header, &event.GTIDEvent)
	}
	if err != nil || !r.keep || isArtificial(e.Header.EventType) {
		return err == nil, err
	}
	if err := r.binlog.write(raw); err != nil {
		return false, err
	}
	if err := r.render(e); err != nil {
		return false, err
	}
	if !r.open {
		r.keep = false
	}
	return r.open || !r.found.Contains(r.wanted), nil
}

// isArtificial says whether the server made the event up for its reader.
func isArtificial(t replication.EventType) bool {
	switch t {
	case replication.ROTATE_EVENT, replication.HEARTBEAT_EVENT, replication.HEARTBEAT_LOG_EVENT_V2,
		replication.PREVIOUS_GTIDS_EVENT, replication.STOP_EVENT:
		return true
	}
	return false
}

func (r *reader) begin(header *replication.EventHeader, event *replication.GTIDEvent) error {
	next, err := event.GTIDNext()
	if err != nil {
		return err
	}
	gtid, err := topology.ParseGTIDSet(next.String())
	if err != nil {
		return err
	}
	if r.open {
		return fmt.Errorf("transaction %s begins within another", gtid)
	}
	if r.keep = r.wanted.Contains(gtid) && !r.found.Contains(gtid); !r.keep {
		return nil
	}
	r.open, r.group = true, false
	r.found = r.found.Union(gtid)
	if r.written == nil {
		err = r.binlog.write(replication.BinLogFileHeader)
	}
	if err == nil && !bytes.Equal(r.written, r.format) {
		err = r.binlog.write(r.format)
		r.written = r.format
	}
	if err != nil {
		return err
	}
	return r.sql.begin(gtid, event.OriginalCommitTime(), header.ServerID)
}

// render writes an event as SQL and notices the end of its transaction.
func (r *reader) render(e *replication.BinlogEvent) error {
	switch event := e.Event.(type) {
	case *replication.TransactionPayloadEvent:
		for _, inner := range event.Events {
			if err := r.render(inner); err != nil {
				return err
			}
		}
		return nil
	case *replication.QueryEvent:
		switch query := string(event.Query); {
		case query == "BEGIN":
			r.group = true
			return r.sql.line("START TRANSACTION;")
		case query == "COMMIT":
			r.open = false
			return r.sql.line("COMMIT;")
		case query == "ROLLBACK":
			r.open = false
			return r.sql.line("ROLLBACK;")
		default:
			if isXAStart(query) {
				r.group = true
			}
			r.open = r.group
			return r.sql.query(e.Header, event)
		}
	case *replication.XIDEvent:
		r.open = false
		return r.sql.line("COMMIT;")
	case *replication.RowsEvent:
		return r.sql.rows(event)
	case *replication.GTIDEvent, *replication.GtidTaggedLogEvent, *replication.TableMapEvent, *replication.RowsQueryEvent:
		return nil
	}
	if e.Header.EventType == replication.XA_PREPARE_LOG_EVENT {
		r.open = false
		return r.sql.comment("prepared here: XA PREPARE")
	}
	return r.sql.comment("an event of type %s, in the binary log only", e.Header.EventType)
}
