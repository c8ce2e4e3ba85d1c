package api_test

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/failoverd/failoverd/internal/api"
	"github.com/failoverd/failoverd/internal/api/apitest"
	"github.com/failoverd/failoverd/internal/journal"
	"github.com/failoverd/failoverd/internal/promote"
	"github.com/failoverd/failoverd/internal/snapshot"
	"github.com/failoverd/failoverd/internal/topology"
)

// reported is what the dump service beside db4 says.
func reported() snapshot.Report {
	return snapshot.Report{Instance: "one", Server: "db4", EveryMs: 900_000,
		Newest: &snapshot.Copy{ID: "20261122T204500Z-e1-aabbcc", AgeMs: 60_000, Bytes: 5e9, StoredBytes: 1e9, TookMs: 42_000, StallMs: 20},
		Stores: []snapshot.StoreReport{{Name: "s3", Newest: "20261122T204500Z-e1-aabbcc", AgeMs: 60_000, ShippedMs: 3000}, {Name: "b2", AgeMs: -1, ShippedMs: -1, Behind: 4, Error: "away"}},
		Drill:  &snapshot.DrillNote{ID: "x", AgeMs: 3_600_000, Passed: true, RestoreMs: 90_000}}
}

func post(t *testing.T, url string, r snapshot.Report) snapshot.Orders {
	t.Helper()
	data, err := json.Marshal(r)
	require.NoError(t, err)
	return into[snapshot.Orders](t, "POST", url+"/v1/products/shop/copies", string(data))
}

func TestReportsOfTheDumpServiceAreInTheStatus(t *testing.T) {
	b, url := serve(t)
	assert.Nil(t, into[api.Status](t, "GET", url+"/v1/status", "").Products[0].Copies, "nobody has reported")
	orders := post(t, url, reported())
	assert.Equal(t, snapshot.Orders{Epoch: 1, Seat: topology.Dump}, orders)

	b.Clock = b.Clock.Add(4 * time.Second)
	c := into[api.Status](t, "GET", url+"/v1/status", "").Products[0].Copies
	require.NotNil(t, c)
	assert.False(t, c.Away)
	assert.EqualValues(t, 64_000, c.Newest.AgeMs, "it grows older between reports")
	assert.EqualValues(t, 7_000, c.Stores[0].ShippedMs)
	assert.EqualValues(t, -1, c.Stores[1].AgeMs, "what is not known stays so")
	b.Clock = b.Clock.Add(7 * time.Second)
	assert.True(t, into[api.Status](t, "GET", url+"/v1/status", "").Products[0].Copies.Away)

	_, metrics := request(t, "GET", url+"/metrics", "")
	for _, line := range []string{`failoverd_snapshot_age_seconds{product="shop"} 71`, `failoverd_dump_service_up{product="shop"} 0`,
		`failoverd_shipped_lag_seconds{product="shop",store="s3"} 14`, `failoverd_store_behind_snapshots{product="shop",store="b2"} 4`,
		`failoverd_drill_passed{product="shop"} 1`, `failoverd_drill_restore_seconds{product="shop"} 90`} {
		assert.Contains(t, metrics, line+"\n")
	}
	assert.NotContains(t, metrics, `shipped_lag_seconds{product="shop",store="b2"}`)
}

func TestSnapshotNow(t *testing.T) {
	b, url := serve(t)
	path := url + "/v1/products/shop/snapshot"
	e := refusal(t, "POST", path, "", http.StatusConflict)
	assert.Contains(t, e.Message, "no dump service of shop has reported")
	report := reported()
	report.Done = 7
	post(t, url, report)
	order := into[api.SnapshotReply](t, "POST", path, "")
	assert.Greater(t, order.Order, uint64(7))
	assert.Empty(t, order.Waiting)
	assert.Equal(t, order.Order, into[api.SnapshotReply](t, "POST", path, "").Order, "two people get one")
	assert.Equal(t, order.Order, post(t, url, report).Take)
	assert.Equal(t, order.Order, post(t, url, report).Take, "until it is done")
	report.Done = order.Order
	assert.Zero(t, post(t, url, report).Take)
	assert.Greater(t, into[api.SnapshotReply](t, "POST", path, "").Order, order.Order)

	b.Clock = b.Clock.Add(time.Minute)
	e = refusal(t, "POST", path, "", http.StatusConflict)
	assert.Contains(t, e.Message, "has not reported for 1m0s")
	assert.Contains(t, e.Help, "systemctl status failoverd-dump")
}

func TestTwoDumpServicesOfOneProductAreOneTooMany(t *testing.T) {
	b, url := serve(t)
	post(t, url, reported())
	second := reported()
	second.Instance = "two"
	data, err := json.Marshal(second)
	require.NoError(t, err)
	e := refusal(t, "POST", url+"/v1/products/shop/copies", string(data), http.StatusConflict)
	assert.Contains(t, e.Message, "another dump service takes the snapshots of shop")
	b.Clock = b.Clock.Add(11 * time.Second)
	post(t, url, second) // the first is gone
	second.Leaving = true
	post(t, url, second)
	assert.True(t, into[api.Status](t, "GET", url+"/v1/status", "").Products[0].Copies.Away)
	assert.Contains(t, refusal(t, "POST", url+"/v1/products/shop/snapshot", "", http.StatusConflict).Message, "the dump service of shop was stopped 0s ago")
	post(t, url, reported()) // whom it made room for
	strange := reported()
	strange.Server = "db9"
	data, err = json.Marshal(strange)
	require.NoError(t, err)
	assert.Contains(t, refusal(t, "POST", url+"/v1/products/shop/copies", string(data), http.StatusConflict).Message, "db9 is no server of shop")
}

func TestSnapshotsGiveWayToPromotions(t *testing.T) {
	for name, c := range map[string]struct {
		set  func(*testing.T, *apitest.Backend)
		wait string
		acks bool
	}{
		"healthy": {func(*testing.T, *apitest.Backend) {}, "", false},
		"switchover": {func(t *testing.T, b *apitest.Backend) {
			live, err := b.Live(t.Context(), "shop", true)
			require.NoError(t, err)
			plan, err := promote.ForSwitchover(live.Case, "", "alice", "x")
			require.NoError(t, err)
			b.Must(journal.Command{Actor: "alice", Accept: plan})
		}, "plan 1 is open: switchover db1 → db2", false},
	} {
		t.Run(name, func(t *testing.T) {
			b, url := serve(t)
			c.set(t, b)
			orders := post(t, url, reported())
			assert.Equal(t, c.wait, orders.Wait)
			assert.Equal(t, c.acks, orders.Acks)
			assert.Equal(t, c.wait, into[api.SnapshotReply](t, "POST", url+"/v1/products/shop/snapshot", "").Waiting)
		})
	}
}

func TestEventsOfCopiesGoToTheHistory(t *testing.T) {
	b, url := serve(t)
	path := url + "/v1/products/shop/copies/event"
	into[api.Ack](t, "POST", path, `{"server":"db4","what":"drill","outcome":"failed: chunk 3 of shop.orders is damaged","ms":1200}`)
	history := b.State().History
	last := history[len(history)-1]
	assert.Equal(t, "drill", last.What)
	assert.Equal(t, "db4", last.To)
	assert.Contains(t, last.Outcome, "is damaged")
	refusal(t, "POST", path, `{"server":"db4","what":"yolo","outcome":"done"}`, http.StatusBadRequest)
	refusal(t, "POST", path, `{"server":"db9","what":"drill","outcome":"done"}`, http.StatusConflict)
}
