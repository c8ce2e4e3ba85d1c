package cluster

import (
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
)

// quiet passes raft's log on with its routine at debug: elections, unreachable peers and refused votes are
// ordinary there, come many times a second while a peer is down, and are told once per change by observe.
type quiet struct{ hclog.Logger }

func quieter(log hclog.Logger) hclog.Logger { return quiet{log.Named("raft")} }

// routine are the messages that raft logs as errors while a peer is merely unreachable.
var routine = map[string]bool{
	"failed to heartbeat to":                    true,
	"failed to appendEntries to":                true,
	"failed to make requestVote RPC":            true,
	"failed to make RequestVote RPC":            true,
	"failed to decode incoming command":         true,
	"failed to flush response":                  true,
	"failed to pipeline appendEntries":          true,
	"failed to start pipeline replication to":   true,
	"failed to send snapshot to":                true,
	"failed to accept connection":               true,
	"peer has newer term, stopping replication": true,
}

func (q quiet) Info(msg string, args ...any) { q.Logger.Debug(msg, args...) }
func (q quiet) Warn(msg string, args ...any) { q.Logger.Debug(msg, args...) }

func (q quiet) Error(msg string, args ...any) {
	if routine[msg] {
		q.Logger.Debug(msg, args...)
		return
	}
	q.Logger.Error(msg, args...)
}

func (q quiet) Log(level hclog.Level, msg string, args ...any) {
	switch level {
	case hclog.Error:
		q.Error(msg, args...)
	case hclog.Info, hclog.Warn:
		q.Logger.Debug(msg, args...)
	default:
		q.Logger.Log(level, msg, args...)
	}
}

func (q quiet) With(args ...any) hclog.Logger       { return quiet{q.Logger.With(args...)} }
func (q quiet) Named(name string) hclog.Logger      { return quiet{q.Logger.Named(name)} }
func (q quiet) ResetNamed(name string) hclog.Logger { return quiet{q.Logger.ResetNamed(name)} }

// observe logs who leads and who is out of reach, one line per change.
func (n *Node) observe() {
	seen := make(chan raft.Observation, 64)
	observer := raft.NewObserver(seen, false, func(o *raft.Observation) bool {
		switch o.Data.(type) {
		case raft.LeaderObservation, raft.FailedHeartbeatObservation, raft.ResumedHeartbeatObservation:
			return true
		}
		return false
	})
	n.raft.RegisterObserver(observer)
	n.workers.Go(func() {
		defer n.raft.DeregisterObserver(observer)
		away := map[raft.ServerID]bool{}
		leader := raft.ServerID("")
		for {
			select {
			case <-n.done:
				return
			case o := <-seen:
				switch what := o.Data.(type) {
				case raft.LeaderObservation:
					clear(away)
					if what.LeaderID != "" && what.LeaderID != leader {
						leader = what.LeaderID
						n.log.Info("leader changed", "leader", string(leader))
					}
				case raft.FailedHeartbeatObservation:
					if !away[what.PeerID] {
						away[what.PeerID] = true
						n.log.Warn("watcher out of reach", "peer", string(what.PeerID), "silent_for", time.Since(what.LastContact).Round(time.Millisecond))
					}
				case raft.ResumedHeartbeatObservation:
					if away[what.PeerID] {
						delete(away, what.PeerID)
						n.log.Info("watcher back in reach", "peer", string(what.PeerID))
					}
				}
			}
		}
	})
}
