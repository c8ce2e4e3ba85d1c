// Package promote holds the steps that bring a chain to its next shape, the plans
// made of them, and their execution. Planning is pure; steps reach goals through
// the small interfaces of server.go, and may be repeated by another leader at any
// boundary.
package promote

import (
	"fmt"
	"strings"
	"time"

	"github.com/failoverd/failoverd/internal/topology"
)

// Kind is what a plan is for.
type Kind string

// The kinds of plan. They are a wire format: append, never rename.
const (
	Failover   Kind = "failover"   // the master is dead
	Switchover Kind = "switchover" // the master is alive and hands over
	Reopen     Kind = "reopen"     // the master is back, read-only: open it again
	Protect    Kind = "protect"    // semi-sync is not as it should be
	Reform     Kind = "reform"     // other servers acknowledge
	Mend       Kind = "mend"       // a replica follows the wrong source, or none
	Rejoin     Kind = "rejoin"     // a server that was out comes back
	Quarantine Kind = "quarantine" // a server holds what the chain does not
	Fence      Kind = "fence"      // a server that is not the master is open for writes
	Publish    Kind = "publish"    // the published file is behind
	Raise      Kind = "raise"      // the slave and the candidate change places
	Rebuild    Kind = "rebuild"    // a server's data is replaced by a copy of another's
	Maintain   Kind = "maintain"   // a server leaves rotation for a person's work
)

// Promotes says whether a plan of this kind changes the master.
func (k Kind) Promotes() bool { return k == Failover || k == Switchover }

// Goal is the kind of a step: a state to reach, not a command. Goals are a wire
// format: append, never rename.
type Goal string

// The goals. The table in ARCHITECTURE.md is generated from Goals.
const (
	Revoked   Goal = "revoked"
	Drained   Goal = "drained"
	Fed       Goal = "fed"
	Armed     Goal = "armed"
	Disarmed  Goal = "disarmed"
	Closed    Goal = "closed"
	CaughtUp  Goal = "caught-up"
	Writable  Goal = "writable"
	Published Goal = "published"
	Detached  Goal = "detached"
	Following Goal = "following"
	Fenced    Goal = "fenced"
	Ackers    Goal = "ackers"
	Standing  Goal = "standing"
	Seats     Goal = "seats"
	Released  Goal = "released"
	Received  Goal = "received"
	Acks      Goal = "acks"
	Saved     Goal = "saved"
	Cloned    Goal = "cloned"
	Awake     Goal = "awake"
	Confirmed Goal = "confirmed"
	Sole      Goal = "sole"
	Burned    Goal = "burned"
)

// Step is one goal and whom it is about. It is plain data.
type Step struct {
	Goal   Goal   `json:"goal"`
	Server string `json:"server,omitempty"`
	// Source is the other end, for caught-up, following and armed.
	Source string `json:"source,omitempty"`
	// Others are servers for which the goal is tried but not needed; for ackers, the new
	// set; for awake, the events that stay disabled.
	Others []string `json:"others,omitempty"`
	// Floor is the set that the server must hold when the step is done.
	Floor topology.GTIDSet `json:"floor,omitzero"`
	// Ackers and Need, for revoked and fed: so many of these servers must be
	// stopped, or have been stopped and fed from. For ackers and acks, Need is how
	// many acknowledgements the master waits for.
	Ackers []string `json:"ackers,omitempty"`
	Need   int      `json:"need,omitempty"`
	// Lossy lets fed go on without what cannot be reached: a person accepted the loss.
	Lossy bool `json:"lossy,omitempty"`
	// Standing, Why and Until are the outcome of a standing step.
	Standing topology.Standing `json:"standing,omitempty"`
	Why      string            `json:"why,omitempty"`
	Until    time.Time         `json:"until,omitzero"`
	// Servers is the new seating of a seats step.
	Servers []topology.Server `json:"servers,omitempty"`
	// Lenient steps are given up after one failed try, noted, and left to the repair rules.
	Lenient bool `json:"lenient,omitempty"`
}

// String names the step in one line, as logs and the CLI print it.
func (s Step) String() string {
	var b strings.Builder
	b.WriteString(string(s.Goal))
	if s.Server != "" {
		b.WriteString(" " + s.Server)
	}
	switch {
	case s.Source != "" && s.Goal == Following:
		b.WriteString(" ← " + s.Source)
	case s.Source != "":
		b.WriteString(" with " + s.Source)
	}
	if len(s.Others) > 0 {
		fmt.Fprintf(&b, " {%s}", strings.Join(s.Others, ","))
	}
	if len(s.Ackers) > 0 {
		fmt.Fprintf(&b, ", %d of {%s}", s.Need, strings.Join(s.Ackers, ","))
	} else if s.Need > 0 {
		fmt.Fprintf(&b, " %d", s.Need)
	}
	if s.Standing != "" {
		b.WriteString(" " + string(s.Standing))
	}
	return b.String()
}

