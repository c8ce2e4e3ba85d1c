package journal

import (
	"fmt"
	"slices"
	"time"

	"github.com/failoverd/failoverd/internal/promote"
	"github.com/failoverd/failoverd/internal/topology"
)

// accept opens a plan: refused if one is open or its epoch is not the next, so
// that no effect ever happens without a committed intent.
func (s *State) accept(c Command) error {
	plan := *c.Accept
	p, err := s.product(plan.Product)
	if err != nil {
		return err
	}
	if p.Open != nil {
		return fmt.Errorf("product %s: plan %d (%s) is open: %w", plan.Product, p.Open.Plan.ID, p.Open.Plan.Kind, ErrStale)
	}
	if err := s.braked(plan, c.At); err != nil {
		return err
	}
	want := p.Chain.Epoch
	if plan.Kind.Promotes() {
		want++
	}
	if plan.Epoch != want {
		return fmt.Errorf("product %s: the plan is for epoch %d, not %d: %w", plan.Product, plan.Epoch, want, ErrStale)
	}
	if len(plan.Steps) == 0 || plan.Commit > len(plan.Steps) || (plan.Kind.Promotes() && (plan.After == nil || plan.Commit >= len(plan.Steps))) {
		return fmt.Errorf("product %s: the %s plan has %d steps and commits at %d", plan.Product, plan.Kind, len(plan.Steps), plan.Commit)
	}
	s.Plans++
	plan.ID = s.Plans
	p.Open = &promote.Progress{Plan: plan}
	p.OpenedAt = c.At
	return nil
}

func (s *State) open(product string, id uint64) (*Product, error) {
	p, err := s.product(product)
	if err != nil {
		return nil, err
	}
	if p.Open == nil || p.Open.Plan.ID != id {
		return nil, fmt.Errorf("product %s: plan %d is not open: %w", product, id, ErrStale)
	}
	return p, nil
}

// done notes a finished step. A repeated note of the same step changes nothing.
func (s *State) done(index uint64, c Command) error {
	d := *c.Done
	p, err := s.open(d.Product, d.Plan)
	if err != nil {
		return err
	}
	if p.Open.Undoing != d.Undoing || d.Index != p.Open.Next {
		return fmt.Errorf("product %s: step %d of plan %d is not the next (%d): %w", d.Product, d.Index, d.Plan, p.Open.Next, ErrStale)
	}
	open := *p.Open
	step := open.Steps()[open.Next]
	open.Notes = append(append([]promote.Note(nil), open.Notes...), d.Note)
	open.Next++
	p.Open = &open
	if !d.Note.Failed {
		p.effect(step, d.Note, c.At)
	}
	if open.Finished() {
		outcome := "done"
		if open.Undoing {
			outcome = "taken back: " + open.AbortWhy
		}
		s.close(index, p, c.At, outcome)
	}
	return nil
}

// effect is what a finished step changes in the journal's own picture of the chain.
func (p *Product) effect(step promote.Step, note promote.Note, at time.Time) {
	plan := p.Open.Plan
	switch step.Goal {
	case promote.Saved:
		p.Chain.Retired = p.Chain.Retired.Union(note.Errant)
		p.each(func(s *topology.Server) {
			if s.Name == step.Server && note.Clone != "" {
				s.CloneMark = note.Clone
			}
		})
	case promote.Detached:
		if step.Server == p.Chain.Attached {
			p.Chain.Attached = ""
		}
		p.disarmed(step.Server)
	case promote.Following, promote.Disarmed: // from here on it offers what it should
		p.disarmed(step.Server)
	case promote.Burned:
		p.Chain.Retired, p.Chain.Burning = p.Chain.Retired.Minus(note.Burned), p.Chain.Burning.Minus(note.Burned)
	case promote.Sole:
		p.Chain.Burning = p.Chain.Burning.Union(note.Burned)
		p.each(func(s *topology.Server) {
			if slices.Contains(note.Absent, s.Name) {
				s.Doubt = s.Doubt.Union(note.Burned)
				s.CloneMark = "" // a copy from before says nothing of what came after it
			}
		})
	case promote.Ackers:
		p.Chain.Ackers = step.Others
		if step.Need > 0 {
			p.Chain.Acks = step.Need
		}
	case promote.Seats:
		p.Chain.Servers = step.Servers
	case promote.Standing:
		if step.Standing != topology.In && !plan.Disarms(step.Server) {
			p.mayBeArmed(step.Server)
		}
		p.each(func(s *topology.Server) {
			if s.Name != step.Server {
				return
			}
			s.Standing, s.Why, s.Until = step.Standing, step.Why, step.Until
			switch step.Standing {
			case topology.In:
				s.CloneMark, s.Doubt = "", topology.GTIDSet{}
			case topology.Quarantined:
				s.CloneMark = ""
			}
		})
	case promote.Writable:
		if plan.After != nil && !p.Open.Undoing {
			p.promoted(*plan.After, at)
			p.cut(note.Cut, at)
		}
	}
}

