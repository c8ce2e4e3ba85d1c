package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/failoverd/failoverd/internal/api"
	"github.com/failoverd/failoverd/testenv"
	"github.com/failoverd/failoverd/testenv/stage"
)

const (
	startTimeout  = time.Minute
	switchTimeout = 45 * time.Second
	actionStyle   = style("36")
)

// press does what a key stands for, and says so at once; what takes time goes on
// beside the screen. It returns true when that is to quit.
func (s *screen) press(ctx context.Context, key byte) (quit bool) {
	f := s.snapshot()
	switch key {
	case 'k':
		s.killMaster(f)
	case 'f':
		s.freezeOrThaw(f)
	case 's':
		s.switchover(ctx, f)
	case 'r':
		s.reviveAll(ctx)
	case 'w':
		s.killWatcher(f)
	case 'd':
		s.toggleS3(ctx, f)
	case 't':
		s.drill(ctx, f)
	case 'c':
		s.note(plain, "comparing what was acknowledged with what the master has")
		s.askCheck()
	case 'q', ctrlC:
		return true
	default:
		s.note(odd, fmt.Sprintf("%q does nothing here", key))
	}
	return false
}

// note says what a key did.
func (s *screen) note(look style, text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.known.note = event{time.Now(), look, text}
}

// did notes what a key did, and logs it.
func (s *screen) did(text string) {
	s.note(plain, text)
	s.log(time.Now(), actionStyle, text)
}

func (s *screen) set(names map[string]condition, name string, c condition) {
	s.mu.Lock()
	defer s.mu.Unlock()
	names[name] = c
}

// master is the master as last heard, with a complaint when nothing can be done to it.
func (s *screen) master(f frame) *testenv.Server {
	server := s.masterOf(f.product)
	if server == nil {
		s.note(odd, "no watcher has said yet who is the master")
		return nil
	}
	if did := f.servers[server.Name]; did == killed || did == ended || did == starting {
		s.note(odd, fmt.Sprintf("%s, the master, is %s already, and there is no new one yet; r brings everything back", server.Name, did))
		return nil
	}
	return server
}

func (s *screen) killMaster(f frame) {
	if server := s.master(f); server != nil {
		s.set(s.known.servers, server.Name, killed)
		s.start(server.Kill) // it returns when the kernel has torn the process down
		s.did(fmt.Sprintf("killed %s, the master, with SIGKILL", server.Name))
	}
}

func (s *screen) freezeOrThaw(f frame) {
	var thawed []string
	for _, server := range s.stage.Chain.Servers {
		if f.servers[server.Name] == frozen {
			thawed = append(thawed, s.thaw(server))
		}
	}
	if len(thawed) > 0 {
		s.did(strings.Join(thawed, ", "))
		return
	}
	server := s.master(f)
	if server == nil {
		return
	}
	if err := server.Freeze(); err != nil {
		s.note(bad, err.Error())
		return
	}
	s.set(s.known.servers, server.Name, frozen)
	s.did(fmt.Sprintf("froze %s, the master, with SIGSTOP; f thaws it", server.Name))
}

func (s *screen) thaw(server *testenv.Server) string {
	if err := server.Thaw(); err != nil {
		return err.Error()
	}
	s.set(s.known.servers, server.Name, runs)
	return "thawed " + server.Name
}

func (s *screen) switchover(ctx context.Context, f frame) {
	if f.product.Open != nil {
		s.note(odd, openText(*f.product.Open)+" is open; wait until it has ended")
		return
	}
	s.did("asked for a switchover")
	s.start(func() {
		ctx, cancel := context.WithTimeout(ctx, switchTimeout)
		defer cancel()
		_, err := s.stage.Client.Switchover(ctx, s.stage.Product, api.SwitchoverRequest{Reason: "asked in the demo", Epoch: f.product.Epoch})
		if err != nil && ctx.Err() == nil {
			s.log(time.Now(), odd, "no switchover: "+refusal(err))
			s.note(odd, "no switchover: "+refusal(err))
		}
	})
}

// refusal is an error with the reasons that the watchers gave.
func refusal(err error) string {
	var answer *api.Error
	if errors.As(err, &answer) && len(answer.Reasons) > 0 {
		return answer.Message + ": " + strings.Join(answer.Reasons, "; ")
	}
	return err.Error()
}

