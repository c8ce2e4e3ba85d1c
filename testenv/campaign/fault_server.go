package campaign

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/failoverd/failoverd/internal/topology"
)

// serverFaults are what can happen to the servers' processes.
func serverFaults() []Fault {
	return []Fault{
		{Name: "kill-master", What: "kill -9 of the master", Promotions: one, Awaits: true, Hold: 2 * time.Second, Quick: true, Begin: killSeats(topology.Master)},
		{Name: "kill-candidate", What: "kill -9 of the candidate: another server has to acknowledge", Promotions: none, MasterToo: true, Hold: 10 * time.Second, Quick: true, Begin: killSeats(topology.Candidate)},
		{Name: "kill-slave", What: "kill -9 of the slave", Promotions: none, Hold: 5 * time.Second, Quick: true, Begin: killSeats(topology.Slave)},
		{Name: "kill-dump", What: "kill -9 of the dump slave", Promotions: none, Hold: 5 * time.Second, Quick: true, Begin: killSeats(topology.Dump)},
		{Name: "freeze-master-2s", What: "SIGSTOP of the master for 2 s, then SIGCONT", Promotions: none, Hold: 2 * time.Second, Begin: freezeSeats(topology.Master)},
		{Name: "freeze-master-60s", What: "SIGSTOP of the master for a minute, then SIGCONT", Promotions: one, Hold: 60 * time.Second, Begin: freezeSeats(topology.Master)},
		{Name: "freeze-candidate", What: "SIGSTOP of the candidate for 15 s", Promotions: none, MasterToo: true, Hold: 15 * time.Second, Begin: freezeSeats(topology.Candidate)},
		{Name: "freeze-slave", What: "SIGSTOP of the slave for 10 s", Promotions: none, Hold: 10 * time.Second, Begin: freezeSeats(topology.Slave)},
		{Name: "freeze-dump", What: "SIGSTOP of the dump slave for 10 s", Promotions: none, Hold: 10 * time.Second, Begin: freezeSeats(topology.Dump)},
		{Name: "flapping-master", What: "whoever is master is frozen for 5 s and thawed for 5 s, over and over for a minute, with a hold-down of four",
			Promotions: atMostOne, Workloads: []Workload{Writes, Idle}, Begin: flap},
		{Name: "candidate-sql-stopped", What: "the candidate's SQL thread is stopped, then the master killed", Promotions: one, Awaits: true, Hold: 2 * time.Second, Begin: stopApplier},
		{Name: "candidate-behind", What: "the candidate's applier is blocked for 30 s, then the master killed, then the block ends", Promotions: one, Awaits: true,
			Hold: 2 * time.Second, Begin: lag},
		{Name: "kill-master-and-acker", What: "master and candidate are killed at once; after 10 s the candidate returns", Promotions: one, Awaits: true,
			Hold: 2 * time.Second, Begin: killBoth(topology.Candidate)},
		{Name: "kill-acker-and-master", What: "master and candidate are killed at once; after 10 s the master returns", Promotions: atMostOne,
			Hold: 10 * time.Second, Begin: killBoth(topology.Master)},
		// The slave may take over once the candidate is proved dead; before it can, both are waited for.
		{Name: "kill-candidate-then-master", What: "the candidate is killed, and 15 s later the master", Promotions: one, Hold: 20 * time.Second,
			Begin: func(ctx context.Context, s *Scene) error {
				s.kill(s.candidate())
				if err := pause(ctx, 15*time.Second); err != nil {
					return err
				}
				s.kill(s.master())
				return nil
			}},
		{Name: "kill-everything", What: "all servers and watchers are killed at once and restarted in random order", Promotions: atMostOne, Begin: killEverything},
	}
}

func killSeats(seats ...topology.Seat) func(context.Context, *Scene) error {
	return func(_ context.Context, s *Scene) error {
		for _, seat := range seats {
			s.kill(s.Server(seat))
		}
		return nil
	}
}

