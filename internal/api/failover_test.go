package api_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/failoverd/failoverd/internal/api"
	"github.com/failoverd/failoverd/internal/api/apitest"
	"github.com/failoverd/failoverd/internal/journal"
	"github.com/failoverd/failoverd/internal/promote"
	"github.com/failoverd/failoverd/internal/topology"
)

const shopUUID = "3e11fa47-71ca-11e1-9e33-c80aa9429561"

// lost is a shop whose master and candidate died together, with three
// transactions that nobody else holds.
func lost(t *testing.T) (*apitest.Backend, string) {
	t.Helper()
	b, url := serve(t)
	b.See("shop", apitest.LostViews("shop", "db1", "db2")...)
	b.Must(journal.Command{HighWater: &journal.HighWater{Product: "shop", Epoch: 1, Set: topology.MustGTIDSet(shopUUID + ":1-1003")}})
	return b, url
}

// said is a refusal's message with its reasons.
func said(e api.Error) string { return e.Error() }

func chainOf(b *apitest.Backend) topology.Chain { return b.State().Products["shop"].Chain }

func TestAFailoverOfWhatIsNotLost(t *testing.T) {
	b, url := serve(t)
	path := url + "/v1/products/shop/failover"
	e := refusal(t, "POST", path, `{"reason":"x"}`, http.StatusConflict)
	assert.Contains(t, said(e), "failoverd switchover shop", "the master is well")
	assert.Empty(t, e.Help)

	b.See("shop", apitest.LostViews("shop", "db1")...)
	assert.Contains(t, refusal(t, "POST", path, `{}`, http.StatusBadRequest).Message, "reason is missing")
	dry := into[api.PlanReply](t, "POST", path, `{"dryRun":true}`)
	assert.Equal(t, "db2", dry.Plan.Target)
	assert.Nil(t, dry.Plan.Loss)
	assert.Nil(t, b.State().Products["shop"].Open)

	// Nothing has to be lost, so the flag loses nothing.
	done := into[api.PlanReply](t, "POST", path, `{"reason":"rack is on fire","acceptDataLoss":true}`)
	assert.True(t, done.Accepted)
	open := b.State().Products["shop"].Open
	require.NotNil(t, open)
	assert.Nil(t, open.Plan.Loss)
	assert.Equal(t, "rack is on fire", open.Plan.Why)
}

func TestAFailoverThatWouldLoseWritesNamesWhomItWaitsFor(t *testing.T) {
	b, url := lost(t)
	path := url + "/v1/products/shop/failover"
	e := refusal(t, "POST", path, `{"reason":"x"}`, http.StatusConflict)
	assert.Equal(t, api.Refused, e.Code)
	assert.Contains(t, said(e), "db2 (refused for 3 of 3 watchers)")
	assert.Contains(t, e.Help, "failoverd failover shop --accept-data-loss --dry-run")
	assert.Nil(t, b.State().Products["shop"].Open)

	dry := into[api.PlanReply](t, "POST", path, `{"dryRun":true,"acceptDataLoss":true}`)
	require.NotNil(t, dry.Plan.Loss)
	assert.Equal(t, shopUUID+":1001-1003", dry.Plan.Loss.Known.String())
	assert.Equal(t, []string{"db2"}, dry.Plan.Loss.Absent)
	assert.EqualValues(t, "42s", dry.Plan.Loss.SeenAgo.String())
	assert.Equal(t, "db3", dry.Plan.Target)

	b.Runs = true
	done := into[api.PlanReply](t, "POST", path, `{"epoch":1,"reason":"both hosts are gone","acceptDataLoss":true}`)
	assert.True(t, done.Accepted)
	assert.Equal(t, "db3", chainOf(b).Master())
	assert.EqualValues(t, 2, chainOf(b).Epoch)
	history := b.State().History
	entry := history[len(history)-1]
	assert.Equal(t, "both hosts are gone", entry.Why)
	assert.Equal(t, "local", entry.Actor)
	require.NotNil(t, entry.Loss)
	assert.EqualValues(t, 3, entry.Loss.Known.Count())
}

