package promote

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/failoverd/failoverd/internal/topology"
)

// ErrErrant says that a server holds transactions that its chain does not, so it
// must not follow.
var ErrErrant = errors.New("errant transactions")

// How long steps wait within one try; a step that needs longer is tried again.
const (
	drainPatience = 10 * time.Second
	// handoverPatience bounds the part of a switchover in which nobody can write.
	handoverPatience = 3 * time.Second
	catchUpPatience  = 30 * time.Second
	// spareTime is what a survivor is given that may hold more than was
	// acknowledged: without it, it will be rebuilt.
	spareTime = time.Second
)

// site is what the goals work on: one plan's step, the chain as the journal has
// it now, and the servers.
type site struct {
	World
	chain topology.Chain
	plan  Plan
	step  Step
	note  *Note
}

// proved notes what the next master holds from here on.
func (s site) proved(set topology.GTIDSet) {
	if s.plan.Kind.Promotes() && s.chain.Policy.Durability == topology.SemiSync {
		s.note.HighWater = set
	}
}

// GoalDoc explains a goal in ARCHITECTURE.md.
type GoalDoc struct {
	Goal  Goal
	Holds string // when the goal holds
	reach func(context.Context, site) (string, error)
}

// Goals is the table of all step kinds. Each reach asks first whether the goal
// holds, then acts, so it may be repeated by another leader at any boundary.
var Goals []GoalDoc

func init() { // not a literal, because reach functions refer to the table's users
	Goals = []GoalDoc{
		{Revoked, "The target's IO thread is off, and those of N−W+1 of the N committed ackers: the old master can get too few acknowledgements. Others are stopped as well where they answer.", revoked},
		{Drained, "The server has executed all that its relay log holds; its SQL thread runs.", drained},
		{Fed, "The server holds everything that N−W+1 stopped ackers and any other reachable survivor hold, and the high-water mark.", fed},
		{Armed, "The server receives from its source and offers acknowledgements.", armed},
		{Disarmed, "The server offers no acknowledgements.", disarmed},
		{Closed, "The old master is read-only and the target has executed all of it.", closed},
		{CaughtUp, "The server has executed what its source had a moment ago.", caughtUp},
		{Writable, "The server waits for acknowledgements, where the policy says so, and is open for writes.", writable},
		{Published, "The watchers tell followers the chain as the journal has it; the object store follows.", published},
		{Detached, "The server has no source and offers no acknowledgements.", detached},
		{Following, "The server is closed, holds nothing that the chain lacks, and replicates from the source.", following},
		{Fenced, "The server acknowledges nothing: clients were cut, semi-sync is off, it is read-only.", fenced},
		{Ackers, "The journal's acker set is as given.", recorded},
		{Standing, "The journal's standing of the server is as given.", recorded},
		{Seats, "The journal's seats are as given.", recorded},
		{Released, "No commit at the master waits for an acknowledgement that a new acker is never asked for.", released},
		{Received, "The server has received what its source had committed a moment ago.", received},
		{Confirmed, "As many ackers as the master waits for have acknowledged a commit that was made just now, and so hold all before it.", confirmed},
		{Acks, "The master waits for this many acknowledgements.", acks},
		{Saved, "What the server holds and its chain does not is in the object store.", saved},
		{Cloned, "The server's data is a copy of a healthy one's and holds nothing that the master lacks.", cloned},
		{Sole, "No other server that can be asked holds what the rebuilt server held and its chain did not; the others are doubted.", sole},
		{Burned, "The GTIDs of what the server held and its chain did not are taken, so that it cannot give them again.", burned},
		{Awake, "The scheduled events that came to the master by replication run there.", awake},
	}
}

// Reach brings about the goal of one step of a plan and returns a short note of
// what it found or did. It may be called again after any error.
func Reach(ctx context.Context, w World, chain topology.Chain, plan Plan, step Step) (Note, error) {
	note := Note{Step: step.String()}
	for _, g := range Goals {
		if g.Goal == step.Goal {
			var err error
			note.Text, err = g.reach(ctx, site{World: w, chain: chain, plan: plan, step: step, note: &note})
			if err != nil {
				return Note{}, fmt.Errorf("%s: %w", step, err)
			}
			return note, nil
		}
	}
	return Note{}, fmt.Errorf("step %q is not known to this version of failoverd: upgrade this watcher", step.Goal)
}

func (s site) named(name string) (topology.Server, Server, error) {
	info, ok := s.chain.Server(name)
	if !ok {
		return info, nil, fmt.Errorf("server %q is not in the inventory of %s", name, s.chain.Product)
	}
	return info, s.Server(info), nil
}

func (s site) subject() (Server, error) {
	_, server, err := s.named(s.step.Server)
	return server, err
}

// look returns the subject and its facts.
func (s site) look(ctx context.Context) (Server, topology.Facts, error) {
	server, err := s.subject()
	if err != nil {
		return nil, topology.Facts{}, err
	}
	facts, err := server.Look(ctx)
	return server, facts, err
}

// ends returns the subject, and the facts of its source as they are now.
func (s site) ends(ctx context.Context) (Server, topology.Facts, error) {
	server, err := s.subject()
	if err != nil {
		return nil, topology.Facts{}, err
	}
	_, source, err := s.named(s.step.Source)
	if err != nil {
		return nil, topology.Facts{}, err
	}
	facts, err := source.Look(ctx)
	return server, facts, err
}

// recorded is the goal of steps whose effect is in the journal alone.
func recorded(context.Context, site) (string, error) { return "", nil }
