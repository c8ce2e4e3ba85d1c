package api_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/failoverd/failoverd/internal/api"
	"github.com/failoverd/failoverd/internal/api/apitest"
	"github.com/failoverd/failoverd/internal/journal"
	"github.com/failoverd/failoverd/internal/publish"
	"github.com/failoverd/failoverd/internal/topology"
)

// serve starts the API over a backend with a healthy shop.
func serve(t *testing.T) (*apitest.Backend, string) {
	t.Helper()
	b := apitest.New()
	b.AddShop("shop")
	server := httptest.NewServer(api.NewHandler(b, api.Options{Feed: publish.NewFeed(), Now: b.Now}))
	t.Cleanup(server.Close)
	return b, server.URL
}

// request makes a request without following redirects.
func request(t *testing.T, method, url, body string, header ...string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	require.NoError(t, err)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
		if header[i] == "Host" {
			r.Host = header[i+1]
		}
	}
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := client.Do(r)
	require.NoError(t, err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return response, string(text)
}

// into decodes an answer that must be a success.
func into[T any](t *testing.T, method, url, body string) T {
	t.Helper()
	response, text := request(t, method, url, body)
	require.Equal(t, http.StatusOK, response.StatusCode, text)
	var out T
	require.NoError(t, json.Unmarshal([]byte(text), &out))
	return out
}

// refusal decodes an answer that must be an error.
func refusal(t *testing.T, method, url, body string, status int) api.Error {
	t.Helper()
	response, text := request(t, method, url, body)
	require.Equal(t, status, response.StatusCode, text)
	var out api.Error
	require.NoError(t, json.Unmarshal([]byte(text), &out), text)
	return out
}

func TestStatusHasEverythingOnOnePage(t *testing.T) {
	b, url := serve(t)
	b.StoredAt, b.StoreErr = 7, errors.New("bucket is away")
	s := into[api.Status](t, "GET", url+"/v1/status", "")
	assert.Equal(t, "w1", s.Watcher)
	assert.True(t, s.Leads)
	assert.Len(t, s.Watchers, 3)
	assert.Equal(t, api.Head{StoredVersion: 7, StoreError: "bucket is away"}, s.Head)
	require.Len(t, s.Products, 1)
	p := s.Products[0]
	assert.Equal(t, "healthy", p.Verdict.Rule)
	assert.True(t, p.Protected, p.ProtectedWhy)
	require.Len(t, p.Servers, 4)
	assert.Nil(t, p.Servers[0].Lag, "the master has no lag")
	require.NotNil(t, p.Servers[2].Lag)
	assert.EqualValues(t, 7, *p.Servers[2].Lag)
	assert.Equal(t, "db2", p.Servers[2].Source)
	assert.Equal(t, "10.0.0.2:3306", p.Servers[2].Facts.Link.SourceAddr)
	assert.False(t, p.Servers[0].Facts.ReadOnly)
	assert.True(t, p.Servers[1].Facts.ReadOnly)
	assert.True(t, p.Servers[1].Acker)
}

func TestProtectionIsMeasuredNotConfigured(t *testing.T) {
	for name, break_ := range map[string]func(f *topology.Facts){
		"semi-sync off":      func(f *topology.Facts) { f.Source.Enabled = false },
		"fell back to async": func(f *topology.Facts) { f.Source.On = false },
		"nobody acks":        func(f *topology.Facts) { f.Source.Clients = 0 },
	} {
		t.Run(name, func(t *testing.T) {
			b, url := serve(t)
			views := apitest.HealthyViews("shop")
			for _, v := range views {
				break_(v.Sightings["db1"].Facts)
			}
			b.See("shop", views...)
			p := into[api.Status](t, "GET", url+"/v1/status", "").Products[0]
			assert.False(t, p.Protected)
			assert.NotEmpty(t, p.ProtectedWhy)
		})
	}
}

