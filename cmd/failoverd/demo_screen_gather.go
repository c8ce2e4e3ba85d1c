package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/failoverd/failoverd/internal/api"
	"github.com/failoverd/failoverd/internal/journal"
	"github.com/failoverd/failoverd/internal/promote"
	"github.com/failoverd/failoverd/internal/topology"
	"github.com/failoverd/failoverd/testenv/stage"
)

const (
	gatherEvery = 250 * time.Millisecond
	gatherSoon  = 80 * time.Millisecond // while something is going on
	askTimeout  = time.Second
	curveSlots  = 80 // 40 s
)

// gatherStatus asks the watchers again and again. What they last said stays, with its time.
func (s *screen) gatherStatus(ctx context.Context) {
	newest, first := uint64(0), true
	for ctx.Err() == nil {
		pause := gatherEvery
		status, product, err := s.askStatus(ctx)
		s.mu.Lock()
		if err == nil {
			s.known.status, s.known.product, s.known.statusAt = status, product, time.Now()
			if product.Open != nil || product.Verdict.Action != topology.None {
				pause = gatherSoon
			}
		}
		s.mu.Unlock()
		if entries, err := s.askHistory(ctx); err == nil {
			for _, e := range entries {
				if e.ID > newest && !first {
					look, text := entryText(e)
					s.log(e.At, look, text)
				}
				newest = max(newest, e.ID)
			}
			first = false
		}
		wait(ctx, pause)
	}
}

func (s *screen) askStatus(ctx context.Context) (api.Status, api.Product, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	status, err := s.stage.Client.Status(ctx, false)
	if err != nil {
		return api.Status{}, api.Product{}, err
	}
	at := slices.IndexFunc(status.Products, func(p api.Product) bool { return p.Name == s.stage.Product })
	if at < 0 {
		return api.Status{}, api.Product{}, fmt.Errorf("product %s is not there", s.stage.Product)
	}
	return status, status.Products[at], nil
}

func (s *screen) askHistory(ctx context.Context) ([]journal.Entry, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	return s.stage.Client.History(ctx, s.stage.Product, 10)
}

// entryText is a journal entry in one line.
func entryText(e journal.Entry) (style, string) {
	look, text := plain, e.What
	if e.From != "" {
		look, text = bold, fmt.Sprintf("%s %s → %s: epoch %d", text, e.From, e.To, e.Epoch)
	}
	if promote.Kind(e.What) == promote.Rebuild {
		text += " of " + e.To
	}
	if e.Plan == 0 && e.Ms != 0 {
		text += " in " + took(e.Ms)
	}
	if e.Plan != 0 {
		text += " in " + took(e.Ms)
	}
	if e.Outcome != "" && e.Outcome != api.OutcomeDone {
		look, text = bad, text+", "+e.Outcome
	}
	var left []string
	for _, note := range e.Phases {
		if note.Failed {
			left = append(left, note.Step)
		}
	}
	if len(left) > 0 {
		text += " (left for later: " + strings.Join(left, ", ") + ")"
	}
	if at := slices.IndexFunc(e.Phases, func(n promote.Note) bool { return strings.HasPrefix(n.Step, string(promote.Saved)+" ") && n.Text != "" }); at >= 0 {
		text += " (" + e.Phases[at].Text + ")"
	}
	switch {
	case e.Why == "":
	case slices.Contains([]string{"snapshot", "ship", "drill"}, e.What): // of the copies: it is no reason, but what came of it
		text += ": " + e.Why
	default:
		text += ", because " + e.Why
	}
	if promote.Kind(e.What) == promote.Quarantine {
		look = bad
	}
	return look, text
}

// gatherWrites reads again and again what the web servers noted and which config they use.
func (s *screen) gatherWrites(ctx context.Context) {
	for ctx.Err() == nil {
		s.readWrites(ctx)
		wait(ctx, gatherEvery)
	}
}

// readWrites reads on where it stopped. It is not called twice at once.
func (s *screen) readWrites(ctx context.Context) {
	var webs []webFrame
	for i, w := range s.stage.Webs {
		ledger, err := s.tails[i].Read()
		if err != nil {
			s.log(time.Now(), bad, err.Error())
		}
		for _, write := range ledger {
			if ended, ok := s.tallies[i].add(write); ok {
				s.noteGap(ctx, ended)
			}
		}
		webs = append(webs, s.webFrame(w, &s.tallies[i]))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.known.webs = webs
}

func (s *screen) webFrame(w *stage.Web, t *tally) webFrame {
	now := time.Now()
	f := webFrame{name: w.Name, writes: "?", acked: t.acked, failed: t.failed, unknown: t.unknown, rate: t.rate(now), curve: t.curve(now, curveSlots)}
	if t.lastAck > 0 {
		f.silence = now.Sub(time.UnixMicro(t.lastAck))
	}
	var config webConfig
	if data, err := os.ReadFile(filepath.Join(filepath.Dir(w.Ledger), "db.json")); err == nil && json.Unmarshal(data, &config) == nil {
		f.epoch = config.Epoch
		for _, server := range s.stage.Chain.Servers {
			if server.Host == config.Host && server.Port == config.Port {
				f.writes = server.Name
			}
		}
	}
	return f
}

// noteGap takes an outage in, says so when it is a new one, and asks for a check.
func (s *screen) noteGap(ctx context.Context, g gap) {
	s.mu.Lock()
	known := len(s.gaps)
	s.gaps = s.gaps.add(g)
	last := s.gaps[len(s.gaps)-1]
	s.known.last = &last
	isNew := len(s.gaps) > known
	s.mu.Unlock()
	if !isNew {
		return
	}
	s.start(func() {
		if wait(ctx, time.Second); ctx.Err() != nil { // the other web servers end it a moment later
			return
		}
		s.mu.Lock()
		g := s.gaps[known]
		s.mu.Unlock()
		text := fmt.Sprintf("writes go on after %s", took(g.took().Milliseconds()))
		if g.moved {
			text = fmt.Sprintf("writes go on in epoch %d after %s", g.epoch, took(g.took().Milliseconds()))
		}
		s.log(time.UnixMicro(g.to), good, text)
		s.askCheck()
	})
}

func wait(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
