package main

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/failoverd/failoverd/internal/api"
	"github.com/failoverd/failoverd/internal/journal"
	"github.com/failoverd/failoverd/internal/promote"
	"github.com/failoverd/failoverd/internal/snapshot"
	"github.com/failoverd/failoverd/internal/topology"
	"github.com/failoverd/failoverd/testenv"
	"github.com/failoverd/failoverd/testenv/stage"
)

var screenTime = time.Date(2026, 11, 22, 22, 14, 3, 0, time.UTC)

func lag(n int64) *int64 { return &n }

func shownServer(name, zone string, seat topology.Seat, source string, behind int64) api.Server {
	s := api.Server{Server: topology.Server{Name: name, Host: "127.179.212." + name[2:], Port: 3306, Zone: zone, Seat: seat, Standing: topology.In},
		Up: true, Source: source, Facts: &api.Facts{ReadOnly: seat != topology.Master}}
	if source != "" {
		s.Lag = lag(behind)
		s.Facts.Link = &api.Link{SourceAddr: "127.179.212." + source[2:] + ":3306", IO: topology.On, SQL: topology.On}
	}
	return s
}

func healthyFrame() frame {
	curve := make([]int, curveSlots)
	for i := range curve {
		curve[i] = 42 + i%9
	}
	f := frame{now: screenTime, started: screenTime.Add(-83 * time.Second), statusAt: screenTime,
		servers: map[string]condition{}, watchers: map[string]condition{},
		product: api.Product{Name: "shop", Mode: topology.Auto, Epoch: 1, Protected: true,
			Verdict: topology.Verdict{Rule: "healthy", Action: topology.None, Why: "all servers answer and replicate as they should"},
			Servers: []api.Server{
				shownServer("db1", "a", topology.Master, "", 0), shownServer("db2", "b", topology.Candidate, "db1", 0),
				shownServer("db3", "c", topology.Slave, "db2", 12), shownServer("db4", "a", topology.Dump, "db1", 0)}},
		status: api.Status{Watcher: "w2", Leads: true, Leader: api.Leader{ID: "w2"}, Head: api.Head{Version: 4, StoredVersion: 4},
			Watchers: []api.Watcher{{ID: "w1", LastContactMs: 120}, {ID: "w2", Leader: true, LastContactMs: -1}, {ID: "w3", LastContactMs: 95}}},
		note: event{style: dim, text: "Everything here is real. Break something."},
	}
	f.product.Servers[1].Acker = true
	for _, name := range []string{"web1", "web2"} {
		f.webs = append(f.webs, webFrame{name: name, writes: "db1", epoch: 1, acked: 8000, rate: 98, curve: append([]int(nil), curve...)})
	}
	return f
}

// brokenFrame is in the middle of a failover, with all that can be wrong.
func brokenFrame() frame {
	f := healthyFrame()
	f.servers["db1"], f.watchers["w3"], f.s3Down = killed, killed, true
	p := &f.product
	p.Epoch, p.Protected, p.ProtectedWhy = 3, false, "master db1 does not answer"
	p.Servers[0].Up = false
	p.Servers[2].Standing, p.Servers[2].Why = topology.Quarantined,
		"db3 holds 1 transactions that master db1 never had: 31be268b-e6c1-11f1-b396-02fc00000001:444"
	p.Servers[2].Facts.Link, p.Servers[2].Lag = nil, lag(20417)
	p.Servers[3].Facts.Link.IO, p.Servers[3].Facts.Link.IOError = topology.Connecting, "error 2003: Error reconnecting to source 'repl@127.179.212.1:3306'"
	p.Verdict = topology.Verdict{Rule: "master-dead", Action: topology.Failover, Server: "db1", Why: "db1 is refused for 3 of 3 watchers; 2 of its direct replicas lost it too"}
	p.Open = &promote.Progress{Next: 1, Plan: promote.Plan{ID: 7, Kind: promote.Failover, From: "db1", Target: "db2",
		Steps: []promote.Step{{Goal: promote.Revoked, Server: "db2"}, {Goal: promote.Drained, Server: "db2"}, {Goal: promote.Writable, Server: "db2"}}}}
	p.Waiting = "db2 has 4 transactions to execute"
	f.status.Head = api.Head{Version: 5, StoredVersion: 4}
	f.webs[0].silence, f.webs[0].failed = 1300*time.Millisecond, 26
	clear(f.webs[0].curve[70:])
	f.last = &gap{from: 0, to: 472_000, epoch: 3, moved: true}
	f.check = check{at: screenTime.Add(-time.Minute)}
	for i := range 12 {
		f.events = append(f.events, event{screenTime.Add(time.Duration(i-60) * time.Second), plain, fmt.Sprintf("mend in 52 ms, because db%d should offer acknowledgements", 1+i%4)})
	}
	f.events = append(f.events,
		event{screenTime.Add(-1300 * time.Millisecond), actionStyle, "killed db1, the master, with SIGKILL"},
		event{screenTime.Add(-500 * time.Millisecond), bold,
			"failover db1 → db2: epoch 2 in 349 ms, because db1 is refused for 3 of 3 watchers; 2 of its direct replicas lost it too, and one more reason"})
	f.note = event{style: plain, text: "killed db1, the master, with SIGKILL"}
	return f
}

