package snapshot

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/failoverd/failoverd/internal/topology"
)

// walk goes through the segments of a history and keeps what is wanted of them.
type walk struct {
	h     *History
	yield func(LogEvent) error // nil: only look

	seen    topology.GTIDSet // all that was met, with From
	taken   topology.GTIDSet
	leftOut topology.GTIDSet
	last    time.Time
	newest  time.Time
	read    int
	bytes   int64
	ended   bool // the target is reached

	open    bool   // in the midst of a transaction
	began   uint64 // the number of the segment that it began in
	gtid    topology.GTIDSet
	commit  time.Time
	take    bool
	suspect bool     // it did not survive, unless it is empty
	held    [][]byte // of a suspect
	events  int
}

// emptyEvents are the events of a transaction that changes nothing: its name, BEGIN and COMMIT.
const emptyEvents = 3

func (w *walk) segments(ctx context.Context, yield func(LogEvent) error) error {
	w.yield = yield
	w.seen = w.h.request.From
	var before *Segment
	for _, id := range w.h.ids {
		s, err := GetSegment(ctx, w.h.request.Store, w.h.request.Box, w.h.request.Product, id)
		if err != nil {
			return err
		}
		if err := w.follows(before, s); err != nil {
			return err
		}
		if err := w.segment(s); err != nil {
			return err
		}
		w.read++
		w.bytes += int64(len(s.Events))
		if w.ended {
			return nil
		}
		w.seen = w.seen.Union(s.GTIDs)
		if s.Last.After(w.newest) {
			w.newest = s.Last
		}
		s.Events = nil
		before = &s
	}
	w.abandon()
	return nil
}

// follows checks that nothing is missing before a segment.
func (w *walk) follows(before *Segment, s Segment) error {
	key := SegmentKey(s.Product, s.Epoch, s.Seq)
	if before != nil && s.Seq != before.Seq+1 {
		return fmt.Errorf("%w: segments %d to %d are missing before %s", ErrHistory, before.Seq+1, s.Seq-1, key)
	}
	if missing := lacking(s, w.seen, w.h.cuts); !missing.Empty() {
		why := s.Gap
		if why == "" {
			why = "no segment has them"
		}
		return fmt.Errorf("%w: %s is missing before %s: %s", ErrHistory, missing, key, why)
	}
	if s.Continues && before != nil && before.Unfinished == "" {
		return fmt.Errorf("%w: %s goes on with a transaction that has no beginning", ErrHistory, key)
	}
	if !s.Continues {
		w.abandon()
	}
	return nil
}

// abandon notes that a transaction does not go on where the log does: it was sent
// anew, or never whole.
func (w *walk) abandon() {
	if w.open && w.yield == nil {
		w.h.abandoned[w.began] = true
	}
	w.drop()
}

func (w *walk) drop() { w.open, w.take, w.suspect, w.held = false, false, false, nil }

// segment takes the events of one segment.
func (w *walk) segment(s Segment) error {
	first := true
	err := EachRow(s.Events, func(stored []byte) error {
		if first {
			first = false
			return w.send(LogEvent{Raw: stored, Format: true})
		}
		e, err := openEvent(stored)
		if err != nil {
			return err
		}
		return w.event(s, e)
	})
	if err != nil && !errors.Is(err, errEnded) {
		return fmt.Errorf("segment %s of the binary log: %w", SegmentKey(s.Product, s.Epoch, s.Seq), err)
	}
	return nil
}

// errEnded ends the walk where the target is.
var errEnded = errors.New("the target is reached")

func (w *walk) event(s Segment, e LogEvent) error {
	if e.Begins {
		w.drop()
		r := w.h.request
		if !r.ToTime.IsZero() && e.Committed.After(r.ToTime) {
			w.ended = true
			return errEnded
		}
		w.open, w.gtid, w.commit, w.events, w.began = true, e.GTID, e.Committed, 0, s.Seq
		if w.yield != nil && w.h.abandoned[s.Seq] && s.Unfinished == e.GTID.String() {
			w.open = false
			return nil
		}
		w.take = !r.From.Contains(e.GTID) && !w.taken.Contains(e.GTID)
		w.suspect = w.take && !r.Diverged && !w.h.survives(s, e.GTID)
	}
	if !w.open {
		return nil // the rest of a transaction that began before the first segment
	}
	w.events++
	switch {
	case !w.take:
	case w.suspect:
		if w.events <= emptyEvents {
			w.held = append(w.held, append([]byte(nil), e.Raw...))
		}
	default:
		if err := w.send(e); err != nil {
			return err
		}
	}
	if !e.Ends {
		return nil
	}
	return w.end()
}

func (w *walk) end() error {
	if w.take && w.suspect {
		if w.events > emptyEvents {
			w.leftOut = w.leftOut.Union(w.gtid)
			w.take = false
		}
		for i, raw := range w.held {
			if !w.take {
				break
			}
			if err := w.send(LogEvent{Raw: raw, Begins: i == 0, GTID: w.gtid, Committed: w.commit, Ends: i == len(w.held)-1}); err != nil {
				return err
			}
		}
	}
	if w.take {
		w.taken = w.taken.Union(w.gtid)
		if w.commit.After(w.last) {
			w.last = w.commit
		}
	}
	w.drop()
	r := w.h.request
	if !r.ToGTIDs.Empty() && r.From.Union(w.taken).Contains(r.ToGTIDs) {
		w.ended = true
		return errEnded
	}
	return nil
}

func (w *walk) send(e LogEvent) error {
	if w.yield == nil {
		return nil
	}
	return w.yield(e)
}

// An event is stored with a byte before it that says whether a transaction begins
// or ends with it, for this package does not know what is in events; with the first of a
// transaction go its GTID and time of commit.
const (
	eventBegins = 1
	eventEnds   = 2
)

func closeEvent(dst []byte, e LogEvent) []byte {
	flags := byte(0)
	if e.Begins {
		flags |= eventBegins
	}
	if e.Ends {
		flags |= eventEnds
	}
	dst = append(dst, flags)
	if e.Begins {
		dst = AppendRow(dst, []byte(e.GTID.String()))
		dst = binary.AppendVarint(dst, e.Committed.UnixMicro())
	}
	return append(dst, e.Raw...)
}

func openEvent(stored []byte) (e LogEvent, err error) {
	if len(stored) == 0 {
		return e, ErrDamaged
	}
	e.Begins, e.Ends = stored[0]&eventBegins != 0, stored[0]&eventEnds != 0
	e.Raw = stored[1:]
	if !e.Begins {
		return e, nil
	}
	size, used := binary.Uvarint(e.Raw)
	if used <= 0 || size > uint64(len(e.Raw)-used) {
		return e, ErrDamaged
	}
	if e.GTID, err = topology.ParseGTIDSet(string(e.Raw[used : used+int(size)])); err != nil {
		return e, err
	}
	e.Raw = e.Raw[used+int(size):]
	micros, used := binary.Varint(e.Raw)
	if used <= 0 {
		return e, ErrDamaged
	}
	e.Committed, e.Raw = time.UnixMicro(micros).UTC(), e.Raw[used:]
	return e, nil
}
