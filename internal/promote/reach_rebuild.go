package promote

import (
	"context"
	"errors"
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
	facts, err := server.Look(ctx)
	if err != nil {
		return "", err
	}
	if facts.Clone != nil && facts.Clone.Emptied {
		if info.CloneMark == "" { // else a copy would never count
			s.note.Clone = "none"
		}
		return "what it held is gone already", nil
	}
	errant, err := errantAt(ctx, s, info, facts)
	if err != nil {
		return "", err
	}
	if errant.Empty() && info.Replaced(facts) {
		return "what it held is gone already", nil
	}
	s.note.Errant, s.note.Clone = errant, "none"
	switch {
	case facts.Clone == nil:
	case facts.Clone.State != topology.CloneInProgress:
		s.note.Clone = facts.Clone.Begun
	case info.CloneMark != "": // its copy counts when it is complete; one whose process died shows as under way too
		s.note.Clone = info.CloneMark
	}
	if errant.Empty() {
		return "nothing to save", nil
	}
	where, err := s.Save(ctx, s.chain.Product, info, errant)
	if err != nil {
		return "", fmt.Errorf("saving %d errant transactions %s: %w", errant.Count(), errant, err)
	}
	return fmt.Sprintf("%d errant transactions are in %s", errant.Count(), where), nil
}

// errantAt is what a closed server holds and the master, asked afterwards, does
// not, or has with another content.
func errantAt(ctx context.Context, s site, info topology.Server, facts topology.Facts) (topology.GTIDSet, error) {
	_, master, err := s.named(s.chain.Master())
	if err != nil {
		return topology.GTIDSet{}, err
	}
	truth, err := master.Look(ctx)
	if err != nil {
		return topology.GTIDSet{}, fmt.Errorf("asking master %s for proof: %w", s.chain.Master(), err)
	}
	return s.chain.Errant(info, facts, truth), nil
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
	info, server, err := s.named(s.step.Server)
	if err != nil {
		return "", err
	}
	facts, err := server.Look(ctx)
	switch {
	case errors.Is(err, ErrUnreachable) && info.CloneMark != "":
		return "", fmt.Errorf("%s may be restarting with its new data: %w (%w)", s.step.Server, ErrUnderway, err)
	case err != nil:
		return "", err
	case info.Replaced(facts):
		return "copied from " + facts.Clone.Source, nil
	case facts.Clone != nil && facts.Clone.State == topology.CloneInProgress:
		if err := server.Clone(ctx, donor); err != nil { // the adapter closes a server that was emptied
			return "", err
		}
		return "", fmt.Errorf("%s copies from %s, %s: %w", s.step.Server, facts.Clone.Source, facts.Clone.Stage, ErrUnderway)
	case facts.Open():
		return "", fmt.Errorf("%s is open for writes: it has to be fenced first", s.step.Server)
	}
	// What the donor is errant with would come along.
	theirs, err := donors.Look(ctx)
	if err != nil {
		return "", err
	}
	if errant, err := errantAt(ctx, s, donor, theirs); err != nil {
		return "", err
	} else if !errant.Empty() {
		return "", fmt.Errorf("donor %s holds %d errant transactions itself: %s", donor.Name, errant.Count(), errant)
	}
	if err := server.Clone(ctx, donor); err != nil {
		return "", err
	}
	return "", fmt.Errorf("%s begins to copy from %s: %w", s.step.Server, donor.Name, ErrUnderway)
}

// sole makes sure that nobody else holds what the GTIDs of a rebuilt server stood
// for, before they are taken out of use: afterwards nobody could tell. Who cannot
// be asked is doubted when it comes back.
func sole(ctx context.Context, s site) (string, error) {
	set, err := s.retired(ctx, s.step.Server)
	if err != nil || s.chain.Burning.Contains(set) {
		return "", err
	}
	judge := s.judge()
	_, master, err := s.named(judge)
	if err != nil {
		return "", err
	}
	truth, err := master.Look(ctx)
	if err != nil {
		return "", err
	}
	// What the master got from there after all is the chain's, and nobody's to give again.
	left := set.Minus(truth.Executed)
	for _, other := range s.chain.Servers {
		if other.Name == s.step.Server || other.Name == judge {
			continue
		}
		theirs, err := s.Server(other).Look(ctx)
		switch {
		case errors.Is(err, ErrUnreachable):
			s.note.Absent = append(s.note.Absent, other.Name)
		case err != nil:
			return "", err
		case s.plan.Kind == Failover && !theirs.Held().Common(left).Empty():
			s.note.Absent = append(s.note.Absent, other.Name) // there is no master to rebuild it from; it is doubted
		case !theirs.Held().Common(left).Empty():
			return "", fmt.Errorf("%s holds some of %s too: it is to be rebuilt first", other.Name, left)
		}
	}
	s.note.Burned = set
	return fmt.Sprintf("%d GTIDs will be taken out of use", left.Count()), nil
}

// retired are the errant transactions of a server that is being rebuilt.
func (s site) retired(ctx context.Context, name string) (topology.GTIDSet, error) {
	_, server, err := s.named(name)
	if err != nil {
		return topology.GTIDSet{}, err
	}
	facts, err := server.Look(ctx)
	return s.chain.Retired.OfServer(facts.UUID), err
}

// burned has the master commit empty transactions under the GTIDs that the
// rebuilt server had given to what the chain does not have. As a later master it
// would give them again, and whoever still holds the old ones would take the new
// for done.
func burned(ctx context.Context, s site) (string, error) {
	set, err := s.retired(ctx, s.step.Source)
	if err != nil || set.Empty() {
		return "", err
	}
	if !s.chain.Burning.Contains(set) {
		return "", fmt.Errorf("%s was not asked for", set.Minus(s.chain.Burning))
	}
	master, truth, err := s.look(ctx)
	if err != nil {
		return "", err
	}
	if left := set.Minus(truth.Executed); !left.Empty() {
		if err := master.Burn(ctx, left); err != nil {
			return "", fmt.Errorf("taking %d GTIDs out of use: %w", left.Count(), err)
		}
	}
	s.note.Burned = set
	return fmt.Sprintf("%d GTIDs are out of use", set.Count()), nil
}
