package stage

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/failoverd/failoverd/internal/api"
	"github.com/failoverd/failoverd/internal/journal"
	"github.com/failoverd/failoverd/internal/promote"
	"github.com/failoverd/failoverd/internal/topology"
)

// Script is a scenario: it makes an event happen, which failoverd answers with one
// plan, and afterwards may mend what it broke.
type Script struct {
	// Break makes the event happen and returns the server it is about, and when it did.
	Break func(ctx context.Context, s *Stage) (server string, at time.Time, err error)
	// Mend brings back what was broken; the server must then be taken in again or quarantined.
	Mend func(ctx context.Context, s *Stage, server string) error
	// Stays says that the master stays: the answer is that others acknowledge, and no promotion.
	Stays bool
	// AtMost is the promise for the write outage's 99th percentile (SAFETY: the figures to reach).
	AtMost time.Duration
}

// The scripts.
var (
	KillMaster = Script{AtMost: 2 * time.Second, Break: killed(topology.Master), Mend: restart}
	// KillCandidate takes away who acknowledges.
	KillCandidate = Script{AtMost: 3 * time.Second, Break: killed(topology.Candidate), Mend: restart, Stays: true}
	FreezeMaster  = Script{AtMost: 6 * time.Second,
		Break: func(ctx context.Context, s *Stage) (string, time.Time, error) {
			master := s.Master(ctx)
			if master == nil {
				return "", time.Time{}, errUnknown
			}
			at := time.Now()
			return master.Name, at, master.Freeze()
		},
		Mend: func(_ context.Context, s *Stage, old string) error { return s.Chain.Server(old).Thaw() }}
	Switchover = Script{AtMost: 200 * time.Millisecond,
		Break: func(ctx context.Context, s *Stage) (string, time.Time, error) {
			master := s.Master(ctx)
			if master == nil {
				return "", time.Time{}, errUnknown
			}
			at := time.Now()
			_, err := s.Client.Switchover(ctx, s.Product, api.SwitchoverRequest{Reason: "demo"})
			return master.Name, at, err
		}}
	KillLeaderAndMaster = Script{AtMost: 6 * time.Second,
		Break: func(ctx context.Context, s *Stage) (string, time.Time, error) {
			master, leader := s.Master(ctx), s.Leader(ctx)
			if master == nil || leader == nil {
				return "", time.Time{}, errUnknown
			}
			at := time.Now()
			go leader.Kill()
			go master.Kill()
			return master.Name, at, nil
		},
		Mend: func(ctx context.Context, s *Stage, old string) error {
			for _, w := range s.Watchers {
				if !w.Running() {
					if err := w.Start(); err != nil {
						return err
					}
				}
			}
			return restart(ctx, s, old)
		}}
)

var errUnknown = errors.New("no leader is known, or no server in the seat")

// killed kills whoever has the seat.
func killed(seat topology.Seat) func(context.Context, *Stage) (string, time.Time, error) {
	return func(ctx context.Context, s *Stage) (string, time.Time, error) {
		server := s.InSeat(ctx, seat)
		if server == nil {
			return "", time.Time{}, errUnknown
		}
		at := time.Now()
		go server.Kill() // it returns when the kernel has torn the process down
		return server.Name, at, nil
	}
}

func restart(ctx context.Context, s *Stage, server string) error {
	return s.Chain.Server(server).Start(ctx)
}

// Result is what came of a script.
type Result struct {
	Script string `json:"script"`
	// From is the server that the script is about, To the master afterwards.
	From          string `json:"from"`
	To            string `json:"to"`
	Epoch         uint64 `json:"epoch"`
	WriteOutageMs int64  `json:"write_outage_ms"`
	WritesAcked   int    `json:"writes_acked"`
	WritesLost    int    `json:"writes_lost"`
	WritesFailed  int    `json:"writes_failed"`
	WritesUnknown int    `json:"writes_unknown"`
	// WritesPhantom are writes that the server refused and that are there.
	WritesPhantom int `json:"writes_phantom"`
	Promotions    int `json:"promotions"`
	// Phases are the time to the accepted plan, then its steps, in milliseconds.
	Phases []promote.Note `json:"phases"`
	// Afterwards says how the server came back.
	Afterwards string `json:"afterwards"`
	// Broken are the promises that were not kept.
	Broken []string `json:"broken"`
}

// RunScript runs a scenario on a healthy stage under load and judges it.
func RunScript(ctx context.Context, s *Stage, name string, script Script, say func(string)) (Result, error) {
	r := Result{Script: name, Broken: []string{}}
	known, err := s.answers(ctx, script)
	if err != nil {
		return r, err
	}
	promoted, err := s.Promotions(ctx)
	if err != nil {
		return r, err
	}
	if err := sleep(ctx, 2*time.Second); err != nil { // a steady load first
		return r, err
	}
	say(name)
	var at time.Time
	if r.From, at, err = script.Break(ctx, s); err != nil {
		return r, err
	}
	answer, err := s.awaitAnswer(ctx, script, len(known))
	if err != nil {
		return r, err
	}
	r.To, r.Epoch = answer.To, answer.Epoch
	if script.Stays {
		if master := s.Master(ctx); master != nil {
			r.To = master.Name
		}
		say(answer.Why)
	} else {
		say(fmt.Sprintf("%s is the master of epoch %d", r.To, r.Epoch))
	}
	started := answer.At.Add(-time.Duration(answer.Ms) * time.Millisecond)
	r.Phases = append([]promote.Note{{Step: "event to accepted plan", Ms: started.Sub(at).Milliseconds()}}, answer.Phases...)
	if err := s.awaitWrites(ctx, r.Epoch); err != nil {
		return r, err
	}
	if err := sleep(ctx, 2*time.Second); err != nil { // a steady load afterwards
		return r, err
	}
	if script.Mend != nil {
		say("bringing " + r.From + " back")
		if err := script.Mend(ctx, s, r.From); err != nil {
			return r, err
		}
	}
	if r.Afterwards, err = s.awaitReturn(ctx, r.From); err != nil {
		return r, err
	}
	say(r.Afterwards)
	return r, s.judge(ctx, &r, script, at, len(promoted))
}

