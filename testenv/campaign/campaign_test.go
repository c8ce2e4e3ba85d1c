package campaign

import (
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/failoverd/failoverd/internal/api"
	"github.com/failoverd/failoverd/internal/journal"
	"github.com/failoverd/failoverd/internal/promote"
	"github.com/failoverd/failoverd/internal/topology"
	"github.com/failoverd/failoverd/testenv/campaign/check"
)

var (
	runs   = flag.Int("faults.runs", 2, "how many real faults TestFaults runs")
	seed   = flag.Uint64("faults.seed", 1, "seed of TestFaults")
	binary = flag.String("faults.binary", "", "the failoverd program that TestFaults runs; it is built when empty")
)

// What the command does, in a few quick runs.
func TestFaults(t *testing.T) {
	if testing.Short() {
		t.Skip("needs real MySQL servers")
	}
	program := *binary
	if program == "" {
		program = filepath.Join(t.TempDir(), "failoverd")
		built, err := exec.Command("go", "build", "-o", program, "github.com/failoverd/failoverd/cmd/failoverd").CombinedOutput()
		require.NoError(t, err, "%s", built)
	}
	o := Options{Binary: program, Seed: *seed, Runs: *runs, Quick: *runs < 10, Dir: t.TempDir(), Say: func(text string) { t.Log(text) }}
	records, err := Run(t.Context(), o)
	require.NoError(t, err)
	require.Len(t, records, *runs)
	for _, r := range records {
		assert.Empty(t, r.Broken, "seed %d, run %d, %s, %s", r.Seed, r.Run, r.Fault, r.Workload)
		assert.NotZero(t, r.Acked)
		assert.FileExists(t, filepath.Join(o.Dir, r.Logs, "w1.log"))
	}
	t.Log("\n" + Table(records))

	again, err := Run(t.Context(), Options{Binary: "/nowhere", Seed: *seed, Runs: *runs, Quick: o.Quick, Dir: o.Dir, Say: func(string) { t.Error("a run was done again") }})
	require.NoError(t, err)
	assert.Len(t, again, *runs)
}

func TestFaultsAreNamedOnceAndComplete(t *testing.T) {
	seen := map[string]bool{}
	for _, f := range Faults() {
		assert.False(t, seen[f.Name], f.Name)
		seen[f.Name] = true
		assert.NotEmpty(t, f.What, f.Name)
		assert.NotNil(t, f.Begin, f.Name)
		assert.False(t, f.Awaits && f.Promotions.Min == 0, "%s awaits a promotion that need not come", f.Name)
		assert.LessOrEqual(t, f.Hold+f.LongHold+f.Patience, runAtMost-2*time.Minute, f.Name)
	}
	assert.LessOrEqual(t, len(seen), 60, "60 runs are to cover every fault")
}

func TestDrawsCoverEveryFaultAndRepeat(t *testing.T) {
	faults := Faults()
	drawn := Drawn(7, 2*len(faults)+3, faults)
	require.Len(t, drawn, 2*len(faults)+3)
	times := map[string]int{}
	for i, d := range drawn {
		times[d.Fault.Name]++
		assert.Equal(t, i+1, d.Run)
		assert.Contains(t, d.Fault.workloads(), d.Workload)
	}
	for name, n := range times {
		assert.GreaterOrEqual(t, n, 2, name)
	}
	order := func(drawn []Draw) (out []string) {
		for _, d := range drawn {
			out = append(out, d.Fault.Name+" "+string(d.Workload))
		}
		return out
	}
	assert.Equal(t, order(drawn), order(Drawn(7, len(drawn), faults)))
	assert.Equal(t, order(drawn)[:5], order(Drawn(7, 5, faults)), "more runs begin with the same")
	assert.NotEqual(t, order(drawn), order(Drawn(8, len(drawn), faults)))
	assert.Empty(t, Drawn(7, 5, nil))
}

func TestRecordsOfASeedAreReadBack(t *testing.T) {
	path := filepath.Join(t.TempDir(), "runs.jsonl")
	none, err := ReadRecords(path, 1)
	require.NoError(t, err)
	assert.Empty(t, none)
	ms := int64(812)
	mine := Record{Run: 3, Seed: 1, Fault: "kill-master", OutageMs: &ms, Ledger: check.Ledger{Acked: 9, Lost: []string{"a"}}, Broken: []string{"b"}}
	for _, r := range []Record{mine, {Run: 3, Seed: 2}} {
		require.NoError(t, appendRecord(path, r))
	}
	file, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	require.NoError(t, err)
	_, err = file.WriteString(`{"run": 4, "se`) // the program was killed
	require.NoError(t, err)
	require.NoError(t, file.Close())
	got, err := ReadRecords(path, 1)
	require.NoError(t, err)
	assert.Equal(t, []Record{mine}, got)
}

func TestTableGroupsByFault(t *testing.T) {
	fast, slow := int64(800), int64(1200)
	table := Table([]Record{
		{Fault: "kill-master", Expected: one, Promotions: 1, OutageMs: &slow, Ledger: check.Ledger{Acked: 10}},
		{Fault: "kill-master", Expected: one, Promotions: 2, OutageMs: &fast, Ledger: check.Ledger{Acked: 5, Lost: []string{"x"}}, Broken: []string{"lost"}},
		{Fault: "kill-dump", Expected: none, EpochRegressions: []string{"y"}, DualAckers: []string{"z"}},
	})
	lines := strings.Split(strings.TrimSpace(table), "\n")
	require.Len(t, lines, 5)
	assert.Equal(t, "| kill-dump | 1 | 0 | 1 of 1 | – | – | 0 | 0 | 0 | 1 | 1 | 0 |", lines[2])
	assert.Equal(t, "| kill-master | 2 | 3 | 1 of 2 | 800 ms | 1200 ms | 15 | 1 | 0 | 0 | 0 | 1 |", lines[3])
	assert.True(t, strings.HasPrefix(lines[4], "| **all** | 3 | 3 | 2 of 3 |"), lines[4])
}

