package sim

import "slices"

// data is what the rows of a server came from: for each origin, the writes behind
// its transaction numbers. Two servers with the same set of transactions have the
// same data only if no number was given twice.
type data [maxServers][]int32

// add is called for each transaction in the order of its number.
func (d *data) add(t txn) {
	if int(t.n) == len(d[t.origin])+1 {
		d[t.origin] = append(d[t.origin], t.write)
	}
}

// of is a copy as it was when a set was executed. What is appended to either is not in the other.
func (d *data) of(executed vec) data {
	var out data
	for origin, n := range executed {
		out[origin] = d[origin][:n:n]
	}
	return out
}

// has says whether a transaction is there, and not another with its number.
func (d *data) has(t txn) bool {
	return int(t.n) <= len(d[t.origin]) && d[t.origin][t.n-1] == t.write
}

// agrees says whether both have the same wherever they have the same numbers.
func (d *data) agrees(other *data) bool {
	for origin := range d {
		n := min(len(d[origin]), len(other[origin]))
		if !slices.Equal(d[origin][:n], other[origin][:n]) {
			return false
		}
	}
	return true
}

// checkData: every write whose client was told that it is safe is there, and
// servers in rotation hold the same.
func (w *World) checkData(master *server) {
	for _, x := range w.writes {
		if x.promised && !master.data.has(x.t) {
			w.fail("write %d was acknowledged as %s:%d and is not at %s", x.id, uuids[x.t.origin][:2], x.t.n, master.info.Name)
		}
	}
	for _, info := range w.product().Chain.Servers {
		if s := w.byName(info.Name); inRotation(info) && !s.doomed && !s.data.agrees(&master.data) {
			w.fail("%s is in rotation and its data differs from that of master %s", s.info.Name, master.info.Name)
		}
	}
}
