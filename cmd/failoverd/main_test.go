package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/failoverd/failoverd/internal/api"
	"github.com/failoverd/failoverd/internal/api/apitest"
	"github.com/failoverd/failoverd/internal/journal"
	"github.com/failoverd/failoverd/internal/promote"
	"github.com/failoverd/failoverd/internal/snapshot"
	"github.com/failoverd/failoverd/internal/topology"
)

var update = flag.Bool("update", false, "write the golden files anew")

// shell runs command lines against a watcher in memory.
type shell struct {
	backend  *apitest.Backend
	env      map[string]string
	in       string
	terminal bool // standard input is one
	colour   bool // standard output is one
	ctx      context.Context
}

func newShell(t *testing.T) *shell {
	t.Helper()
	b := apitest.New()
	b.AddShop("shop")
	server := httptest.NewServer(api.NewHandler(b, api.Options{Now: b.Now}))
	t.Cleanup(server.Close)
	return &shell{backend: b, env: map[string]string{"FAILOVERD_ENDPOINTS": server.URL}, ctx: t.Context()}
}

func (s *shell) run(line string) (code int, out, errs string) {
	var stdout, stderr bytes.Buffer
	code = run(s.ctx, streams{in: strings.NewReader(s.in), out: &stdout, err: &stderr, env: func(name string) string { return s.env[name] },
		now: s.backend.Now, patience: time.Millisecond, inTerminal: s.terminal, outTerminal: s.colour}, strings.Fields(line))
	return code, stdout.String(), stderr.String()
}

