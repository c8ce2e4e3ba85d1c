package apitest

import (
	"fmt"
	"slices"
	"time"

	"github.com/failoverd/failoverd/internal/journal"
	"github.com/failoverd/failoverd/internal/topology"
)

const (
	uuid1 = "3e11fa47-71ca-11e1-9e33-c80aa9429561"
	uuid2 = "3e11fa47-71ca-11e1-9e33-c80aa9429562"
	uuid3 = "3e11fa47-71ca-11e1-9e33-c80aa9429563"
	uuid4 = "3e11fa47-71ca-11e1-9e33-c80aa9429564"
)

// Shop is the inventory of a product of four servers.
func Shop(product string) topology.Chain {
	return topology.Chain{Product: product, Policy: topology.DefaultPolicy(), Servers: []topology.Server{
		{Name: "db1", Host: "10.0.0.1", Port: 3306, Zone: "a", Seat: topology.Master},
		{Name: "db2", Host: "10.0.0.2", Port: 3306, Zone: "b", Seat: topology.Candidate},
		{Name: "db3", Host: "10.0.0.3", Port: 3306, Zone: "c", Seat: topology.Slave},
		{Name: "db4", Host: "10.0.0.4", Port: 3306, Zone: "c", Seat: topology.Dump},
	}}
}

// AddShop adds a healthy product in mode auto that all three watchers see.
func (b *Backend) AddShop(product string) {
	b.Must(journal.Command{Actor: "alice", Inventory: &journal.Inventory{Chains: []topology.Chain{Shop(product)}}})
	b.Must(journal.Command{Actor: "alice", Mode: &journal.SetMode{Product: product, Mode: topology.Auto}})
	b.See(product, HealthyViews(product)...)
}

// HealthyViews are what three watchers see of a healthy shop; db3 is 7 transactions behind.
func HealthyViews(product string) []topology.View {
	facts := Facts()
	var out []topology.View
	for i := range 3 {
		v := topology.View{Watcher: fmt.Sprintf("w%d", i+1), Product: product, Sightings: map[string]topology.Sighting{}, Age: ms(20 * i)}
		for name, f := range facts {
			v.Sightings[name] = topology.Sighting{Server: name, Contact: topology.Answered, Facts: &f, FactsAge: ms(80)}
		}
		out = append(out, v)
	}
	return out
}

// DeadMasterViews are the same after db1 was killed.
func DeadMasterViews(product string) []topology.View {
	views := HealthyViews(product)
	for _, v := range views {
		v.Sightings["db1"] = topology.Sighting{Server: "db1", Contact: topology.Refused, Error: "connection refused", Unanswered: ms(900)}
		for _, name := range []string{"db2", "db4"} {
			s := v.Sightings[name]
			f := *s.Facts
			link := *f.Link
			link.IO, link.IOError, link.Silence = topology.Connecting, "error connecting to source 'repl@10.0.0.1:3306'", ms(950)
			f.Link = &link
			s.Facts = &f
			v.Sightings[name] = s
		}
	}
	return views
}

// LostViews are the healthy ones after these servers were killed long enough ago
// to be dead.
func LostViews(product string, lost ...string) []topology.View {
	views := HealthyViews(product)
	gone := map[string]bool{}
	for _, s := range Shop(product).Servers {
		if slices.Contains(lost, s.Name) {
			gone[s.Addr()] = true
		}
	}
	for _, v := range views {
		for name, s := range v.Sightings {
			if slices.Contains(lost, name) {
				v.Sightings[name] = topology.Sighting{Server: name, Contact: topology.Refused, Error: "connection refused", Unanswered: ms(42_000),
					Facts: s.Facts, FactsAge: ms(42_000)}
				continue
			}
			f := *s.Facts
			if f.Link != nil && gone[f.Link.SourceAddr] {
				link := *f.Link
				link.IO, link.IOError, link.Silence = topology.Connecting, "error connecting to source", ms(42_000)
				f.Link = &link
			}
			s.Facts = &f
			v.Sightings[name] = s
		}
	}
	return views
}

// Facts are those of a healthy shop, by server.
func Facts() map[string]topology.Facts {
	whole := topology.MustGTIDSet(uuid1 + ":1-1000")
	link := func(addr, uuid string, received topology.GTIDSet) *topology.Link {
		return &topology.Link{SourceAddr: addr, SourceUUID: uuid, IO: topology.On, SQL: topology.On, Silence: ms(120),
			Received: received, AutoPosition: true, Heartbeat: ms(500)}
	}
	behind := topology.MustGTIDSet(uuid1 + ":1-993")
	return map[string]topology.Facts{
		"db1": {UUID: uuid1, Version: "8.4.6", ServerID: 1, Executed: whole,
			Source: topology.SourceSemiSync{Installed: true, Enabled: true, On: true, Clients: 1}},
		"db2": {UUID: uuid2, Version: "8.4.6", ServerID: 2, ReadOnly: true, SuperReadOnly: true, Executed: whole, ReplicaSemiSync: true,
			Link: link("10.0.0.1:3306", uuid1, whole), Source: topology.SourceSemiSync{Installed: true}},
		"db3": {UUID: uuid3, Version: "8.4.6", ServerID: 3, ReadOnly: true, SuperReadOnly: true, Executed: behind, ReplicaSemiSync: true,
			Link: link("10.0.0.2:3306", uuid2, whole), Source: topology.SourceSemiSync{Installed: true}},
		"db4": {UUID: uuid4, Version: "8.4.6", ServerID: 4, ReadOnly: true, SuperReadOnly: true, Executed: whole,
			Link: link("10.0.0.1:3306", uuid1, whole), Source: topology.SourceSemiSync{Installed: true}},
	}
}

func ms(n int) topology.Duration { return topology.Duration(time.Duration(n) * time.Millisecond) }
