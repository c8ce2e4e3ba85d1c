package watcher

import (
	"time"

	"github.com/failoverd/failoverd/internal/topology"
)

// hearing is when a replica was first seen to have heard what it last heard. A
// replica reckons its silence by its own clock: set back, it would seem to hear a
// frozen source for as long as the clock was set back. Who looks again and again
// can tell by a clock that nobody sets.
type hearing struct {
	source, signs string
	since         time.Time
}

// clockSlack is how much the replica's silence may differ from what was seen: up
// to the time between two looks and a heartbeat more, hardly less.
const (
	clockSlackMore = 2*lookEvery + time.Second
	clockSlackLess = 300 * time.Millisecond
)

// heed returns the link with its silence as it was seen, where the replica's word
// for it cannot be.
func (h *hearing) heed(link *topology.Link, at time.Time) *topology.Link {
	if link == nil || link.Signs == "" {
		*h = hearing{}
		return link
	}
	if h.source != link.SourceAddr || h.signs != link.Signs {
		first := h.source != link.SourceAddr
		*h = hearing{source: link.SourceAddr, signs: link.Signs, since: at}
		if first {
			return link // nothing to hold it against yet
		}
	}
	seen, said := at.Sub(h.since), link.Silence.Std()
	if said >= seen-clockSlackLess && said <= seen+clockSlackMore {
		return link
	}
	corrected := *link
	corrected.Silence = topology.Duration(seen)
	return &corrected
}