func unansweredFrame() frame {
	f := healthyFrame()
	f.statusAt = screenTime.Add(-4 * time.Second)
	f.servers["db1"], f.servers["db4"] = frozen, starting
	f.check = check{at: screenTime, lost: 2}
	f.product.Copies = &api.Copies{Away: true}
	return f
}

// copiesFrame has a dump service.
func copiesFrame() frame {
	f := healthyFrame()
	f.product.Copies = &api.Copies{Report: snapshot.Report{Newest: &snapshot.Copy{AgeMs: 12_400, Bytes: 5_240_000, TookMs: 640},
		Running: &snapshot.Running{}, Stores: []snapshot.StoreReport{{ShippedMs: 3100}, {ShippedMs: -1}, {ShippedMs: 4100}},
		Drill: &snapshot.DrillNote{Passed: true, RestoreMs: 8200}}}
	return f
}

func followerFrame() frame {
	f := healthyFrame()
	f.status.Leads, f.status.Leader, f.status.Watcher = false, api.Leader{}, "w3"
	f.status.Head.StoredVersion = 0
	f.check = check{trouble: "there is no master"}
	return f
}

var shownFrames = []struct {
	name  string
	frame func() frame
}{
	{"healthy", healthyFrame}, {"broken", brokenFrame}, {"unanswered", unansweredFrame}, {"follower", followerFrame}, {"copies", copiesFrame},
	{"nothing-known", func() frame { return frame{now: screenTime, started: screenTime} }},
}

func screenText(lines []line) string {
	var b strings.Builder
	for _, l := range lines {
		b.WriteString(l.text() + "\n")
	}
	return b.String()
}

func TestScreensLookLikeThis(t *testing.T) {
	for _, size := range [][2]int{{80, 24}, {120, 40}} {
		for _, c := range shownFrames {
			name := fmt.Sprintf("screen-%s-%dx%d", c.name, size[0], size[1])
			t.Run(name, func(t *testing.T) { golden(t, name, screenText(c.frame().lines(size[0], size[1]))) })
		}
	}
}

var escapes = regexp.MustCompile("\x1b\\[[0-9;?]*[A-Za-z]")

func TestScreensFillEverySizeAndNoMore(t *testing.T) {
	for _, c := range shownFrames {
		for _, size := range [][2]int{{1, 1}, {20, 3}, {60, 12}, {80, 24}, {99, 29}, {100, 30}, {120, 40}, {300, 90}} {
			lines := c.frame().lines(size[0], size[1])
			require.Len(t, lines, size[1], "%s %v", c.name, size)
			for _, colour := range []bool{false, true} {
				painted := strings.Split(escapes.ReplaceAllString(paintScreen(lines, size[0], colour), ""), "\r\n")
				require.Len(t, painted, size[1])
				for i, text := range painted {
					assert.LessOrEqual(t, utf8.RuneCountInString(text), size[0], "%s %v line %d", c.name, size, i)
					assert.Equal(t, lines[i].text(), strings.TrimRight(text, " "), "colours change no text")
				}
			}
		}
	}
}

