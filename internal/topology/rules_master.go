package topology

import (
	"fmt"
	"time"
)

func secondMaster(p *Picture) (found, bool) {
	for _, s := range p.Chain.Servers {
		seen := p.seen[s.Name]
		if s.Name == p.master.Name || s.Standing == Maintenance || p.rests("second-master", s.Name) || !seen.up() || seen.facts == nil || !seen.facts.Open() {
			continue
		}
		return found{server: s.Name, why: fmt.Sprintf("%s is open for writes, but %s is the master of epoch %d", s.Name, p.master.Name, p.Chain.Epoch)}, true
	}
	return found{}, false
}

func fenceUnfinished(p *Picture) (found, bool) {
	for _, s := range p.Chain.Servers {
		seen := p.seen[s.Name]
		if s.Name == p.master.Name || s.Standing == Maintenance || p.rests("fence-unfinished", s.Name) {
			continue
		}
		if seen.offline > 0 && !seen.up() {
			return found{server: s.Name, why: fmt.Sprintf("%s is in offline mode: its fence was not finished", s.Name)}, true
		}
		if f := seen.facts; seen.up() && f != nil && f.Offline && !f.SuperReadOnly {
			return found{server: s.Name, why: fmt.Sprintf("%s is in offline mode and not closed: its fence was not finished", s.Name)}, true
		}
	}
	return found{}, false
}

// refusedPatience is how fresh a replica's link must be to contradict watchers
// that are refused: two heartbeats and some. A link breaks with the process that
// held it, so a live one means that only the watchers are kept out.
const refusedPatience = Duration(1200 * time.Millisecond)

// dead returns the sentence that says how the master is known to be dead.
func (p *Picture) dead() (certain bool, why string, ok bool) {
	m := p.seen[p.master.Name]
	if p.masterRefused() {
		if agree, how := p.replicasAgree(refusedPatience); agree {
			return true, fmt.Sprintf("%s is %s; %s", p.master.Name, m.contacts(p.Watchers), how), true
		}
	}
	if p.masterMissed() && m.unanswered >= p.Chain.Policy.DeadAfter {
		if agree, how := p.replicasAgree(p.Chain.Policy.LinkDeadAfter); agree {
			return false, fmt.Sprintf("%s is %s for %s; %s", p.master.Name, m.contacts(p.Watchers), m.unanswered.Std().Round(10*time.Millisecond), how), true
		}
	}
	return false, "", false
}

// deadNoReplicas is death when no direct replica is left to ask.
func (p *Picture) deadNoReplicas() (string, bool) {
	m := p.seen[p.master.Name]
	if !p.masterRefused() && (!p.masterMissed() || m.unanswered < p.Chain.Policy.DeadAfter) {
		return "", false
	}
	for _, r := range p.directReplicas() {
		if r.up() {
			return "", false
		}
	}
	return fmt.Sprintf("%s is %s and no direct replica answers", p.master.Name, m.contacts(p.Watchers)), true
}

func deadBut(when func(*Picture) (found, bool)) func(*Picture) (found, bool) {
	return func(p *Picture) (found, bool) {
		_, how, dead := p.dead()
		if !dead {
			how, dead = p.deadNoReplicas()
		}
		if !dead {
			return found{}, false
		}
		f, ok := when(p)
		f.server = p.master.Name
		f.why = how + ", but " + f.why
		return f, ok
	}
}

func noTarget(p *Picture) (found, bool) {
	_, why := p.target()
	return found{why: why}, why != ""
}

// noWholeTarget fits when every server in rotation can be asked and still
// something is missing; when some do not answer, they may hold it: noTarget waits.
func noWholeTarget(p *Picture) (found, bool) {
	if p.Chain.Policy.Durability == Async {
		return found{}, false
	}
	if _, why := p.target(); why != "" {
		return found{}, false
	}
	missing := p.missingEverywhere()
	return found{why: fmt.Sprintf("no server that answers holds %d transactions that %s had committed: %s", missing.Count(), p.master.Name, missing)}, !missing.Empty()
}

func heldDown(p *Picture) (found, bool) {
	last := p.Chain.Last
	if last == nil || p.Now.Sub(last.At).Abs() >= p.Chain.Policy.HoldDown.Std() || last.Kind != "failover" {
		return found{}, false
	}
	certain, how, dead := p.dead()
	if !dead || certain {
		return found{}, false
	}
	return found{server: p.master.Name, why: fmt.Sprintf("%s; the last failover was %s ago, less than the hold-down of %s: kill %s for certain, or wait",
		how, p.Now.Sub(last.At).Round(time.Second), p.Chain.Policy.HoldDown, p.master.Name)}, true
}

func masterDead(p *Picture) (found, bool) {
	certain, how, dead := p.dead()
	return found{server: p.master.Name, why: how}, dead && certain
}

func masterSilent(p *Picture) (found, bool) {
	certain, how, dead := p.dead()
	return found{server: p.master.Name, why: how}, dead && !certain
}

