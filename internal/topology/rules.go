package topology

import (
	"fmt"
	"strings"
	"time"
)

// Rules is the table that Judge goes through; the first row that fits wins and
// the last always fits. The names are the words of logs, metrics and the CLI.
var Rules = []Rule{
	{Name: "too-few-views", Action: Wait,
		Why:  "Fewer than a majority of the watchers have a fresh view: nothing can be known.",
		when: tooFewViews},
	{Name: "master-missing-data", Action: Alert,
		Why:  "The master is dead and no reachable server holds everything below the high-water mark: promoting would lose acknowledged writes.",
		when: deadBut(func(p *Picture) (found, bool) { return noWholeTarget(p) })},
	{Name: "master-dead-no-target", Action: Wait,
		Why:  "The master is dead and the server to promote, or an acker that may hold acknowledged writes, is gone too. It waits for one of them.",
		when: deadBut(noTarget)},
	{Name: "master-held-down", Action: Alert,
		Why:  "The master is silent, not proven dead, soon after the last promotion: flapping is worse than waiting.",
		when: heldDown},
	{Name: "master-dead", Action: Failover,
		Why:  "A majority is refused by the master's host and its direct replicas lost it too: dead for certain.",
		when: masterDead},
	{Name: "master-silent", Action: Failover,
		Why:  "A majority has had no answer for deadAfter and its direct replicas have heard nothing for linkDeadAfter: frozen, lost or cut off.",
		when: masterSilent},
	{Name: "second-master", Action: Fence,
		Why:  "A server that is not the master is open for writes: a thawed or returning old master, or a hand.",
		when: secondMaster},
	{Name: "master-seen-by-replicas", Action: Alert,
		Why:  "A majority of the watchers cannot reach the master, but its replicas hear it: the watchers' network is at fault.",
		when: masterSeenByReplicas},
	{Name: "master-suspect", Action: Wait,
		Why:  "The master is missed, but not by enough watchers, or not for long enough, or its replicas have not been asked yet.",
		when: masterSuspect},
	{Name: "master-closed-to-probes", Action: Alert,
		Why:  "The master is alive but refuses the probes: credentials, TLS, DNS or too many connections. Never a reason to fail over.",
		when: masterClosedToProbes},
	{Name: "master-behind-acker", Action: Failover,
		Why:  "The master came back with less than its acker holds: opening it would lose acknowledged writes.",
		when: masterBehindAcker},
	{Name: "master-below-high-water", Action: Alert,
		Why:  "The master came back without transactions it once had, and no acker holds them.",
		when: masterBelowHighWater},
	{Name: "master-closed", Action: Reopen,
		Why:  "The master answers but is read-only: it restarted, for servers boot closed and only failoverd opens one.",
		when: masterClosed},
	{Name: "master-attached", Action: Mend,
		Why:  "The master still replicates from its old source, which may send it what nobody acknowledged.",
		when: masterAttached},
	{Name: "server-errant", Action: Quarantine,
		Why:  "A replica holds transactions that the master never had. It is out before anybody counts on it.",
		when: serverErrant},
	{Name: "ackers-lost", Action: Reform,
		Why:  "No acker answers, or all are far behind, so commits wait: another replica has to acknowledge.",
		when: ackersLost},
	{Name: "master-unprotected", Action: Protect,
		Why:  "The master does not wait for an acknowledgement although the policy says so, or the acker does not offer any.",
		when: masterUnprotected},
	{Name: "server-returned", Action: Rejoin,
		Why:  "A server that was out of rotation answers, and everything it holds is the master's.",
		when: serverReturned},
	{Name: "replica-astray", Action: Mend,
		Why:  "A replica follows the wrong source, none, or does not receive.",
		when: replicaAstray},
	{Name: "ackers-surplus", Action: Reform,
		Why:  "The candidate is whole again: it acknowledges alone, as it should.",
		when: ackersSurplus},
	{Name: "publish-behind", Action: Publish,
		Why:  "The published file does not show the chain as it is.",
		when: publishBehind},
	{Name: "acker-behind", Action: Alert,
		Why:  "The only acker there is has much still to receive: commits wait until it has.",
		when: ackerBehind},
	{Name: "replica-broken", Action: Alert,
		Why:  "A replica's applier stopped with an error.",
		when: replicaBroken},
	{Name: "server-missing", Action: Alert,
		Why:  "A server other than the master does not answer.",
		when: serverMissing},
	{Name: "facts-missing", Action: Wait,
		Why:  "A server answers but has not been looked at since the chain was last changed.",
		when: factsMissing},
	{Name: "healthy", Action: None,
		Why: "Everything is as it should be.",
		when: func(*Picture) (found, bool) {
			return found{why: "all servers answer and replicate as they should"}, true
		}},
}