// golden compares with a file of testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".txt")
	if *update {
		require.NoError(t, os.WriteFile(path, []byte(got), 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err, "write it with -update")
	assert.Equal(t, string(want), got)
}

func TestOutputs(t *testing.T) {
	for _, c := range []struct {
		name, line string
		prepare    func(*shell)
		code       int
	}{
		{name: "status", line: "status"},
		{name: "status-busy", line: "status", prepare: busy},
		{name: "status-no-products", line: "status", prepare: func(s *shell) {
			s.backend.Must(journal.Command{Inventory: &journal.Inventory{Remove: []string{"shop"}}})
		}},
		{name: "status-colour", line: "status", prepare: func(s *shell) { busy(s); s.colour = true }},
		{name: "status-json", line: "status shop -o json"},
		{name: "topology", line: "topology", prepare: busy},
		{name: "topology-ring", line: "topology", prepare: ring},
		{name: "explain-healthy", line: "explain shop"},
		{name: "explain-dead", line: "explain blog", prepare: busy},
		{name: "history", line: "history shop", prepare: func(s *shell) { s.backend.Runs = true; s.run("switchover shop --yes --reason kernel") }},
		{name: "switchover-dry-run", line: "switchover shop --dry-run"},
		{name: "switchover-dry-run-yaml", line: "switchover shop --dry-run -o yaml"},
		{name: "switchover", line: "switchover shop --yes", prepare: func(s *shell) { s.backend.Runs = true }},
		{name: "switchover-refused", line: "switchover shop --to db4 --yes", code: exitRefused},
		{name: "raise", line: "raise shop db3 --yes", prepare: func(s *shell) { s.backend.Runs = true }},
		{name: "status-lost", line: "status", prepare: bothLost},
		{name: "explain-lost", line: "explain shop", prepare: bothLost},
		{name: "failover-refused", line: "failover shop --yes --reason fire", prepare: bothLost, code: exitRefused},
		{name: "failover-dry-run", line: "failover shop --accept-data-loss --dry-run", prepare: bothLost},
		{name: "failover-harmless-dry-run", line: "failover shop --dry-run", prepare: func(s *shell) { s.backend.See("shop", apitest.LostViews("shop", "db1")...) }},
		{name: "failover", line: "failover shop --accept-data-loss --reason fire", prepare: func(s *shell) {
			bothLost(s)
			s.backend.Runs, s.terminal, s.in = true, true, "shop\n"
		}},
		{name: "failover-overrides", line: "failover shop --accept-data-loss --yes --reason fire", prepare: func(s *shell) { waits(s); s.backend.Runs = true }},
		{name: "history-failover", line: "history", prepare: func(s *shell) {
			waits(s)
			s.backend.Runs = true
			s.run("brake on --reason storm --for 1h")
			s.run("failover shop --accept-data-loss --yes --reason fire")
			s.run("pause shop --reason rest --for 30m")
		}},
		{name: "brake", line: "brake"},
		{name: "brake-on", line: "brake on --reason storm --for 1h"},
		{name: "brake-off", line: "brake off --reason storm"},
		{name: "status-braked", line: "status", prepare: func(s *shell) { s.run("brake on --reason storm --for 1h") }},
		{name: "maintenance", line: "maintenance shop db2 --reason disk --for 2h --yes", prepare: func(s *shell) { s.backend.Runs = true }},
		{name: "maintenance-refused", line: "maintenance shop db1 --reason disk --yes", code: exitRefused},
		{name: "maintenance-end", line: "maintenance shop db3 --end --yes", prepare: func(s *shell) { away(s); s.backend.Runs = true }},
		{name: "status-maintenance", line: "status", prepare: away},
		{name: "topology-maintenance", line: "topology", prepare: away},
		{name: "rebuild", line: "rebuild shop db3 --yes", prepare: func(s *shell) { foreign(s); s.backend.Runs = true }},
		{name: "rebuild-refused", line: "rebuild shop db2 --yes", code: exitRefused},
		{name: "status-quarantined", line: "status", prepare: foreign},
		{name: "rebuild-without-donor", line: "rebuild shop db3 --yes", code: exitRefused, prepare: func(s *shell) {
			withoutDonor(s)
		}},
		{name: "status-copies", line: "status", prepare: func(s *shell) { s.dump(); s.backend.AddShop("blog") }},
		{name: "status-copies-failing", line: "status", prepare: func(s *shell) {
			s.dump(func(r *snapshot.Report) {
				r.Failing, r.FailingMs, r.Newest.AgeMs = "no store takes it: s3: access denied", 2_400_000, 3_300_000
				r.Stores[0].Error = "access denied"
				r.Stores = append(r.Stores, snapshot.StoreReport{Name: "b2", AgeMs: 3_300_000, Behind: 3, ShippedMs: -1})
				r.Drill = &snapshot.DrillNote{AgeMs: 5_400_000, Why: "bytes 0 to 4096 of copies/shop/data/x/000001: content is not what was written"}
			})
		}},
		{name: "status-dump-away", line: "status", prepare: func(s *shell) { s.dump(); s.backend.Clock = s.backend.Clock.Add(2 * time.Hour) }},
		{name: "snapshot-now-refused", line: "snapshot now shop", code: exitRefused},
		{name: "history-copies", line: "history", prepare: func(s *shell) {
			for _, e := range []journal.Copies{
				{Product: "shop", Server: "db4", What: "snapshot", Outcome: "failed: no store takes it: s3: access denied", Why: "it is tried again"},
				{Product: "shop", Server: "db4", What: "drill", Outcome: "done", Why: "20261122T204500Z-e1-aabbcc was restored in 41.5s", Ms: 65_000},
			} {
				s.backend.Must(journal.Command{Actor: "dump-1", Copies: &e})
			}
		}},
		{name: "watchers", line: "watchers"},
		{name: "inventory", line: "inventory"},
		{name: "doctor", line: "doctor shop", prepare: sick, code: exitFailed},
		{name: "adopt", line: "adopt 10.0.0.1:3306 --product wiki", prepare: sick},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newShell(t)
			if c.prepare != nil {
				c.prepare(s)
			}
			code, out, errs := s.run(c.line)
			assert.Equal(t, c.code, code)
			if errs != "" {
				out += "--- standard error\n" + errs
			}
			golden(t, c.name, out)
			if strings.HasPrefix(c.name, "status") && !s.colour && !strings.Contains(c.line, "-o") {
				for line := range strings.Lines(out) {
					assert.LessOrEqual(t, utf8.RuneCountInString(strings.TrimSuffix(line, "\n")), pageWidth, line)
				}
			}
		})
	}
}

