package topology

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// The servers of these tests: the master of now, the one before it, and one that was opened by hand.
const (
	mastersUUID = "0b000000-0000-4000-8000-00000000000b"
	formerUUID  = "0a000000-0000-4000-8000-00000000000a"
	handsUUID   = "0d000000-0000-4000-8000-00000000000d"
)

func TestErrant(t *testing.T) {
	burned := GTIDSpan(handsUUID, 1, 2)
	copied := &Clone{State: CloneCompleted, Begun: "second"}
	for _, c := range []struct {
		name             string
		server           Server
		executed         GTIDSet
		clone            *Clone
		burning          GTIDSet
		received, errant GTIDSet
	}{
		{name: "what the master has is none", executed: GTIDSpan(formerUUID, 1, 10)},
		{name: "what the master gives is none, before it shows it", executed: GTIDSpan(mastersUUID, 1, 99)},
		{name: "what a former master kept for itself is", executed: GTIDSpan(formerUUID, 1, 12), errant: GTIDSpan(formerUUID, 11, 12)},
		{name: "unless the master has received it and will execute it", executed: GTIDSpan(formerUUID, 1, 12), received: GTIDSpan(formerUUID, 1, 12)},
		{name: "but not what comes after that", executed: GTIDSpan(formerUUID, 1, 12), received: GTIDSpan(formerUUID, 1, 11), errant: GTIDSpan(formerUUID, 12, 12)},
		{name: "what a hand wrote is", executed: burned, errant: burned},
		{name: "what is being burned is none in the chain", server: Server{Standing: In}, executed: burned, burning: burned},
		{name: "and is at a server that comes back with what it stood for", server: Server{Standing: Out}, executed: burned, burning: burned, errant: burned},
		{name: "unless that has a fresh copy", server: Server{Standing: Quarantined, CloneMark: "first"}, clone: copied, executed: burned, burning: burned},
		{name: "what is doubted is, whatever the master has", server: Server{Standing: Out, Doubt: GTIDSpan(formerUUID, 3, 4)},
			executed: GTIDSpan(formerUUID, 1, 10), errant: GTIDSpan(formerUUID, 3, 4)},
		{name: "a copy since then ends the doubt", server: Server{Standing: Quarantined, CloneMark: "first", Doubt: GTIDSpan(formerUUID, 3, 4)},
			clone: copied, executed: GTIDSpan(formerUUID, 1, 10)},
		{name: "an earlier copy does not", server: Server{Standing: Quarantined, CloneMark: "second", Doubt: GTIDSpan(formerUUID, 3, 4)},
			clone: copied, executed: GTIDSpan(formerUUID, 1, 10), errant: GTIDSpan(formerUUID, 3, 4)},
	} {
		t.Run(c.name, func(t *testing.T) {
			master := Facts{UUID: mastersUUID, Executed: GTIDSpan(formerUUID, 1, 10).Union(GTIDSpan(mastersUUID, 1, 5)), Link: &Link{Received: c.received}}
			got := Chain{Burning: c.burning}.Errant(c.server, Facts{Executed: c.executed, Clone: c.clone}, master)
			assert.Equal(t, c.errant.String(), got.String())
		})
	}
}

// TestErrantIsToldByTheYoungestLook: the master's look is older than every look
// that shows what a hand wrote, and yet the server is found out.
func TestErrantIsToldByTheYoungestLook(t *testing.T) {
	chain := Chain{Product: "shop", Policy: DefaultPolicy(), Epoch: 1, Servers: []Server{
		{Name: "b", Host: "b", Port: 3306, Seat: Master, Standing: In}, {Name: "d", Host: "d", Port: 3306, Seat: Dump, Standing: In}}}
	common := GTIDSpan(mastersUUID, 1, 5)
	seen := func(uuid string, executed GTIDSet, age time.Duration) Sighting {
		return Sighting{Contact: Answered, FactsAge: Duration(age), Facts: &Facts{UUID: uuid, Executed: executed}}
	}
	view := func(watcher string, mastersAge, before, after time.Duration) View {
		d := seen(handsUUID, common, before)
		if after > 0 {
			d = seen(handsUUID, common.Union(GTIDSpan(handsUUID, 1, 1)), after)
		}
		return View{Watcher: watcher, Product: "shop", Sightings: map[string]Sighting{"b": seen(mastersUUID, common, mastersAge), "d": d}}
	}
	p := Case{Chain: chain, Watchers: 3, Views: []View{
		view("w1", time.Second, 0, 100*time.Millisecond), view("w2", 2*time.Second, 1200*time.Millisecond, 0)}}.Digest()
	assert.Equal(t, GTIDSpan(handsUUID, 1, 1).String(), p.Errant("d").String())
}
