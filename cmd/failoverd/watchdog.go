package main

import (
	"context"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/hashicorp/go-hclog"
)

const (
	pulseEvery = time.Second
	// partingPatience is how long what is done before the end may take, handing over the leadership above all.
	partingPatience = 3 * time.Second
	// stopPatience is how long an orderly end may take. With partingPatience it stays below the unit's TimeoutStopSec.
	stopPatience = 11 * time.Second
)

// watchdog ends this process when a part of it hangs, for its supervisor to start it anew, and keeps telling
// systemd that the process itself does not.
//
// It waits for nothing that may hang: not for the disk, not for the log. Should a thread hang in the kernel, the
// process is gone only when the kernel lets go of it; what parts, such as open connections, is therefore dealt
// with first.
type watchdog struct {
	log     hclog.Logger
	stalled func(ran time.Duration) (what string, age time.Duration)
	exit    func(code int)
	notify  func(state string)
	every   time.Duration
	pings   bool

	once     sync.Once
	mu       sync.Mutex
	partings []func()
}

func newWatchdog(log hclog.Logger, stalled func(time.Duration) (string, time.Duration)) *watchdog {
	d := &watchdog{log: log, stalled: stalled, exit: os.Exit, every: pulseEvery,
		notify: func(state string) { _, _ = daemon.SdNotify(false, state) }} // without systemd it does nothing
	limit, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		log.Warn("systemd's watchdog is not served", "error", err)
	}
	if limit > 0 {
		d.pings, d.every = true, min(d.every, limit/3)
	}
	return d
}

// before has do called before the process is ended.
func (d *watchdog) before(do func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.partings = append(d.partings, do)
}

// run watches until ctx ends, which it must not before the process is about to.
func (d *watchdog) run(ctx context.Context) {
	ping := make(chan struct{}, 1)
	defer close(ping)
	go func() { // systemd may keep us waiting
		for range ping {
			d.notify(daemon.SdNotifyWatchdog)
		}
	}()
	ticker := time.NewTicker(d.every)
	defer ticker.Stop()
	last := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		// A tick that comes late by more was that of a stopped process, in which nothing hung.
		now := time.Now()
		ran := min(now.Sub(last), 2*d.every)
		last = now
		if what, age := d.stalled(ran); what != "" {
			d.end(what, age)
			return
		}
		if d.pings {
			select {
			case ping <- struct{}{}:
			default:
			}
		}
	}
}

// limit ends the process when it has not ended by itself within stopPatience after ctx did.
func (d *watchdog) limit(ctx context.Context) (stop func()) {
	over := make(chan struct{})
	stopped := context.AfterFunc(ctx, func() {
		select {
		case <-over:
		case <-time.After(stopPatience):
			d.end("stopping", stopPatience)
		}
	})
	return func() {
		stopped()
		close(over)
	}
}

// end ends the process.
func (d *watchdog) end(what string, age time.Duration) {
	d.once.Do(func() {
		said := inBackground(func() {
			d.log.Error("watcher hangs and ends itself, to be started anew", "what", what, "for", age.Round(time.Millisecond), "exit_code", exitHung)
			d.notify(fmt.Sprintf("STATUS=%s hung for %s: ended itself", what, age.Round(time.Second)))
		})
		d.mu.Lock()
		partings := d.partings
		d.mu.Unlock()
		parted := inBackground(func() {
			for _, do := range partings {
				do()
			}
		})
		patience, cancel := context.WithTimeout(context.Background(), partingPatience)
		defer cancel()
		for _, done := range []<-chan struct{}{parted, said} {
			select {
			case <-done:
			case <-patience.Done():
			}
		}
		d.exit(exitHung)
	})
}

func inBackground(do func()) <-chan struct{} {
	done := make(chan struct{})
	go func() {
		defer close(done)
		do()
	}()
	return done
}
