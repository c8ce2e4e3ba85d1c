package snapshot

// Shed forgets as much as needed to remember no more than limit bytes, of the tables
// that take the most: first what is in their rows, if parts of them can be read
// again by key, then everything.
func (c *Changed) Shed(tables map[TableID]*Table, limit int64) {
	const why = "too much of it changed to remember"
	for {
		total, largest := int64(0), TableID{}
		for id, t := range c.Tables {
			total += t.Bytes
			if l := c.Tables[largest]; l == nil || t.Bytes > l.Bytes {
				largest = id
			}
		}
		if total <= limit || total == 0 {
			return
		}
		if t, table := c.Tables[largest], tables[largest]; table != nil && table.Seekable() && t.KeysOnly == "" {
			t.ForgetRows(why)
		} else {
			t.ReadWhole(why)
		}
	}
}
