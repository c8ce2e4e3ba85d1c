package check

import (
	"fmt"
	"slices"
	"time"
)

// Reign is a master's time, which lasts until the next one's begins.
type Reign struct {
	Epoch  uint64 `json:"epoch"`
	Server string `json:"server"`
	// Early and Opened are between which the server was opened for writes: it may have acknowledged from Early on, and
	// its predecessor may not have since Opened.
	Early  time.Time `json:"early"`
	Opened time.Time `json:"opened"`
}

// DualAck is an acknowledgement by a server that was not the master at any moment between the client's sending and
// its hearing of it.
type DualAck struct {
	Write Write `json:"write"`
	// Master is who was, since Epoch.
	Master string `json:"master"`
	Epoch  uint64 `json:"epoch"`
}

func (d DualAck) String() string {
	return fmt.Sprintf("%s: %s acknowledged it to %s, who sent it at %s, when %s was the master of epoch %d", d.Write.ID, d.Write.Server,
		d.Write.Client, d.Write.Sent.Format("15:04:05.000"), d.Master, d.Epoch)
}

// DualAckers returns the acknowledged writes that were sent to somebody who was no longer the master, nor became it
// again before the answer. A write that was sent before a promotion and answered after it is none: the answer may
// have waited in the client's socket. If the old master really committed it afterwards, the new one lacks it, and
// JudgeLedger calls it lost. Reigns are those known, of which the first began before all writes.
func DualAckers(writes []Write, reigns []Reign) []DualAck {
	reigns = opened(writes, reigns)
	var out []DualAck
	for _, w := range writes {
		if w.Outcome != Acked {
			continue
		}
		mastered, last := false, Reign{}
		for i, r := range reigns {
			over := i+1 < len(reigns) && !reigns[i+1].Opened.After(w.Sent)
			if over || r.Early.After(w.Known) {
				continue
			}
			mastered = mastered || r.Server == w.Server
			last = r
		}
		if !mastered && last.Server != "" {
			out = append(out, DualAck{Write: w, Master: last.Server, Epoch: last.Epoch})
		}
	}
	return out
}

// opened puts the reigns in order. A server that acknowledged something was open by then.
func opened(writes []Write, reigns []Reign) []Reign {
	out := slices.Clone(reigns)
	slices.SortFunc(out, func(a, b Reign) int { return a.Early.Compare(b.Early) })
	for i, r := range out {
		for _, w := range writes {
			if w.Outcome == Acked && w.Server == r.Server && !w.Known.Before(r.Early) && w.Known.Before(out[i].Opened) {
				out[i].Opened = w.Known
			}
		}
	}
	return out
}
