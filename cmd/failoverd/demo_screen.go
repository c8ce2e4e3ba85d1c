package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/term"

	"github.com/failoverd/failoverd/testenv/stage"
)

const (
	redrawEvery = 220 * time.Millisecond
	eventsKept  = 100
)

// screen is the demo's live screen: it shows what gatherers put into known, and
// keys break and mend the stage.
type screen struct {
	stage  *stage.Stage
	colour bool

	work    sync.WaitGroup
	crashed chan error
	hands   sync.Mutex // held while the watchers' processes and S3 are touched
	// drilling says that a rehearsed restore is under way.
	drilling atomic.Bool
	checks   chan struct{}

	tails   []stage.Tail // the web servers' ledgers, and what they add up to
	tallies []tally

	mu    sync.Mutex // guards everything below
	known frame
	gaps  outages
}

func newScreen(s *stage.Stage) *screen {
	now := time.Now()
	out := &screen{stage: s, colour: os.Getenv("NO_COLOR") == "", crashed: make(chan error, 1), checks: make(chan struct{}, 1),
		tallies: make([]tally, len(s.Webs)),
		known: frame{now: now, started: now, servers: map[string]condition{}, watchers: map[string]condition{},
			note: event{style: dim, text: "Everything here is real. Break something."}}}
	for _, w := range s.Webs {
		out.tails = append(out.tails, stage.Tail{Path: w.Ledger})
	}
	return out
}

// run shows the screen until somebody quits, then judges the writes.
func (s *screen) run(ctx context.Context) error {
	if err := s.show(ctx); err != nil {
		return err
	}
	if ctx.Err() != nil { // a signal: still say what came of it, in reasonable time
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(context.WithoutCancel(ctx), settleTime)
		defer cancel()
	}
	return s.conclude(ctx, os.Stdout)
}

// show returns with the terminal as it was before, whatever happens.
func (s *screen) show(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer s.work.Wait()
	defer cancel()
	in, out := int(os.Stdin.Fd()), os.Stdout
	before, err := term.MakeRaw(in)
	if err != nil {
		return fmt.Errorf("prepare the terminal: %w", err)
	}
	// The alternate screen, no cursor, no line wrap; and back.
	fmt.Fprint(out, "\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[2J")
	defer func() {
		fmt.Fprint(out, "\x1b[0m\x1b[?7h\x1b[?25h\x1b[?1049l")
		_ = term.Restore(in, before)
	}()
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP, syscall.SIGQUIT)
	defer signal.Stop(hangup)
	keys := make(chan byte)
	go s.readKeys(ctx, keys) // not waited for: a read of a terminal cannot be ended
	s.start(func() { s.gatherStatus(ctx) })
	s.start(func() { s.gatherWrites(ctx) })
	s.start(func() { s.checkWrites(ctx) })
	tick := time.NewTicker(redrawEvery)
	defer tick.Stop()
	for {
		s.draw(out)
		select {
		case <-ctx.Done():
			return nil
		case <-hangup:
			return nil
		case err := <-s.crashed:
			return err
		case key := <-keys:
			if s.press(ctx, key) {
				return nil
			}
		case <-tick.C:
		}
	}
}

// start runs f beside the screen; a panic in it ends the screen in good order.
func (s *screen) start(f func()) {
	s.work.Go(func() {
		defer func() {
			if v := recover(); v != nil {
				select {
				case s.crashed <- fmt.Errorf("the demo's screen broke: %v\n%s", v, debug.Stack()):
				default:
				}
			}
		}()
		f()
	})
}

const ctrlC = 3

// readKeys passes on what is typed. The end of the input counts as q.
func (s *screen) readKeys(ctx context.Context, keys chan<- byte) {
	buffer := make([]byte, 64)
	for {
		n, err := os.Stdin.Read(buffer)
		typed := buffer[:n]
		if n > 0 && typed[0] == '\x1b' {
			continue // an arrow or function key
		}
		if err != nil && !errors.Is(err, syscall.EINTR) {
			typed = []byte{'q'}
		}
		for _, key := range typed {
			select {
			case keys <- key:
			case <-ctx.Done():
				return
			}
		}
		if err != nil && !errors.Is(err, syscall.EINTR) {
			return
		}
	}
}

// draw asks for the size anew each time, so a resize needs no signal.
func (s *screen) draw(out *os.File) {
	width, height, err := term.GetSize(int(out.Fd()))
	if err != nil || width <= 0 || height <= 0 {
		width, height = 80, 24
	}
	f := s.snapshot()
	fmt.Fprint(out, paintScreen(f.lines(width, height), width, s.colour))
}

// snapshot is the frame of this moment, which nobody else changes.
func (s *screen) snapshot() frame {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.known
	f.now = time.Now()
	f.servers, f.watchers = s.conditions(), copyOf(s.known.watchers)
	f.events = append([]event(nil), s.known.events...)
	f.webs = append([]webFrame(nil), s.known.webs...)
	return f
}

func copyOf(m map[string]condition) map[string]condition {
	out := map[string]condition{}
	for k, v := range m {
		out[k] = v
	}
	return out
}

// conditions are the servers' as they were brought about, corrected by whether
// they run at all. The caller holds mu.
func (s *screen) conditions() map[string]condition {
	out := copyOf(s.known.servers)
	for _, server := range s.stage.Chain.Servers {
		if out[server.Name] == runs && !server.Running() {
			out[server.Name] = ended
		}
	}
	return out
}

// log adds a line to the events, at its time: the watchers tell of theirs later.
func (s *screen) log(at time.Time, look style, text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	place, _ := slices.BinarySearchFunc(s.known.events, at, func(e event, at time.Time) int {
		if e.at.After(at) {
			return 1
		}
		return -1
	})
	s.known.events = slices.Insert(s.known.events, place, event{at, look, text})
	if n := len(s.known.events); n > eventsKept {
		s.known.events = slices.Delete(s.known.events, 0, n-eventsKept)
	}
}
