package main

import (
	"time"

	"github.com/failoverd/failoverd/testenv/stage"
)

const (
	// slotMicros is the length of one slot of the writes' curve.
	slotMicros = 500_000
	slotsKept  = 256
	// stallMicros is how long a web server must go without an acknowledgement for
	// it to count as an outage when the epoch stays the same.
	stallMicros = 500_000
)

// tally is what the demo's screen knows of one web server's writes.
type tally struct {
	acked, failed, unknown int
	lastAck                int64  // in microseconds of Unix time, 0 before the first
	epoch                  uint64 // of the last acknowledged write
	slots                  [slotsKept]slot
}

// slot counts the acknowledgements of one half second.
type slot struct {
	number int64 // microseconds of Unix time / slotMicros
	n      int
}

// gap is a time in which a web server had no write acknowledged.
type gap struct {
	from, to int64 // the acknowledgements around it, in microseconds of Unix time
	epoch    uint64
	// moved says that the epoch changed in it: a promotion, not a stall.
	moved bool
}

func (g gap) took() time.Duration { return time.Duration(g.to-g.from) * time.Microsecond }

func (g gap) overlaps(o gap) bool { return g.from <= o.to && o.from <= g.to }

// add counts a write, and reports the gap that it ended, if any.
func (t *tally) add(w stage.Write) (ended gap, ok bool) {
	switch w.Outcome {
	case stage.Failed:
		t.failed++
		return gap{}, false
	case stage.Unknown:
		t.unknown++
		return gap{}, false
	}
	t.acked++
	number := w.Micros / slotMicros
	at := &t.slots[number%slotsKept]
	if at.number != number {
		*at = slot{number: number}
	}
	at.n++
	ended = gap{from: t.lastAck, to: w.Micros, epoch: w.Epoch, moved: w.Epoch != t.epoch}
	ok = t.lastAck > 0 && (ended.moved || w.Micros-t.lastAck >= stallMicros)
	t.lastAck, t.epoch = max(t.lastAck, w.Micros), w.Epoch
	return ended, ok
}

// curve is the acknowledgements of the last n complete slots, oldest first.
func (t *tally) curve(now time.Time, n int) []int {
	out := make([]int, n)
	last := now.UnixMicro()/slotMicros - 1
	for i := range out {
		number := last - int64(n-1-i)
		if at := t.slots[number%slotsKept]; at.number == number {
			out[i] = at.n
		}
	}
	return out
}

// rate is the acknowledgements per second over the last two complete seconds.
func (t *tally) rate(now time.Time) int {
	sum := 0
	for _, n := range t.curve(now, 4) {
		sum += n
	}
	return sum / 2
}

// outages are the gaps of all web servers together: those of one cause overlap
// and count once, with the longest.
type outages []gap

func (o outages) add(g gap) outages {
	for i, known := range o {
		if known.overlaps(g) {
			if g.took() > known.took() {
				o[i] = g
			}
			o[i].moved = g.moved || known.moved
			o[i].epoch = max(g.epoch, known.epoch)
			return o
		}
	}
	return append(o, g)
}
