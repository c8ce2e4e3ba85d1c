package api

import (
	"github.com/prometheus/client_golang/prometheus"
)

var (
	metricDumpUp        = gauge("dump_service_up", "1 while the product's dump service reports.", "product")
	metricEvery         = gauge("snapshot_every_seconds", "How often a snapshot is due.", "product")
	metricSnapshotAge   = gauge("snapshot_age_seconds", "Age of the data in the newest whole snapshot in any store.", "product")
	metricSnapshotTook  = gauge("snapshot_duration_seconds", "How long the newest snapshot took.", "product")
	metricStall         = gauge("snapshot_stall_seconds", "For how long the dump slave's applier stood still for it.", "product")
	metricSnapshotBytes = gauge("snapshot_bytes", "What the newest snapshot holds, bytes of rows.", "product")
	metricReadBytes     = gauge("snapshot_read_bytes", "What was read from the server for it.", "product")
	metricStoredBytes   = gauge("snapshot_stored_bytes", "What was written to the store for it.", "product")
	metricFailing       = gauge("snapshot_failing", "1 while the latest try to take a snapshot failed.", "product")
	metricStoreAge      = gauge("store_snapshot_age_seconds", "Age of the newest snapshot in a store.", "product", "store")
	metricStoreBehind   = gauge("store_behind_snapshots", "Snapshots that a store still lacks.", "product", "store")
	metricStoreError    = gauge("store_unusable", "1 while a store of copies cannot be used.", "product", "store")
	metricShipped       = gauge("shipped_lag_seconds", "Time since the store was last known to have the binary log to its end: what is lost if all else is.", "product", "store")
	metricDrillAge      = gauge("drill_age_seconds", "Time since the last rehearsed restore.", "product")
	metricDrillPassed   = gauge("drill_passed", "1 when the last rehearsed restore was exact.", "product")
	metricDrillTook     = gauge("drill_restore_seconds", "How long the restore in it took: the time to recover.", "product")
)

// collectCopies is nothing for a product without a dump service.
func collectCopies(set func(*prometheus.Desc, float64, ...string), p Product) {
	c := p.Copies
	if c == nil {
		return
	}
	seconds := func(ms int64) float64 { return float64(ms) / 1000 }
	set(metricDumpUp, one(!c.Away), p.Name)
	set(metricEvery, seconds(c.EveryMs), p.Name)
	set(metricFailing, one(c.Failing != ""), p.Name)
	if n := c.Newest; n != nil {
		set(metricSnapshotAge, seconds(n.AgeMs), p.Name)
		set(metricSnapshotTook, seconds(n.TookMs), p.Name)
		set(metricStall, seconds(n.StallMs), p.Name)
		set(metricSnapshotBytes, float64(n.Bytes), p.Name)
		set(metricReadBytes, float64(n.ReadBytes), p.Name)
		set(metricStoredBytes, float64(n.StoredBytes), p.Name)
	}
	for _, s := range c.Stores {
		if s.AgeMs >= 0 {
			set(metricStoreAge, seconds(s.AgeMs), p.Name, s.Name)
		}
		set(metricStoreBehind, float64(s.Behind), p.Name, s.Name)
		set(metricStoreError, one(s.Error != ""), p.Name, s.Name)
		if s.ShippedMs >= 0 {
			set(metricShipped, seconds(s.ShippedMs), p.Name, s.Name)
		}
	}
	if d := c.Drill; d != nil {
		set(metricDrillAge, seconds(d.AgeMs), p.Name)
		set(metricDrillPassed, one(d.Passed), p.Name)
		set(metricDrillTook, seconds(d.RestoreMs), p.Name)
	}
}
