package sim

import "github.com/failoverd/failoverd/internal/topology"

// maxServers bounds a world's chain.
const maxServers = 6

// txn is a transaction: the server that first committed it, its number there, and
// the client's write that it is, 0 for none.
type txn struct {
	origin int8
	n      int32
	write  int32
}

// vec is a set of transactions: for each origin all from 1 up to a number. Every
// binary log has one origin's transactions in their order, and replicas copy in the
// order of the log, so no set in a world ever has a gap.
type vec [maxServers]int32

func (v vec) has(t txn) bool { return v[t.origin] >= t.n }

func (v *vec) add(t txn) { v[t.origin] = max(v[t.origin], t.n) }

func (v vec) union(other vec) vec {
	for i, n := range other {
		v[i] = max(v[i], n)
	}
	return v
}

func (v vec) common(other vec) vec {
	for i, n := range other {
		v[i] = min(v[i], n)
	}
	return v
}

func (v vec) contains(other vec) bool {
	for i, n := range other {
		if v[i] < n {
			return false
		}
	}
	return true
}

// uuids are the servers' UUIDs, by number.
var uuids = [maxServers]string{
	"0a000000-0000-4000-8000-00000000000a", "0b000000-0000-4000-8000-00000000000b", "0c000000-0000-4000-8000-00000000000c",
	"0d000000-0000-4000-8000-00000000000d", "0e000000-0000-4000-8000-00000000000e", "0f000000-0000-4000-8000-00000000000f",
}

// gtids is the set as failoverd knows it, without what is in but.
func (v vec) gtids(but vec) topology.GTIDSet {
	var out topology.GTIDSet
	for i, n := range v {
		if n > but[i] {
			out = out.Union(topology.GTIDSpan(uuids[i], int64(but[i])+1, int64(n)))
		}
	}
	return out
}

// vecOf is the smallest set of a world that holds a GTID set.
func vecOf(set topology.GTIDSet) vec {
	var v vec
	for i, uuid := range uuids {
		v[i] = int32(set.Last(uuid))
	}
	return v
}

// cached keeps the latest GTID set of a set that rarely changes.
type cached struct {
	of, but vec
	set     topology.GTIDSet
}

func (c *cached) gtids(v, but vec) topology.GTIDSet {
	if c.of != v || c.but != but {
		c.of, c.but, c.set = v, but, v.gtids(but)
	}
	return c.set
}
