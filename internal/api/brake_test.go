package api_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/failoverd/failoverd/internal/api"
	"github.com/failoverd/failoverd/internal/api/apitest"
	"github.com/failoverd/failoverd/internal/journal"
	"github.com/failoverd/failoverd/internal/promote"
	"github.com/failoverd/failoverd/internal/topology"
)

func TestBrake(t *testing.T) {
	b, url := serve(t)
	path := url + "/v1/brake"
	brake := into[api.Brake](t, "GET", path, "")
	assert.Equal(t, api.Brake{Mode: journal.BrakeWatch, Failed: []string{}, Most: 2, Products: 1}, brake)
	for body, want := range map[string]string{
		`{}`:                                   "not on, off or watch",
		`{"mode":"on"}`:                        "reason is missing",
		`{"mode":"off","reason":" "}`:          "reason is missing",
		`{"mode":"on","reason":"x","for":"1"}`: "not a duration",
		`{"mode":"watch","for":"1h"}`:          "watch is the rule",
	} {
		assert.Contains(t, refusal(t, "POST", path, body, http.StatusBadRequest).Message, want)
	}
	brake = into[api.Brake](t, "POST", path, `{"mode":"on","reason":"core switch","for":"10m"}`)
	assert.True(t, brake.Holds)
	assert.Equal(t, "local", brake.Actor)
	assert.Equal(t, "core switch", brake.Reason)
	assert.Equal(t, b.Clock.Add(10*time.Minute), brake.Until)
	assert.Equal(t, brake, into[api.Status](t, "GET", url+"/v1/status", "").Brake)
	_, text := request(t, "GET", url+"/metrics", "")
	assert.Contains(t, text, "failoverd_brake{mode=\"on\"} 1\n")
	assert.Contains(t, text, "failoverd_brake_holds 1\n")

	// It is said where one looks for the reason.
	b.See("shop", apitest.DeadMasterViews("shop")...)
	e := into[api.Explanation](t, "GET", url+"/v1/products/shop/explain", "")
	assert.False(t, e.MayAct)
	assert.Contains(t, e.Why, "local put it on (core switch)")
	assert.Equal(t, "failoverd failover shop", e.Override)
	assert.Nil(t, b.State().Products["shop"].Open, "explaining changes nothing")

	history := into[[]journal.Entry](t, "GET", url+"/v1/history?product=shop", "")
	last := history[len(history)-1]
	assert.Equal(t, "brake on", last.What, "what is of all products is of this one")
	assert.Equal(t, brake.Until, last.Until)
	refusal(t, "GET", url+"/v1/history?product=nope", "", http.StatusNotFound)

	brake = into[api.Brake](t, "POST", path, `{"mode":"watch"}`)
	assert.Equal(t, journal.BrakeWatch, brake.Mode)
	assert.Empty(t, brake.Actor)
}

// TestTheBrakeHoldsWhenAnotherFailoverWouldBeRefused compares what is shown with
// what the journal does.
func TestTheBrakeHoldsWhenAnotherFailoverWouldBeRefused(t *testing.T) {
	names := []string{"a", "b", "c", "d"}
	for products := 1; products <= len(names); products++ {
		b, url := serve(t)
		b.Must(journal.Command{Inventory: &journal.Inventory{Remove: []string{"shop"}}})
		for _, name := range names[:products] {
			b.AddShop(name)
			b.See(name, apitest.DeadMasterViews(name)...)
		}
		for failed := range products {
			refused := false
			for _, name := range names[:products] {
				live, err := b.Live(t.Context(), name, false)
				require.NoError(t, err)
				if plan := promote.For(live.Case, live.Verdict); plan != nil && b.State().Products[name].Open == nil {
					refused = refused || b.State().Do(0, journal.Command{At: b.Clock, Accept: plan}) != nil
				}
			}
			assert.Equal(t, refused, into[api.Brake](t, "GET", url+"/v1/brake", "").Holds, "%d of %d failed", failed, products)
			if refused {
				break
			}
			live, err := b.Live(t.Context(), names[failed], false)
			require.NoError(t, err)
			b.Must(journal.Command{Accept: promote.For(live.Case, live.Verdict)})
		}
	}
}

func TestSkippedFailoversAreCounted(t *testing.T) {
	b, url := serve(t)
	_, text := request(t, "GET", url+"/metrics", "")
	assert.Contains(t, text, "failoverd_failovers_skipped_total{product=\"shop\"} 0\n")
	b.Must(journal.Command{Actor: "failoverd", Skipped: &journal.Skipped{Product: "shop", Action: topology.Failover, Why: "db1 is dead", Because: "the brake"}})
	for range 2 {
		_, text = request(t, "GET", url+"/metrics", "")
		assert.Contains(t, text, "failoverd_failovers_skipped_total{product=\"shop\"} 1\n")
	}
}
