package stage

import (
	"bufio"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/failoverd/failoverd/testenv"
)

// Outcome is what a client knows of one of its writes.
type Outcome string

// The outcomes of a write.
const (
	// Acked: the server said that it is committed.
	Acked Outcome = "acked"
	// Failed: the server said that it is not.
	Failed Outcome = "failed"
	// Unknown: the answer was lost; it may be there or not.
	Unknown Outcome = "unknown"
)

// Write is one line of a ledger file.
type Write struct {
	ID      string  `json:"id"`
	Outcome Outcome `json:"o"`
	// Micros is when the outcome was known, in microseconds of Unix time.
	Micros int64 `json:"t"`
	// Took is how long the write took, in microseconds.
	Took int64 `json:"d"`
	// Epoch is the epoch in the config that the writer used.
	Epoch uint64 `json:"e"`
	Error string `json:"err,omitempty"`
}

// Ledger is every write of one web server, in the order in which their outcomes were known.
type Ledger []Write

// ReadLedger reads what a web server noted so far. A line that is being written is left out.
func ReadLedger(path string) (Ledger, error) {
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var out Ledger
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		var w Write
		if err := json.Unmarshal(lines.Bytes(), &w); err != nil {
			break
		}
		out = append(out, w)
	}
	return out, lines.Err()
}

// Acked is the number of acknowledged writes.
func (l Ledger) Acked() int {
	n := 0
	for _, w := range l {
		if w.Outcome == Acked {
			n++
		}
	}
	return n
}

// Outage is the longest time without an acknowledged write after the event: the
// time from the last acknowledgement before a gap to the first after it.
func (l Ledger) Outage(event time.Time) time.Duration {
	longest, last := time.Duration(0), int64(0)
	for _, w := range l {
		if w.Outcome != Acked {
			continue
		}
		if w.Micros >= event.UnixMicro() && last > 0 {
			longest = max(longest, time.Duration(w.Micros-last)*time.Microsecond)
		}
		last = w.Micros
	}
	return longest
}

// Judgement is what the final master says of all ledgers.
type Judgement struct {
	Acked   int `json:"acked"`
	Failed  int `json:"failed"`
	Unknown int `json:"unknown"`
	// Lost are acknowledged writes that are not there.
	Lost []string `json:"lost,omitempty"`
	// Phantom are writes that certainly failed and are there.
	Phantom []string `json:"phantom,omitempty"`
}

// Judge compares the ledgers with the rows of a server.
func Judge(ctx context.Context, server *testenv.Server, ledgers ...Ledger) (Judgement, error) {
	there, err := rows(ctx, server.DB())
	if err != nil {
		return Judgement{}, fmt.Errorf("ledger of %s: %w", server.Name, err)
	}
	var j Judgement
	for _, ledger := range ledgers {
		for _, w := range ledger {
			switch {
			case w.Outcome == Acked:
				j.Acked++
				if !there[w.ID] {
					j.Lost = append(j.Lost, w.ID)
				}
			case w.Outcome == Failed:
				j.Failed++
				if there[w.ID] {
					j.Phantom = append(j.Phantom, w.ID)
				}
			default:
				j.Unknown++
			}
		}
	}
	return j, nil
}

func rows(ctx context.Context, db *sql.DB) (map[string]bool, error) {
	result, err := db.QueryContext(ctx, "SELECT id FROM shop.ledger")
	if err != nil {
		return nil, err
	}
	defer result.Close()
	out := map[string]bool{}
	for result.Next() {
		var id string
		if err := result.Scan(&id); err != nil {
			return nil, err
		}
		out[id] = true
	}
	return out, result.Err()
}
