package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/failoverd/failoverd/internal/api"
	"github.com/failoverd/failoverd/internal/config"
	"github.com/failoverd/failoverd/internal/mysql"
	"github.com/failoverd/failoverd/internal/mysql/dump"
	"github.com/failoverd/failoverd/internal/pki"
	"github.com/failoverd/failoverd/internal/s3"
	"github.com/failoverd/failoverd/internal/snapshot"
)

// dumpParts is everything that the configuration of a dump service names, read and ready.
type dumpParts struct {
	cfg    config.Dump
	log    hclog.Logger
	server mysql.Config // the one that is copied
	stores []snapshot.Place
	client *api.Client // nil without watchers
}

// storeTimeout bounds one call to a store of copies; larger objects have longer.
const storeTimeout = 30 * time.Second

// prepareDump reads certificates and secrets, so that what is missing is said before
// anything starts.
func prepareDump(ctx context.Context, cfg config.Dump, logTo io.Writer) (*dumpParts, error) {
	p := &dumpParts{cfg: cfg}
	level := hclog.LevelFromString(cfg.Log.Level)
	if cfg.Log.Level != "" && level == hclog.NoLevel {
		return nil, usageError(fmt.Errorf("log.level %q is not debug, info, warn or error", cfg.Log.Level))
	}
	p.log = hclog.New(&hclog.LoggerOptions{Name: "failoverd", Level: level, JSONFormat: cfg.Log.JSON, Output: logTo,
		TimeFormat: "2006-01-02T15:04:05.000Z07:00", TimeFn: func() time.Time { return time.Now().UTC() }})
	password, err := cfg.MySQL.Password.Read()
	if err != nil {
		return nil, fmt.Errorf("mysql.password: %w", err)
	}
	p.server = mysql.Config{Addr: cfg.Server.Addr, Account: mysql.Account{User: cfg.MySQL.User, Password: password}}
	if cfg.MySQL.CA != "" {
		if p.server.TLS, err = caOnly(cfg.MySQL.CA); err != nil {
			return nil, err
		}
	}
	if p.stores, err = openDumpStores(ctx, cfg.Stores); err != nil {
		return nil, err
	}
	if len(cfg.Watchers.Endpoints) > 0 {
		var clientTLS *tls.Config
		if _, clientTLS, err = pki.LoadTLS(cfg.Watchers.TLS.CA, cfg.Watchers.TLS.Cert, cfg.Watchers.TLS.Key); err != nil {
			return nil, err
		}
		if p.client, err = api.NewClient(cfg.Watchers.Endpoints, clientTLS); err != nil {
			return nil, usageError(err)
		}
		p.client.Patience = 0
	}
	return p, nil
}

func openDumpStores(ctx context.Context, stores []config.DumpStore) ([]snapshot.Place, error) {
	var out []snapshot.Place
	for _, s := range stores {
		options := s3.Options{Timeout: storeTimeout, Lock: s3.Lock{Mode: s.ObjectLock.Mode, Days: s.ObjectLock.Days, Of: snapshot.Lasting}}
		for _, secret := range []struct {
			from config.Secret
			to   *string
		}{{s.S3.AccessKey, &options.AccessKeyID}, {s.S3.SecretKey, &options.SecretAccessKey}} {
			value, err := secret.from.Read()
			if err != nil {
				return nil, fmt.Errorf("store %s: %w", s.Name, err)
			}
			*secret.to = value
		}
		store, err := s3.Open(ctx, s.URL, options)
		if err != nil {
			return nil, fmt.Errorf("store %s: %w", s.Name, err)
		}
		out = append(out, snapshot.Place{Name: s.Name, Store: store})
	}
	return out, nil
}

// check tries everything that a dump service needs. It returns a sentence for each
// thing that is not so.
func (p *dumpParts) check(ctx context.Context) []string {
	var wrong []string
	missing, err := dump.MissingGrants(ctx, p.server)
	if err != nil {
		wrong = append(wrong, fmt.Sprintf("server %s: %v: \"failoverd grants --dump\" prints how to create the account", p.cfg.Server.Addr, err))
	}
	for _, grant := range missing {
		wrong = append(wrong, fmt.Sprintf("server %s: the account lacks a privilege: %s", p.cfg.Server.Addr, grant))
	}
	for _, s := range p.stores {
		test, cancel := context.WithTimeout(ctx, storeTimeout)
		if err := s3.SelfTest(test, s.Store, "selftest/dump-"+p.cfg.Server.Name); err != nil {
			wrong = append(wrong, fmt.Sprintf("store %s: %v", s.Name, err))
		}
		cancel()
	}
	return wrong
}

// dumpLeader is snapshot.Leader over the watchers' API.
type dumpLeader struct {
	client  *api.Client
	product string
}

// Report implements snapshot.Leader.
func (l dumpLeader) Report(ctx context.Context, r snapshot.Report) (snapshot.Orders, error) {
	orders, err := l.client.ReportCopies(ctx, l.product, r)
	return orders, refusedBy(err)
}

// Note implements snapshot.Leader.
func (l dumpLeader) Note(ctx context.Context, e snapshot.Event) error {
	return refusedBy(l.client.NoteCopies(ctx, l.product, e))
}

// refusedBy tells a leader that says no from one that cannot be asked. A certificate
// that ran out, or a product that the inventory lost, must not end the snapshots.
func refusedBy(err error) error {
	var answer *api.Error
	if errors.As(err, &answer) && (answer.Code == api.Refused || answer.Code == api.BadRequest) {
		return fmt.Errorf("%w: %s", snapshot.ErrRefused, strings.TrimSpace(answer.Message))
	}
	return err
}