func TestExplainShowsThePlanThatWouldBeMade(t *testing.T) {
	b, url := serve(t)
	b.Must(journal.Command{Actor: "alice", Mode: &journal.SetMode{Product: "shop", Mode: topology.Observe}})
	b.See("shop", apitest.DeadMasterViews("shop")...)
	e := into[api.Explanation](t, "GET", url+"/v1/products/shop/explain", "")
	assert.Equal(t, "master-dead", e.Verdict.Rule)
	assert.False(t, e.MayAct)
	assert.Contains(t, e.Why, "failoverd mode shop auto")
	assert.Len(t, e.Fits, len(topology.Rules))
	assert.Len(t, e.Views, 3)
	require.NotNil(t, e.Plan)
	assert.Equal(t, "db2", e.Plan.Target)
	assert.Nil(t, e.Open)
}

func TestSwitchover(t *testing.T) {
	b, url := serve(t)
	path := url + "/v1/products/shop/switchover"

	dry := into[api.PlanReply](t, "POST", path, `{"dryRun":true}`)
	assert.False(t, dry.Accepted)
	assert.Equal(t, "db2", dry.Plan.Target)
	assert.Nil(t, b.State().Products["shop"].Open)

	e := refusal(t, "POST", path, `{"to":"db4"}`, http.StatusConflict)
	assert.Equal(t, api.Refused, e.Code)
	assert.Contains(t, strings.Join(e.Reasons, "\n"), "is the dump slave")

	e = refusal(t, "POST", path, `{"epoch":9}`, http.StatusConflict)
	assert.Equal(t, api.Stale, e.Code)

	done := into[api.PlanReply](t, "POST", path, `{"epoch":1,"reason":"kernel update"}`)
	assert.True(t, done.Accepted)
	assert.EqualValues(t, 1, done.Plan.ID)
	open := b.State().Products["shop"].Open
	require.NotNil(t, open)
	assert.Equal(t, "kernel update", open.Plan.Why)
	assert.Equal(t, "local", open.Plan.Actor)

	e = refusal(t, "POST", path, `{}`, http.StatusConflict)
	assert.Equal(t, api.Stale, e.Code)
	assert.EqualValues(t, 1, e.Plan)
	assert.Contains(t, e.Help, "failoverd wait 1")
}

func TestAPlanThatEndedAtOnceStillHasItsNumber(t *testing.T) {
	b, url := serve(t)
	b.Runs = true
	done := into[api.PlanReply](t, "POST", url+"/v1/products/shop/switchover", `{}`)
	assert.EqualValues(t, 1, done.Plan.ID)
	state := into[api.PlanState](t, "GET", url+"/v1/plans/1", "")
	assert.True(t, state.Succeeded())
	assert.Equal(t, "db2", state.Outcome.To)
}

func TestRaise(t *testing.T) {
	b, url := serve(t)
	path := url + "/v1/products/shop/raise"
	assert.Equal(t, api.BadRequest, refusal(t, "POST", path, `{}`, http.StatusBadRequest).Code)
	assert.Equal(t, api.Refused, refusal(t, "POST", path, `{"server":"db4"}`, http.StatusConflict).Code)
	reply := into[api.PlanReply](t, "POST", path, `{"server":"db3"}`)
	assert.True(t, reply.Accepted)
	b.Finish("shop")
	candidate, _ := b.State().Products["shop"].Chain.At(topology.Candidate)
	assert.Equal(t, "db3", candidate.Name)
}

