package snapshot

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sort"
	"time"

	"github.com/failoverd/failoverd/internal/object"
	"github.com/failoverd/failoverd/internal/topology"
)

// ErrHistory says that the store does not hold the history that was asked for.
var ErrHistory = errors.New("the binary log in the store does not lead there")

// HistoryRequest says which part of history.
type HistoryRequest struct {
	Store   object.Store
	Box     *Box
	Product string
	// From is what the restored snapshot holds.
	From topology.GTIDSet
	// One of: ToTime ends before the first transaction that was committed later; ToGTIDs
	// ends as soon as all of these are there; neither goes to the end of what was shipped.
	ToTime  time.Time
	ToGTIDs topology.GTIDSet
	// Diverged takes what did not survive a promotion too.
	Diverged bool
}

// History is a part of a product's history, found whole in the store.
type History struct {
	request     HistoryRequest
	ids         []SegmentID
	cuts        []Cut
	retractions []Retraction
	// abandoned are the numbers of segments whose last transaction is never whole, or begins anew in a later one.
	abandoned map[uint64]bool
	// GTIDs are its transactions, without those of From.
	GTIDs topology.GTIDSet
	// Last is when the latest of them was committed, zero without any.
	Last time.Time
	// LeftOut are transactions that did not survive a promotion.
	LeftOut topology.GTIDSet
	// Segments and Bytes, of raw events, are how much is read.
	Segments int
	Bytes    int64
}

// FindHistory reads the part of history through once, so that nothing is begun
// that cannot be ended. ErrHistory is wrapped, and says what is missing, when it
// is not all there; ErrDamaged names a segment that is not what was written.
func FindHistory(ctx context.Context, r HistoryRequest) (*History, error) {
	h := &History{request: r, abandoned: map[uint64]bool{}}
	var err error
	if h.cuts, err = Cuts(ctx, r.Store, r.Product); err != nil {
		return nil, err
	}
	if h.retractions, err = retractions(ctx, r.Store, r.Product); err != nil {
		return nil, err
	}
	ids, err := Segments(ctx, r.Store, r.Product)
	if err != nil {
		return nil, err
	}
	first, err := firstNeeded(ctx, r, ids, h.cuts)
	if err != nil {
		return nil, err
	}
	h.ids = ids[first:]
	if !r.ToGTIDs.Empty() {
		if lost := divergedNow(h.cuts, r.ToGTIDs); !lost.Empty() && !r.Diverged {
			return nil, fmt.Errorf("%w: %s did not survive a promotion", ErrHistory, lost)
		}
		if r.From.Contains(r.ToGTIDs) {
			h.ids = nil
			return h, nil
		}
	}
	w := &walk{h: h}
	if err := w.segments(ctx, nil); err != nil {
		return nil, err
	}
	h.GTIDs, h.LeftOut, h.Last, h.Segments, h.Bytes = w.taken, w.leftOut, w.last, w.read, w.bytes
	if w.ended {
		h.ids = h.ids[:w.read]
		return h, nil
	}
	switch {
	case !r.ToGTIDs.Empty():
		return nil, fmt.Errorf("%w: it does not hold %s", ErrHistory, r.ToGTIDs.Minus(r.From).Minus(w.taken))
	case !r.ToTime.IsZero():
		until, err := h.until(ctx, w.newest, w.seen)
		if err != nil {
			return nil, err
		}
		if r.ToTime.After(until) {
			return nil, fmt.Errorf("%w: it was shipped until %s", ErrHistory, until.UTC().Format(time.RFC3339Nano))
		}
	}
	return h, nil
}

// anyEpoch stands for that of a set of which it is not known.
const anyEpoch = math.MaxUint64 - 1

func divergedNow(cuts []Cut, set topology.GTIDSet) topology.GTIDSet {
	return Diverged(cuts, anyEpoch, set)
}

// survives says whether a transaction of a segment is part of the history that is told.
func (h *History) survives(s Segment, gtid topology.GTIDSet) bool {
	diverged, doubtful := judge(h.cuts, s.Epoch, gtid)
	if doubtful.Empty() {
		return diverged.Empty()
	}
	for _, r := range h.retractions {
		if s.Seq < r.Before && r.GTIDs.Contains(gtid) {
			return false
		}
	}
	return true
}