// cut notes where the history of the epochs before ends. The set of a watcher that
// knows no cuts is empty.
func (p *Product) cut(set topology.GTIDSet, at time.Time) {
	if set.Empty() {
		return
	}
	c := topology.Cut{Epoch: p.Chain.Epoch, Server: p.Open.Plan.Target, GTIDs: set, At: at}
	for _, s := range p.Chain.Servers {
		if s.Name == c.Server {
			c.UUID = s.UUID
		}
	}
	p.Cuts = append(append([]topology.Cut(nil), p.Cuts...), c)
	p.Cuts = p.Cuts[max(0, len(p.Cuts)-cutsKept):]
}

// mayBeArmed notes that a server may offer acknowledgements that nobody counts on.
func (p *Product) mayBeArmed(name string) {
	if !slices.Contains(p.Chain.Armed, name) {
		p.Chain.Armed = append(slices.Clone(p.Chain.Armed), name)
	}
}

// disarmed notes that a server offers what it should, and nothing else.
func (p *Product) disarmed(name string) {
	p.Chain.Armed = slices.DeleteFunc(slices.Clone(p.Chain.Armed), func(other string) bool { return other == name })
}

// each changes servers in a copy: what readers have stays as it is.
func (p *Product) each(change func(*topology.Server)) {
	p.Chain.Servers = append([]topology.Server(nil), p.Chain.Servers...)
	for i := range p.Chain.Servers {
		change(&p.Chain.Servers[i])
	}
}

// promoted takes over what a promotion changes, and keeps what operators may
// have changed meanwhile.
func (p *Product) promoted(after topology.Chain, at time.Time) {
	p.Chain.Servers, p.Chain.Ackers, p.Chain.Acks, p.Chain.Epoch = after.Servers, after.Ackers, after.Acks, after.Epoch
	if p.Open.Plan.Loss != nil { // what is lost is no measure for the next master
		p.Chain.HighWater = topology.GTIDSet{}
	}
	for _, note := range p.Open.Notes {
		p.Chain.HighWater = p.Chain.HighWater.Union(note.HighWater)
	}
	p.Chain.Attached = p.Open.Plan.Target
	if after.Last != nil {
		last := *after.Last
		last.At = at
		p.Chain.Last = &last
	}
}

func (s *State) close(index uint64, p *Product, at time.Time, outcome string) {
	plan := p.Open.Plan
	phases := append([]promote.Note(nil), p.Open.Notes...)
	for i := range phases {
		phases[i].HighWater, phases[i].Errant, phases[i].Burned, phases[i].Cut = topology.GTIDSet{}, topology.GTIDSet{}, topology.GTIDSet{}, topology.GTIDSet{} // the history is for people
	}
	s.record(Entry{ID: index, At: at, Product: plan.Product, What: string(plan.Kind), Outcome: outcome, Actor: plan.Actor, Why: plan.Why,
		Epoch: p.Chain.Epoch, Plan: plan.ID, From: plan.From, To: plan.Target, Loss: plan.Loss, Ms: max(0, at.Sub(p.OpenedAt).Milliseconds()), Phases: phases})
	p.Open, p.OpenedAt = nil, time.Time{}
}

// abort gives a plan up. It is refused once a server may have been opened.
func (s *State) abort(index uint64, c Command) error {
	p, err := s.open(c.Abort.Product, c.Abort.Plan)
	if err != nil {
		return err
	}
	if p.Open.Undoing && !c.Abort.Outright {
		return fmt.Errorf("product %s: plan %d is being taken back already: %w", c.Abort.Product, c.Abort.Plan, ErrStale)
	}
	if p.Open.Plan.Kind.Promotes() && p.Open.MayHaveOpened() {
		return fmt.Errorf("product %s: plan %d may have opened %s: it only goes forward: %w", c.Abort.Product, c.Abort.Plan, p.Open.Plan.Target, ErrStale)
	}
	if p.Open.Plan.Kind.Promotes() {
		for _, step := range p.Open.Plan.Steps[:p.Open.Plan.Commit] {
			if step.Goal == promote.Armed { // for the target, and done or not nobody may know
				p.mayBeArmed(step.Server)
			}
		}
	}
	if len(p.Open.Plan.Undo) == 0 || c.Abort.Outright {
		s.close(index, p, c.At, "given up: "+c.Abort.Why)
		return nil
	}
	open := *p.Open
	open.Undoing, open.Next, open.AbortWhy = true, 0, c.Abort.Why
	p.Open = &open
	return nil
}

// supersede takes a promotion that may have happened as having happened.
func (s *State) supersede(index uint64, c Command) error {
	p, err := s.open(c.Supersede.Product, c.Supersede.Plan)
	if err != nil {
		return err
	}
	if !p.Open.Plan.Kind.Promotes() || !p.Open.MayHaveOpened() {
		return fmt.Errorf("product %s: plan %d has opened nothing: %w", c.Supersede.Product, c.Supersede.Plan, ErrStale)
	}
	if p.Chain.Epoch < p.Open.Plan.Epoch {
		p.promoted(*p.Open.Plan.After, c.At)
	}
	s.close(index, p, c.At, "overtaken: "+c.Supersede.Why)
	return nil
}