func TestExplainHasTheCommandThatOverrides(t *testing.T) {
	_, url := lost(t)
	e := into[api.Explanation](t, "GET", url+"/v1/products/shop/explain", "")
	assert.Equal(t, "master-dead-no-target", e.Verdict.Rule)
	assert.Equal(t, "failoverd failover shop --accept-data-loss", e.Override)
	require.NotNil(t, e.Loss)
	assert.Equal(t, []string{"db2"}, e.Ackers)
	assert.Equal(t, 1, e.Acks)

	b, url := serve(t)
	b.See("shop", apitest.LostViews("shop", "db1")...)
	assert.Empty(t, into[api.Explanation](t, "GET", url+"/v1/products/shop/explain", "").Override, "it does that by itself")
	b.Must(journal.Command{Actor: "alice", Mode: &journal.SetMode{Product: "shop", Mode: topology.Observe}})
	e = into[api.Explanation](t, "GET", url+"/v1/products/shop/explain", "")
	assert.Equal(t, "failoverd failover shop", e.Override)
	assert.Nil(t, e.Loss)
}

// waiting is a lost shop with failoverd's own failover open since before the candidate died.
func waiting(t *testing.T, steps int) (*apitest.Backend, string) {
	t.Helper()
	b, url := serve(t)
	b.See("shop", apitest.LostViews("shop", "db1")...)
	live, err := b.Live(t.Context(), "shop", false)
	require.NoError(t, err)
	b.Must(journal.Command{Actor: "failoverd", Accept: promote.For(live.Case, live.Verdict)})
	for range steps {
		b.Step("shop", "", 1)
	}
	b.See("shop", apitest.LostViews("shop", "db1", "db2")...)
	b.Waiting = "drained db2: connection refused"
	return b, url
}

func TestAFailoverOverridesOneThatWaits(t *testing.T) {
	b, url := waiting(t, 1)
	path := url + "/v1/products/shop/failover"
	dry := into[api.PlanReply](t, "POST", path, `{"dryRun":true,"acceptDataLoss":true}`)
	require.NotNil(t, dry.Overrides)
	assert.EqualValues(t, 1, dry.Overrides.Plan.ID)
	assert.Equal(t, b.Waiting, dry.Waiting)
	require.NotNil(t, b.State().Products["shop"].Open)
	assert.EqualValues(t, 1, b.State().Products["shop"].Open.Plan.ID, "a dry run overrides nothing")

	done := into[api.PlanReply](t, "POST", path, `{"reason":"host is gone","acceptDataLoss":true}`)
	assert.EqualValues(t, 2, done.Plan.ID)
	state := b.State()
	assert.EqualValues(t, 2, state.Products["shop"].Open.Plan.ID)
	assert.Equal(t, "given up: overridden by local: host is gone", state.History[len(state.History)-1].Outcome)
}

func TestAFailoverThatIsRefusedOverridesNothing(t *testing.T) {
	b, url := waiting(t, 1)
	refusal(t, "POST", url+"/v1/products/shop/failover", `{"reason":"host is gone"}`, http.StatusConflict)
	open := b.State().Products["shop"].Open
	require.NotNil(t, open)
	assert.EqualValues(t, 1, open.Plan.ID)
}

func TestPastThePointOfNoReturnNothingIsOverridden(t *testing.T) {
	b, url := waiting(t, 0)
	for open := b.State().Products["shop"].Open; !open.MayHaveOpened(); open = b.State().Products["shop"].Open {
		b.Step("shop", "", 1)
	}
	e := refusal(t, "POST", url+"/v1/products/shop/failover", `{"reason":"x","acceptDataLoss":true,"overrides":1}`, http.StatusConflict)
	assert.Equal(t, api.Refused, e.Code)
	assert.Contains(t, e.Message, "past its point of no return")
	assert.Contains(t, e.Help, "failoverd wait 1")
	assert.EqualValues(t, 1, e.Plan)
	assert.NotNil(t, b.State().Products["shop"].Open)
}