func TestModePauseAndResume(t *testing.T) {
	b, url := serve(t)
	product := url + "/v1/products/shop"
	into[api.Ack](t, "POST", product+"/mode", `{"mode":"observe"}`)
	assert.Equal(t, topology.Observe, b.State().Products["shop"].Chain.Mode)
	assert.Equal(t, api.BadRequest, refusal(t, "POST", product+"/mode", `{"mode":"manual"}`, http.StatusBadRequest).Code)

	assert.Contains(t, refusal(t, "POST", product+"/pause", `{}`, http.StatusBadRequest).Message, "reason is missing")
	assert.Contains(t, refusal(t, "POST", product+"/pause", `{"reason":"x","for":"1"}`, http.StatusBadRequest).Message, "not a duration")
	into[api.Ack](t, "POST", product+"/pause", `{"reason":"rack move","for":"1h"}`)
	pause := b.State().Products["shop"].Chain.Pause
	require.NotNil(t, pause)
	assert.Equal(t, b.Clock.Add(time.Hour), pause.Until)
	assert.NotNil(t, into[api.Status](t, "GET", url+"/v1/status", "").Products[0].Pause)

	into[api.Ack](t, "POST", product+"/resume", "")
	assert.Nil(t, b.State().Products["shop"].Chain.Pause)
	entries := len(b.State().History)
	into[api.Ack](t, "POST", product+"/resume", "{}")
	assert.Len(t, b.State().History, entries, "there was nothing to resume")
}

func TestHistory(t *testing.T) {
	b, url := serve(t)
	b.AddShop("blog")
	all := into[[]journal.Entry](t, "GET", url+"/v1/history", "")
	require.Len(t, all, 4)
	assert.Less(t, all[0].ID, all[3].ID, "newest last")
	assert.Len(t, into[[]journal.Entry](t, "GET", url+"/v1/history?product=blog", ""), 2)
	last := into[[]journal.Entry](t, "GET", url+"/v1/history?n=1", "")
	require.Len(t, last, 1)
	assert.Equal(t, all[3].ID, last[0].ID)
	refusal(t, "GET", url+"/v1/history?n=0", "", http.StatusBadRequest)
	refusal(t, "GET", url+"/v1/history?product=nope", "", http.StatusNotFound)
}

func TestPlanWaitsForTheEnd(t *testing.T) {
	b, url := serve(t)
	into[api.PlanReply](t, "POST", url+"/v1/products/shop/switchover", `{}`)
	b.Waiting = "db2 is 3 transactions behind"
	b.Step("shop", "armed", 4)
	state := into[api.PlanState](t, "GET", url+"/v1/plans/1?wait=1ms", "")
	require.NotNil(t, state.Open)
	assert.Equal(t, 1, state.Open.Next)
	assert.Equal(t, "db2 is 3 transactions behind", state.Waiting)

	ended := make(chan api.PlanState)
	go func() { ended <- into[api.PlanState](t, "GET", url+"/v1/plans/1?wait=30s", "") }()
	b.Finish("shop")
	select {
	case state = <-ended:
	case <-time.After(10 * time.Second):
		require.Fail(t, "the long poll did not notice the end")
	}
	assert.True(t, state.Succeeded())

	refusal(t, "GET", url+"/v1/plans/2", "", http.StatusNotFound)
	refusal(t, "GET", url+"/v1/plans/x", "", http.StatusBadRequest)
	refusal(t, "GET", url+"/v1/plans/1?wait=long", "", http.StatusBadRequest)
}

const blog = `products:
  blog:
    servers:
      - {name: b1, host: 10.0.1.1, port: 3306, zone: a, seat: master}
      - {name: b2, host: 10.0.1.2, port: 3306, zone: b, seat: candidate}
`

