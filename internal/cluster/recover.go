package cluster

import (
	"fmt"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
)

// Recover makes this watcher, which must not be running, the only member of its cluster, with the state that it
// has on disk. It is the way out when a majority of the watchers is lost for good, and only then: whatever the
// lost ones had agreed on without this one is gone, and a lost one that comes back would be a second cluster.
// The others are emptied and joined again afterwards.
//
// The machine must be a fresh one; it is used to read the log and is of no use afterwards.
func Recover(cfg Config, m Machine) error {
	if cfg.ID == "" || cfg.Advertise == "" {
		return fmt.Errorf("recover: an id and the address under which this watcher is reached are needed")
	}
	log := hclog.NewNullLogger()
	watch := newStopwatch()
	s, err := openStore(cfg, watch, log)
	if err != nil {
		return err
	}
	conf := cfg.Timing.withDefaults().raftConfig()
	conf.LocalID = raft.ServerID(cfg.ID)
	conf.Logger = log
	err = onCorruption(s.path, func() error {
		hasState, err := raft.HasExistingState(s.logs, s.stable, s.snapshots)
		if err != nil {
			return fmt.Errorf("%s: %w; %s", s.path, err, remedy)
		}
		if !hasState {
			return fmt.Errorf("recover: %s holds no state to recover from", cfg.Dir)
		}
		_, transport := raft.NewInmemTransport(raft.ServerAddress(cfg.Advertise)) // only encodes addresses
		err = raft.RecoverCluster(conf, &machine{inner: m, stopwatch: watch}, s.logs, s.stable, s.snapshots, transport,
			founders([]Peer{{ID: cfg.ID, Addr: cfg.Advertise}}))
		if err != nil {
			return fmt.Errorf("recover %s: %w", cfg.Dir, err)
		}
		return s.setJoining(false)
	})
	if closeErr := s.close(); err == nil {
		err = closeErr
	}
	return err
}
