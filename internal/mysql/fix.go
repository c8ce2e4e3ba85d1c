package mysql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/failoverd/failoverd/internal/topology"
)

// Fix is what meets one requirement at one server while it works.
type Fix struct {
	Requirement string
	Server      topology.Server
	// Level is that of the requirement while it is not met.
	Level Level
	// Before is what is there now.
	Before string
	// Statements are what is run, in order.
	Statements []string
	// Note is what else is to know of it, such as when it takes effect; may be empty.
	Note string

	at position
}

// Left is a finding that no Fix is for, and why there is none.
type Left struct {
	Finding
	Reason string
}

// PlanFixes examines the servers of a chain, or one alone, and says what can be put
// right while they work, and what is left to a person. It changes nothing.
func PlanFixes(ctx context.Context, chain topology.Chain, c Credentials) (fixes []Fix, left []Left) {
	at := func(s topology.Server) position { return placeIn(chain, s) }
	examinations := make([]Examination, 0, len(chain.Servers))
	for _, s := range chain.Servers {
		x := examine(ctx, at(s), c)
		x.gathered.mayPersistOnly = mayPersistOnly(ctx, s, c)
		examinations = append(examinations, x)
		for _, f := range x.Findings {
			if f.Level == OK {
				continue
			}
			change, reason := repairOf(f.Requirement, x.gathered)
			if reason != "" {
				left = append(left, Left{f, reason})
				continue
			}
			fixes = append(fixes, Fix{f.Requirement, s, f.Level, f.Found, change.all(), change.note, at(s)})
		}
	}
	if len(chain.Servers) > 1 {
		for _, f := range chainFindingsOf(chain, withoutFindings(examinations)) {
			if f.Level != OK {
				_, reason := repairOf(f.Requirement, examined{})
				left = append(left, Left{f, reason})
			}
		}
	}
	// A timeout that is shorter than the heartbeat would break the link.
	slices.SortStableFunc(fixes, func(a, b Fix) int { return rank(a) - rank(b) })
	return fixes, left
}

func rank(f Fix) int {
	if f.Requirement == "heartbeat" {
		return 0
	}
	return 1
}

func withoutFindings(examinations []Examination) []Examination {
	out := slices.Clone(examinations)
	for i := range out {
		out[i].Findings = nil
	}
	return out
}

// Apply looks again whether the fix is wanted and harmless, runs it with the control
// account, and returns what is there afterwards. An error says what is not as it
// should be; the server may have been changed nevertheless.
func (f Fix) Apply(ctx context.Context, c Credentials) (after string, err error) {
	op := "fix " + f.Requirement
	r, e, err := f.look(ctx, c)
	if err != nil {
		return "", fmt.Errorf("%s: %w", op, err)
	}
	if found, met := r.check(e); met {
		return found, nil
	}
	change, reason := repairOf(f.Requirement, e)
	if reason != "" {
		return "", fmt.Errorf("%s: not any more: %s", op, reason)
	}
	if err := change.run(ctx, Config{Addr: f.Server.Addr(), Account: c.Control, TLS: c.TLS, Timeout: fixTimeout}); err != nil {
		return "", fmt.Errorf("%s: %w", op, err)
	}
	if _, e, err = f.look(ctx, c); err != nil {
		return "", fmt.Errorf("%s: %w", op, err)
	}
	found, met := r.check(e)
	if !met && !change.later {
		return found, fmt.Errorf("%s: it is still %s", op, found)
	}
	return found, nil
}

// fixTimeout bounds one fix. Threads may take a while to stop.
const fixTimeout = 10 * time.Second

func (f Fix) look(ctx context.Context, c Credentials) (Requirement, examined, error) {
	i := slices.IndexFunc(requirements, func(r Requirement) bool { return r.Name == f.Requirement })
	if i < 0 {
		return Requirement{}, examined{}, errors.New("there is no such requirement")
	}
	e, err := gather(ctx, f.at, c, c.Control)
	e.mayPersistOnly = mayPersistOnly(ctx, f.Server, c)
	return requirements[i], e, err
}

// mayPersistOnly says whether the control account may set what counts from the next start.
func mayPersistOnly(ctx context.Context, s topology.Server, c Credentials) bool {
	lines, err := grantLines(ctx, Config{Addr: s.Addr(), Account: c.Control, TLS: c.TLS})
	return err == nil && len(missingGrants(lines, persistOnlyPrivileges, nil)) == 0
}

// change is the statements of one fix.
type change struct {
	statements []string
	finally    []string // run whatever became of the others
	note       string
	later      bool // it takes effect with the next start only
}

func (c change) all() []string { return append(slices.Clone(c.statements), c.finally...) }

func (c change) run(ctx context.Context, cfg Config) error {
	err := withConn(ctx, cfg, "change", func(ctx context.Context, conn *sql.Conn) error {
		for _, statement := range c.statements {
			if err := exec(ctx, conn, statement); err != nil {
				return fmt.Errorf("%s: %w", statement, err)
			}
		}
		return nil
	})
	if len(c.finally) == 0 {
		return err
	}
	return errors.Join(err, withConn(context.WithoutCancel(ctx), cfg, "change", func(ctx context.Context, conn *sql.Conn) error {
		for _, statement := range c.finally {
			if err := exec(ctx, conn, statement); err != nil {
				return fmt.Errorf("%s: %w", statement, err)
			}
		}
		return nil
	}))
}