// dump lets the dump service beside db4 report.
func (s *shell) dump(changes ...func(*snapshot.Report)) {
	report := snapshot.Report{Instance: "one", Server: "db4", EveryMs: 900_000, Done: 1,
		Newest: &snapshot.Copy{ID: "20261122T204500Z-e1-aabbcc", AgeMs: 360_000, Rows: 4_211_000, Bytes: 5_300_000_000, StoredBytes: 1_210_000_000, TookMs: 42_000, StallMs: 21},
		Stores: []snapshot.StoreReport{{Name: "s3", Newest: "20261122T204500Z-e1-aabbcc", AgeMs: 360_000, ShippedMs: 3000}}}
	for _, change := range changes {
		change(&report)
	}
	client, err := api.NewClient([]string{s.env["FAILOVERD_ENDPOINTS"]}, nil)
	if err != nil {
		panic(err)
	}
	if _, err := client.ReportCopies(s.ctx, "shop", report); err != nil {
		panic(err)
	}
}

// busy adds products that are not well.
func busy(s *shell) {
	b := s.backend
	b.StoredAt, b.StoreErr = 41, fmt.Errorf("put config.json: 503 Slow Down")
	b.Must(journal.Command{Publish: &journal.Head{Version: 42}})
	b.AddShop("blog")
	b.Must(journal.Command{Actor: "alice", Mode: &journal.SetMode{Product: "blog", Mode: topology.Observe}})
	b.See("blog", apitest.DeadMasterViews("blog")...)
	b.AddShop("a-product-with-a-name-that-is-as-long-as-a-name-may-possibly-be")
	b.AddShop("paused")
	b.Must(journal.Command{Pause: &journal.SetPause{Product: "paused", Pause: &topology.Pause{Actor: "bob", Reason: "rack move", Until: b.Clock.Add(time.Hour)}}})
	s.run("switchover shop --yes --wait 0 --reason kernel")
	b.Step("shop", "", 4)
	b.Waiting = "db2 is 3 transactions behind"
}

// bothLost is a shop whose master and candidate died together, three transactions with them.
func bothLost(s *shell) {
	s.backend.See("shop", apitest.LostViews("shop", "db1", "db2")...)
	s.backend.Must(journal.Command{HighWater: &journal.HighWater{Product: "shop", Epoch: 1, Set: topology.MustGTIDSet("3e11fa47-71ca-11e1-9e33-c80aa9429561:1-1003")}})
}

// waits is a shop whose failover waits for the candidate, which died after it began.
func waits(s *shell) {
	b := s.backend
	b.See("shop", apitest.LostViews("shop", "db1")...)
	live, err := b.Live(s.ctx, "shop", false)
	if err != nil {
		panic(err)
	}
	b.Must(journal.Command{Actor: "failoverd", Accept: promote.For(live.Case, live.Verdict)})
	b.Step("shop", "", 1)
	bothLost(s)
	b.Waiting = "drained db2: connection refused"
	b.Must(journal.Command{Actor: "failoverd", Skipped: &journal.Skipped{Product: "shop", Action: topology.Failover, Rule: "master-dead-no-target",
		Why: "db1 is dead, but so is db2", Because: "acknowledged writes would be lost"}})
}

// away is a shop whose slave is in maintenance.
func away(s *shell) {
	s.backend.Runs = true
	s.run("maintenance shop db3 --reason disk --for 2h --yes")
	s.backend.Runs = false
}

