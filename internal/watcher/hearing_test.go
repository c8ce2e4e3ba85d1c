package watcher

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/failoverd/failoverd/internal/topology"
)

// TestAReplicasClockDoesNotDecideWhetherItHears plays a source that falls silent
// after four seconds, as seen through replicas whose clock jumps.
func TestAReplicasClockDoesNotDecideWhetherItHears(t *testing.T) {
	for _, jump := range []time.Duration{0, time.Hour, -time.Hour} {
		t.Run(jump.String(), func(t *testing.T) {
			var h hearing
			start := time.Now()
			for look := range 12 {
				at := start.Add(time.Duration(look) * time.Second)
				heard := min(look, 4)
				said := time.Duration(look-heard) * time.Second
				if look >= 2 && jump != 0 { // the clock jumped; a negative age is shown as none
					said = max(said+jump, 0)
				}
				link := h.heed(&topology.Link{SourceAddr: "a:3306", Signs: fmt.Sprint(heard), Silence: topology.Duration(said)}, at)
				silent := link.Silence.Std() >= 2*time.Second
				assert.Equal(t, look >= 6, silent, "look %d: %s", look, link.Silence)
			}
		})
	}
}

func TestTheFirstLookTakesTheReplicasWord(t *testing.T) {
	var h hearing
	link := h.heed(&topology.Link{SourceAddr: "a:3306", Signs: "1", Silence: topology.Duration(5 * time.Second)}, time.Now())
	assert.Equal(t, topology.Duration(5*time.Second), link.Silence)
	assert.Nil(t, h.heed(nil, time.Now()))
}
