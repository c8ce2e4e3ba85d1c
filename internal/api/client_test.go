package api_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/failoverd/failoverd/internal/api"
	"github.com/failoverd/failoverd/internal/api/apitest"
	"github.com/failoverd/failoverd/internal/topology"
)

func contextWithLocal(r *http.Request, local net.Addr) context.Context {
	return context.WithValue(r.Context(), http.LocalAddrContextKey, local)
}

func newClient(t *testing.T, endpoints ...string) *api.Client {
	t.Helper()
	c, err := api.NewClient(endpoints, nil)
	require.NoError(t, err)
	c.Patience = 0
	return c
}

// pair is a leader and another watcher that knows it.
func pair(t *testing.T) (leader, other *apitest.Backend, leaderURL, otherURL string) {
	t.Helper()
	leader, leaderURL = serve(t)
	other, otherURL = serve(t)
	other.Self, other.LeaderID, other.LeaderAPI = "w2", "w1", leaderURL
	return leader, other, leaderURL, otherURL
}

func TestTheOtherWatcherSendsTheClientToTheLeader(t *testing.T) {
	leader, other, leaderURL, otherURL := pair(t)
	response, _ := request(t, "POST", otherURL+"/v1/products/shop/pause?x=1", `{"reason":"x"}`)
	assert.Equal(t, http.StatusTemporaryRedirect, response.StatusCode)
	assert.Equal(t, leaderURL+"/v1/products/shop/pause?x=1", response.Header.Get("Location"))

	client := newClient(t, otherURL)
	require.NoError(t, client.Pause(t.Context(), "shop", api.PauseRequest{Reason: "rack move"}))
	assert.NotNil(t, leader.State().Products["shop"].Chain.Pause)
	assert.Nil(t, other.State().Products["shop"].Chain.Pause)

	status, err := client.Status(t.Context(), false)
	require.NoError(t, err)
	assert.Equal(t, "w1", status.Watcher)
	status, err = client.Status(t.Context(), true)
	require.NoError(t, err)
	assert.Equal(t, "w2", status.Watcher)
	assert.False(t, status.Leads)
}

func TestWithoutALeaderReadsAreAnsweredAndChangesAreNot(t *testing.T) {
	b, url := serve(t)
	b.LeaderID, b.LeaderAPI = "", ""
	client := newClient(t, url)
	status, err := client.Status(t.Context(), false)
	require.NoError(t, err)
	assert.Empty(t, status.Leader.ID)
	err = client.SetMode(t.Context(), "shop", topology.Observe)
	assert.ErrorIs(t, err, api.ErrNoQuorum)
	assert.Equal(t, topology.Auto, b.State().Products["shop"].Chain.Mode)
}

func TestHistoryIsTakenFromWhoKnowsALeader(t *testing.T) {
	cut, cutURL := serve(t)
	cut.Self, cut.LeaderID, cut.LeaderAPI = "w3", "", ""
	leader, leaderURL := serve(t)
	require.NoError(t, newClient(t, leaderURL).Pause(t.Context(), "shop", api.PauseRequest{Reason: "rack move"}))
	latest := leader.State().History
	require.Greater(t, len(latest), len(cut.State().History), "the others went on")

	var alone []string
	client := newClient(t, cutURL, leaderURL)
	client.Alone = func(watcher string) { alone = append(alone, watcher) }
	for range 2 {
		entries, err := client.History(t.Context(), "shop", 0)
		require.NoError(t, err)
		require.NotEmpty(t, entries)
		assert.Equal(t, latest[len(latest)-1], entries[len(entries)-1])
	}
	assert.Empty(t, alone)

	client = newClient(t, deadAddress(t), cutURL, deadAddress(t))
	client.Alone = func(watcher string) { alone = append(alone, watcher) }
	entries, err := client.History(t.Context(), "shop", 0)
	require.NoError(t, err)
	assert.Len(t, entries, len(cut.State().History))
	assert.Equal(t, []string{"w3"}, alone, "an old answer is better than none, and is said to be one")
}

func TestALeaderWithoutKnownAddressIsSaid(t *testing.T) {
	b, url := serve(t)
	b.LeaderID, b.LeaderAPI = "w2", ""
	err := newClient(t, url).SetMode(t.Context(), "shop", topology.Observe)
	require.ErrorIs(t, err, api.ErrNoQuorum)
	assert.Contains(t, err.Error(), "w2 leads")
}