func TestTheKeysAreAlwaysInSight(t *testing.T) {
	for _, c := range shownFrames {
		for _, size := range [][2]int{{80, 24}, {80, 16}, {100, 30}, {120, 40}} {
			lines := c.frame().lines(size[0], size[1])
			assert.Contains(t, lines[size[1]-1].text(), "q quit", "%s %v", c.name, size)
		}
	}
}

func TestWordsWrapAndWhatIsLeftIsCut(t *testing.T) {
	assert.Empty(t, wrapWords("", 10, 2))
	assert.Equal(t, []string{"one two"}, wrapWords("one two", 10, 2))
	assert.Equal(t, []string{"one two", "three"}, wrapWords("one two three", 10, 2))
	assert.Equal(t, []string{"one two", "three fou…"}, wrapWords("one two three four five", 10, 2))
	assert.Equal(t, []string{"incompreh…"}, wrapWords("incomprehensible", 10, 1))
}

func TestTallyFindsOutages(t *testing.T) {
	second := int64(time.Second / time.Microsecond)
	begin := screenTime.UnixMicro()
	var counted tally
	write := func(after int64, epoch uint64, o stage.Outcome) (gap, bool) {
		return counted.add(stage.Write{Outcome: o, Micros: begin + after, Epoch: epoch})
	}
	for i := range int64(100) {
		_, ended := write(i*second/100, 1, stage.Acked)
		require.False(t, ended)
	}
	_, ended := write(second, 1, stage.Failed)
	assert.False(t, ended)
	_, ended = write(second, 1, stage.Unknown)
	assert.False(t, ended)

	g, ended := write(second+30_000, 2, stage.Acked)
	assert.True(t, ended, "however short, it is the outage of a promotion")
	assert.True(t, g.moved)
	assert.Equal(t, 40*time.Millisecond, g.took())

	g, ended = write(2*second, 2, stage.Acked)
	assert.True(t, ended)
	assert.False(t, g.moved)
	assert.Equal(t, 970*time.Millisecond, g.took())

	assert.Equal(t, []int{102, 1, 1}, []int{counted.acked, counted.failed, counted.unknown})
	assert.Equal(t, []int{50, 50, 1, 0}, counted.curve(screenTime.Add(2*time.Second), 4))
	assert.Equal(t, 50, counted.rate(screenTime.Add(2*time.Second)))
	assert.Equal(t, []int{0, 0}, counted.curve(screenTime.Add(time.Hour), 2), "old slots do not come round again")
}

func TestOutagesOfOneCauseCountOnceWithTheLongest(t *testing.T) {
	var all outages
	all = all.add(gap{from: 100, to: 300, epoch: 2, moved: true})
	all = all.add(gap{from: 90, to: 350, epoch: 2, moved: true})
	all = all.add(gap{from: 120, to: 280, epoch: 2, moved: true})
	all = all.add(gap{from: 1000, to: 2000, epoch: 2})
	assert.Equal(t, outages{{from: 90, to: 350, epoch: 2, moved: true}, {from: 1000, to: 2000, epoch: 2}}, all)
}

func TestEventsStandInTheOrderInWhichTheyHappened(t *testing.T) {
	s := newScreen(&stage.Stage{Chain: &testenv.Chain{}})
	for _, n := range []int{3, 1, 2, 2} {
		s.log(screenTime.Add(time.Duration(n)*time.Second), plain, fmt.Sprint(n))
	}
	var texts []string
	for _, e := range s.snapshot().events {
		texts = append(texts, e.text)
	}
	assert.Equal(t, []string{"1", "2", "2", "3"}, texts)
	for range 2 * eventsKept {
		s.log(screenTime, plain, "more")
	}
	assert.Len(t, s.snapshot().events, eventsKept)
}