// foreign is a shop whose slave is in quarantine for two errant transactions.
func foreign(s *shell) {
	views := apitest.HealthyViews("shop")
	for _, v := range views {
		s := v.Sightings["db3"]
		f := *s.Facts
		f.Executed, f.ReplicaSemiSync = f.Executed.Union(topology.MustGTIDSet("3e11fa47-71ca-11e1-9e33-c80aa9429563:1-2")), false
		s.Facts = &f
		v.Sightings["db3"] = s
	}
	s.backend.See("shop", views...)
	live, err := s.backend.Live(s.ctx, "shop", false)
	if err != nil {
		panic(err)
	}
	s.backend.Must(journal.Command{Actor: "failoverd", Accept: promote.For(live.Case, live.Verdict)})
	s.backend.Finish("shop")
}

// withoutDonor leaves db3 in quarantine, and nobody else alive.
func withoutDonor(s *shell) { foreign(s); withoutDonorSeen(s) }

func withoutDonorSeen(s *shell) {
	s.backend.See("shop", apitest.LostViews("shop", "db1", "db2", "db4")...)
}

// ring lets db2 and db3 replicate from each other.
func ring(s *shell) {
	views := apitest.HealthyViews("shop")
	for _, v := range views {
		v.Sightings["db2"].Facts.Link.SourceAddr = "10.0.0.3:3306"
		v.Sightings["db4"].Facts.Link.SourceAddr = "10.9.9.9:3306"
	}
	s.backend.See("shop", views...)
}

func sick(s *shell) {
	s.backend.Found = apitest.Shop("")
	s.backend.Findings = []api.Finding{
		{Server: "db1", Level: api.LevelError, Check: "gtid-mode", Text: "gtid_mode is OFF: transactions are told apart by their GTIDs", Fix: "SET PERSIST gtid_mode = ON"},
		{Server: "db2", Level: api.LevelWarn, Check: "binlog-expiry", Text: "binary logs expire after 1 h", Fix: "SET PERSIST binlog_expire_logs_seconds = 604800"},
		{Server: "db2", Level: api.LevelOK, Check: "version", Text: "8.4.6"},
	}
}

