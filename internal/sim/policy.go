package sim

import (
	"time"

	"github.com/failoverd/failoverd/internal/topology"
)

// policies are what a world's product may be run with. The default is drawn most often.
var policies = []struct {
	name string
	set  func(*topology.Policy)
}{
	{"default", func(*topology.Policy) {}},
	{"acks from candidate or dump slave", func(p *topology.Policy) { p.Ackers = seats(topology.Candidate, topology.Dump) }},
	{"acks from candidate or slave", func(p *topology.Policy) { p.Ackers = seats(topology.Candidate, topology.Slave) }},
	{"acks from candidate and slave", func(p *topology.Policy) { p.Ackers, p.Acks = seats(topology.Candidate, topology.Slave), 2 }},
	{"acks from two of three", func(p *topology.Policy) {
		p.Ackers, p.Acks = seats(topology.Candidate, topology.Slave, topology.Dump), 2
	}},
	{"acks from one of three", func(p *topology.Policy) { p.Ackers = seats(topology.Candidate, topology.Slave, topology.Dump) }},
	{"asynchronous", func(p *topology.Policy) { p.Durability = topology.Async }},
	{"rebuild when asked", func(p *topology.Policy) { p.Rebuild = topology.RebuildAsk }},
	{"never rebuild", func(p *topology.Policy) { p.Rebuild = topology.RebuildNever }},
	{"write probes", writeProbes},
	{"write probes, acks from candidate or dump slave", func(p *topology.Policy) {
		writeProbes(p)
		p.Ackers = seats(topology.Candidate, topology.Dump)
	}},
}

func seats(s ...topology.Seat) []topology.Seat { return s }

func writeProbes(p *topology.Policy) {
	p.WriteProbe, p.HangAfter = topology.Duration(400*time.Millisecond), topology.Duration(3*time.Second)
}

// zones are where the servers a, b, c and d stand.
var zones = [][]string{{"z1", "z2", "z3", "z1"}, {"z1", "z1", "z2", "z2"}, {"", "", "", ""}}

// policy draws what the product is run with, and where its servers stand.
func (w *World) policy() (topology.Policy, []string) {
	drawn, place := policies[0], zones[0]
	if w.chance(2) {
		drawn = policies[w.rng.IntN(len(policies))]
	}
	if w.chance(8) {
		place = zones[w.rng.IntN(len(zones))]
	}
	if w.opts.Policy != "" {
		drawn = policyNamed(w.opts.Policy)
	}
	p := topology.DefaultPolicy()
	drawn.set(&p)
	w.policyName, w.beats = drawn.name, p.WriteProbe.Std()
	return p, place
}

func policyNamed(name string) (found struct {
	name string
	set  func(*topology.Policy)
}) {
	for _, p := range policies {
		if p.name == name {
			return p
		}
	}
	panic("sim: there is no policy " + name)
}
