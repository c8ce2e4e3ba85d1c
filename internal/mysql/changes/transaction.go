package changes

import (
	"fmt"
	"strings"
	"time"

	"github.com/go-mysql-org/go-mysql/replication"

	"github.com/failoverd/failoverd/internal/topology"
)

// transactions finds where transactions begin and end in a stream of raw events.
type transactions struct {
	parser *replication.BinlogParser
	inside bool // a transaction has begun and not ended
	group  bool // it has BEGIN, so it ends with a commit
}

// step is what one event means for its transaction.
type step struct {
	// Begins and Ends are both true for no event: the first carries the GTID alone.
	Begins, Ends bool
	// Of the first: the transaction's name, when it was committed first, by the clock
	// of the server that did, and the oldest version of a server that had it in hand, like 90704.
	GTID          topology.GTIDSet
	Committed     time.Time
	oldestVersion uint32
	// Artificial says that the event belongs to no transaction: the server made it up for its
	// reader, or it is about the log's file. Format says that it tells how to read what follows.
	Artificial, Format bool
}

// noVersion is what a transaction says whose first server told no version (UNDEFINED_SERVER_VERSION).
const noVersion = 999999

// event takes the next event.
func (s *transactions) event(raw []byte) (step, error) {
	if len(raw) < replication.EventHeaderSize {
		return step{}, fmt.Errorf("binary log: an event of %d bytes", len(raw))
	}
	if s.parser == nil {
		s.parser = replication.NewBinlogParser()
	}
	kind := replication.EventType(raw[4])
	switch kind {
	case replication.FORMAT_DESCRIPTION_EVENT, replication.GTID_EVENT, replication.GTID_TAGGED_LOG_EVENT, replication.QUERY_EVENT, replication.ANONYMOUS_GTID_EVENT:
		e, err := s.parser.Parse(raw)
		if err != nil {
			return step{}, fmt.Errorf("binary log: %w", err)
		}
		switch event := e.Event.(type) {
		case *replication.FormatDescriptionEvent:
			return step{Artificial: true, Format: true}, nil
		case *replication.GtidTaggedLogEvent:
			return s.begin(&event.GTIDEvent)
		case *replication.GTIDEvent:
			return s.begin(event)
		case *replication.QueryEvent:
			return s.query(string(event.Query))
		}
		return step{}, fmt.Errorf("binary log: a transaction without a GTID (gtid_mode=ON helps)")
	case replication.ROTATE_EVENT, replication.HEARTBEAT_EVENT, replication.HEARTBEAT_LOG_EVENT_V2, replication.PREVIOUS_GTIDS_EVENT, replication.STOP_EVENT:
		return step{Artificial: true}, nil
	case replication.XID_EVENT, replication.XA_PREPARE_LOG_EVENT, replication.TRANSACTION_PAYLOAD_EVENT:
		return s.end()
	}
	return step{}, s.within()
}

func (s *transactions) begin(e *replication.GTIDEvent) (step, error) {
	next, err := e.GTIDNext()
	if err != nil {
		return step{}, fmt.Errorf("binary log: %w", err)
	}
	gtid, err := topology.ParseGTIDSet(next.String())
	if err != nil {
		return step{}, fmt.Errorf("binary log: %w", err)
	}
	if s.inside {
		return step{}, fmt.Errorf("binary log: transaction %s begins within another", gtid)
	}
	s.inside, s.group = true, false
	oldest := e.ImmediateServerVersion
	if e.OriginalServerVersion != 0 {
		oldest = min(oldest, e.OriginalServerVersion)
	}
	if oldest == noVersion || e.OriginalServerVersion == noVersion {
		oldest = 0
	}
	return step{Begins: true, GTID: gtid, Committed: e.OriginalCommitTime().UTC(), oldestVersion: oldest}, nil
}

func (s *transactions) query(query string) (step, error) {
	switch {
	case query == "BEGIN" || strings.HasPrefix(query, "XA START "):
		s.group = true
		return step{}, s.within()
	case query == "COMMIT" || query == "ROLLBACK" || !s.group:
		return s.end()
	}
	return step{}, s.within()
}

func (s *transactions) end() (step, error) {
	err := s.within()
	s.inside = false
	return step{Ends: true}, err
}

func (s *transactions) within() error {
	if !s.inside {
		return fmt.Errorf("binary log: an event outside of any transaction")
	}
	return nil
}