func TestAnotherPersonsFailoverIsOverriddenOnlyByWhoHasSeenIt(t *testing.T) {
	b, url := lost(t)
	path := url + "/v1/products/shop/failover"
	into[api.PlanReply](t, "POST", path, `{"reason":"mine","acceptDataLoss":true,"epoch":1}`)
	e := refusal(t, "POST", path, `{"reason":"yours","acceptDataLoss":true,"epoch":1}`, http.StatusConflict)
	assert.Equal(t, api.Stale, e.Code)
	assert.Contains(t, e.Help, "failoverd wait 1")
	assert.EqualValues(t, 1, b.State().Products["shop"].Open.Plan.ID)
	dry := into[api.PlanReply](t, "POST", path, `{"dryRun":true,"acceptDataLoss":true}`)
	assert.EqualValues(t, 1, dry.Overrides.Plan.ID)
	into[api.PlanReply](t, "POST", path, `{"reason":"yours","acceptDataLoss":true,"epoch":1,"overrides":1}`)
	assert.EqualValues(t, 2, b.State().Products["shop"].Open.Plan.ID)
}

func TestASwitchoverInProgressIsOverriddenWhenTheMasterDies(t *testing.T) {
	b, url := serve(t)
	into[api.PlanReply](t, "POST", url+"/v1/products/shop/switchover", `{}`)
	b.Step("shop", "", 1)
	b.See("shop", apitest.LostViews("shop", "db1")...)
	into[api.PlanReply](t, "POST", url+"/v1/products/shop/failover", `{"reason":"it died","overrides":1}`)
	state := b.State()
	assert.Equal(t, promote.Failover, state.Products["shop"].Open.Plan.Kind)
	assert.Contains(t, state.History[len(state.History)-1].Outcome, "given up: overridden by local")
}

// race sends the same request twice at once and returns how many were accepted,
// and the refusal of the other.
func race(t *testing.T, url, body string) (accepted int, refused []api.Error) {
	t.Helper()
	start := make(chan struct{})
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			<-start
			response, err := http.Post(url, "application/json", strings.NewReader(body))
			if !assert.NoError(t, err) {
				return
			}
			defer response.Body.Close()
			mu.Lock()
			defer mu.Unlock()
			if response.StatusCode == http.StatusOK {
				accepted++
				return
			}
			var e api.Error
			assert.NoError(t, json.NewDecoder(response.Body).Decode(&e))
			refused = append(refused, e)
		})
	}
	close(start)
	wg.Wait()
	return accepted, refused
}

func TestOfTwoOperatorsOneIsFaster(t *testing.T) {
	for _, runs := range []bool{false, true} { // the first plan is open, or has ended already
		for range 6 {
			b, url := serve(t)
			b.Runs = runs
			accepted, refused := race(t, url+"/v1/products/shop/switchover", `{"epoch":1}`)
			assert.Equal(t, 1, accepted)
			require.Len(t, refused, 1)
			assert.Equal(t, api.Stale, refused[0].Code, refused[0].Message)
			assert.NotEmpty(t, refused[0].Help)
			assert.EqualValues(t, 1, b.State().Plans, "one plan was ever accepted")

			b, url = lost(t)
			b.Runs = runs
			accepted, refused = race(t, url+"/v1/products/shop/failover", `{"epoch":1,"reason":"x","acceptDataLoss":true}`)
			assert.Equal(t, 1, accepted)
			require.Len(t, refused, 1)
			assert.Contains(t, []api.Code{api.Stale, api.Refused}, refused[0].Code, "the first may be past its point of no return: %s", refused[0].Message)
			assert.EqualValues(t, 1, b.State().Plans)
		}
	}
}
