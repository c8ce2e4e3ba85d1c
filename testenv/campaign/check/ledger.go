package check

import (
	"slices"
	"time"
)

// Outcome is what a client knows of something it asked for.
type Outcome string

// The outcomes.
const (
	// Acked: the server said that it is committed.
	Acked Outcome = "acked"
	// Failed: it is certain that it was not done.
	Failed Outcome = "failed"
	// Unknown: the answer was lost; it may have been done or not.
	Unknown Outcome = "unknown"
)

// Write is one insert, or one deletion, of a row with an ID of its own.
type Write struct {
	ID     string `json:"id"`
	Client string `json:"client"`
	// Server is the name of the server that it was sent to.
	Server string `json:"server"`
	// Epoch and Version are those of the config that the client used, 0 when it follows none.
	Epoch   uint64    `json:"epoch,omitempty"`
	Version uint64    `json:"version,omitempty"`
	Sent    time.Time `json:"sent"`
	// Known is when the outcome was.
	Known   time.Time `json:"known"`
	Outcome Outcome   `json:"outcome"`
	Error   string    `json:"error,omitempty"`
}

// Row is one row of the final master.
type Row struct {
	ID string `json:"id"`
	// Server is the name of the server where it was committed first, as that server stamped it.
	Server string `json:"server"`
}

// Ledger is what became of the writes. The lists have the rows' IDs, sorted.
type Ledger struct {
	Acked   int `json:"acked"`
	Failed  int `json:"failed"`
	Unknown int `json:"unknown"`
	// Lost are acknowledged rows that are not there, though nobody asked for their deletion.
	Lost []string `json:"lost,omitempty"`
	// Phantom are rows that certainly failed, or that nobody wrote, and are there.
	Phantom []string `json:"phantom,omitempty"`
	// Duplicated are rows that are there more than once.
	Duplicated []string `json:"duplicated,omitempty"`
	// Resurrected are rows whose deletion was acknowledged and that are there.
	Resurrected []string `json:"resurrected,omitempty"`
}

// Broken says whether anything is wrong.
func (l Ledger) Broken() bool {
	return len(l.Lost)+len(l.Phantom)+len(l.Duplicated)+len(l.Resurrected) > 0
}

// JudgeLedger holds inserts and deletions against the rows that are there. Each ID is inserted once and deleted at
// most once, after its insert was acknowledged.
func JudgeLedger(inserts, deletions []Write, rows []Row) Ledger {
	there, deleted, written := map[string]int{}, map[string]Outcome{}, map[string]bool{}
	for _, r := range rows {
		there[r.ID]++
	}
	for _, d := range deletions {
		deleted[d.ID] = d.Outcome
	}
	var l Ledger
	for _, w := range inserts {
		written[w.ID] = true
		n, deletion := there[w.ID], deleted[w.ID]
		switch w.Outcome {
		case Acked:
			l.Acked++
		case Failed:
			l.Failed++
		default:
			l.Unknown++
		}
		switch {
		case n > 1:
			l.Duplicated = append(l.Duplicated, w.ID)
		case n == 1 && deletion == Acked:
			l.Resurrected = append(l.Resurrected, w.ID)
		case n == 1 && w.Outcome == Failed:
			l.Phantom = append(l.Phantom, w.ID)
		case n == 0 && w.Outcome == Acked && (deletion == "" || deletion == Failed):
			l.Lost = append(l.Lost, w.ID)
		}
	}
	for id := range there {
		if !written[id] {
			l.Phantom = append(l.Phantom, id)
		}
	}
	for _, list := range [][]string{l.Lost, l.Phantom, l.Duplicated, l.Resurrected} {
		slices.Sort(list)
	}
	return l
}
