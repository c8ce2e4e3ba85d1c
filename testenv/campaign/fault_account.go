package campaign

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/failoverd/failoverd/internal/api"
	"github.com/failoverd/failoverd/testenv"
)

// accountFaults are what people and their programs do.
func accountFaults() []Fault {
	return []Fault{
		{Name: "connections-used-up", What: "clients hold every connection that the master allows", Promotions: none, Hold: 15 * time.Second, Begin: useUpConnections},
		{Name: "probe-locked", What: "the probe account is locked everywhere and its sessions are killed: nothing is known, nothing may be done", Promotions: none,
			Hold: 15 * time.Second, Begin: lockProbe},
		{Name: "two-operators", What: "two operators ask for a switchover at once: one is done, one refused", Promotions: one, Awaits: true, Hold: 2 * time.Second, Quick: true,
			Workloads: []Workload{Writes, Idle}, Begin: raceOperators},
	}
}

// useUpConnections leaves few connections and takes them all.
func useUpConnections(ctx context.Context, s *Scene) error {
	master := s.master()
	if err := master.Exec(ctx, "SET GLOBAL max_connections=40"); err != nil {
		return err
	}
	hog, err := s.Chain.Open(webNames[0], master.Name, testenv.Accounts.App, testenv.Database)
	if err != nil {
		return err
	}
	s.afterwards(func(ctx context.Context) error {
		return errors.Join(hog.Close(), poll(ctx, 20*time.Second, func(ctx context.Context) error {
			return master.Exec(ctx, fmt.Sprintf("SET GLOBAL max_connections=%d", 200))
		}))
	})
	for range 60 { // more than there are: others hold some, and let go of them while this goes on
		opening, cancel := context.WithTimeout(ctx, 2*time.Second)
		_, err = hog.Conn(opening) // held until hog is closed
		cancel()
	}
	s.notef("the last connection: %v", err)
	return nil
}

func lockProbe(ctx context.Context, s *Scene) error {
	s.afterwards(func(ctx context.Context) error { return s.alterProbe(ctx, "UNLOCK") })
	if err := s.alterProbe(ctx, "LOCK"); err != nil {
		return err
	}
	if err := pause(ctx, 5*time.Second); err != nil {
		return err
	}
	p, err := s.Status(ctx)
	s.notef("while it was locked: %s: %s", p.Verdict.Rule, p.Verdict.Why)
	return err
}

// alterProbe changes the account on each server without the others hearing of it, and ends its sessions.
func (s *Scene) alterProbe(ctx context.Context, how string) error {
	var failed error
	for _, server := range s.Chain.Servers {
		failed = errors.Join(failed, func() error {
			conn, err := server.DB().Conn(ctx)
			if err != nil {
				return err
			}
			defer conn.Close()
			var closed bool
			if err := conn.QueryRowContext(ctx, "SELECT @@super_read_only").Scan(&closed); err != nil {
				return err
			}
			statements := []string{"SET sql_log_bin=0", fmt.Sprintf("ALTER USER %s@'%%' ACCOUNT %s", testenv.Accounts.Probe.User, how), "SET sql_log_bin=1"}
			if closed {
				statements = append(append([]string{"SET GLOBAL super_read_only=0"}, statements...), "SET GLOBAL super_read_only=1")
			}
			for _, statement := range statements {
				if _, err := conn.ExecContext(ctx, statement); err != nil {
					return fmt.Errorf("%s: %s: %w", server.Name, statement, err)
				}
			}
			return server.KillSessions(ctx, testenv.Accounts.Probe.User)
		}())
	}
	return failed
}

// raceOperators has two operators ask at the same moment, each for what the chain was when they looked. A master that
// is too busy to be closed at once has a switchover taken back; then both ask again.
func raceOperators(ctx context.Context, s *Scene) error {
	for range 5 {
		p, err := s.Status(ctx)
		if err != nil {
			return err
		}
		var both sync.WaitGroup
		replies, errs := make([]api.PlanReply, 2), make([]error, 2)
		for i := range errs {
			both.Go(func() {
				replies[i], errs[i] = s.Client.Switchover(ctx, s.Product, api.SwitchoverRequest{Reason: fmt.Sprintf("operator %d", i+1), Epoch: p.Epoch})
			})
		}
		both.Wait()
		s.notef("the operators were told: %v; %v", errs[0], errs[1])
		if (errs[0] == nil) == (errs[1] == nil) {
			s.breakf("of two racing switchovers not exactly one was refused: %v; %v", errs[0], errs[1])
			return nil
		}
		accepted := replies[0]
		if errs[0] != nil {
			accepted = replies[1]
		}
		state, err := s.Client.Plan(ctx, accepted.Plan.ID, 20*time.Second)
		if err != nil || !state.Finished() || state.Succeeded() {
			return err
		}
		s.notef("it was taken back: %s", state.Outcome.Outcome)
	}
	return nil
}