func TestExitCodes(t *testing.T) {
	for _, c := range []struct {
		name, line string
		prepare    func(*shell)
		code       int
		says       string
	}{
		{name: "done", line: "status", code: exitDone},
		{name: "help", line: "help", code: exitDone},
		{name: "unknown command", line: "fail-over", code: exitUsage, says: "hint:"},
		{name: "unknown flag", line: "status --force", code: exitUsage, says: "failoverd status --help"},
		{name: "missing argument", line: "explain", code: exitUsage, says: "usage: failoverd explain PRODUCT"},
		{name: "missing flag", line: "pause shop", code: exitUsage, says: "reason"},
		{name: "bad format", line: "status -o xml", code: exitUsage, says: "not table, json or yaml"},
		{name: "unknown product", line: "explain nope", code: exitUsage, says: "there is shop"},
		{name: "bad mode", line: "mode shop manual", code: exitUsage, says: "observe or auto"},
		{name: "no terminal to ask at", line: "switchover shop", code: exitUsage, says: "--yes"},
		{name: "failover without a reason", line: "failover shop --yes", code: exitUsage, says: "--reason is missing", prepare: bothLost},
		{name: "failover of what is well", line: "failover shop --yes --reason x", code: exitRefused, says: "failoverd switchover shop"},
		{name: "failover that must lose", line: "failover shop --yes --reason x", code: exitRefused, says: "hint: bring one of them back", prepare: bothLost},
		{name: "a y is not the product's name", line: "failover shop --accept-data-loss --reason x", code: exitRefused, says: "nothing was changed",
			prepare: func(s *shell) { bothLost(s); s.terminal, s.in = true, "y\n" }},
		{name: "the reason is asked for", line: "failover shop --accept-data-loss", code: exitDone, says: "Type shop to go ahead",
			prepare: func(s *shell) {
				bothLost(s)
				s.terminal, s.in, s.backend.Runs = true, "fire\nshop\n", true
			}},
		{name: "no reason, no failover", line: "failover shop --accept-data-loss", code: exitUsage, says: "--reason is missing",
			prepare: func(s *shell) { bothLost(s); s.terminal, s.in = true, "\nshop\n" }},
		{name: "nobody to promote", line: "failover shop --accept-data-loss --yes --reason x", code: exitRefused, says: "there is nobody to promote",
			prepare: func(s *shell) { s.backend.See("shop", apitest.LostViews("shop", "db1", "db2", "db3")...) }},
		{name: "history by a watcher alone", line: "history shop", code: exitDone, says: "w1 knows of no leader",
			prepare: func(s *shell) { s.backend.LeaderID, s.backend.LeaderAPI = "", "" }},
		{name: "brake without a reason", line: "brake on", code: exitUsage, says: "--reason is missing"},
		{name: "brake for a while and for ever", line: "brake watch --for 1h", code: exitUsage, says: "--for"},
		{name: "brake of no kind", line: "brake half", code: exitUsage, says: "invalid argument"},
		{name: "maintenance without a reason", line: "maintenance shop db3 --yes", code: exitUsage, says: "--reason is missing"},
		{name: "end of no maintenance", line: "maintenance shop db3 --end --yes", code: exitRefused, says: "not in maintenance"},
		{name: "rebuild from a copy while a server can be copied", line: "rebuild shop db3 --yes --snapshot newest", code: exitRefused, says: "db4 lives and can be copied", prepare: foreign},
		{name: "rebuild from a copy and from a server", line: "rebuild shop db3 --yes --snapshot newest --from db2", code: exitUsage, says: "from snapshot"},
		{name: "rebuild from a copy of what is in rotation", line: "rebuild shop db2 --yes --snapshot newest", code: exitRefused, says: "only what is quarantined"},
		{name: "rebuild from a copy asks", line: "rebuild shop db3 --snapshot newest", code: exitUsage, says: "no terminal to ask at", prepare: withoutDonor},
		{name: "rebuild from a copy where there is none", line: "rebuild shop db3 --yes --snapshot newest --store file://{dir}", code: exitUsage, says: "shop has none yet", prepare: withoutDonor},
		{name: "a dry rebuild from a copy", line: "rebuild shop db3 --dry-run --snapshot 2026 --store file://{dir}", code: exitUsage, says: `none of the name "2026"`, prepare: withoutDonor},
		{name: "a rebuild without a donor offers a copy", line: "rebuild shop db3 --store file://{dir}", code: exitRefused,
			says: "Fill db3 (10.0.0.3:3306), which must be empty, with the newest snapshot and the binary log after it?", prepare: func(s *shell) { withoutDonor(s); s.terminal, s.in = true, "n\n" }},
		{name: "and takes it", line: "rebuild shop db3 --store file://{dir}", code: exitUsage, says: "shop has none yet", prepare: func(s *shell) { withoutDonor(s); s.terminal, s.in = true, "y\n" }},
		{name: "a rebuild without a donor of what may come back any time", line: "rebuild shop db3 --yes --snapshot newest", code: exitRefused, says: "first \"failoverd maintenance shop db3",
			prepare: func(s *shell) {
				away(s)
				s.run("maintenance shop db3 --end --yes --wait 0")
				s.backend.Finish("shop")
				withoutDonorSeen(s)
			}},
		{name: "rebuild that gave way", line: "rebuild shop db3 --yes --wait 10s", code: exitUnknown, says: "the copy goes on at the server",
			prepare: func(s *shell) {
				foreign(s)
				go func() {
					for changed := s.backend.Changed(); s.ctx.Err() == nil; changed = s.backend.Changed() {
						if open := s.backend.State().Products["shop"].Open; open != nil {
							s.backend.Must(journal.Command{Abort: &journal.End{Product: "shop", Plan: open.Plan.ID, Why: promote.GivesWay + "a replica is astray"}})
							return
						}
						<-changed
					}
				}()
			}},
		{name: "half a certificate", line: "status --ca ca.crt", code: exitUsage, says: "go together"},
		{name: "refused", line: "switchover shop --to db3 --yes", code: exitRefused, says: "failoverd raise shop db3"},
		{name: "no at the prompt", line: "switchover shop", code: exitRefused, says: "nothing was changed",
			prepare: func(s *shell) { s.terminal, s.in = true, "n\n" }},
		{name: "yes at the prompt", line: "switchover shop", code: exitDone,
			prepare: func(s *shell) { s.terminal, s.in, s.backend.Runs = true, "yes\n", true }},
		{name: "end of input at the prompt", line: "remove w3", code: exitRefused, prepare: func(s *shell) { s.terminal = true }},
		{name: "somebody was faster", line: "switchover shop --yes", code: exitRefused, says: "plan 1 (switchover db1 → db2) is open",
			prepare: func(s *shell) { s.run("switchover shop --yes --wait 0") }},
		{name: "outcome unknown", line: "switchover shop --yes", code: exitUnknown, says: "failoverd history",
			prepare: func(s *shell) { s.backend.ProposeError = api.ErrUnknownOutcome }},
		{name: "not finished in time", line: "switchover shop --yes --wait 10ms", code: exitUnknown, says: "failoverd wait 1"},
		{name: "wait in vain", line: "wait 1 --wait 10ms", code: exitUnknown, says: "failoverd wait 1",
			prepare: func(s *shell) { s.run("switchover shop --yes --wait 0") }},
		{name: "taken back", line: "wait 1", code: exitRefused, says: "taken back: db2 went away", prepare: func(s *shell) {
			s.run("switchover shop --yes --wait 0")
			s.backend.Must(journal.Command{Abort: &journal.End{Product: "shop", Plan: 1, Why: "db2 went away"}})
			s.backend.Finish("shop")
		}},
		{name: "not a plan", line: "wait 1x", code: exitUsage},
		{name: "no such plan", line: "wait 7", code: exitUsage, says: "there is no plan 7"},
		{name: "no quorum", line: "mode shop observe", code: exitNoQuorum, says: "majority",
			prepare: func(s *shell) { s.backend.ProposeError = api.ErrNoQuorum }},
		{name: "a sick server", line: "doctor", code: exitFailed, prepare: sick},
		{name: "apply without a file", line: "apply -f nowhere.yaml", code: exitUsage, says: "nowhere.yaml"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newShell(t)
			if c.prepare != nil {
				c.prepare(s)
			}
			code, _, errs := s.run(strings.ReplaceAll(c.line, "{dir}", t.TempDir()))
			assert.Equal(t, c.code, code, errs)
			assert.Contains(t, errs, c.says)
		})
	}
}