func TestTheClientWaitsForAnElection(t *testing.T) {
	b, url := serve(t)
	var asked atomic.Int32
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if asked.Add(1) < 3 {
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = w.Write([]byte(`{"code":"no-quorum","error":"no watcher leads"}`))
			return
		}
		http.Redirect(w, r, url+r.URL.Path, http.StatusTemporaryRedirect)
	}))
	defer front.Close()
	client := newClient(t, front.URL)
	client.Patience = 10 * time.Second
	require.NoError(t, client.SetMode(t.Context(), "shop", topology.Observe))
	assert.Equal(t, topology.Observe, b.State().Products["shop"].Chain.Mode)
	assert.EqualValues(t, 3, asked.Load())
}

func TestEndpointsThatAreDownAreSkipped(t *testing.T) {
	b, url := serve(t)
	client := newClient(t, deadAddress(t), url)
	require.NoError(t, client.SetMode(t.Context(), "shop", topology.Observe))
	assert.Equal(t, topology.Observe, b.State().Products["shop"].Chain.Mode)
}

func TestAllEndpointsDownChangesNothingAndSaysSo(t *testing.T) {
	one, two := deadAddress(t), deadAddress(t)
	err := newClient(t, one, two).SetMode(t.Context(), "shop", topology.Observe)
	require.ErrorIs(t, err, api.ErrUnreachable)
	assert.NotErrorIs(t, err, api.ErrUnknownOutcome)
	assert.Contains(t, err.Error(), one)
	assert.Contains(t, err.Error(), two)
}

func TestAChangeWhoseAnswerIsLostIsSentOnce(t *testing.T) {
	var sent atomic.Int32
	cut := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		sent.Add(1)
		conn, _, err := http.NewResponseController(w).Hijack()
		if err == nil {
			conn.Close()
		}
	}))
	defer cut.Close()
	b, good := serve(t)
	client := newClient(t, cut.URL, good)
	client.Patience = time.Second

	_, err := client.Switchover(t.Context(), "shop", api.SwitchoverRequest{})
	require.ErrorIs(t, err, api.ErrUnknownOutcome)
	assert.EqualValues(t, 1, sent.Load())
	assert.Nil(t, b.State().Products["shop"].Open, "it must not be repeated elsewhere")

	_, err = client.Switchover(t.Context(), "shop", api.SwitchoverRequest{DryRun: true})
	require.NoError(t, err, "a dry run may be repeated elsewhere")
	client = newClient(t, cut.URL, good)
	_, err = client.Status(t.Context(), false)
	require.NoError(t, err, "and so may a read")
}

func TestARefusalKeepsItsReasons(t *testing.T) {
	_, url := serve(t)
	_, err := newClient(t, url).Switchover(t.Context(), "shop", api.SwitchoverRequest{To: "db3"})
	var refused *api.Error
	require.ErrorAs(t, err, &refused)
	assert.Equal(t, api.Refused, refused.Code)
	require.NotEmpty(t, refused.Reasons)
	assert.Contains(t, refused.Reasons[0], "failoverd raise shop db3")
}

func TestSomethingElseAtTheAddressIsSaid(t *testing.T) {
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "Bad Gateway", http.StatusBadGateway) }))
	defer proxy.Close()
	_, err := newClient(t, proxy.URL).Status(t.Context(), false)
	assert.ErrorContains(t, err, "502 Bad Gateway")
}

func TestACertificateOfAnotherAuthorityIsForbiddenNotUnknown(t *testing.T) {
	serverTLS, _ := certificates(t)
	_, strangers := certificates(t)
	addr := serveTLS(t, serverTLS, api.NewHandler(apitest.New(), api.Options{}))
	stranger := strangers["operator"]
	client, err := api.NewClient([]string{addr}, stranger)
	require.NoError(t, err)
	client.Patience = 0
	err = client.SetMode(t.Context(), "shop", topology.Observe)
	require.ErrorIs(t, err, api.ErrUnreachable, "we do not trust it")

	trusting := stranger.Clone()
	trusting.InsecureSkipVerify = true
	trusting.VerifyConnection = nil
	client, err = api.NewClient([]string{addr}, trusting)
	require.NoError(t, err)
	client.Patience = 0
	err = client.SetMode(t.Context(), "shop", topology.Observe)
	var refused *api.Error
	require.ErrorAs(t, err, &refused, "it does not trust us")
	assert.Equal(t, api.Forbidden, refused.Code)
}

func TestEndpointsAreChecked(t *testing.T) {
	for _, endpoint := range []string{"", "ftp://x:1", "http://u:p@x:1", "http://x:1/path", "https://x:1"} {
		_, err := api.NewClient([]string{endpoint}, nil)
		assert.Error(t, err, endpoint)
	}
	_, err := api.NewClient(nil, nil)
	assert.Error(t, err)
	_, err = api.NewClient([]string{"127.0.0.1:7480", "http://localhost:7480/"}, nil)
	assert.NoError(t, err)
}

// deadAddress is where nobody listens.
func deadAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, l.Close())
	return l.Addr().String()
}
