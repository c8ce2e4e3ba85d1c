package watcher

import (
	"reflect"
	"slices"

	"github.com/failoverd/failoverd/internal/journal"
	"github.com/failoverd/failoverd/internal/publish"
	"github.com/failoverd/failoverd/internal/topology"
)

// render is what the published file says of a chain. It depends on what the
// watchers agreed on alone, so it changes with the journal and not with every hiccup.
func render(c topology.Chain) publish.Product {
	p := publish.Product{Epoch: c.Epoch, State: "healthy", Protected: c.Policy.Durability == topology.SemiSync, Readers: []publish.Server{}}
	if !p.Protected {
		p.State = "unprotected"
	}
	for _, s := range c.Servers {
		if s.Standing != topology.In {
			p.State = "degraded"
			continue
		}
		server := publish.Server{Host: s.Host, Port: s.Port, Zone: s.Zone, ServerUUID: s.UUID}
		switch s.Seat {
		case topology.Master:
			p.Writer = &server
		case topology.Candidate:
			p.Candidate = &server
			p.Readers = append(p.Readers, server)
		case topology.Slave:
			if p.Slave == nil {
				p.Slave = &server
			}
			p.Readers = slices.Insert(p.Readers, 0, server) // the slave has no other duty
		case topology.Dump:
			p.Dump = &server
		}
	}
	return p
}

// input is what the journal wants published: the products that failoverd runs.
// Those it only observes are not its to announce, unless it once did.
func input(s *journal.State, head *publish.Head) publish.Input {
	in := publish.Input{Products: map[string]publish.Product{}, LastVersion: s.Head.Version, Zones: []string{}}
	for _, name := range s.Names() {
		chain := s.Products[name].Chain
		if chain.Mode == topology.Auto || chain.Epoch > 1 {
			in.Products[name] = render(chain)
		}
		for _, server := range chain.Servers {
			if server.Zone != "" && !slices.Contains(in.Zones, server.Zone) {
				in.Zones = append(in.Zones, server.Zone)
			}
		}
	}
	slices.Sort(in.Zones)
	if head != nil {
		for name := range head.Document.Products {
			if s.Products[name] == nil {
				in.Remove = append(in.Remove, name)
			}
		}
		slices.Sort(in.Remove)
	}
	return in
}

// shows says whether the document shows the chain as it is.
func shows(head *publish.Head, c topology.Chain) bool {
	if head == nil {
		return false
	}
	p, ok := head.Document.Products[c.Product]
	return ok && reflect.DeepEqual(p, render(c))
}