func freezeSeats(seats ...topology.Seat) func(context.Context, *Scene) error {
	return func(_ context.Context, s *Scene) error {
		var failed error
		for _, seat := range seats {
			failed = errors.Join(failed, s.Server(seat).Freeze())
		}
		return failed
	}
}

// flap freezes the master of each moment, as far as anybody knows who it is.
func flap(ctx context.Context, s *Scene) error {
	if err := s.setHoldDown(ctx, "4m"); err != nil {
		return err
	}
	s.afterwards(func(ctx context.Context) error { return s.setHoldDown(ctx, holdDown) })
	lasting := time.Minute
	if s.Long {
		lasting = 3 * time.Minute
	}
	for end := time.Now().Add(lasting); time.Now().Before(end); {
		master := s.Master(ctx)
		if master == nil {
			master = s.master()
		}
		_ = master.Freeze() // thawed below, or when all is mended
		if err := pause(ctx, 5*time.Second); err != nil {
			return err
		}
		_ = master.Thaw()
		if err := pause(ctx, 5*time.Second); err != nil {
			return err
		}
	}
	return nil
}

func stopApplier(ctx context.Context, s *Scene) error {
	candidate := s.candidate()
	s.afterwards(func(ctx context.Context) error {
		var sources int
		if err := candidate.DB().QueryRowContext(ctx, "SELECT COUNT(*) FROM performance_schema.replication_connection_configuration").Scan(&sources); err != nil || sources == 0 {
			return err
		}
		return candidate.Exec(ctx, "START REPLICA SQL_THREAD")
	})
	if err := candidate.Exec(ctx, "STOP REPLICA SQL_THREAD"); err != nil {
		return err
	}
	if err := pause(ctx, 300*time.Millisecond); err != nil {
		return err
	}
	s.kill(s.master())
	return nil
}

// lag lets a lock on the load's tables hold the candidate's applier back.
func lag(ctx context.Context, s *Scene) error {
	conn, err := s.candidate().DB().Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := conn.ExecContext(ctx, "LOCK TABLES "+strings.Join(s.Tables, " READ, ")+" READ"); err != nil {
		return err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		if _, err := conn.ExecContext(ctx, "UNLOCK TABLES"); err != nil {
			s.notef("the lock on the candidate ended with its connection: %v", err)
		}
	}()
	if err := pause(ctx, 30*time.Second); err != nil {
		return err
	}
	s.kill(s.master())
	return pause(ctx, 3*time.Second)
}

// killBoth kills master and candidate. The watchers must wait and say for whom; then one of the two returns.
func killBoth(returning topology.Seat) func(context.Context, *Scene) error {
	return func(ctx context.Context, s *Scene) error {
		s.kill(s.master(), s.candidate())
		if err := s.forbid(ctx, 10*time.Second, "master and candidate are dead"); err != nil {
			return err
		}
		p, err := s.Status(ctx)
		if err != nil {
			return err
		}
		said := strings.TrimSpace(string(p.Verdict.Rule) + ": " + p.Verdict.Why + " " + p.Waiting)
		s.notef("while both were dead: %s", said)
		if !strings.Contains(said, s.master().Name) && !strings.Contains(said, s.candidate().Name) {
			s.breakf("it does not say whom it waits for: %s", said)
		}
		s.killing.Wait()
		return s.Server(returning).Start(ctx)
	}
}

func killEverything(ctx context.Context, s *Scene) error {
	type victim struct {
		name  string
		kill  interface{ Kill() }
		start func(context.Context) error
	}
	var all []victim
	for _, w := range s.Watchers {
		all = append(all, victim{w.Name, w, func(context.Context) error { return w.Start() }})
	}
	for _, server := range s.Chain.Servers {
		all = append(all, victim{server.Name, server, server.Start})
	}
	for _, v := range all {
		s.kill(v.kill)
	}
	s.killing.Wait()
	s.Rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	var order []string
	for _, v := range all {
		order = append(order, v.name)
		if err := v.start(ctx); err != nil {
			return fmt.Errorf("restart in the order %s: %w", strings.Join(order, " "), err)
		}
	}
	s.notef("restarted in the order %s", strings.Join(order, " "))
	return nil
}