// Plan is the list of steps that brings one chain to its next shape. It is
// committed to the journal before its first effect.
type Plan struct {
	// ID is given by the journal, unique over all products.
	ID      uint64 `json:"id"`
	Product string `json:"product"`
	Kind    Kind   `json:"kind"`
	// Epoch is the epoch the chain has when the plan is done: the next one for a
	// promotion, the present one for anything else.
	Epoch uint64 `json:"epoch"`
	Rule  string `json:"rule,omitempty"` // the rule that asked for it
	Why   string `json:"why"`
	Actor string `json:"actor"` // failoverd, or who asked
	// From and Target are the old and the new master of a promotion.
	From   string `json:"from,omitempty"`
	Target string `json:"target,omitempty"`
	// Loss is what a person accepted to lose, nil for every plan that loses nothing.
	Loss  *Loss  `json:"loss,omitempty"`
	Steps []Step `json:"steps"`
	// Commit is the index of the step that is the point of no return: once it
	// may have begun, the plan only goes forward. len(Steps) when there is none.
	Commit int `json:"commit"`
	// Undo are the steps that take the chain back when the plan is given up before Commit.
	Undo []Step `json:"undo,omitempty"`
	// After is the chain once the commit step is done, nil when it stays.
	After *topology.Chain `json:"after,omitempty"`
}

// Disarms says that the plan takes the server its right to acknowledge before
// anything else becomes of it.
func (p Plan) Disarms(server string) bool {
	for _, s := range p.Steps {
		if s.Goal == Standing && s.Server == server {
			return false
		}
		if s.Goal == Disarmed && s.Server == server && !s.Lenient {
			return true
		}
	}
	return false
}

// Loss is how much a forced failover may lose.
type Loss struct {
	// Known are transactions below the high-water mark that no reachable server holds.
	Known topology.GTIDSet `json:"known,omitzero"`
	// Absent are the ackers that may hold more and cannot be asked or stopped.
	Absent []string `json:"absent,omitempty"`
	// SeenAgo is how long ago the master was last looked at: what it acknowledged
	// since then is not below the mark.
	SeenAgo topology.Duration `json:"seenAgo,omitempty"`
}

// Progress is a plan in the journal and how far it is.
type Progress struct {
	Plan Plan `json:"plan"`
	// Next is the first step not known to be done; it indexes Undo while Undoing.
	Next    int  `json:"next"`
	Undoing bool `json:"undoing,omitempty"`
	// AbortWhy says why the plan was given up.
	AbortWhy string `json:"abortWhy,omitempty"`
	// Notes has one entry per finished step.
	Notes []Note `json:"notes"`
}

// Note is what came of one step.
type Note struct {
	Step string `json:"step"`
	Text string `json:"text,omitempty"`
	// Ms is how long the step took, in milliseconds.
	Ms int64 `json:"ms"`
	// Failed marks a lenient step that was given up.
	Failed bool `json:"failed,omitempty"`
	// HighWater is what the step proved the next master to hold. It becomes part of
	// the chain's high-water mark with the promotion: whoever follows that master
	// may lack some of it for a while and must not be promoted meanwhile.
	HighWater topology.GTIDSet `json:"highWater,omitzero"`
	// Cut is what a writable step found executed at the next master before it was opened,
	// or, when that was cut short and done again, with what it took since.
	Cut topology.GTIDSet `json:"cut,omitzero"`
	// Errant is what a saved step found; Clone the latest clone that the server had
	// received then, "none" for none.
	Errant topology.GTIDSet `json:"errant,omitzero"`
	Clone  string           `json:"clone,omitempty"`
	// Burned are the GTIDs that a sole step is about and a burned step took out of
	// use, and Absent the servers that could not be asked whether they hold them.
	Burned topology.GTIDSet `json:"burned,omitzero"`
	Absent []string         `json:"absent,omitempty"`
}

// Steps are the steps that are being worked through.
func (p Progress) Steps() []Step {
	if p.Undoing {
		return p.Plan.Undo
	}
	return p.Plan.Steps
}

// Finished says whether no step is left.
func (p Progress) Finished() bool { return p.Next >= len(p.Steps()) }

// MayHaveOpened says whether the plan is at or past its point of no return.
func (p Progress) MayHaveOpened() bool { return !p.Undoing && p.Next >= p.Plan.Commit }

// Opened says whether the plan has promoted its target.
func (p Progress) Opened() bool {
	return p.Plan.Kind.Promotes() && !p.Undoing && p.Next > p.Plan.Commit
}
