package promote

import (
	"context"
	"fmt"

	"github.com/failoverd/failoverd/internal/topology"
)

// following takes a server in by proof: it is closed, and all that it executed is
// in the master's set, or it does not follow.
func following(ctx context.Context, s site) (string, error) {
	source, _, err := s.named(s.step.Source)
	if err != nil {
		return "", err
	}
	server, facts, err := s.look(ctx)
	if err != nil {
		return "", err
	}
	if s.step.Server == s.chain.Master() {
		return "", fmt.Errorf("%s is the master of epoch %d", s.step.Server, s.chain.Epoch)
	}
	if facts.Clone != nil && facts.Clone.Emptied {
		// What it has received since says nothing of what it lacks.
		return "", fmt.Errorf("%s lost its data to a copy that was not completed: %w", s.step.Server, ErrErrant)
	}
	if !facts.SuperReadOnly {
		if err := server.SetSuperReadOnly(ctx, true); err != nil {
			return "", err
		}
	}
	if facts.Source.Enabled { // else its own applier would wait for acknowledgements
		if err := server.SetSourceSemiSync(ctx, 0); err != nil {
			return "", err
		}
	}
	here := facts.Link != nil && facts.Link.SourceAddr == source.Addr() && facts.Link.AutoPosition
	if facts.Link != nil && !here {
		// The old link ends and is drained before the proof: until then it may bring
		// in what the new source never had.
		if err := server.StopReceiver(ctx); err != nil {
			return "", err
		}
		if _, err := drain(ctx, server, drainPatience); err != nil {
			return "", err
		}
	}
	if err := prove(ctx, s, server); err != nil {
		return "", err
	}
	if facts.Offline {
		if err := server.SetOffline(ctx, false); err != nil {
			return "", err
		}
	}
	mayAck := s.chain.MayAckUnder(s.step.Server, source.Name)
	if here {
		return "", follow(ctx, server, facts, mayAck)
	}
	if facts.ReplicaSemiSync != mayAck {
		if err := server.SetReplicaSemiSync(ctx, mayAck); err != nil {
			return "", err
		}
	}
	return "", server.Follow(ctx, source)
}

// follow sets a link right that already has the right source.
func follow(ctx context.Context, server Server, facts topology.Facts, mayAck bool) error {
	if facts.Link.SQL != topology.On {
		if err := server.StartApplier(ctx); err != nil {
			return err
		}
	}
	if facts.ReplicaSemiSync != mayAck {
		return setReplicaSemiSync(ctx, server, facts, mayAck)
	}
	if facts.Link.IO == topology.Off {
		return server.StartReceiver(ctx)
	}
	return nil
}

// prove compares the server's executed set with the master's, asked afterwards.
// In a failover that is the target: the old master is dead.
func prove(ctx context.Context, s site, server Server) error {
	facts, err := server.Look(ctx)
	if err != nil {
		return err
	}
	judge := s.judge()
	_, master, err := s.named(judge)
	if err != nil {
		return err
	}
	truth, err := master.Look(ctx)
	if err != nil {
		return fmt.Errorf("asking master %s for proof: %w", judge, err)
	}
	info, _, err := s.named(s.step.Server)
	if err != nil {
		return err
	}
	if errant := s.chain.Errant(info, facts, truth); !errant.Empty() {
		return fmt.Errorf("%s holds %d transactions that master %s never had: %s: %w", s.step.Server, errant.Count(), judge, errant, ErrErrant)
	}
	return nil
}

// judge is the server whose set is the chain's: the master, and in a failover the
// next one, which has been fed with all that will be.
func (s site) judge() string {
	if s.plan.Kind == Failover {
		return s.plan.Target
	}
	return s.chain.Master()
}

// fenced follows the order that was measured to give no false acknowledgement:
// first the clients go, then the waiting commits are let go, then it is closed.
// Offline mode ends once it is closed, so that it can be taken in again.
func fenced(ctx context.Context, s site) (string, error) {
	server, facts, err := s.look(ctx)
	if err != nil {
		return "", err
	}
	if facts.SuperReadOnly && !facts.Source.Enabled && !facts.Offline {
		return "was closed", nil
	}
	for _, do := range []func() error{
		func() error { return server.SetOffline(ctx, true) },
		func() error { return server.SetSourceSemiSync(ctx, 0) },
		func() error { return server.SetSuperReadOnly(ctx, true) },
		func() error { return server.SetOffline(ctx, false) },
	} {
		if err := do(); err != nil {
			return "", err
		}
	}
	return "", nil
}