// until is the time until which the store has all of history, of which newest is
// the time of the last transaction, and seen are all.
func (h *History) until(ctx context.Context, newest time.Time, seen topology.GTIDSet) (time.Time, error) {
	idle, err := getCaughtUp(ctx, h.request.Store, h.request.Product)
	if err != nil {
		return time.Time{}, err
	}
	missing := idle.GTIDs.Minus(seen)
	if idle.At.After(newest) && missing.Minus(divergedNow(h.cuts, missing)).Empty() {
		return idle.At, nil
	}
	return newest, nil
}

// Play gives the events of the history to yield, in order: of each segment the
// format description, then its transactions that are wanted.
func (h *History) Play(ctx context.Context, yield func(LogEvent) error) error {
	w := &walk{h: h}
	if err := w.segments(ctx, yield); err != nil {
		return err
	}
	if !w.taken.Equal(h.GTIDs) { // somebody changed the store meanwhile
		return fmt.Errorf("%w: it changed while it was read", ErrHistory)
	}
	return nil
}

// firstNeeded is the place of the first segment that may hold something that from
// lacks: the last one before which there is nothing that from lacks, or the one in
// which its first transaction began.
func firstNeeded(ctx context.Context, r HistoryRequest, ids []SegmentID, cuts []Cut) (int, error) {
	var failure error
	after := sort.Search(len(ids), func(i int) bool {
		if failure != nil {
			return true
		}
		s, err := GetSegment(ctx, r.Store, r.Box, r.Product, ids[i])
		if err != nil {
			failure = err
			return true
		}
		return !lacking(s, r.From, cuts).Empty()
	})
	// Its first transaction may have begun in an earlier one.
	for first := max(0, after-1); failure == nil; first-- {
		if first == 0 || first >= len(ids) {
			return 0, nil
		}
		s, err := GetSegment(ctx, r.Store, r.Box, r.Product, ids[first])
		if err == nil && !s.Continues {
			return first, nil
		}
		failure = err
	}
	return 0, failure
}

// lacking are the transactions before a segment that a set lacks, but for those
// that did not survive a promotion.
func lacking(s Segment, set topology.GTIDSet, cuts []Cut) topology.GTIDSet {
	missing := s.Previous.Minus(set)
	return missing.Minus(divergedNow(cuts, missing))
}

// ObsoleteSegments are the keys of segments of which a restore of a snapshot that holds
// oldest, or of a later one, needs nothing.
func ObsoleteSegments(ctx context.Context, store object.Store, box *Box, product string, oldest topology.GTIDSet) ([]string, error) {
	r := HistoryRequest{Store: store, Box: box, Product: product, From: oldest}
	cuts, err := Cuts(ctx, store, product)
	if err != nil {
		return nil, err
	}
	ids, err := Segments(ctx, store, product)
	if err != nil {
		return nil, err
	}
	first, err := firstNeeded(ctx, r, ids, cuts)
	if err != nil {
		return nil, err
	}
	var keys []string
	for _, id := range ids[:first] {
		keys = append(keys, SegmentKey(product, id.Epoch, id.Seq))
	}
	return keys, nil
}

// SnapshotFor is the snapshot from which a history is to be restored: the newest that is not
// after the target. The error says why there is none.
func SnapshotFor(manifests []Manifest, toTime time.Time, toGTIDs topology.GTIDSet, diverged bool) (Manifest, error) {
	var best *Manifest
	for i := range manifests {
		m := &manifests[i]
		switch {
		case !m.Diverged.Empty() && !diverged:
		case !toTime.IsZero() && m.Point.After(toTime):
		case !toGTIDs.Empty() && m.GTIDs.Contains(toGTIDs) && !m.GTIDs.Equal(toGTIDs):
		case best == nil || m.Point.After(best.Point):
			best = m
		}
	}
	if best == nil {
		return Manifest{}, fmt.Errorf("%w: no snapshot is as old as that", ErrHistory)
	}
	return *best, nil
}

// ReplayUser is what a server that replays a history logs in to its source as, which
// tells that link from one of a chain.
const ReplayUser = "replay"

// Player brings a history into a restored server.
type Player interface {
	// Play returns when the server, which holds from, has executed all of the history, or cannot.
	Play(ctx context.Context, from topology.GTIDSet, h *History) error
}
