package snapshot

import (
	"context"
	"fmt"
	"time"

	"github.com/failoverd/failoverd/internal/object"
	"github.com/failoverd/failoverd/internal/topology"
)

// ShipRequest says whose binary log is shipped where.
type ShipRequest struct {
	Log     Log
	Store   object.Store
	Box     *Box
	Product string
	// Epoch is the chain's at present, as far as is known: it may lag behind by one, for what
	// did not survive a promotion is told by it.
	Epoch func() uint64
	// Start is where history begins in a store that has none of it yet: what the oldest
	// snapshot in it holds. Nil: with what comes from now on.
	Start *topology.GTIDSet
	// Every and Bytes close a segment; 5 s and 16 MiB when zero.
	Every time.Duration
	Bytes int
	// Now is the clock, time.Now when nil.
	Now func() time.Time
	// Report hears how far it is; may be nil.
	Report func(Shipped)
}

// Shipped is how far the binary log is in the store.
type Shipped struct {
	GTIDs topology.GTIDSet
	// Newest is when the newest transaction in the store was committed. Until says that
	// everything that the chain had at that time is there, as far as the server can tell.
	Newest, Until time.Time
	// Segments and Bytes were written by this Ship.
	Segments int
	Bytes    int64
	// Gap says what is missing just before what this Ship sends, empty for nothing.
	Gap string
}

// idleNote is how often a store is told that there is nothing to ship.
const idleNote = 30 * time.Second

// Ship sends the binary log to a store, until ctx ends or something fails: start it
// again then. It goes on where the store's last segment ends. A store that misses
// segments because nothing reached it catches up, for the server has them still; when it no longer has,
// or was rebuilt, the next segment names the gap. One Ship per product and store.
func Ship(ctx context.Context, r ShipRequest) error {
	if r.Every == 0 {
		r.Every = 5 * time.Second
	}
	if r.Bytes == 0 {
		r.Bytes = 16 << 20
	}
	if r.Now == nil {
		r.Now = time.Now
	}
	s := &shipper{ShipRequest: r}
	if err := s.resume(ctx); err != nil {
		return fmt.Errorf("ship the binary log of %s: %w", r.Product, err)
	}
	err := r.Log.Follow(ctx, s.next.Previous, func(e LogEvent) error { return s.event(ctx, e) }, func() error { return s.idle(ctx) })
	return fmt.Errorf("ship the binary log of %s: %w", r.Product, err)
}

type shipper struct {
	ShipRequest
	next    Segment // that is being filled
	format  []byte
	packed  []byte    // reused
	begun   time.Time // when its first event came
	inside  bool
	current topology.GTIDSet // the transaction that is going on
	commit  time.Time
	shipped Shipped
	asked   time.Time // when the server's state was asked for
	noted   time.Time
}

// resume finds where to go on.
func (s *shipper) resume(ctx context.Context) error {
	state, err := s.Log.State(ctx)
	if err != nil {
		return err
	}
	ids, err := Segments(ctx, s.Store, s.Product)
	if err != nil {
		return err
	}
	s.next = Segment{Product: s.Product, Epoch: s.Epoch(), Seq: 1, UUID: state.UUID}
	if len(ids) == 0 {
		s.next.Previous = state.Executed
		if s.Start != nil && s.Start.Contains(state.Purged) && state.Executed.Contains(*s.Start) {
			s.next.Previous = *s.Start
		}
		return nil
	}
	last, err := GetSegment(ctx, s.Store, s.Box, s.Product, ids[len(ids)-1])
	if err != nil {
		return err
	}
	s.next.Epoch, s.next.Seq = max(s.next.Epoch, last.Epoch), last.Seq+1
	s.shipped.Newest = last.Last
	whole := last.Previous.Union(last.GTIDs)
	s.next.Previous = whole.Common(state.Executed).Union(state.Purged)
	if missing := state.Purged.Minus(whole); !missing.Empty() {
		s.next.Gap = fmt.Sprintf("the server's binary log no longer has %s", missing)
	}
	if lost := whole.Minus(state.Executed); !lost.Empty() {
		s.next.Gap = joined(s.next.Gap, fmt.Sprintf("the server does not have %s, which were shipped", lost))
		if err := putRetraction(ctx, s.Store, s.Product, Retraction{Before: s.next.Seq, GTIDs: lost}); err != nil {
			return err
		}
	}
	s.shipped.Gap = s.next.Gap
	return nil
}

