package campaign

import (
	"context"
	"errors"
	"time"

	"github.com/failoverd/failoverd/testenv/stage"
)

// watcherFaults are what can happen to the watchers' processes.
func watcherFaults() []Fault {
	return []Fault{
		{Name: "kill-leader", What: "kill -9 of the leading watcher", Promotions: none, Hold: 5 * time.Second, Quick: true,
			Begin: func(_ context.Context, s *Scene) error { s.kill(s.leading()); return nil }},
		{Name: "freeze-leader", What: "SIGSTOP of the leading watcher for 10 s", Promotions: none, Hold: 10 * time.Second,
			Begin: func(_ context.Context, s *Scene) error {
				if !s.leading().Freeze() {
					return errors.New("the leading watcher does not run")
				}
				return nil
			}},
		{Name: "kill-master-and-leader", What: "master and leading watcher are killed at once", Promotions: one, Awaits: true, Hold: 2 * time.Second,
			Begin: func(_ context.Context, s *Scene) error { s.kill(s.leading(), s.master()); return nil }},
		{Name: "freeze-master-and-leader", What: "SIGSTOP of master and leading watcher at once for 20 s", Promotions: one, Hold: 20 * time.Second,
			Begin: func(_ context.Context, s *Scene) error {
				s.leading().Freeze()
				return s.master().Freeze()
			}},
		{Name: "kill-majority-then-master", What: "two of three watchers are killed, then the master; nothing may happen until they are back", Promotions: one, Awaits: true,
			Hold: 2 * time.Second, Begin: killMajority},
		{Name: "upgrade-watchers", What: "the watchers are restarted one after the other", Promotions: none, Begin: upgrade},
	}
}

func killMajority(ctx context.Context, s *Scene) error {
	down := []*stage.Watcher{s.leading(), s.following()[0]}
	for _, w := range down {
		s.kill(w)
	}
	if err := pause(ctx, 2*time.Second); err != nil {
		return err
	}
	s.kill(s.master())
	if err := s.forbid(ctx, 12*time.Second, "two of three watchers are down"); err != nil {
		return err
	}
	s.killing.Wait()
	for _, w := range down {
		if err := w.Start(); err != nil {
			return err
		}
	}
	return nil
}

// upgrade goes on to the next watcher when the one before takes part again.
func upgrade(ctx context.Context, s *Scene) error {
	for _, w := range append(s.following(), s.leading()) {
		if err := w.Stop(10 * time.Second); err != nil {
			s.notef("%s did not stop by itself: %v", w.Name, err)
		}
		if err := w.Start(); err != nil {
			return err
		}
		if err := poll(ctx, 20*time.Second, func(ctx context.Context) error {
			status, err := s.Client.Status(ctx, false)
			if err != nil {
				return err
			}
			if !status.Leads {
				return errors.New("nobody leads")
			}
			return nil
		}); err != nil {
			return err
		}
		if err := pause(ctx, 2*time.Second); err != nil {
			return err
		}
	}
	return nil
}
