package campaign

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// Workload is what goes on while the fault happens.
type Workload string

// The workloads.
const (
	// Idle writes nothing from just before the fault until it is mended.
	Idle Workload = "idle"
	// Writes are some 200 transactions per second.
	Writes Workload = "writes"
	// Switching is Writes with a switchover under way when the fault begins.
	Switching Workload = "switchover"
)

var anyWorkload = []Workload{Writes, Idle, Switching}

// Promotions is how many there may be.
type Promotions struct {
	Min int `json:"min"`
	Max int `json:"max"`
}

var (
	none      = Promotions{0, 0}
	one       = Promotions{1, 1}
	atMostOne = Promotions{0, 1}
)

func (p Promotions) String() string {
	switch {
	case p.Min == p.Max:
		return fmt.Sprint(p.Max)
	case p.Min == 0:
		return fmt.Sprintf("at most %d", p.Max)
	}
	return fmt.Sprintf("%d to %d", p.Min, p.Max)
}

// Fault is one way to break a deployment. Its steps may leave everything broken: what was killed, frozen, cut, filled
// or misconfigured by a Scene is mended afterwards, and then the chain must come to health by itself.
type Fault struct {
	// Name is how -only and the results call it.
	Name string
	// What happens, in a sentence.
	What string
	// Promotions are those of failoverd's own accord.
	Promotions Promotions
	// MasterToo says that the candidate is struck by what a master is failed over from: one failover is right when a
	// switchover handed over to it first.
	MasterToo bool
	// Begin breaks something and returns at once, unless the fault has several stages.
	Begin func(ctx context.Context, s *Scene) error
	// Awaits holds the fault until a promotion was seen, for at most a minute.
	Awaits bool
	// Hold is how much longer the fault lasts.
	Hold time.Duration
	// LongHold replaces Hold in long campaigns, 0 when it is the same.
	LongHold time.Duration
	// Needs is what the machine must be able to do.
	Needs Needs
	// Patience bounds the way back to health, 90 s when zero.
	Patience time.Duration
	// Returning bounds the time until everybody writes again in a healthy chain, 20 s when zero.
	Returning time.Duration
	// Workloads are those that make sense, all when nil.
	Workloads []Workload
	// Quick faults are over within a few seconds and do not damage the deployment.
	Quick bool
}

// Needs is what a fault, or all that was asked for, needs of the machine.
type Needs struct {
	// Partitions cut watchers and clients from each other: network namespaces.
	Partitions bool
	// Disks are file systems that can be full or stand still.
	Disks bool
	// Links cut servers from each other: namespaces or proxies.
	Links bool
	// Clocks are watchers with a wrong clock.
	Clocks bool
}

func (f Fault) workloads() []Workload {
	if f.Workloads == nil {
		return anyWorkload
	}
	return f.Workloads
}

// expected is how many promotions there may be under a workload. A switchover may be done before the fault, be ended by
// it, or take the place of the failover when the one that dies has handed over already.
func (f Fault) expected(w Workload) Promotions {
	p := f.Promotions
	if w == Switching {
		p.Max++
	}
	return p
}

// Faults is the table, by name.
func Faults() []Fault {
	out := slices.Concat(serverFaults(), linkFaults(), partitionFaults(), watcherFaults(), diskFaults(), storeFaults(), accountFaults(), clockFaults())
	for i := range out {
		if out[i].Patience == 0 {
			out[i].Patience = 90 * time.Second
		}
		if out[i].Returning == 0 {
			out[i].Returning = 20 * time.Second
		}
	}
	return out
}