func TestInventory(t *testing.T) {
	b, url := serve(t)
	path := url + "/v1/inventory"
	apply := func(ask api.InventoryRequest) string {
		data, err := json.Marshal(ask)
		require.NoError(t, err)
		return string(data)
	}
	present := into[api.InventoryReply](t, "GET", path, "")
	assert.Equal(t, []string{"shop"}, present.Products)

	same := into[api.InventoryChange](t, "POST", path, apply(api.InventoryRequest{Inventory: present.Inventory}))
	assert.False(t, same.Changed, same.Diff)

	dry := into[api.InventoryChange](t, "POST", path, apply(api.InventoryRequest{Inventory: blog, DryRun: true}))
	assert.True(t, dry.Changed)
	assert.False(t, dry.Applied)
	assert.Contains(t, dry.Diff, "+   blog:")
	assert.Contains(t, strings.Join(dry.Notes, "\n"), "failoverd mode blog auto")
	assert.Equal(t, []string{"shop"}, b.State().Names())

	done := into[api.InventoryChange](t, "POST", path, apply(api.InventoryRequest{Inventory: blog}))
	assert.True(t, done.Applied)
	assert.Equal(t, []string{"blog", "shop"}, b.State().Names())

	gone := into[api.InventoryChange](t, "POST", path, apply(api.InventoryRequest{Remove: []string{"blog"}}))
	assert.Contains(t, gone.Diff, "-   blog:")
	assert.Equal(t, []string{"shop"}, b.State().Names())

	refusal(t, "POST", path, apply(api.InventoryRequest{Remove: []string{"blog"}}), http.StatusNotFound)
	e := refusal(t, "POST", path, apply(api.InventoryRequest{Inventory: "products:\n  shop:\n    speed: high\n"}), http.StatusBadRequest)
	assert.Contains(t, e.Message, "inventory:3: unknown field")
}

func TestSeatsThatPromotionsMovedStayAndTheNoteSaysHow(t *testing.T) {
	b, url := serve(t)
	before := into[api.InventoryReply](t, "GET", url+"/v1/inventory", "").Inventory
	b.Runs = true
	into[api.PlanReply](t, "POST", url+"/v1/products/shop/switchover", `{}`)
	ask, err := json.Marshal(api.InventoryRequest{Inventory: before})
	require.NoError(t, err)
	change := into[api.InventoryChange](t, "POST", url+"/v1/inventory", string(ask))
	notes := strings.Join(change.Notes, "\n")
	assert.Contains(t, notes, "seat of db2 stays master")
	assert.Contains(t, notes, "failoverd switchover shop --to db1")
	assert.Equal(t, "db2", b.State().Products["shop"].Chain.Master())
}

func TestWatchersJoinLeaveAndHandOver(t *testing.T) {
	b, url := serve(t)
	into[api.Ack](t, "POST", url+"/v1/watchers", `{"id":"w4","raft":"10.0.0.14:7481"}`)
	into[api.Ack](t, "DELETE", url+"/v1/watchers/w3", "")
	into[api.Ack](t, "POST", url+"/v1/leader", `{"to":"w2"}`)
	into[api.Ack](t, "POST", url+"/v1/leader", "")
	assert.Equal(t, []string{"join w4 10.0.0.14:7481", "remove w3", "transfer w2", "transfer "}, b.Asked)
	refusal(t, "POST", url+"/v1/watchers", `{"id":"w4","raft":"nowhere"}`, http.StatusBadRequest)
	refusal(t, "POST", url+"/v1/watchers", `{"raft":"10.0.0.14:7481"}`, http.StatusBadRequest)
	refusal(t, "DELETE", url+"/v1/watchers/w9", "", http.StatusNotFound)
	refusal(t, "POST", url+"/v1/leader", `{"to":"w9"}`, http.StatusNotFound)
}

func TestAdoptAndDoctor(t *testing.T) {
	b, url := serve(t)
	b.Found = apitest.Shop("")
	b.Findings = []api.Finding{{Server: "db1", Level: api.LevelError, Check: "gtid-mode", Text: "gtid_mode is OFF", Fix: "SET PERSIST gtid_mode = ON"}}
	found := into[api.AdoptReply](t, "POST", url+"/v1/adopt", `{"addr":"10.0.0.1:3306","product":"wiki"}`)
	assert.Contains(t, found.Inventory, "  wiki:\n")
	assert.Equal(t, b.Findings, found.Findings)
	refusal(t, "POST", url+"/v1/adopt", `{}`, http.StatusBadRequest)
	assert.Equal(t, b.Findings, into[[]api.Finding](t, "GET", url+"/v1/products/shop/doctor", ""))
	refusal(t, "GET", url+"/v1/products/nope/doctor", "", http.StatusNotFound)
}

