package sim

import (
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestSameSeedSameWorld(t *testing.T) {
	for seed := uint64(1); seed <= 20; seed++ {
		a, b := Run(seed, Options{Trace: true}), Run(seed, Options{Trace: true})
		require.Equal(t, a.Trace, b.Trace, "seed %d", seed)
		assert.Equal(t, a.Hash, b.Hash)
		assert.Equal(t, a.Hash, Run(seed, Options{}).Hash, "tracing changes nothing")
		assert.Equal(t, a.Hash, Run(seed, Options{Encoded: true}).Hash, "the wire format changes nothing")
	}
}

// TestWorldsKnowNothingOfEachOther plays many worlds again, side by side and in
// other orders, on one core and on several: each is what it was alone.
func TestWorldsKnowNothingOfEachOther(t *testing.T) {
	const worlds = 60
	optionsOf := func(seed int) Options {
		return Options{Mode: []Mode{Safety, Liveness}[seed%2], Encoded: seed%3 == 0}
	}
	alone := make([]Result, worlds)
	for seed := range worlds {
		alone[seed] = Run(uint64(seed), optionsOf(seed))
	}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	for i, cores := range []int{1, 2, 8} {
		runtime.GOMAXPROCS(cores)
		order := rand.New(rand.NewPCG(uint64(i), 1)).Perm(worlds)
		again := make([]Result, worlds)
		var wg sync.WaitGroup
		for part := range 4 {
			wg.Go(func() {
				for _, seed := range order[part*worlds/4 : (part+1)*worlds/4] {
					again[seed] = Run(uint64(seed), optionsOf(seed))
				}
			})
		}
		wg.Wait()
		for seed := range worlds {
			assert.Equal(t, alone[seed], again[seed], "seed %d on %d cores", seed, cores)
		}
	}
}