// answers are the finished plans of the kind that answers the script, oldest first.
func (s *Stage) answers(ctx context.Context, script Script) ([]journal.Entry, error) {
	if script.Stays {
		return s.finished(ctx, promote.Reform)
	}
	return s.Promotions(ctx)
}

func (s *Stage) awaitAnswer(ctx context.Context, script Script, known int) (journal.Entry, error) {
	var out journal.Entry
	err := await(ctx, "an answer to it", 40*time.Second, func(ctx context.Context) error {
		all, err := s.answers(ctx, script)
		if err != nil {
			return err
		}
		if len(all) <= known {
			p, err := s.Status(ctx)
			if err != nil {
				return err
			}
			return fmt.Errorf("%s: %s %s", p.Verdict.Rule, p.Verdict.Why, p.Waiting)
		}
		out = all[known]
		return nil
	})
	return out, err
}

// awaitWrites returns when every web server had a write acknowledged in the epoch.
func (s *Stage) awaitWrites(ctx context.Context, epoch uint64) error {
	for _, w := range s.Webs {
		if err := await(ctx, w.Name+" to write again", 30*time.Second, func(context.Context) error {
			ledger, err := ReadLedger(w.Ledger)
			if err != nil {
				return err
			}
			if n := len(ledger); n == 0 || ledger[n-1].Epoch < epoch || ledger[n-1].Outcome != Acked {
				return errors.New("it does not yet; " + tail(w.Follow.Output()))
			}
			return nil
		}); err != nil {
			return err
		}
	}
	return nil
}

// awaitReturn returns when the server is in rotation again and the chain is
// healthy. When it holds writes that nobody was told of, it is rebuilt first;
// where the policy leaves that to a person, its quarantine is the answer.
func (s *Stage) awaitReturn(ctx context.Context, old string) (string, error) {
	said := ""
	return said, await(ctx, old+" to come back", rebuildPatience, func(ctx context.Context) error {
		p, err := s.Status(ctx)
		if err != nil {
			return err
		}
		for _, server := range p.Servers {
			if server.Name != old {
				continue
			}
			switch {
			case server.Standing == topology.Quarantined && p.Policy.Rebuild != topology.RebuildAuto:
				said = fmt.Sprintf("%s is quarantined: %s", old, server.Why)
				return nil
			case server.Standing == topology.In && p.Verdict.Rule == "healthy":
				saved, err := s.rebuilt(ctx, old)
				said = fmt.Sprintf("%s is back as the %s, the chain is healthy", old, server.Seat)
				if saved != "" {
					said = fmt.Sprintf("%s was rebuilt (%s); %s", old, saved, said)
				}
				return err
			}
		}
		return fmt.Errorf("%s: %s %s", p.Verdict.Rule, p.Verdict.Why, p.Waiting)
	})
}

// rebuildPatience is enough for a copy of a small server and its restart.
const rebuildPatience = 2 * time.Minute

// rebuilt is what the journal says of what the server's rebuild saved, empty without one.
func (s *Stage) rebuilt(ctx context.Context, name string) (saved string, err error) {
	entries, err := s.Client.History(ctx, s.Product, 200)
	if err != nil {
		return "", err
	}
	for _, e := range entries {
		for _, note := range e.Phases {
			if e.What == string(promote.Rebuild) && note.Step == string(promote.Saved)+" "+name && note.Text != "" {
				return note.Text, nil
			}
		}
	}
	return "", nil
}

// judge stops the writes and holds the result against the promises.
func (s *Stage) judge(ctx context.Context, r *Result, script Script, at time.Time, promoted int) error {
	var ledgers []Ledger
	for _, w := range s.Webs {
		if err := w.Stop(); err != nil {
			return err
		}
		ledger, err := ReadLedger(w.Ledger)
		if err != nil {
			return err
		}
		ledgers = append(ledgers, ledger)
		r.WriteOutageMs = max(r.WriteOutageMs, ledger.Outage(at).Milliseconds())
	}
	j, err := Judge(ctx, s.Chain.Server(r.To), ledgers...)
	if err != nil {
		return err
	}
	r.WritesAcked, r.WritesFailed, r.WritesUnknown, r.WritesLost, r.WritesPhantom = j.Acked, j.Failed, j.Unknown, len(j.Lost), len(j.Phantom)
	all, err := s.Promotions(ctx)
	if err != nil {
		return err
	}
	r.Promotions = len(all) - promoted
	expected := 1
	if script.Stays {
		expected = 0
	}
	for _, promise := range []struct {
		broken bool
		what   string
	}{
		{r.WritesLost > 0, fmt.Sprintf("%d acknowledged writes are lost", r.WritesLost)},
		{r.WritesPhantom > 0, fmt.Sprintf("%d refused writes are there", r.WritesPhantom)},
		{r.Promotions != expected, fmt.Sprintf("%d promotions instead of %d", r.Promotions, expected)},
		{r.WriteOutageMs > slack*script.AtMost.Milliseconds(), fmt.Sprintf("the write outage was %d ms, the promise is %d ms", r.WriteOutageMs, script.AtMost.Milliseconds())},
	} {
		if promise.broken {
			r.Broken = append(r.Broken, promise.what)
		}
	}
	return nil
}

// slack is what a loaded machine is forgiven in one run: the promise is a 99th
// percentile, and the benchmark, not one run, measures it.
const slack = 3

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