func TestACopyUnderWayIsNoWaiting(t *testing.T) {
	step := fmt.Errorf("cloned db1 with db4: %w", fmt.Errorf("db1 copies from 10.0.0.4:3306, FILE COPY 34%%: %w", promote.ErrUnderway))
	assert.Equal(t, "cloned db1 with db4: db1 copies from 10.0.0.4:3306, FILE COPY 34%", waitingText(step.Error()))
	assert.Equal(t, "waiting: drained db2: connection refused", waitingText("drained db2: connection refused"))
}

// What is asked must be seen, on the terminal too when the output is for a program.
func TestTheLossIsShownBeforeTheQuestionWhateverTheFormat(t *testing.T) {
	s := newShell(t)
	bothLost(s)
	s.terminal, s.in, s.backend.Runs = true, "shop\n", true
	code, out, errs := s.run("failover shop --accept-data-loss --reason fire -o json")
	require.Equal(t, exitDone, code, errs)
	assert.Less(t, strings.Index(errs, "at least 3 transactions"), strings.Index(errs, "Type shop to go ahead"))
	assert.Contains(t, errs, "at least 3 transactions")
	var state api.PlanState
	require.NoError(t, json.Unmarshal([]byte(out), &state))
	require.NotNil(t, state.Outcome.Loss)
	assert.EqualValues(t, 3, state.Outcome.Loss.Known.Count())
}