func tooFewViews(p *Picture) (found, bool) {
	if len(p.fresh) >= p.quorum() {
		return found{}, false
	}
	return found{why: fmt.Sprintf("%d of %d watchers have a fresh view, %d are needed", len(p.fresh), p.Watchers, p.quorum())}, true
}

func secondMaster(p *Picture) (found, bool) {
	for _, s := range p.Chain.Servers {
		seen := p.seen[s.Name]
		if s.Name == p.master.Name || !seen.up() || seen.facts == nil || p.rests("second-master", s.Name) {
			continue
		}
		if f := seen.facts; f.Offline && !f.SuperReadOnly {
			return found{server: s.Name, why: fmt.Sprintf("%s is in offline mode and not closed: its fence was not finished", s.Name)}, true
		}
		if !seen.facts.Open() {
			continue
		}
		return found{server: s.Name, why: fmt.Sprintf("%s is open for writes, but %s is the master of epoch %d", s.Name, p.master.Name, p.Chain.Epoch)}, true
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
	for _, r := range p.directReplicas() {
		if r.up() {
			return "", false
		}
	}
	if p.masterRefused() || (p.masterMissed() && m.unanswered >= p.Chain.Policy.DeadAfter) {
		return fmt.Sprintf("%s is %s and no direct replica answers", p.master.Name, m.contacts(p.Watchers)), true
	}
	return "", false
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
	if last == nil || p.Now.Sub(last.At) >= p.Chain.Policy.HoldDown.Std() || last.Kind != "failover" {
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

// ackerFor is the server that should acknowledge for the present master: one
// that already receives from it, and among these the candidate, slave, dump.
func (p *Picture) ackerFor() string {
	best, bestRank := "", 0
	for _, s := range p.Chain.Servers {
		seen := p.seen[s.Name]
		if s.Name == p.master.Name || s.Standing != In || !seen.up() || seen.facts == nil || p.behind(seen) || p.rests("ackers-lost", s.Name) {
			continue
		}
		rank := map[Seat]int{Candidate: 3, Slave: 2, Dump: 1}[s.Seat]
		if link := seen.facts.Link; link != nil && link.IO == On && link.SourceAddr == p.master.Addr() {
			rank += 3
		}
		if rank > bestRank {
			best, bestRank = s.Name, rank
		}
	}
	return best
}

func ackersLost(p *Picture) (found, bool) {
	if p.Chain.Policy.Durability != SemiSync || p.masterFacts() == nil {
		return found{}, false
	}
	for _, acker := range p.Chain.Ackers {
		a := p.seen[acker]
		if a == nil {
			continue
		}
		// Standing in, and not proven missing by a majority: it acks, or will in a moment.
		answers := a.missed() < p.quorum() || (!p.refusedByAll(a) && a.unanswered < ackerPatience)
		if a.server.Standing == In && answers && !p.behind(a) {
			return found{}, false
		}
	}
	stand := p.ackerFor()
	if stand == "" {
		return found{}, false
	}
	return found{server: stand, why: fmt.Sprintf("no acker of {%s} answers or is up to date, commits at %s wait: %s takes over acknowledging", join(p.Chain.Ackers), p.master.Name, stand)}, true
}

// AckerBehind is how many transactions an acker may have still to receive before
// it is as good as lost: a commit is acknowledged only behind all of them.
const AckerBehind = 1000

// behind says that so much that the master committed has not reached the server.
func (p *Picture) behind(s *seen) bool {
	mf := p.masterFacts()
	return mf != nil && s.facts != nil && mf.Executed.Minus(s.facts.Held()).Count() > AckerBehind
}

// ackerPatience is how long a silent acker is waited for. Much shorter than
// DeadAfter: the writes stall meanwhile, and taking in another acker harms nobody.
const ackerPatience = Duration(900 * time.Millisecond)

func (p *Picture) refusedByAll(s *seen) bool { return s.refused >= p.quorum() && s.answered == 0 }

func masterUnprotected(p *Picture) (found, bool) {
	mf := p.masterFacts()
	if p.Chain.Policy.Durability != SemiSync || mf == nil {
		return found{}, false
	}
	if !mf.Source.Enabled || !mf.Source.On {
		return found{server: p.master.Name, why: fmt.Sprintf("%s does not wait for acknowledgements", p.master.Name)}, true
	}
	for _, acker := range p.Chain.Ackers {
		a := p.seen[acker]
		if a == nil || !a.up() || a.facts == nil || a.server.Standing != In || p.rests("master-unprotected", acker) {
			continue
		}
		if !a.facts.ReplicaSemiSync && p.Chain.SourceOf(acker) == p.master.Name {
			return found{server: acker, why: fmt.Sprintf("acker %s does not offer acknowledgements", acker)}, true
		}
	}
	return found{}, false
}

// errantAt are the transactions that a replica holds and the master does not.
// What the master itself originated is never errant: an asynchronous replica
// receives it before the master shows it as committed.
func (p *Picture) errantAt(s *seen) GTIDSet {
	mf := p.masterFacts()
	if mf == nil || !s.up() {
		return GTIDSet{}
	}
	facts := p.factsBeforeMaster(s)
	if facts == nil {
		return GTIDSet{}
	}
	return facts.Executed.WithoutServer(mf.UUID).Minus(mf.Executed)
}

func serverErrant(p *Picture) (found, bool) {
	for _, s := range p.Chain.Servers {
		if s.Name == p.master.Name || p.rests("server-errant", s.Name) {
			continue
		}
		if s.Standing == Quarantined {
			if f := p.seen[s.Name].facts; p.seen[s.Name].up() && f != nil && f.ReplicaSemiSync {
				return found{server: s.Name, why: fmt.Sprintf("%s is quarantined and still offers acknowledgements", s.Name)}, true
			}
			continue
		}
		if errant := p.errantAt(p.seen[s.Name]); !errant.Empty() {
			return found{server: s.Name, errant: errant, why: fmt.Sprintf("%s holds %d transactions that master %s never had: %s", s.Name, errant.Count(), p.master.Name, errant)}, true
		}
	}
	return found{}, false
}

func serverReturned(p *Picture) (found, bool) {
	if p.masterFacts() == nil {
		return found{}, false
	}
	for _, s := range p.Chain.Servers {
		seen := p.seen[s.Name]
		if s.Standing != Out || !seen.up() || seen.facts == nil || seen.facts.Open() || p.rests("server-returned", s.Name) {
			continue
		}
		if p.factsBeforeMaster(seen) == nil {
			continue
		}
		return found{server: s.Name, why: fmt.Sprintf("%s is back and holds nothing that master %s lacks", s.Name, p.master.Name)}, true
	}
	return found{}, false
}

func replicaAstray(p *Picture) (found, bool) {
	if p.masterFacts() == nil {
		return found{}, false
	}
	for _, s := range p.Chain.Servers {
		seen := p.seen[s.Name]
		if s.Standing != In || s.Name == p.master.Name || !seen.up() || seen.facts == nil || p.rests("replica-astray", s.Name) {
			continue
		}
		source := p.SourceFor(s.Name)
		if why := astray(seen.facts, source, p.Chain.MayAckUnder(s.Name, source.Name)); why != "" {
			return found{server: s.Name, why: s.Name + " " + why}, true
		}
	}
	return found{}, false
}

// SourceFor is the server that the named one should replicate from now: while
// its proper source is away, the master.
func (p *Picture) SourceFor(name string) Server {
	source, _ := p.Chain.Server(p.Chain.SourceOf(name))
	if s := p.seen[source.Name]; s != nil && s.missed() >= p.quorum() && s.unanswered >= p.Chain.Policy.DeadAfter {
		return p.master
	}
	return source
}

func astray(f *Facts, source Server, mayAck bool) string {
	switch {
	case f.Link == nil:
		return "has no source, should follow " + source.Name
	case f.Link.SourceAddr != source.Addr():
		return fmt.Sprintf("follows %s, should follow %s (%s)", f.Link.SourceAddr, source.Name, source.Addr())
	case f.Link.IO == Off:
		return "does not receive from " + source.Name
	case f.Link.SQL == Off && f.Link.SQLError == "":
		return "receives but does not apply"
	case !f.Link.AutoPosition:
		return "follows without auto-position"
	case f.Offline:
		return "is in offline mode"
	case f.ReplicaSemiSync != mayAck && mayAck:
		return "should offer acknowledgements"
	case f.ReplicaSemiSync != mayAck:
		return "offers acknowledgements and should not"
	}
	return ""
}

func ackersSurplus(p *Picture) (found, bool) {
	if p.Chain.Policy.Durability != SemiSync || p.masterFacts() == nil {
		return found{}, false
	}
	candidate, ok := p.Chain.At(Candidate)
	if !ok || candidate.Standing != In || (len(p.Chain.Ackers) == 1 && p.Chain.Ackers[0] == candidate.Name) {
		return found{}, false
	}
	s := p.seen[candidate.Name]
	if !s.up() || s.facts == nil || s.facts.Link == nil || s.facts.Link.IO != On || s.facts.Link.SourceAddr != p.master.Addr() || p.behind(s) {
		return found{}, false
	}
	// The servers that stop acknowledging must answer, for they are switched off first.
	for _, acker := range p.Chain.Ackers {
		if a := p.seen[acker]; a != nil && acker != candidate.Name && !a.up() {
			return found{}, false
		}
	}
	return found{server: candidate.Name, why: fmt.Sprintf("candidate %s receives again and takes acknowledging back from {%s}", candidate.Name, join(p.Chain.Ackers))}, true
}

func publishBehind(p *Picture) (found, bool) {
	return found{why: fmt.Sprintf("the published file does not show epoch %d as it is", p.Chain.Epoch)}, !p.Published
}

func ackerBehind(p *Picture) (found, bool) {
	for _, acker := range p.Chain.Ackers {
		if a := p.seen[acker]; a != nil && a.up() && p.behind(a) && p.Chain.Policy.Durability == SemiSync {
			return found{server: acker, why: fmt.Sprintf("acker %s has more than %d transactions still to receive: commits at %s wait for it", acker, AckerBehind, p.master.Name)}, true
		}
	}
	return found{}, false
}

func replicaBroken(p *Picture) (found, bool) {
	for _, s := range p.Chain.Servers {
		seen := p.seen[s.Name]
		if seen.up() && seen.facts != nil && seen.facts.Link != nil && seen.facts.Link.SQLError != "" {
			return found{server: s.Name, why: fmt.Sprintf("%s: %s", s.Name, seen.facts.Link.SQLError)}, true
		}
	}
	return found{}, false
}

func serverMissing(p *Picture) (found, bool) {
	for _, s := range p.Chain.Servers {
		seen := p.seen[s.Name]
		if s.Standing == Quarantined {
			return found{server: s.Name, why: fmt.Sprintf("%s is quarantined: %s", s.Name, s.Why)}, true
		}
		if !seen.up() {
			return found{server: s.Name, why: fmt.Sprintf("%s (%s) is %s: %s", s.Name, s.Seat, seen.contacts(p.Watchers), seen.lastErr)}, true
		}
	}
	return found{}, false
}

func factsMissing(p *Picture) (found, bool) {
	for _, s := range p.Chain.Servers {
		if seen := p.seen[s.Name]; seen.up() && seen.facts == nil {
			return found{server: s.Name, why: s.Name + " has not been looked at since the chain was last changed"}, true
		}
	}
	return found{}, false
}

func join(names []string) string { return strings.Join(names, ", ") }
