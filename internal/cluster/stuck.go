package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"
)

// Healthy returns nil, or an error that says what hangs or fails here. A node that is not healthy gives its
// leadership away.
func (n *Node) Healthy() error {
	if n.closing.Load() {
		return ErrClosed
	}
	if what := n.stuckAt(); what != "" {
		return fmt.Errorf("%s hangs for more than %s", what, n.timing.Stuck)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.diskErr
}

func (n *Node) stuckAt() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.stuck
}

// hung returns a channel that is closed as long as something hangs here, and otherwise when it begins to.
func (n *Node) hung() <-chan struct{} {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.stuckCh
}

// LetGo ends this node's part in the cluster for good, for a process that is about to end itself. The term ends at
// once; the leadership goes to whoever takes it within two election timeouts, and then every connection is cut. It
// never waits for the disk.
func (n *Node) LetGo() {
	n.closing.Store(true)
	n.endTerm(ErrStuck)
	if n.raftLeads() {
		n.handOver()
	}
	if n.stream != nil {
		n.stream.cut()
	}
}

// watchStuck gives up the leadership of a node whose disk, machine or raft loop hangs. Raft does not do that: its
// main loop waits for the write, its other goroutines go on sending heartbeats, and the followers stay content.
//
// The way out is to cut every connection: the others then elect a leader after one heartbeat timeout, and this
// node's lease is over when its main loop wakes. It is let back once nothing has hung for two leases, in which
// it must have noticed. If that does not come, OnStuck is told that there is no hope.
//
// Nothing here may wait, not even for the log: it may be written to the disk that hangs.
func (n *Node) watchStuck() {
	interval := min(n.timing.Stuck/8, 250*time.Millisecond)
	tick := time.NewTicker(interval)
	defer tick.Stop()
	var wellFor time.Duration
	var hopeless bool
	last := time.Now()
	for {
		select {
		case <-n.done:
			return
		case <-tick.C:
		}
		// A tick that comes late by more was that of a stopped process.
		now := time.Now()
		ran := min(now.Sub(last), 2*interval)
		last = now
		n.stopwatch.advance(ran)
		what, age := n.stopwatch.oldest()
		hung := n.stuckAt()
		if age > n.timing.Stuck {
			wellFor = 0
			if hung == "" {
				n.letGo(what, age)
			}
			if age > n.timing.Hopeless && what != diskFull && !hopeless {
				hopeless = true
				if n.cfg.OnStuck != nil {
					go n.cfg.OnStuck(what, age)
				}
			}
			continue
		}
		hopeless = false
		if wellFor += ran; hung != "" && wellFor > 2*n.timing.Lease {
			n.comeBack(hung)
		}
	}
}

func (n *Node) letGo(what string, age time.Duration) {
	n.mu.Lock()
	n.stuck = what
	close(n.stuckCh)
	n.mu.Unlock()
	n.endTerm(ErrStuck)
	if n.stream != nil {
		n.stream.cut()
	}
	n.workers.Go(func() {
		n.log.Error("watcher hangs", "id", n.cfg.ID, "what", what, "age", age.Round(time.Millisecond))
	})
}

func (n *Node) comeBack(from string) {
	n.mu.Lock()
	n.stuck = ""
	n.stuckCh = make(chan struct{})
	n.mu.Unlock()
	if n.stream != nil && !n.closing.Load() {
		n.stream.mend()
	}
	n.workers.Go(func() { n.log.Info("watcher no longer hangs", "id", n.cfg.ID, "what", from) })
	if n.raftLeads() {
		// Alone in its cluster it never lost the lead, and no notice will come.
		n.beginTerm()
	}
}

// probeLoop asks raft's main loop for a sign of life now and then. It may hang where no stopwatch stands: in a
// snapshot that a lost peer never finished sending, for one.
func (n *Node) probeLoop() {
	tick := time.NewTicker(n.timing.DiskProbe)
	defer tick.Stop()
	for {
		select {
		case <-n.done:
			return
		case <-tick.C:
		}
		if n.raft.CurrentTerm() > 0 { // only then is the question one of an older term
			done := n.stopwatch.start(mainLoop)
			n.transport.ask()
			done()
		}
	}
}

// probeDisk writes and syncs a few bytes now and then. An idle leader writes nothing else, and would learn that
// its disk hangs only from the command that it needs most.
func (n *Node) probeDisk() {
	if n.store.inMemory {
		return
	}
	tick := time.NewTicker(n.timing.DiskProbe)
	defer tick.Stop()
	for {
		select {
		case <-n.done:
			return
		case <-tick.C:
		}
		err := n.touchDisk()
		n.mu.Lock()
		before := n.diskErr
		n.diskErr = err
		n.mu.Unlock()
		switch {
		case err != nil && before == nil:
			n.log.Error("disk probe failed", "dir", n.cfg.Dir, "error", err)
		case err == nil && before != nil:
			n.log.Info("disk probe works again", "dir", n.cfg.Dir)
		}
		if err != nil && n.raftLeads() {
			n.handOver()
		}
	}
}

// handOver gives the leadership to whoever takes it, within two election timeouts.
func (n *Node) handOver() {
	if n.voters() < 2 {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*n.timing.Election)
	defer cancel()
	if err := n.Transfer(ctx, ""); err != nil {
		n.log.Debug("leadership not handed over", "error", err)
	}
}

func (n *Node) touchDisk() error {
	defer n.stopwatch.start("syncing the disk probe")()
	f, err := os.OpenFile(inDir(n.cfg.Dir, probeName), os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteAt([]byte(time.Now().UTC().Format(time.RFC3339)), 0)
	return errors.Join(err, f.Sync(), f.Close())
}