func TestNoWatcherAnswers(t *testing.T) {
	s := newShell(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, l.Close())
	s.env["FAILOVERD_ENDPOINTS"] = l.Addr().String()
	code, _, errs := s.run("status")
	assert.Equal(t, exitFailed, code)
	assert.Contains(t, errs, l.Addr().String())
	assert.Contains(t, errs, "hint: the watchers' addresses come from")
}

func TestAnInterruptedLookSaysSo(t *testing.T) {
	s := newShell(t)
	ctx, interrupt := context.WithCancel(t.Context())
	interrupt()
	s.ctx = ctx
	code, _, errs := s.run("status")
	assert.Equal(t, exitFailed, code)
	assert.Equal(t, "failoverd: interrupted\n", errs)
}

func TestAnInterruptLeavesThePlanRunningAndSaysHowToFollowIt(t *testing.T) {
	s := newShell(t)
	ctx, interrupt := context.WithCancel(t.Context())
	s.ctx = ctx
	go func() {
		for {
			changed := s.backend.Changed()
			if s.backend.State().Products["shop"].Open != nil {
				interrupt()
				return
			}
			<-changed
		}
	}()
	code, _, errs := s.run("switchover shop --yes")
	assert.Equal(t, exitUnknown, code, errs)
	// The interrupt may come before the answer with the plan's number did.
	assert.Regexp(t, "failoverd (wait 1|status)", errs)
	assert.NotNil(t, s.backend.State().Products["shop"].Open)
}

func TestGrantsHavePlaceholdersForPasswords(t *testing.T) {
	s := newShell(t)
	code, out, _ := s.run("grants --probe-user eyes")
	assert.Equal(t, exitDone, code)
	assert.Contains(t, out, "CREATE USER IF NOT EXISTS 'eyes'@'%' IDENTIFIED BY '<password of eyes>';\n")
	for line := range strings.Lines(out) {
		assert.True(t, strings.HasSuffix(line, ";\n"), line)
	}
	assert.NotContains(t, out, "dump")
	_, out, _ = s.run("grants --dump --dump-user copier")
	assert.Contains(t, out, "CREATE USER IF NOT EXISTS 'copier'@'%' IDENTIFIED BY '<password of copier>';\n")
	assert.Contains(t, out, "BACKUP_ADMIN, REPLICATION_SLAVE_ADMIN, XA_RECOVER_ADMIN")
}

func TestApply(t *testing.T) {
	s := newShell(t)
	path := filepath.Join(t.TempDir(), "products.yaml")
	write := func(text string) { require.NoError(t, os.WriteFile(path, []byte(text), 0o644)) }
	_, present, _ := s.run("inventory")
	write(present)
	code, out, _ := s.run("apply --detailed-exitcode -f " + path)
	assert.Equal(t, exitDone, code)
	assert.Equal(t, "nothing changes\n", out)

	write(strings.Replace(present, "10.0.0.4", "10.0.9.4", 1))
	code, out, _ = s.run("apply --detailed-exitcode --dry-run -f " + path)
	assert.Equal(t, exitUsage, code, "2 says that something would change")
	assert.Contains(t, out, "-       - {name: db4, host: 10.0.0.4,")
	assert.Contains(t, out, "+       - {name: db4, host: 10.0.9.4,")
	code, _, errs := s.run("apply -f " + path)
	assert.Equal(t, exitUsage, code)
	assert.Contains(t, errs, "--yes")
	code, out, _ = s.run("apply --yes -f " + path)
	assert.Equal(t, exitDone, code)
	assert.Contains(t, out, "applied")
	dump, _ := s.backend.State().Products["shop"].Chain.At(topology.Dump)
	assert.Equal(t, "10.0.9.4", dump.Host)

	s.in = "products: {}\n"
	code, out, _ = s.run("apply --yes --prune -f -")
	assert.Equal(t, exitDone, code, out)
	assert.Empty(t, s.backend.State().Products)

	write("products:\n  shop:\n    servres: []\n")
	code, _, errs = s.run("apply --yes -f " + path)
	assert.Equal(t, exitUsage, code)
	assert.Contains(t, errs, path+":3: unknown field \"servres\"")
}

