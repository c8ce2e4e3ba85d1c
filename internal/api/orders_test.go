package api_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"slices"
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

func TestMaintenance(t *testing.T) {
	b, url := serve(t)
	b.Runs = true
	path := url + "/v1/products/shop/maintenance"
	for body, want := range map[string]string{
		`{"reason":"x"}`:                            "server is missing",
		`{"server":"db3"}`:                          "reason is missing",
		`{"server":"db3","reason":"x","for":"1"}`:   "not a duration",
		`{"server":"db3","end":true,"for":"1h"}`:    "for is for the beginning",
		`{"server":"db3","reason":"x","for":"-1h"}`: "not a duration",
	} {
		assert.Contains(t, refusal(t, "POST", path, body, http.StatusBadRequest).Message, want)
	}
	assert.Contains(t, said(refusal(t, "POST", path, `{"server":"db1","reason":"x"}`, http.StatusConflict)), "failoverd switchover shop")
	assert.Contains(t, said(refusal(t, "POST", path, `{"server":"db3","end":true}`, http.StatusConflict)), "not in maintenance")

	dry := into[api.PlanReply](t, "POST", path, `{"server":"db2","dryRun":true}`)
	assert.Contains(t, dry.Notes, "db2 acknowledges for db1: db4 takes over first")
	assert.Len(t, dry.Notes, 3, "it is the candidate, and no end is given")

	into[api.PlanReply](t, "POST", path, `{"server":"db3","reason":"new disk","for":"2h"}`)
	db3, _ := chainOf(b).Server("db3")
	assert.Equal(t, topology.Maintenance, db3.Standing)
	assert.WithinDuration(t, b.Clock.Add(2*time.Hour), db3.Until, time.Minute)
	assert.Contains(t, db3.Why, "new disk")
	var seen api.Server
	for _, s := range into[api.Status](t, "GET", url+"/v1/status", "").Products[0].Servers {
		if s.Name == "db3" {
			seen = s
		}
	}
	assert.Equal(t, db3.Until, seen.Until)
	_, text := request(t, "GET", url+"/metrics", "")
	assert.Contains(t, text, `failoverd_server_in_maintenance{product="shop",seat="slave",server="db3"} 1`)

	back := into[api.PlanReply](t, "POST", path, `{"server":"db3","end":true}`)
	assert.Contains(t, back.Notes, "db3 comes back once it has shown that it holds nothing foreign; else it is quarantined")
	db3, _ = chainOf(b).Server("db3")
	assert.Equal(t, topology.Out, db3.Standing, "the rules let it in")
	assert.Zero(t, db3.Until)
}

// quarantined is a shop whose db3 is in quarantine for two errant transactions.
func quarantined(t *testing.T) (*apitest.Backend, string) {
	t.Helper()
	b, url := beingQuarantined(t)
	b.Finish("shop")
	return b, url
}

// beingQuarantined is a shop whose db3 is about to be.
func beingQuarantined(t *testing.T) (*apitest.Backend, string) {
	t.Helper()
	b, url := serve(t)
	views := apitest.HealthyViews("shop")
	for _, v := range views {
		f := *v.Sightings["db3"].Facts
		f.Executed, f.ReplicaSemiSync = f.Executed.Union(topology.MustGTIDSet("3e11fa47-71ca-11e1-9e33-c80aa9429563:1-2")), false
		s := v.Sightings["db3"]
		s.Facts = &f
		v.Sightings["db3"] = s
	}
	b.See("shop", views...)
	live, err := b.Live(t.Context(), "shop", false)
	require.NoError(t, err)
	require.Equal(t, topology.Quarantine, live.Verdict.Action)
	b.Must(journal.Command{Actor: "failoverd", Accept: promote.For(live.Case, live.Verdict)})
	return b, url
}

func TestAnOrderLetsARepairEndFirst(t *testing.T) {
	t.Parallel()
	b, url := beingQuarantined(t)
	path := url + "/v1/products/shop/switchover"
	start := time.Now()
	e := refusal(t, "POST", path, `{}`, http.StatusConflict)
	assert.GreaterOrEqual(t, time.Since(start), 3*time.Second)
	assert.Equal(t, api.Stale, e.Code)
	assert.Contains(t, said(e), "plan 1 (quarantine) is open")

	time.AfterFunc(200*time.Millisecond, func() { b.Finish("shop") })
	assert.True(t, into[api.PlanReply](t, "POST", path, `{}`).Accepted)
	start = time.Now()
	assert.Contains(t, said(refusal(t, "POST", path, `{}`, http.StatusConflict)), "plan 2 (switchover db1 → db2) is open")
	assert.Less(t, time.Since(start), 3*time.Second, "nobody waits for what a person asked for")
}

