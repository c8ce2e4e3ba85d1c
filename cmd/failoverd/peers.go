package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/failoverd/failoverd/internal/cluster"
	"github.com/failoverd/failoverd/internal/config"
	"github.com/failoverd/failoverd/internal/pki"
	"github.com/failoverd/failoverd/internal/topology"
)

// peers asks the other watchers over their API, and only accepts the answer of a watcher.
type peers struct {
	cfg    config.Config
	client *http.Client
	node   *cluster.Node
}

func newPeers(cfg config.Config, clientTLS *tls.Config) *peers {
	return &peers{cfg: cfg, client: &http.Client{Transport: &http.Transport{
		TLSClientConfig:     pki.RequireRole(clientTLS, pki.RoleWatcher),
		DialContext:         (&net.Dialer{Timeout: 500 * time.Millisecond}).DialContext,
		MaxIdleConnsPerHost: 8,
		IdleConnTimeout:     time.Minute,
	}}}
}

// Others implements watcher.Peers.
func (p *peers) Others() []string {
	var out []string
	for _, peer := range p.node.Peers() {
		if peer.ID != p.cfg.ID && peer.Voter {
			out = append(out, peer.ID)
		}
	}
	return out
}

// apiOf is the base URL of a watcher's API. One that is not in this watcher's
// configuration, because it joined later, is looked for at its raft address with
// this watcher's own API port.
func (p *peers) apiOf(id string) string {
	if id == p.cfg.ID {
		return p.cfg.API.Advertise
	}
	for _, w := range p.cfg.Watchers {
		if w.ID == id {
			return w.API
		}
	}
	for _, peer := range p.node.Peers() {
		host, _, err := net.SplitHostPort(peer.Addr)
		own, ownErr := url.Parse(p.cfg.API.Advertise)
		if peer.ID == id && err == nil && ownErr == nil {
			return "https://" + net.JoinHostPort(host, own.Port())
		}
	}
	return ""
}

// maxViews bounds what a peer may answer.
const maxViews = 16 << 20

// Views implements watcher.Peers.
func (p *peers) Views(ctx context.Context, id, product string, look bool) ([]topology.View, error) {
	query := url.Values{}
	if product != "" {
		query.Set("product", product)
	}
	if look {
		query.Set("look", "1")
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, p.apiOf(id)+"/v1/peer/views?"+query.Encode(), nil)
	if err != nil {
		return nil, fmt.Errorf("watcher %s: %w", id, err)
	}
	response, err := p.client.Do(request)
	if err != nil {
		return nil, fmt.Errorf("watcher %s: %w", id, err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("watcher %s answered %s", id, response.Status)
	}
	var views []topology.View
	if err := json.NewDecoder(io.LimitReader(response.Body, maxViews)).Decode(&views); err != nil {
		return nil, fmt.Errorf("watcher %s: views: %w", id, err)
	}
	return views, nil
}
