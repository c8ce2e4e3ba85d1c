package campaign

import (
	"math/rand/v2"
)

// Draw is one run to do.
type Draw struct {
	Run      int
	Seed     uint64 // of the run alone
	Fault    Fault
	Workload Workload
}

// Drawn are the runs 1 to n of a seed: all faults in an order of chance, then all again in another, each under a
// workload of chance. The same arguments give the same runs.
func Drawn(seed uint64, n int, faults []Fault) []Draw {
	var out []Draw
	for round := uint64(0); len(out) < n && len(faults) > 0; round++ {
		for _, i := range rand.New(rand.NewPCG(seed, 1<<32|round)).Perm(len(faults)) {
			if len(out) == n {
				break
			}
			d := Draw{Run: len(out) + 1, Fault: faults[i]}
			chance := rand.New(rand.NewPCG(seed, uint64(d.Run)))
			d.Seed = chance.Uint64()
			workloads := faults[i].workloads()
			d.Workload = workloads[chance.IntN(len(workloads))]
			out = append(out, d)
		}
	}
	return out
}