func TestRebuild(t *testing.T) {
	b, url := quarantined(t)
	path := url + "/v1/products/shop/rebuild"
	assert.Contains(t, refusal(t, "POST", path, `{}`, http.StatusBadRequest).Message, "server is missing")
	assert.Contains(t, said(refusal(t, "POST", path, `{"server":"db2"}`, http.StatusConflict)), "only what is quarantined")
	refusal(t, "POST", path, `{"server":"db3","from":"db3"}`, http.StatusConflict)
	dry := into[api.PlanReply](t, "POST", path, `{"server":"db3","dryRun":true}`)
	require.Len(t, dry.Notes, 3)
	assert.Contains(t, dry.Notes[1], "ALL DATA of db3 (10.0.0.3:3306) will be replaced by a copy of db4 (dump)")
	assert.Contains(t, dry.Notes[2], "its 2 errant transactions are saved to the object store first: 3e11fa47-71ca-11e1-9e33-c80aa9429563:1-2")

	into[api.PlanReply](t, "POST", path, `{"server":"db3","from":"db2"}`)
	open := b.State().Products["shop"].Open
	require.NotNil(t, open)
	clone := slices.IndexFunc(open.Plan.Steps, func(s promote.Step) bool { return s.Goal == promote.Cloned })
	require.GreaterOrEqual(t, clone, 0)
	assert.Equal(t, "db2", open.Plan.Steps[clone].Source)
	assert.Equal(t, api.Stale, refusal(t, "POST", path, `{"server":"db3"}`, http.StatusConflict).Code, "it is under way already")
}

// The client has to tell the want of a donor from any other refusal, and what it then
// fills is taken in by proof alone.
func TestWhatWasRestoredFromACopyIsTakenInByProof(t *testing.T) {
	b, url := quarantined(t)
	path := url + "/v1/products/shop/rebuild"
	lost := apitest.LostViews("shop", "db1", "db2", "db4")
	b.See("shop", lost...)
	e := refusal(t, "POST", path, `{"server":"db3","dryRun":true}`, http.StatusConflict)
	require.NotNil(t, e.Copy)
	assert.Equal(t, "10.0.0.3:3306", e.Copy.Addr)
	assert.Contains(t, e.Help, "failoverd rebuild shop db3 --snapshot newest")
	assert.Nil(t, refusal(t, "POST", path, `{"server":"db2","dryRun":true}`, http.StatusConflict).Copy, "it is in rotation")

	old := lost[0].Sightings["db3"].Facts.UUID
	restored := `{"server":"db3","restored":"20261122T205100Z-e1-ddeeff","was":"` + old + `"}`
	assert.Contains(t, said(refusal(t, "POST", path, restored, http.StatusConflict)), "still has the UUID")
	for _, v := range lost {
		s := v.Sightings["db3"]
		f := *s.Facts
		f.UUID, f.Link = "99999999-71ca-11e1-9e33-c80aa9429563", nil
		s.Facts = &f
		v.Sightings["db3"] = s
	}
	b.See("shop", lost...)
	into[api.PlanReply](t, "POST", path, restored)
	b.Finish("shop")
	db3, _ := chainOf(b).Server("db3")
	assert.Equal(t, topology.Out, db3.Standing, "the rules let it in, or not")
	assert.Contains(t, db3.Why, "was restored from snapshot 20261122T205100Z-e1-ddeeff")
	refusal(t, "POST", path, `{"server":"db3","restored":"x","from":"db2"}`, http.StatusBadRequest)
}

func TestARebuildThatIsUnderWayGivesWayToWhatAPersonAsks(t *testing.T) {
	b, url := quarantined(t)
	into[api.PlanReply](t, "POST", url+"/v1/products/shop/rebuild", `{"server":"db3"}`)
	into[api.PlanReply](t, "POST", url+"/v1/products/shop/maintenance", `{"server":"db4","reason":"disk"}`)
	state := b.State()
	assert.Equal(t, promote.Maintain, state.Products["shop"].Open.Plan.Kind)
	assert.Equal(t, "given up: "+promote.GivesWay+"to local", state.History[len(state.History)-1].Outcome)
}

// moving is a Backend whose chain is changed once, while a plan is made for it.
type moving struct {
	*apitest.Backend
	meanwhile func()
}

// Live implements api.Backend.
func (m *moving) Live(ctx context.Context, product string, look bool) (api.Live, error) {
	live, err := m.Backend.Live(ctx, product, look)
	if change := m.meanwhile; change != nil {
		m.meanwhile = nil
		change()
	}
	return live, err
}

func TestAPlanThatWasMadeForAnotherChainIsMadeAnew(t *testing.T) {
	b := apitest.New()
	b.AddShop("shop")
	m := &moving{Backend: b}
	server := httptest.NewServer(api.NewHandler(m, api.Options{Now: b.Now}))
	t.Cleanup(server.Close)
	url := server.URL
	m.meanwhile = func() {
		repair := &promote.Plan{Product: "shop", Kind: promote.Reform, Epoch: 1, Commit: 1, Actor: "failoverd",
			Steps: []promote.Step{{Goal: promote.Ackers, Others: []string{"db2", "db4"}, Need: 1}}}
		b.Must(journal.Command{Actor: "failoverd", Accept: repair})
		b.Finish("shop")
		views := apitest.HealthyViews("shop")
		for _, v := range views {
			v.Sightings["db4"].Facts.ReplicaSemiSync = true
		}
		b.See("shop", views...)
	}
	into[api.PlanReply](t, "POST", url+"/v1/products/shop/maintenance", `{"server":"db2","reason":"x"}`)
	open := b.State().Products["shop"].Open
	require.NotNil(t, open)
	last := topology.Chain{}
	for _, step := range open.Plan.Steps {
		if step.Goal == promote.Ackers {
			last.Ackers = step.Others
		}
	}
	assert.Equal(t, []string{"db4"}, last.Ackers, "db4 acknowledges already when the plan is made")
	assert.Equal(t, 1, countGoal(open.Plan, promote.Ackers), "so the set only shrinks")
}

func countGoal(plan promote.Plan, goal promote.Goal) int {
	n := 0
	for _, step := range plan.Steps {
		if step.Goal == goal {
			n++
		}
	}
	return n
}
