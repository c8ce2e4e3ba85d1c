package promote

import (
	"context"
	"fmt"
	"time"

	"github.com/failoverd/failoverd/internal/topology"
)

func armed(ctx context.Context, s site) (string, error) {
	source, _, err := s.named(s.step.Source)
	if err != nil {
		return "", err
	}
	server, facts, err := s.look(ctx)
	if err != nil {
		return "", err
	}
	if facts.Link == nil || facts.Link.SourceAddr != source.Addr() {
		return "", fmt.Errorf("%s does not follow %s", s.step.Server, source.Name)
	}
	if facts.ReplicaSemiSync && facts.Link.IO != topology.Off {
		return "", nil
	}
	return "", setReplicaSemiSync(ctx, server, facts, true)
}

// released lets go the commits that the present ackers had received before they
// became ackers. A master where nothing waits is left alone.
func released(ctx context.Context, s site) (string, error) {
	server, facts, err := s.look(ctx)
	if err != nil || !facts.Open() || facts.Source.Waiting == 0 {
		return "", err
	}
	return fmt.Sprintf("%d commits waited", facts.Source.Waiting), server.Nudge(ctx)
}

func confirmed(ctx context.Context, s site) (string, error) {
	server, err := s.subject()
	if err != nil {
		return "", err
	}
	return "", server.Nudge(ctx)
}

func disarmed(ctx context.Context, s site) (string, error) {
	server, facts, err := s.look(ctx)
	if err != nil || !facts.ReplicaSemiSync {
		return "", err
	}
	return "", setReplicaSemiSync(ctx, server, facts, false)
}

// setReplicaSemiSync changes what the server offers, and reconnects its IO thread
// to make it count. The receiver stops first: were the step broken off in
// between, a flag that says one thing over a connection that does the other
// would be taken for done. The SQL thread goes on, so the relay log is never at risk.
func setReplicaSemiSync(ctx context.Context, server Server, facts topology.Facts, on bool) error {
	if facts.Link == nil {
		return server.SetReplicaSemiSync(ctx, on)
	}
	if err := server.StopReceiver(ctx); err != nil {
		return err
	}
	if err := server.SetReplicaSemiSync(ctx, on); err != nil {
		return err
	}
	return server.StartReceiver(ctx)
}

// closed is the heart of a switchover: from here to writable nobody can write.
func closed(ctx context.Context, s site) (string, error) {
	old, err := s.subject()
	if err != nil {
		return "", err
	}
	_, target, err := s.named(s.step.Source)
	if err != nil {
		return "", err
	}
	if err := old.SetSuperReadOnly(ctx, true); err != nil {
		return "", err
	}
	facts, err := old.Look(ctx)
	if err != nil {
		return "", err
	}
	if err := target.WaitExecuted(ctx, facts.Executed, handoverPatience); err != nil {
		return "", fmt.Errorf("%s catching up: %w", s.step.Source, err)
	}
	s.proved(facts.Executed)
	return "", nil
}

func caughtUp(ctx context.Context, s site) (string, error) {
	server, facts, err := s.ends(ctx)
	if err != nil {
		return "", err
	}
	return "", server.WaitExecuted(ctx, facts.Executed, catchUpPatience)
}

func writable(ctx context.Context, s site) (string, error) {
	server, facts, err := s.look(ctx)
	if err != nil {
		return "", err
	}
	if s.plan.Kind.Promotes() && s.step.Server == s.plan.Target {
		s.note.Cut = facts.Executed
	}
	open := !facts.SuperReadOnly && !facts.ReadOnly
	// Where writes are acknowledged already, it is for acks alone to ask for fewer:
	// this step may be an old one, and the journal count on more by now.
	if need := s.acksNeeded(); !open || !waitsForMore(facts, need) {
		if err := waitFor(ctx, server, facts, need); err != nil {
			return "", err
		}
	}
	if facts.Offline {
		if err := server.SetOffline(ctx, false); err != nil {
			return "", err
		}
	}
	if open {
		return "was open", nil
	}
	return "", server.SetSuperReadOnly(ctx, false)
}

// waitsForMore says that commits at the server wait for more acknowledgements than that.
func waitsForMore(facts topology.Facts, acks int) bool {
	if acks == 0 {
		return facts.Source.Enabled
	}
	return facts.Source.On && facts.Source.Acks > acks
}

// waitFor has commits at the server wait for this many acknowledgements.
func waitFor(ctx context.Context, server Server, facts topology.Facts, acks int) error {
	if facts.Source.Enabled == (acks > 0) && (acks == 0 || (facts.Source.On && facts.Source.Acks == acks)) {
		return nil
	}
	return server.SetSourceSemiSync(ctx, acks)
}

// acks comes before the journal when the master is to wait for more, and after it
// when it is to wait for fewer.
func acks(ctx context.Context, s site) (string, error) {
	server, facts, err := s.look(ctx)
	if err != nil {
		return "", err
	}
	return "", waitFor(ctx, server, facts, s.step.Need)
}

func awake(ctx context.Context, s site) (string, error) {
	server, err := s.subject()
	if err != nil {
		return "", err
	}
	n, err := server.WakeEvents(ctx, s.step.Others)
	if err != nil || n == 0 {
		return "", err
	}
	return fmt.Sprintf("%d events run here now", n), nil
}

// acksNeeded is how many acknowledgements the server waits for, once this plan is done.
func (s site) acksNeeded() int {
	chain := s.chain
	if s.plan.After != nil && s.step.Server == s.plan.Target {
		chain = *s.plan.After
	}
	return chain.AcksNeeded()
}

func published(ctx context.Context, s site) (string, error) {
	return "", s.Publish(ctx, s.chain.Product)
}

// firstWrites is the time that the first writes at a new master are given before it is
// detached and others are moved: those steps sync tables and logs, and commits would
// queue behind them.
const firstWrites = 200 * time.Millisecond

func detached(ctx context.Context, s site) (string, error) {
	if s.plan.Kind.Promotes() {
		if err := s.Pause(ctx, firstWrites); err != nil {
			return "", err
		}
	}
	server, facts, err := s.look(ctx)
	if err != nil {
		return "", err
	}
	if facts.Link != nil { // before the flag changes, as in setReplicaSemiSync
		if err := server.StopReceiver(ctx); err != nil {
			return "", err
		}
	}
	if facts.ReplicaSemiSync {
		if err := server.SetReplicaSemiSync(ctx, false); err != nil {
			return "", err
		}
	}
	if facts.Link == nil {
		return "", nil
	}
	return "", server.ForgetSource(ctx)
}