func TestKeysThatMakeNoSenseSayWhy(t *testing.T) {
	server := shownServer("db1", "a", topology.Master, "", 0)
	for _, c := range []struct {
		name    string
		key     byte
		prepare func(*screen)
		want    string
	}{
		{"kill before anything is known", 'k', nil, "no watcher has said yet who is the master"},
		{"freeze before anything is known", 'f', nil, "no watcher has said yet who is the master"},
		{"nothing to revive", 'r', nil, "nothing is down"},
		{"no watcher left", 'w', nil, "no watcher runs; r brings them back"},
		{"not a key", 'y', nil, "'y' does nothing here"},
		{"kill twice", 'k', func(s *screen) { s.known.servers["db1"] = killed },
			"db1, the master, is killed already, and there is no new one yet; r brings everything back"},
		{"switchover in a plan", 's', func(s *screen) {
			s.known.product.Open = &promote.Progress{Plan: promote.Plan{ID: 9, Kind: promote.Mend, Steps: []promote.Step{{Goal: promote.Following, Server: "db2"}}}}
		}, "plan 9, mend: step 1 of 1, following db2 is open; wait until it has ended"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newScreen(&stage.Stage{Product: "shop", Chain: &testenv.Chain{Servers: []*testenv.Server{{Name: "db1"}}}})
			s.known.servers["db1"] = starting // there is no process behind it
			if c.prepare != nil {
				s.known.product.Servers = []api.Server{server}
				c.prepare(s)
			}
			assert.False(t, s.press(t.Context(), c.key))
			assert.Equal(t, c.want, s.snapshot().note.text)
			assert.Empty(t, s.snapshot().events, "nothing was done")
		})
	}
}

func TestQuitKeys(t *testing.T) {
	s := newScreen(&stage.Stage{Chain: &testenv.Chain{}})
	assert.True(t, s.press(t.Context(), 'q'))
	assert.True(t, s.press(t.Context(), ctrlC))
}

func TestServersThatEndUnaskedAreShown(t *testing.T) {
	s := newScreen(&stage.Stage{Chain: &testenv.Chain{Servers: []*testenv.Server{{Name: "db1"}, {Name: "db2"}}}})
	s.known.servers["db2"] = killed
	assert.Equal(t, map[string]condition{"db1": ended, "db2": killed}, s.snapshot().servers)
}

func TestAPanicBesideTheScreenEndsItInGoodOrder(t *testing.T) {
	s := newScreen(&stage.Stage{Chain: &testenv.Chain{}})
	s.start(func() { panic("no") })
	s.work.Wait()
	assert.ErrorContains(t, <-s.crashed, "the demo's screen broke: no")
}

func TestSilentWatchersDoNotHoldTheGathererUp(t *testing.T) {
	client, err := api.NewClient([]string{"http://127.0.0.1:9"}, nil)
	require.NoError(t, err)
	s := newScreen(&stage.Stage{Product: "shop", Client: client, Chain: &testenv.Chain{}})
	ctx, cancel := context.WithCancel(t.Context())
	s.start(func() { s.gatherStatus(ctx) })
	cancel()
	s.work.Wait()
	assert.True(t, s.snapshot().statusAt.IsZero())
}

func TestJournalEntriesInOneLine(t *testing.T) {
	for _, c := range []struct {
		entry journal.Entry
		look  style
		want  string
	}{
		{journal.Entry{What: "failover", Outcome: api.OutcomeDone, Plan: 3, From: "db1", To: "db2", Epoch: 2, Ms: 349, Why: "db1 is dead",
			Phases: []promote.Note{{Step: "revoked db2"}, {Step: "following db4 ← db2", Failed: true}}},
			bold, "failover db1 → db2: epoch 2 in 349 ms (left for later: following db4 ← db2), because db1 is dead"},
		{journal.Entry{What: "rejoin", Outcome: "given up: db1 is gone", Plan: 4, Ms: 12}, bad, "rejoin in 12 ms, given up: db1 is gone"},
		{journal.Entry{What: "quarantine", Outcome: api.OutcomeDone, Plan: 5, Ms: 8, Why: "db1 holds more"}, bad, "quarantine in 8 ms, because db1 holds more"},
		{journal.Entry{What: "mode auto"}, plain, "mode auto"},
	} {
		look, text := entryText(c.entry)
		assert.Equal(t, c.want, text)
		assert.Equal(t, c.look, look)
	}
}