func TestReignsComeFromTheJournal(t *testing.T) {
	ended := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	note := func(goal promote.Goal, server string, ms int64) promote.Note {
		return promote.Note{Step: promote.Step{Goal: goal, Server: server}.String(), Ms: ms}
	}
	history := []journal.Entry{
		{What: "reform", Outcome: api.OutcomeDone, At: ended},
		{What: "switchover", Outcome: "taken back: closed", At: ended, From: "db1", To: "db2", Ms: 500, Phases: []promote.Note{note(promote.Closed, "db1", 100), note(promote.Writable, "db1", 5)}},
		{What: "failover", Outcome: api.OutcomeDone, At: ended, Epoch: 2, From: "db1", To: "db2", Ms: 1000,
			Phases: []promote.Note{note(promote.Drained, "db2", 300), note(promote.Writable, "db2", 50), note(promote.Published, "", 20)}},
	}
	assert.Equal(t, []check.Reign{{Server: "db1"},
		{Epoch: 2, Server: "db2", Early: ended.Add(-700 * time.Millisecond), Opened: ended.Add(-20 * time.Millisecond)}}, reigns("db1", history))
}

func TestPromotionsAreCounted(t *testing.T) {
	entry := func(what promote.Kind, outcome, to string, opened ...string) journal.Entry {
		e := journal.Entry{What: string(what), Outcome: outcome, To: to}
		for _, server := range opened {
			e.Phases = append(e.Phases, promote.Note{Step: promote.Step{Goal: promote.Writable, Server: server}.String()})
		}
		return e
	}
	handover, overtaken := entry(promote.Switchover, api.OutcomeDone, "db2", "db2"), entry(promote.Switchover, "overtaken: db2 was opened and is dead now", "db2", "db2")
	away, failover := entry(promote.Switchover, api.OutcomeDone, "db3", "db3"), entry(promote.Failover, api.OutcomeDone, "db3", "db3")
	back := entry(promote.Switchover, "taken back: slow", "db2", "db1")
	for name, tt := range map[string]struct {
		fault      string
		history    []journal.Entry
		promotions int
		broken     int
	}{
		"a harmless fault":                        {"partition-candidate", nil, 0, 0},
		"and a switchover":                        {"partition-candidate", []journal.Entry{handover}, 1, 0},
		"whose new master is struck":              {"partition-candidate", []journal.Entry{handover, failover}, 2, 0},
		"before it was finished":                  {"partition-candidate", []journal.Entry{overtaken, failover}, 2, 0},
		"but one failover is enough":              {"partition-candidate", []journal.Entry{handover, failover, failover}, 3, 1},
		"a switchover that was taken back":        {"partition-candidate", []journal.Entry{back}, 0, 0},
		"hands nothing over":                      {"partition-candidate", []journal.Entry{back, failover}, 1, 1},
		"nor does one to another":                 {"partition-candidate", []journal.Entry{away, failover}, 2, 2},
		"what no master is failed over from":      {"disk-slow-candidate", []journal.Entry{handover, failover}, 2, 2},
		"a failover for the one that handed over": {"kill-master", []journal.Entry{handover, failover}, 2, 0},
	} {
		t.Run(name, func(t *testing.T) {
			i := slices.IndexFunc(Faults(), func(f Fault) bool { return f.Name == tt.fault })
			require.GreaterOrEqual(t, i, 0)
			r := &run{Draw: Draw{Fault: Faults()[i], Workload: Switching}, scene: &Scene{seats: map[topology.Seat]string{topology.Master: "db1", topology.Candidate: "db2"}}}
			r.record.Expected = r.Fault.expected(r.Workload)
			r.countPromotions(tt.history)
			assert.Equal(t, tt.promotions, r.record.Promotions)
			assert.Len(t, r.record.Broken, tt.broken, "%v", r.record.Broken)
		})
	}
}

func TestWhatCountsAsRest(t *testing.T) {
	healthy := func() api.Product {
		return api.Product{Protected: true, Verdict: topology.Verdict{Rule: "healthy"}, Servers: []api.Server{{Server: topology.Server{Name: "db1", Standing: topology.In}}}}
	}
	for name, tt := range map[string]struct {
		spoil func(*api.Product)
		want  string
	}{
		"health":               {func(*api.Product) {}, "healthy"},
		"an open plan":         {func(p *api.Product) { p.Open = &promote.Progress{} }, ""},
		"no protection":        {func(p *api.Product) { p.Protected = false }, ""},
		"another rule":         {func(p *api.Product) { p.Verdict.Rule = "server-missing" }, ""},
		"a server that is out": {func(p *api.Product) { p.Servers[0].Standing = topology.Out }, ""},
		"a quarantined server": {func(p *api.Product) { p.Servers[0].Standing, p.Servers[0].Why = topology.Quarantined, "errant" }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			p := healthy()
			tt.spoil(&p)
			got, err := settled(p)
			assert.Equal(t, tt.want, got)
			assert.Equal(t, tt.want == "", err != nil)
		})
	}
}
