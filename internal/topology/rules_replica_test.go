package topology

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

// TestAReplicaDoesNotFollowWhoLacksItsOwnGTIDs: MySQL refuses with error 13114, for
// as long as the rebuilt candidate has not executed what the master burned for it.
func TestAReplicaDoesNotFollowWhoLacksItsOwnGTIDs(t *testing.T) {
	common, burned := GTIDSpan(mastersUUID, 1, 5), GTIDSpan(handsUUID, 1, 2)
	chain := Chain{Product: "shop", Policy: DefaultPolicy(), Epoch: 1, Servers: []Server{
		{Name: "a", Host: "a", Port: 1, Seat: Master, Standing: In}, {Name: "b", Host: "b", Port: 1, Seat: Candidate, Standing: In}, {Name: "c", Host: "c", Port: 1, Seat: Slave, Standing: In}}}
	sourceOf := func(candidates, slaves GTIDSet) string {
		seen := func(uuid string, executed GTIDSet) Sighting {
			return Sighting{Contact: Answered, Facts: &Facts{UUID: uuid, Executed: executed}}
		}
		return Case{Chain: chain, Watchers: 1, Views: []View{{Watcher: "w1", Product: "shop", Sightings: map[string]Sighting{
			"a": seen(mastersUUID, common.Union(burned)), "b": seen(handsUUID, candidates), "c": seen(formerUUID, slaves)}}}}.Digest().SourceFor("c").Name
	}
	assert.Equal(t, "b", sourceOf(common, common))
	assert.Equal(t, "a", sourceOf(common, common.Union(burned)))
	assert.Equal(t, "b", sourceOf(common.Union(burned), common.Union(burned)))
	assert.Equal(t, "b", sourceOf(GTIDSpan(mastersUUID, 1, 3), common), "what others gave is no obstacle")
}
