package campaign

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/failoverd/failoverd/testenv/campaign/check"
)

// Record is what came of one run: a line of runs.jsonl.
type Record struct {
	Run      int       `json:"run"`
	Seed     uint64    `json:"seed"` // the campaign's
	Fault    string    `json:"fault"`
	Workload Workload  `json:"workload"`
	At       time.Time `json:"at"`
	TookMs   int64     `json:"tookMs"`
	// Expected is how many promotions there might be; Promotions how many there were, Failovers those among them
	// that nobody asked for.
	Expected   Promotions `json:"expected"`
	Promotions int        `json:"promotions"`
	Failovers  int        `json:"failovers"`
	// OutageMs is the longest that a web server went without an acknowledged write, nil when none wrote.
	OutageMs *int64 `json:"outageMs"`
	check.Ledger
	DualAckers       []string        `json:"dualAckers,omitempty"`
	EpochRegressions []string        `json:"epochRegressions,omitempty"`
	Registers        check.Registers `json:"registers"`
	Bank             check.Bank      `json:"bank"`
	Transfers        int             `json:"transfers"`
	// Afterwards is what became of the chain once all was mended, HealthyMs how long that took.
	Afterwards string `json:"afterwards"`
	HealthyMs  int64  `json:"healthyMs"`
	// Broken are the promises that were not kept, empty for a run as it should be.
	Broken []string `json:"broken"`
	// Notes are remarks of the fault.
	Notes []string `json:"notes,omitempty"`
	// Logs is the directory with what was kept of the run, below that of the campaign.
	Logs string `json:"logs"`
}

// summarize says in a line what came of the run.
func (r Record) summarize() string {
	outage := "no writes"
	if r.OutageMs != nil {
		outage = fmt.Sprintf("outage %d ms", *r.OutageMs)
	}
	text := fmt.Sprintf("%d promotions of %s, %s, %d acknowledged, %d lost; %s after %.1f s; took %.0f s", r.Promotions, r.Expected, outage,
		r.Acked, len(r.Lost), r.Afterwards, float64(r.HealthyMs)/1000, float64(r.TookMs)/1000)
	for _, broken := range r.Broken {
		text += "\n    BROKEN: " + broken
	}
	return text
}

// ReadRecords reads the runs of a seed that a file holds. A line that was cut short ends it.
func ReadRecords(path string, seed uint64) ([]Record, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var out []Record
	lines := bufio.NewScanner(bytes.NewReader(data))
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		var r Record
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			break
		}
		if r.Seed == seed {
			out = append(out, r)
		}
	}
	return out, lines.Err()
}

// appendRecord adds a line in one write.
func appendRecord(path string, r Record) error {
	line, err := json.Marshal(r)
	if err != nil {
		return err
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = file.Write(append(line, '\n'))
	return errors.Join(err, file.Close())
}
