package promote

import (
	"context"
	"fmt"

	"github.com/failoverd/failoverd/internal/topology"
)

// saved keeps what the server holds and its chain does not, before its data is
// replaced. The set is reckoned anew: the server may have got more since the plan.
func saved(ctx context.Context, s site) (string, error) {
	info, server, err := s.named(s.step.Server)
	if err != nil {
		return "", err
	}
	errant, err := errantAt(ctx, s, server)
	if err != nil || errant.Empty() {
		return "nothing to save", err
	}
	where, err := s.Save(ctx, s.chain.Product, info, errant)
	if err != nil {
		return "", fmt.Errorf("saving %d errant transactions %s: %w", errant.Count(), errant, err)
	}
	return fmt.Sprintf("%d errant transactions are in %s", errant.Count(), where), nil
}

// errantAt is what a closed server holds, applied or only received, and the
// master, asked afterwards, does not.
func errantAt(ctx context.Context, s site, server Server) (topology.GTIDSet, error) {
	facts, err := server.Look(ctx)
	if err != nil {
		return topology.GTIDSet{}, err
	}
	_, master, err := s.named(s.chain.Master())
	if err != nil {
		return topology.GTIDSet{}, err
	}
	truth, err := master.Look(ctx)
	if err != nil {
		return topology.GTIDSet{}, fmt.Errorf("asking master %s for proof: %w", s.chain.Master(), err)
	}
	return facts.Executed.Minus(truth.Executed).WithoutServer(truth.UUID), nil
}

// cloned replaces the server's data, which takes as long as it takes: while it
// is under way ErrUnderway is returned, and other repairs may go first.
func cloned(ctx context.Context, s site) (string, error) {
	if s.step.Server == s.chain.Master() {
		return "", fmt.Errorf("%s is the master of epoch %d", s.step.Server, s.chain.Epoch)
	}
	donor, donors, err := s.named(s.step.Source)
	if err != nil {
		return "", err
	}
	server, facts, err := s.look(ctx)
	if err != nil {
		return "", fmt.Errorf("%s may be restarting with its new data: %w (%w)", s.step.Server, ErrUnderway, err)
	}
	if facts.Clone != nil && facts.Clone.State == topology.CloneInProgress {
		return "", fmt.Errorf("%s copies from %s, %s: %w", s.step.Server, facts.Clone.Source, facts.Clone.Stage, ErrUnderway)
	}
	if errant, err := errantAt(ctx, s, server); err != nil {
		return "", err
	} else if errant.Empty() {
		return "", nil
	}
	if facts.Open() {
		return "", fmt.Errorf("%s is open for writes: it has to be fenced first", s.step.Server)
	}
	// What the donor is errant with would come along.
	if errant, err := errantAt(ctx, s, donors); err != nil {
		return "", err
	} else if !errant.Empty() {
		return "", fmt.Errorf("donor %s holds %d errant transactions itself: %s", donor.Name, errant.Count(), errant)
	}
	if err := server.Clone(ctx, donor); err != nil {
		return "", err
	}
	return "", fmt.Errorf("%s begins to copy from %s: %w", s.step.Server, donor.Name, ErrUnderway)
}
