package mysql

import (
	"fmt"
	"net"
	"slices"
	"strings"

	"github.com/failoverd/failoverd/internal/topology"
)

// seatsOf proposes a seat for every server of a walk: the one without a source is
// the master; its replica that feeds others is the candidate; whoever replicates
// from the candidate is a slave, and a leaf under the master the dump slave. Each
// choice that could have been another is a finding. When there is no single
// master the chain has no servers.
func seatsOf(stops []stop) (topology.Chain, []Finding) {
	chain := topology.Chain{Policy: topology.DefaultPolicy(), Mode: topology.Observe, Epoch: 1}
	slices.SortFunc(stops, func(a, b stop) int { return strings.Compare(a.addr, b.addr) })
	g := graphOf(stops)
	switch {
	case len(g.roots) == 0:
		return chain, []Finding{{"one-master", "", Fail, "circular replication: every server has a source",
			"failoverd needs one server that all others replicate from", "RESET REPLICA ALL on the server that is to be the master"}}
	case len(g.roots) > 1:
		return chain, []Finding{{"one-master", "", Fail, "several servers have no source: " + strings.Join(addrs(g.roots), ", "),
			"failoverd needs one server that all others replicate from", "correct the source of the others"}}
	}
	master := g.roots[0]
	candidate, findings := g.candidate(master)
	seats := map[string]topology.Seat{master.facts.UUID: topology.Master}
	if candidate != nil {
		seats[candidate.facts.UUID] = topology.Candidate
	} else {
		findings = append(findings, Finding{"candidate", "", Fail, "the master has no replica", "without a candidate there is nothing to fail over to", "add a replica"})
	}
	dump := ""
	for _, s := range stops {
		if seats[s.facts.UUID] != "" {
			continue
		}
		seat, finding := g.seat(s, *master, candidate, &dump)
		seats[s.facts.UUID] = seat
		if finding != nil {
			findings = append(findings, *finding)
		}
	}
	chain.Servers = seated(stops, seats)
	if candidate != nil {
		if at, ok := chain.At(topology.Candidate); ok {
			chain.Ackers = []string{at.Name}
		}
	}
	return chain, findings
}

// graph is who replicates from whom, by UUID.
type graph struct {
	roots    []*stop
	replicas map[string][]*stop
	source   map[string]string
}

func graphOf(stops []stop) graph {
	g := graph{replicas: map[string][]*stop{}, source: map[string]string{}}
	byAddr := map[string]string{}
	for i := range stops {
		byAddr[stops[i].addr] = stops[i].facts.UUID
	}
	for i := range stops {
		s := &stops[i]
		if s.facts.Link == nil {
			g.roots = append(g.roots, s)
			continue
		}
		source := s.facts.Link.SourceUUID // empty until the link was up once
		if source == "" {
			source = byAddr[s.facts.Link.SourceAddr]
		}
		g.source[s.facts.UUID] = source
		g.replicas[source] = append(g.replicas[source], s)
	}
	return g
}

// candidate picks the master's replica that is to be promoted first.
func (g graph) candidate(master *stop) (*stop, []Finding) {
	direct := g.replicas[master.facts.UUID]
	if len(direct) == 0 {
		return nil, nil
	}
	rules := []struct {
		why   string
		holds func(*stop) bool
	}{
		{"has replicas of its own", func(s *stop) bool { return len(g.replicas[s.facts.UUID]) > 0 }},
		{"acknowledges for the master", func(s *stop) bool { return s.facts.ReplicaSemiSync }},
	}
	for _, rule := range rules {
		var fit []*stop
		for _, s := range direct {
			if rule.holds(s) {
				fit = append(fit, s)
			}
		}
		if len(fit) == 0 {
			continue
		}
		if len(fit) == 1 && rule.why == rules[0].why || len(direct) == 1 {
			return fit[0], nil
		}
		return fit[0], []Finding{ambiguous("candidate", fit[0].addr+" was taken, because it "+rule.why+"; direct replicas: "+strings.Join(addrs(direct), ", "))}
	}
	if len(direct) == 1 {
		return direct[0], nil
	}
	return direct[0], []Finding{ambiguous("candidate", direct[0].addr+" was taken, the first of "+strings.Join(addrs(direct), ", "))}
}

// seat is that of a server which is neither master nor candidate.
func (g graph) seat(s stop, master stop, candidate *stop, dump *string) (topology.Seat, *Finding) {
	uuid := s.facts.UUID
	leaf := len(g.replicas[uuid]) == 0
	switch {
	case candidate != nil && g.source[uuid] == candidate.facts.UUID:
		return topology.Slave, nil
	case g.source[uuid] == master.facts.UUID && leaf && *dump == "":
		*dump = s.addr
		return topology.Dump, nil
	case g.source[uuid] == master.facts.UUID && leaf:
		f := ambiguous("dump", fmt.Sprintf("%s replicates from the master too; the dump slave is %s, so this one is a slave and would move under the candidate", s.addr, *dump))
		return topology.Slave, &f
	}
	f := ambiguous("slave", fmt.Sprintf("%s is further down than a slave's place; it would move under the candidate", s.addr))
	return topology.Slave, &f
}

func ambiguous(seat, found string) Finding {
	return Finding{"seats", "", Warn, found, "the seat of " + seat + " could be given otherwise", "change the seats in the inventory if this is wrong"}
}

// seated lists the servers in the order master, candidate, slaves, dump.
func seated(stops []stop, seats map[string]topology.Seat) []topology.Server {
	hosts := map[string]int{}
	for _, s := range stops {
		host, _, _ := net.SplitHostPort(s.addr)
		hosts[host]++
	}
	var out []topology.Server
	for _, seat := range []topology.Seat{topology.Master, topology.Candidate, topology.Slave, topology.Dump} {
		for _, s := range stops {
			if seats[s.facts.UUID] == seat {
				name, host, port := nameOf(s.addr, hosts)
				out = append(out, topology.Server{Name: name, Host: host, Port: port, Seat: seat, Standing: topology.In, UUID: s.facts.UUID})
			}
		}
	}
	return out
}

func addrs(stops []*stop) []string {
	var out []string
	for _, s := range stops {
		out = append(out, s.addr)
	}
	return out
}
