package api_test

import (
	"crypto/tls"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"

	"github.com/hashicorp/go-hclog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/failoverd/failoverd/internal/api"
	"github.com/failoverd/failoverd/internal/api/apitest"
	"github.com/failoverd/failoverd/internal/pki"
	"github.com/failoverd/failoverd/internal/publish"
)

// certificates makes an authority and one certificate per role, and returns a
// server's config and a client's for each role.
func certificates(t *testing.T) (server *tls.Config, clients map[string]*tls.Config) {
	t.Helper()
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	require.NoError(t, pki.CreateCA(path("ca.crt"), path("ca.key")))
	clients = map[string]*tls.Config{}
	for _, role := range pki.Roles {
		require.NoError(t, pki.Issue(path("ca.crt"), path("ca.key"), path(role+".crt"), path(role+".key"),
			pki.Request{Role: role, Name: "the-" + role, Hosts: []string{"127.0.0.1"}}))
		s, c, err := pki.LoadTLS(path("ca.crt"), path(role+".crt"), path(role+".key"))
		require.NoError(t, err)
		clients[role] = c
		if role == pki.RoleWatcher {
			server = s
		}
	}
	return server, clients
}

// serveTLS starts a server as a watcher does and returns its host:port.
func serveTLS(t *testing.T, cfg *tls.Config, h http.Handler) string {
	t.Helper()
	server, err := api.NewServer("127.0.0.1:0", h, cfg, hclog.NewNullLogger())
	require.NoError(t, err)
	listener, err := net.Listen("tcp", server.Addr)
	require.NoError(t, err)
	ended := make(chan error, 1)
	go func() { ended <- server.ServeTLS(listener, "", "") }()
	t.Cleanup(func() {
		require.NoError(t, server.Close())
		require.ErrorIs(t, <-ended, http.ErrServerClosed)
	})
	return listener.Addr().String()
}

func TestTheRoleInTheCertificateDecides(t *testing.T) {
	serverTLS, clients := certificates(t)
	b := apitest.New()
	b.AddShop("shop")
	addr := serveTLS(t, serverTLS, api.NewHandler(b, api.Options{Feed: publish.NewFeed()}))

	const ok, empty, forbidden = http.StatusOK, http.StatusNoContent, http.StatusForbidden
	for _, c := range []struct {
		method, path string
		want         map[string]int
	}{
		{"GET", "/livez", map[string]int{"operator": ok, "watcher": ok, "follower": ok, "dump": ok}},
		{"GET", "/v1/config", map[string]int{"operator": empty, "watcher": empty, "follower": empty, "dump": empty}},
		{"GET", "/v1/status", map[string]int{"operator": ok, "watcher": ok, "follower": forbidden, "dump": forbidden}},
		{"GET", "/metrics", map[string]int{"operator": ok, "watcher": ok, "follower": ok, "dump": ok}},
		{"GET", "/v1/peer/views?product=shop", map[string]int{"operator": forbidden, "watcher": ok, "follower": forbidden, "dump": forbidden}},
		{"POST", "/v1/products/shop/resume", map[string]int{"operator": ok, "watcher": ok, "follower": forbidden, "dump": forbidden}},
		{"POST", "/v1/products/shop/snapshot", map[string]int{"operator": 409, "watcher": 409, "follower": forbidden, "dump": forbidden}},
		{"POST", "/v1/products/shop/copies", map[string]int{"operator": forbidden, "watcher": forbidden, "follower": forbidden, "dump": 409}},
		{"POST", "/v1/products/shop/copies/event", map[string]int{"operator": 400, "watcher": 400, "follower": forbidden, "dump": 400}},
		{"GET", "/nothing", map[string]int{"operator": 404, "watcher": 404, "follower": forbidden, "dump": forbidden}},
	} {
		for role, want := range c.want {
			client := http.Client{Transport: &http.Transport{TLSClientConfig: clients[role], DisableKeepAlives: true}}
			r, err := http.NewRequestWithContext(t.Context(), c.method, "https://"+addr+c.path, nil)
			require.NoError(t, err)
			response, err := client.Do(r)
			require.NoError(t, err)
			response.Body.Close()
			assert.Equal(t, want, response.StatusCode, "%s %s as %s", c.method, c.path, role)
		}
	}
}

func TestTheActorIsTheCertificatesName(t *testing.T) {
	serverTLS, clients := certificates(t)
	b := apitest.New()
	b.AddShop("shop")
	addr := serveTLS(t, serverTLS, api.NewHandler(b, api.Options{}))
	client, err := api.NewClient([]string{addr}, clients["operator"])
	require.NoError(t, err)
	client.Actor = "somebody-else"
	require.NoError(t, client.Pause(t.Context(), "shop", api.PauseRequest{Reason: "x"}))
	assert.Equal(t, "the-operator", b.State().Products["shop"].Chain.Pause.Actor)
}

func TestPlainTextTakesTheActorFromTheHeader(t *testing.T) {
	b, url := serve(t)
	request(t, "POST", url+"/v1/products/shop/pause", `{"reason":"x"}`, api.ActorHeader, " bob ")
	assert.Equal(t, "bob", b.State().Products["shop"].Chain.Pause.Actor)
}

func TestPlainTextIsForThisMachineOnly(t *testing.T) {
	_, url := serve(t)
	response, body := request(t, "GET", url+"/v1/status", "", "Host", "evil.example.net")
	assert.Equal(t, http.StatusForbidden, response.StatusCode, "another name that points here: %s", body)

	// A listener on another address, which a test cannot have everywhere: the handler sees its local address only.
	b := apitest.New()
	h := api.NewHandler(b, api.Options{})
	for addr, want := range map[string]int{"127.0.0.1:7480": 200, "127.0.0.7:1": 200, "[::1]:7480": 200, "10.0.0.1:7480": 403, "[2001:db8::1]:7480": 403} {
		local, err := net.ResolveTCPAddr("tcp", addr)
		require.NoError(t, err)
		r := httptest.NewRequest("GET", "http://"+addr+"/v1/status", nil)
		r = r.WithContext(contextWithLocal(r, local))
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		assert.Equal(t, want, w.Code, addr)
	}
}

func TestAForeignPageCannotChangeAnything(t *testing.T) {
	b, url := serve(t)
	response, _ := request(t, "POST", url+"/v1/products/shop/pause", `{"reason":"x"}`, "Sec-Fetch-Site", "cross-site")
	assert.Equal(t, http.StatusForbidden, response.StatusCode)
	response, _ = request(t, "POST", url+"/v1/products/shop/pause", `{"reason":"x"}`, "Origin", "https://evil.example.net")
	assert.Equal(t, http.StatusForbidden, response.StatusCode)
	assert.Nil(t, b.State().Products["shop"].Chain.Pause)
}

func TestAServerInPlainTextTakesLoopbackAddressesOnly(t *testing.T) {
	for addr, ok := range map[string]bool{"127.0.0.1:0": true, "localhost:1": true, "[::1]:1": true, ":7480": false, "0.0.0.0:1": false, "10.0.0.1:1": false} {
		_, err := api.NewServer(addr, http.NotFoundHandler(), nil, hclog.NewNullLogger())
		assert.Equal(t, ok, err == nil, addr)
	}
	_, err := api.NewServer("0.0.0.0:1", http.NotFoundHandler(), &tls.Config{}, hclog.NewNullLogger())
	assert.NoError(t, err)
}
