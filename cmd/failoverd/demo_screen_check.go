package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/failoverd/failoverd/internal/api"
	"github.com/failoverd/failoverd/internal/topology"
	"github.com/failoverd/failoverd/testenv"
	"github.com/failoverd/failoverd/testenv/stage"
)

const (
	checkTimeout = 5 * time.Second
	// settleTime is how long the end of the demo waits for a master that can be asked.
	settleTime = 30 * time.Second
)

// askCheck asks for a comparison of the ledgers with the master; one that is asked for already will do.
func (s *screen) askCheck() {
	select {
	case s.checks <- struct{}{}:
	default:
	}
}

// checkWrites makes the checks that are asked for.
func (s *screen) checkWrites(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.checks:
		}
		j, err := s.judge(ctx)
		done := check{at: time.Now(), lost: len(j.Lost), phantom: len(j.Phantom)}
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			done.trouble = err.Error()
			s.log(done.at, odd, "could not check for lost writes: "+done.trouble)
		case done.lost+done.phantom > 0:
			s.log(done.at, inverse, lossText(j))
		default:
			s.log(done.at, good, fmt.Sprintf("checked: all %d acknowledged writes are on the master", j.Acked))
		}
		s.mu.Lock()
		s.known.check = done
		s.mu.Unlock()
	}
}

func lossText(j stage.Judgement) string {
	text := fmt.Sprintf("%d acknowledged writes are lost, %d refused writes are there", len(j.Lost), len(j.Phantom))
	if len(j.Lost) > 0 {
		text += ", first " + j.Lost[0]
	}
	return text
}

// judge compares the ledgers as they are with the master. When the master changes
// meanwhile the comparison means nothing, and is an error.
func (s *screen) judge(ctx context.Context) (stage.Judgement, error) {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	before, err := s.stage.Status(ctx)
	if err != nil {
		return stage.Judgement{}, err
	}
	var ledgers []stage.Ledger
	for _, w := range s.stage.Webs {
		ledger, err := stage.ReadLedger(w.Ledger)
		if err != nil {
			return stage.Judgement{}, err
		}
		ledgers = append(ledgers, ledger)
	}
	master := s.masterOf(before)
	if master == nil {
		return stage.Judgement{}, errors.New("there is no master")
	}
	j, err := stage.Judge(ctx, master, ledgers...)
	if err != nil {
		return stage.Judgement{}, err
	}
	after, err := s.stage.Status(ctx)
	if err != nil {
		return stage.Judgement{}, err
	}
	if after.Epoch != before.Epoch || (after.Open != nil && after.Open.Plan.Kind.Promotes()) {
		return stage.Judgement{}, errors.New("the master changes just now")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.known.product = after
	return j, nil
}

// masterOf is the server that a status has as the master, nil when there is none.
func (s *screen) masterOf(p api.Product) *testenv.Server {
	for _, server := range p.Servers {
		if server.Seat == topology.Master {
			return s.stage.Chain.Server(server.Name)
		}
	}
	return nil
}

// conclude stops the writes, judges them and says what came of the demo. The
// error says that a promise was broken, or that it could not be found out.
func (s *screen) conclude(ctx context.Context, out io.Writer) error {
	fmt.Fprintln(out, "stopping the web servers and looking for lost writes")
	for _, w := range s.stage.Webs {
		if err := w.Stop(); err != nil {
			return err
		}
	}
	s.readWrites(ctx)
	stalled := time.Duration(0)
	for _, w := range s.snapshot().webs {
		stalled = max(stalled, w.silence)
	}
	j, err := s.finalJudgement(ctx, out)
	s.mu.Lock()
	f, gaps := s.known, s.gaps
	s.mu.Unlock()
	fmt.Fprintf(out, "\n%s, epoch %d, %s\n", s.stage.Product, f.product.Epoch, time.Since(f.started).Truncate(time.Second))
	for _, g := range gaps {
		what := "writes stalled"
		if g.moved {
			what = fmt.Sprintf("new master, epoch %d", g.epoch)
		}
		fmt.Fprintf(out, "  %s  %-22s %s without writes\n", time.UnixMicro(g.to).UTC().Format("15:04:05Z"), what, took(g.took().Milliseconds()))
	}
	if stalled > silentAfter {
		fmt.Fprintf(out, "  the last %s before the end were without writes\n", took(stalled.Milliseconds()))
	}
	if err != nil {
		return fmt.Errorf("whether writes were lost is not known: %w", err)
	}
	fmt.Fprintf(out, "  writes     %d acknowledged, %d lost, %d failed, %d unknown\n", j.Acked, len(j.Lost), j.Failed, j.Unknown)
	if len(j.Lost)+len(j.Phantom) > 0 {
		return &exitError{code: exitFailed, message: "a promise was broken: " + lossText(j)}
	}
	return nil
}

// finalJudgement brings back what the demo broke when the master cannot be asked as things are.
func (s *screen) finalJudgement(ctx context.Context, out io.Writer) (stage.Judgement, error) {
	defer s.work.Wait()
	ctx, cancel := context.WithTimeout(ctx, settleTime)
	defer cancel()
	revived := false
	for {
		j, err := s.judge(ctx)
		if err == nil {
			return j, nil
		}
		if !revived {
			fmt.Fprintf(out, "the master cannot be asked yet (%v): bringing back what is down\n", err)
			s.revive(ctx)
			revived = true
		}
		if wait(ctx, gatherEvery); ctx.Err() != nil {
			return j, err
		}
	}
}