func TestPauseResumeAndModeReachTheJournal(t *testing.T) {
	s := newShell(t)
	s.env["USER"] = "carol"
	code, _, errs := s.run("pause shop --reason move --for 2h")
	require.Equal(t, exitDone, code, errs)
	pause := s.backend.State().Products["shop"].Chain.Pause
	require.NotNil(t, pause)
	assert.Contains(t, pause.Actor, "carol@")
	assert.Equal(t, s.backend.Clock.Add(2*time.Hour), pause.Until)
	s.run("resume shop")
	s.run("mode shop observe")
	chain := s.backend.State().Products["shop"].Chain
	assert.Nil(t, chain.Pause)
	assert.Equal(t, topology.Observe, chain.Mode)
}

func TestJSONAndYAMLSayTheSame(t *testing.T) {
	s := newShell(t)
	_, asText, _ := s.run("status -o json")
	var status api.Status
	require.NoError(t, json.Unmarshal([]byte(asText), &status))
	assert.Equal(t, "shop", status.Products[0].Name)
	_, asText, _ = s.run("status -o yaml")
	assert.Contains(t, asText, "lagTransactions: 7\n")
}

func TestColourIsForTerminalsThatWantIt(t *testing.T) {
	for _, c := range []struct {
		terminal bool
		env      map[string]string
		want     bool
	}{{true, nil, true}, {false, nil, false}, {true, map[string]string{"NO_COLOR": "1"}, false}, {true, map[string]string{"TERM": "dumb"}, false}} {
		s := newShell(t)
		s.colour = c.terminal
		for name, value := range c.env {
			s.env[name] = value
		}
		_, out, _ := s.run("status")
		assert.Equal(t, c.want, strings.Contains(out, "\x1b["), "%+v", c)
	}
}

func TestKeysAndCertificates(t *testing.T) {
	s := newShell(t)
	dir := t.TempDir()
	for _, step := range []struct {
		line string
		code int
	}{
		{"key generate --dir " + dir, exitDone},
		{"key generate --dir " + dir, exitRefused},
		{"tls ca --dir " + dir, exitDone},
		{"tls ca --dir " + dir, exitRefused},
		{"tls cert --dir " + dir + " --role operator --name alice", exitDone},
		{"tls cert --dir " + dir + " --role operator --name alice", exitRefused},
		{"tls cert --dir " + dir + " --role operator --name alice --replace", exitDone},
		{"tls cert --dir " + dir + " --role king --name alice", exitUsage},
		{"tls cert --dir " + dir + " --role watcher --name w1", exitUsage},
		{"tls cert --dir " + dir + " --role operator --name ../alice", exitUsage},
		{"tls show " + dir + "/alice.crt " + dir + "/ca.crt", exitDone},
		{"man " + dir + "/man", exitDone},
		{"version -o json", exitDone},
		{"completion bash", exitDone},
	} {
		code, _, errs := s.run(step.line)
		assert.Equal(t, step.code, code, "%s: %s", step.line, errs)
	}
	info, err := os.Stat(filepath.Join(dir, "publish.key"))
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	assert.FileExists(t, filepath.Join(dir, "man", "failoverd-switchover.1"))
}

// orders reports for the dump service and returns what the leader answers.
func (s *shell) orders(report snapshot.Report) snapshot.Orders {
	client, err := api.NewClient([]string{s.env["FAILOVERD_ENDPOINTS"]}, nil)
	if err != nil {
		panic(err)
	}
	orders, err := client.ReportCopies(s.ctx, "shop", report)
	if err != nil {
		panic(err)
	}
	return orders
}