// drill rehearses a restore from the stores beside the screen.
func (s *screen) drill(ctx context.Context, f frame) {
	switch {
	case f.product.Copies == nil || f.product.Copies.Newest == nil:
		s.note(odd, "there is no copy yet")
		return
	case !s.drilling.CompareAndSwap(false, true):
		s.note(odd, "a drill runs already")
		return
	}
	s.did("a drill: the newest copy is restored on a server of its own, and compared")
	s.start(func() {
		defer s.drilling.Store(false)
		// What came of it is in the history, which the screen shows.
		if _, err := s.stage.Drill(ctx); err != nil && ctx.Err() == nil {
			s.log(time.Now(), bad, err.Error())
		}
	})
}

func (s *screen) killWatcher(f frame) {
	var victim *stage.Watcher
	up := 0
	for _, w := range s.stage.Watchers {
		if f.watchers[w.Name] != runs {
			continue
		}
		up++
		if victim == nil || w.Name == f.status.Leader.ID {
			victim = w
		}
	}
	if victim == nil {
		s.note(odd, "no watcher runs; r brings them back")
		return
	}
	who := victim.Name
	if who == f.status.Leader.ID {
		who += ", the leading watcher"
	}
	s.set(s.known.watchers, victim.Name, killed)
	s.start(func() { s.bringWatcher(victim) })
	text := "killed " + who
	if 2*(up-1) <= len(s.stage.Watchers) {
		text += fmt.Sprintf("; %d of %d are left, too few to decide anything; that stops no write", up-1, len(s.stage.Watchers))
	}
	s.did(text)
}

func (s *screen) toggleS3(ctx context.Context, f frame) {
	s.mu.Lock()
	s.known.s3Down = !f.s3Down
	s.mu.Unlock()
	if f.s3Down {
		s.did("S3 is up again")
	} else {
		s.did("S3 is down: the web servers hear of changes from the watchers alone")
	}
	s.start(func() { s.bringS3(ctx) })
}

// bringS3 brings S3 into the state that the screen says it has.
func (s *screen) bringS3(ctx context.Context) {
	s.hands.Lock()
	defer s.hands.Unlock()
	s.mu.Lock()
	down := s.known.s3Down
	s.mu.Unlock()
	if down {
		s.stage.S3.Down()
		return
	}
	// The service outlives this screen, and what ends with the screen must not end it.
	if err := s.stage.S3.Up(context.WithoutCancel(ctx)); err != nil {
		s.log(time.Now(), bad, err.Error())
	}
}

func (s *screen) reviveAll(ctx context.Context) {
	if what := s.revive(ctx); len(what) > 0 {
		s.did(strings.Join(what, ", "))
		return
	}
	s.note(odd, "nothing is down")
}

// revive brings back everything that is down and says what that is.
func (s *screen) revive(ctx context.Context) []string {
	f := s.snapshot()
	var what []string
	for _, server := range s.stage.Chain.Servers {
		switch f.servers[server.Name] {
		case frozen:
			what = append(what, s.thaw(server))
		case killed, ended:
			what = append(what, "starting "+server.Name)
			s.set(s.known.servers, server.Name, starting)
			s.start(func() { s.startServer(ctx, server) })
		}
	}
	for _, w := range s.stage.Watchers {
		if f.watchers[w.Name] != runs {
			what = append(what, "starting "+w.Name)
			s.set(s.known.watchers, w.Name, runs)
			s.start(func() { s.bringWatcher(w) })
		}
	}
	if f.s3Down {
		what = append(what, "S3 is up again")
		s.mu.Lock()
		s.known.s3Down = false
		s.mu.Unlock()
		s.start(func() { s.bringS3(ctx) })
	}
	return what
}

func (s *screen) startServer(ctx context.Context, server *testenv.Server) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for server.Running() && ctx.Err() == nil { // the kernel may still be tearing it down
		wait(ctx, gatherSoon)
	}
	err := server.Start(ctx)
	s.set(s.known.servers, server.Name, runs)
	if err != nil {
		s.log(time.Now(), bad, err.Error())
		return
	}
	s.log(time.Now(), actionStyle, server.Name+" runs again")
}

// bringWatcher brings a watcher into the state that the screen says it has.
func (s *screen) bringWatcher(w *stage.Watcher) {
	s.hands.Lock()
	defer s.hands.Unlock()
	s.mu.Lock()
	wanted := s.known.watchers[w.Name] == runs
	s.mu.Unlock()
	switch {
	case !wanted:
		w.Kill()
	case !w.Running():
		if err := w.Start(); err != nil {
			s.set(s.known.watchers, w.Name, killed)
			s.log(time.Now(), bad, err.Error())
		}
	}
}
