package sim

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

var (
	firstSeed = flag.Uint64("first", 1, "the first seed of TestSeeds")
	seedCount = flag.Int("seeds", seedsByDefault(), "how many seeds TestSeeds plays")
	broken    = flag.String("break", "", "a protection to leave out")
	mode      = flag.String("mode", string(Safety), "what TestSeeds is about: safety or liveness")
	policyOf  = flag.String("policy", "", "the policy of TestSeeds, instead of those that the seed draws")
	faultList = flag.String("faults", "", "the faults of TestSeeds, joined by \" + \", instead of those that the seed draws")
)

// seedsByDefault is FAILOVERD_SIM_SEEDS, or a number that takes seconds.
func seedsByDefault() int {
	if n, err := strconv.Atoi(os.Getenv("FAILOVERD_SIM_SEEDS")); err == nil {
		return n
	}
	return 500
}

// TestSeeds plays worlds until one breaks a promise. With -v and a single seed it prints the trace.
func TestSeeds(t *testing.T) {
	t.Parallel()
	defer debug.SetGCPercent(debug.SetGCPercent(4000)) // worlds are small and short
	start := time.Now()
	var next atomic.Uint64
	next.Store(*firstSeed)
	last := *firstSeed + uint64(*seedCount)
	var mu sync.Mutex
	var total Stats
	played, failed := 0, 0 // fewer are played than were asked for when too many fail
	told := start
	var wg sync.WaitGroup
	for range max(2, runtime.GOMAXPROCS(0)) {
		wg.Go(func() {
			for seed := next.Add(1) - 1; seed < last; seed = next.Add(1) - 1 {
				r := Run(seed, Options{Mode: Mode(*mode), Policy: *policyOf, Break: *broken, Scenario: *faultList, Encoded: seed%16 == 0, Trace: testing.Verbose() && *seedCount == 1})
				mu.Lock()
				total.add(r.Stats)
				played++
				if r.Failure != "" {
					failed++
					t.Errorf("seed %d (%s): %s\n\tto replay: go test ./internal/sim -run TestSeeds -first=%d -seeds=1 -mode=%s -v", r.Seed, r.Scenario, r.Failure, r.Seed, *mode)
				}
				enough := failed >= 20
				if r.Trace != "" {
					fmt.Println(r.Trace)
				}
				if time.Since(told) > time.Minute {
					told = time.Now()
					t.Logf("%d of %d seeds, %d failed", played, *seedCount, failed)
				}
				mu.Unlock()
				if enough {
					return
				}
			}
		})
	}
	wg.Wait()
	t.Logf("%d seeds in %s: %.0f a second; %s simulated, %d events, %d acknowledged writes, %d plans, %d promotions, %d elections, %d worlds wait for somebody",
		played, time.Since(start).Round(time.Millisecond), float64(played)/time.Since(start).Seconds(),
		total.Simulated.Round(time.Second), total.Events, total.Acked, total.Plans, total.Promotions, total.Elections, total.Waits)
}

func (s *Stats) add(o Stats) {
	s.Events += o.Events
	s.Acked += o.Acked
	s.Failed += o.Failed
	s.Unknown += o.Unknown
	s.Promotions += o.Promotions
	s.Plans += o.Plans
	s.Elections += o.Elections
	s.Waits += o.Waits
	s.Simulated += o.Simulated
}

// TestLiveness leaves something broken for ever in a few worlds. -mode=liveness of TestSeeds does so in as many as are wanted.
func TestLiveness(t *testing.T) {
	t.Parallel()
	for seed := uint64(1); seed <= 50; seed++ {
		r := Run(seed, Options{Mode: Liveness})
		assert.Empty(t, r.Failure, "seed %d (%s)", seed, r.Scenario)
	}
}
