package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/failoverd/failoverd/internal/api"
	"github.com/failoverd/failoverd/internal/cluster"
	"github.com/failoverd/failoverd/internal/config"
	"github.com/failoverd/failoverd/internal/journal"
	"github.com/failoverd/failoverd/internal/mysql"
	"github.com/failoverd/failoverd/internal/topology"
	"github.com/failoverd/failoverd/internal/watcher"
)

// backend is api.Backend for a running watcher.
type backend struct {
	*watcher.Watcher
	cfg   config.Config
	node  *cluster.Node
	peers *peers
	parts *parts
}

// ID implements api.Backend.
func (b *backend) ID() string { return b.cfg.ID }

// IsLeader implements api.Backend.
func (b *backend) IsLeader() bool { return b.node.IsLeader() }

// Leader implements api.Backend.
func (b *backend) Leader() (id, apiURL string) {
	id, _ = b.node.Leader()
	if id == "" {
		return "", ""
	}
	return id, b.peers.apiOf(id)
}

// Term implements api.Backend.
func (b *backend) Term() uint64 { return b.node.Status().Term }

// Watchers implements api.Backend.
func (b *backend) Watchers() []api.Watcher {
	out := []api.Watcher{}
	for _, p := range b.node.Status().Peers {
		contact := int64(-1)
		if !p.LastContact.IsZero() {
			contact = time.Since(p.LastContact).Milliseconds()
		}
		out = append(out, api.Watcher{ID: p.ID, Raft: p.Addr, API: b.peers.apiOf(p.ID), Voter: p.Voter, Leader: p.Leader, LastContactMs: contact})
	}
	return out
}

// Live implements api.Backend.
func (b *backend) Live(ctx context.Context, product string, look bool) (api.Live, error) {
	c, err := b.Case(ctx, product, look)
	if err != nil {
		return api.Live{}, fmt.Errorf("%w: %w", api.ErrNotFound, err)
	}
	status, thinks := b.Mind(product)
	if !thinks {
		return api.Live{Case: c, Verdict: topology.Verdict{Rule: "not-leading", Action: topology.None, Why: "this watcher does not lead and has only its own view"}}, nil
	}
	live := api.Live{Case: c, Verdict: status.Verdict, Would: status.Would, Waiting: status.Waiting, At: status.At}
	if look {
		live.Verdict = topology.Judge(c)
	}
	return live, nil
}

// Views implements api.Backend.
func (b *backend) Views(ctx context.Context, product string, look bool) (topology.View, error) {
	if b.State().Products[product] == nil {
		return topology.View{}, fmt.Errorf("%w: product %q", api.ErrNotFound, product)
	}
	return b.View(ctx, product, look), nil
}

// Propose implements api.Backend.
func (b *backend) Propose(ctx context.Context, c journal.Command) error {
	return told(b.Watcher.Propose(ctx, c))
}

// Join implements api.Backend.
func (b *backend) Join(ctx context.Context, id, raft string) error {
	return told(b.node.Join(ctx, id, raft))
}

// Remove implements api.Backend.
func (b *backend) Remove(ctx context.Context, id string) error { return told(b.node.Remove(ctx, id)) }

// Transfer implements api.Backend.
func (b *backend) Transfer(ctx context.Context, to string) error {
	return told(b.node.Transfer(ctx, to))
}

// Stored implements api.Backend.
func (b *backend) Stored() (uint64, error) {
	s := b.Watcher.Stored()
	return s.Version, s.Err
}

// Ready implements api.Backend.
func (b *backend) Ready() error {
	if err := b.node.Healthy(); err != nil {
		return err
	}
	if id, _ := b.node.Leader(); id == "" {
		return errors.New("no leader is known: a majority of the watchers must be up and see each other")
	}
	return nil
}

// Adopt implements api.Backend.
func (b *backend) Adopt(ctx context.Context, product, addr string) (topology.Chain, []api.Finding, error) {
	chain, found, err := mysql.Discover(ctx, addr, b.parts.credentials)
	if err != nil {
		return topology.Chain{}, nil, err
	}
	chain.Product, chain.Policy = product, topology.DefaultPolicy()
	return chain, findings(product, found), nil
}

// Examine implements api.Backend.
func (b *backend) Examine(ctx context.Context, chain topology.Chain) []api.Finding {
	return findings(chain.Product, mysql.ExamineChain(ctx, chain, b.parts.credentials))
}

// findings puts the adapter's findings into the API's words.
func findings(product string, found []mysql.Finding) []api.Finding {
	out := []api.Finding{}
	for _, f := range found {
		text := f.Found
		if f.Level != mysql.OK && f.Why != "" {
			text += ": " + f.Why
		}
		level := map[mysql.Level]string{mysql.OK: api.LevelOK, mysql.Warn: api.LevelWarn, mysql.Fail: api.LevelError}[f.Level]
		out = append(out, api.Finding{Product: product, Server: f.Server, Level: level, Check: f.Requirement, Text: text, Fix: f.Mend})
	}
	return out
}

// told puts the cluster's errors into the API's words.
func told(err error) error {
	for _, same := range []struct{ cluster, api error }{
		{cluster.ErrNotLeader, api.ErrNotLeader},
		{cluster.ErrNoQuorum, api.ErrNoQuorum},
		{cluster.ErrUnknownOutcome, api.ErrUnknownOutcome},
		{cluster.ErrClosed, api.ErrNotLeader},
	} {
		if errors.Is(err, same.cluster) {
			return fmt.Errorf("%w: %w", same.api, err)
		}
	}
	return err
}

// caOnly is TLS to servers that an authority vouches for.
func caOnly(path string) (*tls.Config, error) {
	pem, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("mysql.ca: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("mysql.ca: %s holds no PEM certificate", path)
	}
	return &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}, nil
}
