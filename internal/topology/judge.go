// Package topology says what a chain is and whether it is well: servers, seats,
// GTID sets, sightings, and the rule table with Judge. All of it is pure.
package topology

import (
	"fmt"
	"time"
)

// Action is what a verdict asks for.
type Action string

// The actions. All but None, Wait and Alert are carried out by a plan.
const (
	None       Action = "none"
	Wait       Action = "wait"  // look again at once
	Alert      Action = "alert" // a person is needed
	Failover   Action = "failover"
	Reopen     Action = "reopen"
	Protect    Action = "protect"
	Reform     Action = "reform"
	Mend       Action = "mend"
	Rejoin     Action = "rejoin"
	Quarantine Action = "quarantine"
	Fence      Action = "fence"
	Publish    Action = "publish"
	Raise      Action = "raise"
	Rebuild    Action = "rebuild"
)

// Verdict is the named rule that fits a chain, and why.
type Verdict struct {
	Rule   string `json:"rule"`
	Action Action `json:"action"`
	// Server is whom the rule is about, empty when it is the chain.
	Server string `json:"server,omitempty"`
	// Why is one sentence for a person.
	Why string `json:"why"`
	// Errant are the transactions that a quarantine is about.
	Errant GTIDSet `json:"errant,omitzero"`
}

// Urgent says whether the chain should be looked at again at once.
func (v Verdict) Urgent() bool { return v.Action == Wait }

// Rule is one row of the table: when its condition holds, its verdict is given.
type Rule struct {
	Name string
	// Why explains the rule in ARCHITECTURE.md.
	Why    string
	Action Action
	// when returns the subject and the sentence, or ok = false.
	when func(p *Picture) (found, bool)
}

// found is what a rule's condition says when it holds.
type found struct {
	server string
	why    string
	errant GTIDSet
}

// Judge returns the verdict of the first rule that fits. The last rule always does.
func Judge(c Case) Verdict { return c.Digest().Judge() }

// Judge is for whoever needs the picture for more than the verdict: putting it
// together costs more than judging it.
func (p *Picture) Judge() Verdict {
	for _, rule := range Rules {
		if f, ok := rule.when(p); ok && !p.rests(rule.Name, f.server) {
			return Verdict{Rule: rule.Name, Action: rule.Action, Server: f.server, Why: f.why, Errant: f.errant}
		}
	}
	panic("topology: the last rule did not fit")
}

// Fit is one row of an explanation.
type Fit struct {
	Rule   string `json:"rule"`
	Action Action `json:"action"`
	Fits   bool   `json:"fits"`
	Why    string `json:"why,omitempty"`
}

// Explain evaluates every rule, in order. The first that fits is the verdict.
func Explain(c Case) []Fit {
	p := c.Digest()
	var out []Fit
	for _, rule := range Rules {
		f, ok := rule.when(p)
		out = append(out, Fit{Rule: rule.Name, Action: rule.Action, Fits: ok, Why: f.why})
	}
	return out
}

// MayAct says whether failoverd may carry out a verdict on this chain by itself
// at this time, and if not, why.
func (c Chain) MayAct(now time.Time) (bool, string) {
	if c.Mode != Auto {
		return false, fmt.Sprintf("mode is %s: run \"failoverd mode %s auto\" to let failoverd act", c.Mode, c.Product)
	}
	if c.Paused(now) {
		until := "until it is resumed"
		if !c.Pause.Until.IsZero() {
			until = "until " + c.Pause.Until.UTC().Format(time.RFC3339)
		}
		return false, fmt.Sprintf("paused by %s (%s) %s: run \"failoverd resume %s\" to end that", c.Pause.Actor, c.Pause.Reason, until, c.Product)
	}
	return true, ""
}

// Paused says whether a pause holds at this time.
func (c Chain) Paused(now time.Time) bool {
	return c.Pause != nil && (c.Pause.Until.IsZero() || now.Before(c.Pause.Until))
}