// masterHanging: only the acknowledgements of others explain away a commit that
// hangs, so nobody may be waiting for one.
func masterHanging(p *Picture) (found, bool) {
	m, mf := p.seen[p.master.Name], p.masterFacts()
	hang := p.Chain.Policy.HangAfter
	if p.Chain.Policy.WriteProbe == 0 || hang == 0 || m.hanging < hang || mf == nil || !mf.Open() || mf.Source.Waiting > 0 {
		return found{}, false
	}
	if last := p.Chain.Last; last != nil && last.Kind == "failover" && p.Now.Sub(last.At).Abs() < p.Chain.Policy.HoldDown.Std() {
		return found{}, false
	}
	if t, _ := p.target(); t == nil || !p.missingEverywhere().Empty() {
		return found{}, false
	}
	return found{server: p.master.Name, why: fmt.Sprintf("%s answers, but commits nothing for %s, and no acknowledgement is waited for", p.master.Name, m.hanging.Std().Round(100*time.Millisecond))}, true
}

func commitsHanging(p *Picture) (found, bool) {
	mf := p.masterFacts()
	if mf == nil || mf.HangingCommits == 0 || mf.Source.Waiting > 0 {
		return found{}, false
	}
	help := ""
	if p.Chain.Policy.WriteProbe == 0 {
		help = ". With writeProbe in its policy, failoverd would fail over"
	}
	return found{server: p.master.Name, why: fmt.Sprintf("%d commits have hung at %s for 5 s and more: look whether its disk is full or stuck%s", mf.HangingCommits, p.master.Name, help)}, true
}

// Hanging is how long the write probes of a majority have hung at the master.
func (p *Picture) Hanging() Duration { return p.seen[p.master.Name].hanging }

// Stalled is how long commits at the master have waited for acknowledgements that do not come.
func (p *Picture) Stalled() Duration { return p.seen[p.master.Name].stalled }

func masterSeenByReplicas(p *Picture) (found, bool) {
	m := p.seen[p.master.Name]
	if !p.masterMissed() || m.unanswered < p.Chain.Policy.DeadAfter {
		return found{}, false
	}
	for _, r := range p.directReplicas() {
		if hears, _ := p.stillHears(r, p.Chain.Policy.LinkDeadAfter); hears {
			return found{server: p.master.Name, why: fmt.Sprintf("%s is %s, but %s hears it: look at the network between the watchers and %s",
				p.master.Name, m.contacts(p.Watchers), r.server.Name, p.master.Addr())}, true
		}
	}
	return found{}, false
}

func masterSuspect(p *Picture) (found, bool) {
	m := p.seen[p.master.Name]
	// A minority that stays cut off must not hide the rules below.
	if m.missed() == 0 || (!p.masterMissed() && m.unanswered > 2*p.Chain.Policy.DeadAfter) {
		return found{}, false
	}
	_, how := p.replicasAgree(p.Chain.Policy.LinkDeadAfter)
	return found{server: p.master.Name, why: fmt.Sprintf("%s is %s for %s; %s", p.master.Name, m.contacts(p.Watchers), m.unanswered.Std().Round(10*time.Millisecond), how)}, true
}

func masterClosedToProbes(p *Picture) (found, bool) {
	m := p.seen[p.master.Name]
	if m.answered > 0 || m.alive == 0 {
		return found{}, false
	}
	return found{server: p.master.Name, why: fmt.Sprintf("%s is %s: %s", p.master.Name, m.contacts(p.Watchers), m.lastErr)}, true
}

// ackerAhead returns the acker in rotation that holds transactions the closed master lacks.
func (p *Picture) ackerAhead() (*seen, GTIDSet) {
	mf := p.masterFacts()
	if mf == nil || mf.Open() {
		return nil, GTIDSet{}
	}
	for _, acker := range p.Chain.Ackers {
		a := p.seen[acker]
		if a == nil || !a.up() || a.server.Standing != In {
			continue
		}
		// Facts of the acker that are younger than the master's may hold what the master got since.
		facts := p.factsBeforeMaster(a)
		if facts == nil {
			continue
		}
		if more := facts.Held().Minus(mf.Executed); !more.Empty() {
			return a, more
		}
	}
	return nil, GTIDSet{}
}

func masterBehindAcker(p *Picture) (found, bool) {
	a, more := p.ackerAhead()
	if a == nil {
		return found{}, false
	}
	if t, _ := p.target(); t != a {
		return found{}, false
	}
	return found{server: p.master.Name, why: fmt.Sprintf("%s is closed and lacks %d transactions that acker %s holds", p.master.Name, more.Count(), a.server.Name)}, true
}

func masterBelowHighWater(p *Picture) (found, bool) {
	mf := p.masterFacts()
	if mf == nil || mf.Open() {
		return found{}, false
	}
	missing := p.Chain.HighWater.Minus(mf.Executed)
	return found{server: p.master.Name, why: fmt.Sprintf("%s lacks %d transactions that it had committed: %s", p.master.Name, missing.Count(), missing)}, !missing.Empty()
}

func masterClosed(p *Picture) (found, bool) {
	mf := p.masterFacts()
	return found{server: p.master.Name, why: p.master.Name + " is the master and read-only"}, mf != nil && !mf.Open()
}

func masterAttached(p *Picture) (found, bool) {
	mf := p.masterFacts()
	if mf == nil || mf.Link == nil {
		return found{}, false
	}
	return found{server: p.master.Name, why: fmt.Sprintf("%s is the master and still replicates from %s", p.master.Name, mf.Link.SourceAddr)}, true
}
