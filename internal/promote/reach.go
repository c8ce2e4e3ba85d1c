package promote

import (
	"context"
	"errors"
	"fmt"
	"strings"
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
		{Revoked, "The acker's IO thread is off: its old source can get no acknowledgement from it. Others are stopped as well where they answer.", revoked},
		{Drained, "The server has executed all that its relay log holds; its SQL thread runs.", drained},
		{Fed, "The server holds everything that any reachable survivor holds, and the high-water mark.", fed},
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

func disarmed(ctx context.Context, s site) (string, error) {
	server, facts, err := s.look(ctx)
	if err != nil || !facts.ReplicaSemiSync {
		return "", err
	}
	return "", setReplicaSemiSync(ctx, server, facts, false)
}

// setReplicaSemiSync changes what the server offers while its IO thread is off,
// so that the flag always tells what the connection has: a leader that dies in
// between leaves a receiver that is off, not one that looks disarmed and
// acknowledges. The SQL thread goes on, so the relay log is never at risk.
func setReplicaSemiSync(ctx context.Context, server Server, facts topology.Facts, on bool) error {
	if facts.Link != nil {
		if err := server.StopReceiver(ctx); err != nil {
			return err
		}
	}
	if err := server.SetReplicaSemiSync(ctx, on); err != nil || facts.Link == nil {
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
	server, err := s.subject()
	if err != nil {
		return "", err
	}
	_, source, err := s.named(s.step.Source)
	if err != nil {
		return "", err
	}
	facts, err := source.Look(ctx)
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
	wait := s.chain.Policy.Durability == topology.SemiSync
	if facts.Source.Enabled != wait || (wait && !facts.Source.On) {
		if err := server.SetSourceSemiSync(ctx, wait); err != nil {
			return "", err
		}
	}
	if facts.Offline {
		if err := server.SetOffline(ctx, false); err != nil {
			return "", err
		}
	}
	if !facts.SuperReadOnly && !facts.ReadOnly {
		return "was open", nil
	}
	return "", server.SetSuperReadOnly(ctx, false)
}

func published(ctx context.Context, s site) (string, error) {
	return "", s.Publish(ctx, s.chain.Product)
}

func detached(ctx context.Context, s site) (string, error) {
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
	if !facts.SuperReadOnly {
		if err := server.SetSuperReadOnly(ctx, true); err != nil {
			return "", err
		}
	}
	if facts.Source.Enabled { // else its own applier would wait for acknowledgements
		if err := server.SetSourceSemiSync(ctx, false); err != nil {
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
		if _, err := drain(ctx, server); err != nil {
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
func prove(ctx context.Context, s site, server Server) error {
	facts, err := server.Look(ctx)
	if err != nil {
		return err
	}
	_, master, err := s.named(s.chain.Master())
	if err != nil {
		return err
	}
	truth, err := master.Look(ctx)
	if err != nil {
		return fmt.Errorf("asking master %s for proof: %w", s.chain.Master(), err)
	}
	if extra := facts.Executed.Minus(truth.Executed).WithoutServer(truth.UUID); !extra.Empty() {
		return fmt.Errorf("%s holds %d transactions that master %s never had: %s: %w", s.step.Server, extra.Count(), s.chain.Master(), extra, ErrErrant)
	}
	return nil
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
		func() error { return server.SetSourceSemiSync(ctx, false) },
		func() error { return server.SetSuperReadOnly(ctx, true) },
		func() error { return server.SetOffline(ctx, false) },
	} {
		if err := do(); err != nil {
			return "", err
		}
	}
	return "", nil
}

// recorded is the goal of steps whose effect is in the journal alone.
func recorded(context.Context, site) (string, error) { return "", nil }