func TestPeerViewsAndConfigAndProbes(t *testing.T) {
	b, url := serve(t)
	views := into[[]topology.View](t, "GET", url+"/v1/peer/views?product=shop&look=1", "")
	require.Len(t, views, 1)
	view := views[0]
	assert.Equal(t, "w1", view.Watcher)
	assert.Len(t, view.Sightings, 4)
	refusal(t, "GET", url+"/v1/peer/views?product=nope", "", http.StatusNotFound)
	assert.Len(t, into[[]topology.View](t, "GET", url+"/v1/peer/views", ""), 1, "all products")

	response, _ := request(t, "GET", url+"/v1/config", "")
	assert.Equal(t, http.StatusNoContent, response.StatusCode, "nothing is published yet")
	into[api.Ack](t, "GET", url+"/livez", "")
	into[api.Ack](t, "GET", url+"/readyz", "")
	b.ReadyErr = errors.New("the disk hangs")
	assert.Contains(t, refusal(t, "GET", url+"/readyz", "", http.StatusServiceUnavailable).Message, "the disk hangs")
}

func TestMetrics(t *testing.T) {
	b, url := serve(t)
	b.Runs = true
	into[api.PlanReply](t, "POST", url+"/v1/products/shop/switchover", `{}`)
	b.See("shop") // nobody sees anything
	_, first := request(t, "GET", url+"/metrics", "")
	_, text := request(t, "GET", url+"/metrics", "")
	for _, line := range []string{
		`failoverd_leader 1`,
		`failoverd_epoch{product="shop"} 2`,
		`failoverd_rule{product="shop",rule="too-few-views"} 1`,
		`failoverd_rule{product="shop",rule="healthy"} 0`,
		`failoverd_server_up{product="shop",seat="master",server="db2"} 0`,
		`failoverd_promotions_total{kind="switchover",product="shop"} 1`,
		`failoverd_stored_version 0`,
	} {
		assert.Contains(t, text, line+"\n")
		assert.Contains(t, first, line+"\n")
	}
}

func TestBodiesAreStrict(t *testing.T) {
	_, url := serve(t)
	for body, want := range map[string]string{
		`{"dryRun":true,"force":true}`: `unknown field "force"`,
		`{"dryRun":"yes"}`:             "dryRun",
		`{"dryRun":true} {}`:           "goes on after its end",
		`{`:                            "not as expected",
		`{"reason":"` + strings.Repeat("x", 2<<20) + `"}`: "longer than 1048576 bytes",
	} {
		e := refusal(t, "POST", url+"/v1/products/shop/switchover", body, http.StatusBadRequest)
		assert.Equal(t, api.BadRequest, e.Code)
		assert.Contains(t, e.Message, want)
	}
	e := refusal(t, "POST", url+"/v1/products/nope/switchover", "{}", http.StatusNotFound)
	assert.Contains(t, e.Help, "shop")
	refusal(t, "GET", url+"/v1/nothing", "", http.StatusNotFound)
}

func TestErrorsOfProposeHaveTheirCodes(t *testing.T) {
	for _, c := range []struct {
		err    error
		status int
		code   api.Code
	}{
		{api.ErrNoQuorum, 503, api.NoQuorum},
		{api.ErrNotLeader, 503, api.NoQuorum},
		{api.ErrUnknownOutcome, 504, api.UnknownOutcome},
		{journal.ErrStale, 409, api.Stale},
		{errors.New("the journal says no"), 409, api.Refused},
	} {
		b, url := serve(t)
		b.ProposeError = fmt.Errorf("commit: %w", c.err)
		for _, path := range []string{"/v1/products/shop/switchover", "/v1/products/shop/raise", "/v1/leader"} {
			body := "{}"
			if strings.HasSuffix(path, "raise") {
				body = `{"server":"db3"}`
			}
			assert.Equal(t, c.code, refusal(t, "POST", url+path, body, c.status).Code, path)
		}
	}
}
