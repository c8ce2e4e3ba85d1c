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

// watchStuck gives up the leadership of a node whose disk or machine hangs. Raft does not do that: its main loop
// waits for the write, its other goroutines go on sending heartbeats, and the followers stay content.
//
// The way out is to cut every connection: the others then elect a leader after one heartbeat timeout, and this
// node's lease is over when its main loop wakes. It is let back once nothing has hung for two leases, in which
// it must have noticed.
func (n *Node) watchStuck() {
	tick := time.NewTicker(min(n.timing.Stuck/8, 250*time.Millisecond))
	defer tick.Stop()
	var wellSince time.Time
	for {
		select {
		case <-n.done:
			return
		case <-tick.C:
		}
		what, age := n.stopwatch.oldest()
		switch hung := n.stuckAt(); {
		case age > n.timing.Stuck:
			wellSince = time.Time{}
			if hung == "" {
				n.letGo(what, age)
			}
		case hung == "":
		case wellSince.IsZero():
			wellSince = time.Now()
		case time.Since(wellSince) > 2*n.timing.Lease:
			wellSince = time.Time{}
			n.comeBack(hung)
		}
	}
}

func (n *Node) letGo(what string, age time.Duration) {
	n.mu.Lock()
	n.stuck = what
	close(n.stuckCh)
	n.mu.Unlock()
	n.log.Error("watcher hangs", "id", n.cfg.ID, "what", what, "age", age.Round(time.Millisecond))
	n.endTerm(ErrStuck)
	if n.stream != nil {
		n.stream.cut()
	}
	if n.cfg.OnStuck != nil {
		go n.cfg.OnStuck(what, age)
	}
}

func (n *Node) comeBack(from string) {
	n.mu.Lock()
	n.stuck = ""
	n.stuckCh = make(chan struct{})
	n.mu.Unlock()
	if n.stream != nil && !n.closing.Load() {
		n.stream.mend()
	}
	n.log.Info("watcher no longer hangs", "id", n.cfg.ID, "what", from)
	if n.raftLeads() {
		// Alone in its cluster it never lost the lead, and no notice will come.
		n.beginTerm()
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
