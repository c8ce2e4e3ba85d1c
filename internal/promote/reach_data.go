package promote

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/failoverd/failoverd/internal/topology"
)

// revoked stops the target's IO thread and so many of the committed ackers' that
// the old master can never get enough acknowledgements again, dead, frozen or
// thawed (SAFETY: the protocol, 3).
func revoked(ctx context.Context, s site) (string, error) {
	var all []topology.Server
	for _, name := range s.step.everybody() {
		info, _, err := s.named(name)
		if err != nil {
			return "", err
		}
		all = append(all, info)
	}
	failed := s.Each(ctx, all, func(ctx context.Context, info topology.Server) error { return revoke(ctx, s.Server(info)) })
	if err := failed[s.step.Server]; err != nil {
		return "", err
	}
	stopped := 0
	var left []string
	for _, info := range all {
		switch err := failed[info.Name]; {
		case err != nil:
			left = append(left, fmt.Sprintf("%s (%v)", info.Name, err))
		case slices.Contains(s.step.Ackers, info.Name):
			stopped++
		}
	}
	if stopped < s.step.Need {
		return "", fmt.Errorf("%d of %d ackers are stopped, not reached: %s", stopped, s.step.Need, strings.Join(left, ", "))
	}
	if len(left) > 0 {
		return "not reached: " + strings.Join(left, ", "), nil
	}
	return "", nil
}

// everybody is the step's server, its ackers and its others, each once.
func (s Step) everybody() []string {
	var out []string
	for _, name := range slices.Concat([]string{s.Server}, s.Ackers, s.Others) {
		if !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	return out
}

func revoke(ctx context.Context, server Server) error {
	facts, err := server.Look(ctx)
	if err != nil || facts.Link == nil || facts.Link.IO == topology.Off {
		return err
	}
	return server.StopReceiver(ctx)
}

func drained(ctx context.Context, s site) (string, error) {
	server, err := s.subject()
	if err != nil {
		return "", err
	}
	return drain(ctx, server, drainPatience)
}

// drain executes all that the relay log holds. It never stops the SQL thread:
// restarting replication may discard what was received.
func drain(ctx context.Context, server Server, patience time.Duration) (string, error) {
	facts, err := server.Look(ctx)
	if err != nil || facts.Link == nil {
		return "", err
	}
	pending := facts.Link.Received.Minus(facts.Executed)
	if pending.Empty() {
		return "", nil
	}
	if facts.Link.SQL != topology.On {
		if err := server.StartApplier(ctx); err != nil {
			return "", err
		}
	}
	if err := server.WaitExecuted(ctx, facts.Link.Received, patience); err != nil {
		return "", fmt.Errorf("applying %d received transactions: %w", pending.Count(), err)
	}
	return fmt.Sprintf("applied %d transactions", pending.Count()), nil
}

// fed brings the target to hold all that was acknowledged: what enough stopped
// ackers hold, and, since more is better, what the other survivors hold.
func fed(ctx context.Context, s site) (string, error) {
	target, err := s.subject()
	if err != nil {
		return "", err
	}
	var notes []string
	in := 0
	if slices.Contains(s.step.Ackers, s.step.Server) {
		in++
	}
	for _, name := range s.step.everybody()[1:] {
		note, err := feed(ctx, s, target, name)
		switch {
		case ctx.Err() != nil:
			return "", ctx.Err()
		case err != nil && s.step.Need == 0 && !s.step.Lossy && s.chain.IsAcker(name):
			return "", fmt.Errorf("from %s: %w", name, err) // a plan of an older version: each acker counts
		case err != nil:
			notes = append(notes, fmt.Sprintf("not from %s: %v", name, err))
			continue // enough of the ackers decide; nothing acknowledged is at another alone
		case note != "":
			notes = append(notes, note)
		}
		if slices.Contains(s.step.Ackers, name) {
			in++
		}
	}
	if in < s.step.Need {
		return "", fmt.Errorf("%s has what %d of the ackers hold, %d are needed: %s", s.step.Server, in, s.step.Need, strings.Join(notes, ", "))
	}
	facts, err := settle(ctx, target)
	if err != nil {
		return "", err
	}
	if missing := s.step.Floor.Minus(facts.Executed); !missing.Empty() {
		return "", fmt.Errorf("%s lacks %d transactions below the high-water mark: %s", s.step.Server, missing.Count(), missing)
	}
	s.proved(facts.Executed)
	return strings.Join(notes, ", "), nil
}

// feed lets target copy from one survivor what it lacks.
func feed(ctx context.Context, s site, target Server, name string) (string, error) {
	info, survivor, err := s.named(name)
	if err != nil {
		return "", err
	}
	theirs, err := survivor.Look(ctx)
	if err != nil {
		return "", err
	}
	if old, known := s.chain.Server(s.plan.From); known && slices.Contains(s.step.Ackers, name) && theirs.Link != nil &&
		theirs.Link.IO != topology.Off && theirs.Link.SourceAddr == old.Addr() {
		// It restarted since it was stopped; more may come after a look.
		if err := survivor.StopReceiver(ctx); err != nil {
			return "", err
		}
		if theirs, err = survivor.Look(ctx); err != nil {
			return "", err
		}
	}
	ours, err := target.Look(ctx)
	if err != nil {
		return "", err
	}
	more := theirs.Held().Minus(ours.Executed)
	if more.Empty() {
		return "", nil
	}
	patience := drainPatience
	if !slices.Contains(s.step.Ackers, name) {
		patience = spareTime
	}
	if _, err := drain(ctx, survivor, patience); err != nil {
		return "", err
	}
	if ours.Link == nil || ours.Link.SourceAddr != info.Addr() || ours.Link.IO != topology.On {
		if err := target.Follow(ctx, info); err != nil {
			return "", err
		}
	}
	if err := target.WaitExecuted(ctx, more, patience); err != nil {
		return "", err
	}
	if err := target.StopReceiver(ctx); err != nil {
		return "", err
	}
	return fmt.Sprintf("%d transactions fed from %s", more.Count(), name), nil
}

// settle ends a feeding that was broken off, and returns what the target holds then.
func settle(ctx context.Context, target Server) (topology.Facts, error) {
	facts, err := target.Look(ctx)
	if err != nil || facts.Link == nil {
		return facts, err
	}
	if facts.Link.IO != topology.Off {
		if err := target.StopReceiver(ctx); err != nil {
			return facts, err
		}
	}
	if _, err := drain(ctx, target, drainPatience); err != nil {
		return facts, err
	}
	return target.Look(ctx)
}

// received waits until the server has, executed or in its relay log, what its
// source shows as committed.
func received(ctx context.Context, s site) (string, error) {
	server, truth, err := s.ends(ctx)
	if err != nil {
		return "", err
	}
	for wait := 0; ; wait++ {
		facts, err := server.Look(ctx)
		if err != nil {
			return "", err
		}
		missing := truth.Executed.Minus(facts.Held())
		if missing.Empty() {
			return "", nil
		}
		if wait == receivedLooks {
			return "", fmt.Errorf("%d transactions of %s are still to come: %w", missing.Count(), s.step.Source, ErrNotYet)
		}
		if err := s.Pause(ctx, receivedEvery); err != nil {
			return "", err
		}
	}
}

// How often and how long received looks within one try.
const (
	receivedEvery = 20 * time.Millisecond
	receivedLooks = 50
)
