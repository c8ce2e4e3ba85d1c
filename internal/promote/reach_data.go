package promote

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/failoverd/failoverd/internal/topology"
)

func revoked(ctx context.Context, s site) (string, error) {
	var all []topology.Server
	for _, name := range append([]string{s.step.Server}, s.step.Others...) {
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
	var left []string
	for _, name := range s.step.Others {
		if err := failed[name]; err != nil {
			left = append(left, name)
		}
	}
	if len(left) > 0 {
		return "not reached: " + strings.Join(left, ", "), nil
	}
	return "", nil
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
	return drain(ctx, server)
}

// drain executes all that the relay log holds. It never stops the SQL thread:
// restarting replication may discard what was received.
func drain(ctx context.Context, server Server) (string, error) {
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
	if err := server.WaitExecuted(ctx, facts.Link.Received, drainPatience); err != nil {
		return "", fmt.Errorf("applying %d received transactions: %w", pending.Count(), err)
	}
	return fmt.Sprintf("applied %d transactions", pending.Count()), nil
}

func fed(ctx context.Context, s site) (string, error) {
	target, err := s.subject()
	if err != nil {
		return "", err
	}
	var notes []string
	for _, name := range s.step.Others {
		note, err := feed(ctx, s, target, name)
		switch {
		case err == nil && note != "":
			notes = append(notes, note)
		case err != nil && (s.chain.IsAcker(name) || !errors.Is(err, ErrUnreachable)):
			return "", fmt.Errorf("from %s: %w", name, err)
		case err != nil:
			notes = append(notes, name+" was not reached") // not an acker: nothing acknowledged is there alone
		}
	}
	facts, err := target.Look(ctx)
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
	ours, err := target.Look(ctx)
	if err != nil {
		return "", err
	}
	more := theirs.Held().Minus(ours.Executed)
	if more.Empty() {
		return "", nil
	}
	if _, err := drain(ctx, survivor); err != nil {
		return "", err
	}
	if ours.Link == nil || ours.Link.SourceAddr != info.Addr() || ours.Link.IO != topology.On {
		if err := target.Follow(ctx, info); err != nil {
			return "", err
		}
	}
	if err := target.WaitExecuted(ctx, more, drainPatience); err != nil {
		return "", err
	}
	if err := target.StopReceiver(ctx); err != nil {
		return "", err
	}
	return fmt.Sprintf("%d transactions fed from %s", more.Count(), name), nil
}