func joined(a, b string) string {
	if a == "" {
		return b
	}
	return a + "; " + b
}

func (s *shipper) event(ctx context.Context, e LogEvent) error {
	if e.Format {
		s.format = append([]byte(nil), e.Raw...)
		return nil
	}
	if len(s.next.Events) == 0 {
		if s.format == nil {
			return fmt.Errorf("the binary log began without a format description")
		}
		s.next.Epoch = max(s.next.Epoch, s.Epoch())
		s.next.Continues = s.inside
		s.next.Events = AppendRow(s.next.Events, s.format)
		s.begun = s.Now()
	}
	if e.Begins {
		s.inside, s.current, s.commit = true, e.GTID, e.Committed
	}
	s.packed = closeEvent(s.packed[:0], e)
	s.next.Events = AppendRow(s.next.Events, s.packed)
	if e.Ends {
		s.inside = false
		s.next.GTIDs = s.next.GTIDs.Union(s.current)
		if s.next.First.IsZero() || s.commit.Before(s.next.First) {
			s.next.First = s.commit
		}
		if s.commit.After(s.next.Last) {
			s.next.Last = s.commit
		}
	}
	if len(s.next.Events) >= s.Bytes || !s.inside && s.Now().Sub(s.begun) >= s.Every {
		return s.close(ctx)
	}
	return nil
}

// idle is called when the server has nothing more.
func (s *shipper) idle(ctx context.Context) error {
	now := s.Now()
	if len(s.next.Events) > 0 {
		if s.inside || now.Sub(s.begun) < s.Every {
			return nil
		}
		if err := s.close(ctx); err != nil {
			return err
		}
	}
	if now.Sub(s.asked) < time.Second {
		return nil
	}
	s.asked = now
	state, err := s.Log.State(ctx)
	if err != nil {
		return err
	}
	s.shipped.GTIDs = s.next.Previous
	if !s.next.Previous.Contains(state.Executed) || !state.Fresh.After(s.shipped.Until) {
		s.report()
		return nil
	}
	s.shipped.Until = state.Fresh
	if now.Sub(s.noted) >= idleNote {
		if err := putCaughtUp(ctx, s.Store, s.Product, CaughtUp{At: state.Fresh, GTIDs: s.next.Previous}); err != nil {
			return err
		}
		s.noted = now
	}
	s.report()
	return nil
}

// close writes the segment, which may end in the midst of a transaction: one may be
// larger than any segment.
func (s *shipper) close(ctx context.Context) error {
	if s.inside {
		s.next.Unfinished = s.current.String()
	}
	bytes, err := PutSegment(ctx, s.Store, s.Box, s.next)
	if err != nil {
		return err
	}
	s.shipped.Segments++
	s.shipped.Bytes += bytes
	if !s.next.Last.IsZero() {
		s.shipped.Newest = s.next.Last
		if s.next.Last.After(s.shipped.Until) {
			s.shipped.Until = s.next.Last
		}
	}
	s.next = Segment{Product: s.Product, Epoch: s.next.Epoch, Seq: s.next.Seq + 1, UUID: s.next.UUID, Previous: s.next.Previous.Union(s.next.GTIDs), Events: s.next.Events[:0]}
	s.shipped.GTIDs = s.next.Previous
	s.report()
	return nil
}

func (s *shipper) report() {
	if s.Report != nil {
		s.Report(s.shipped)
	}
}
