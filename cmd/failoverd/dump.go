package main

import (
	"context"
	"errors"
	"fmt"
	"os/signal"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/spf13/cobra"

	"github.com/failoverd/failoverd/internal/config"
	"github.com/failoverd/failoverd/internal/mysql/changes"
	"github.com/failoverd/failoverd/internal/mysql/dump"
	"github.com/failoverd/failoverd/internal/snapshot"
)

func (c *cli) dumpCommand() *cobra.Command {
	var path string
	var checkOnly, once bool
	cmd := &cobra.Command{
		Use:   "dump --config FILE",
		Short: "Keep copies of a product in object stores",
		Long: `Runs beside the dump slave of a product: takes a snapshot every 15 minutes on the
wall clock, ships the binary log within seconds, rehearses restores, and removes what
is no longer kept. It tells the watchers how it is, which "failoverd status" shows, and
gives way to a failover. It writes nothing to this machine's disks but drills.`,
		Example: `  failoverd dump --check
  failoverd dump --once                # one snapshot now, also while the service is down`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := config.LoadDump(path)
			if err != nil {
				return usageError(err)
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGTERM)
			defer stop()
			parts, err := prepareDump(ctx, cfg, c.err)
			if err != nil {
				return err
			}
			if checkOnly {
				return c.checkDump(ctx, parts)
			}
			service, err := parts.service()
			if err != nil {
				return err
			}
			if once {
				return c.dumpOnce(ctx, service)
			}
			parts.log.Info("dump service started", "product", cfg.Product, "server", cfg.Server.Name, "version", buildVersion(), "every", cfg.Every)
			_, _ = daemon.SdNotify(false, daemon.SdNotifyReady) // without systemd it does nothing
			service.Run(ctx)
			parts.log.Info("dump service stopped")
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVarP(&path, "config", "c", defaultDumpConfig, "configuration `file`")
	f.BoolVar(&checkOnly, "check", false, "try the server, the account's privileges, the stores and the watchers, then exit")
	f.BoolVar(&once, "once", false, "take one snapshot, bring it to all stores, then exit")
	return cmd
}

func (c *cli) checkDump(ctx context.Context, p *dumpParts) error {
	wrong := p.check(ctx)
	for _, text := range wrong {
		fmt.Fprintf(c.out, "%s  %s\n", c.paint(bad, "error"), text)
	}
	if len(wrong) > 0 {
		return &exitError{code: exitFailed}
	}
	fmt.Fprintln(c.out, "configuration, server, privileges and stores are good")
	return nil
}

// dumpOnce takes one snapshot, and shows how it goes.
func (c *cli) dumpOnce(ctx context.Context, service *snapshot.Service) error {
	line := c.newProgressLine()
	defer line.end()
	watching, stop := context.WithCancel(ctx)
	defer stop()
	go func() {
		for watching.Err() == nil {
			if r := service.Report(time.Now()).Running; r != nil {
				line.show(progressText(r.Bytes, r.Of, time.Duration(r.ForMs)*time.Millisecond))
			}
			select {
			case <-watching.Done():
			case <-time.After(lookEvery):
			}
		}
	}()
	m, err := service.Once(ctx)
	stop()
	line.end()
	if errors.Is(err, snapshot.ErrNotNow) {
		return &exitError{code: exitRefused, message: err.Error(), cause: err, hint: "\"failoverd snapshot now PRODUCT\" asks the dump service that runs"}
	}
	if m.ID != "" && !m.Finished.IsZero() {
		c.printTaken(snapshot.CopyOf(m, c.now()))
	}
	return err
}

// service puts a dump service together.
func (p *dumpParts) service() (*snapshot.Service, error) {
	box, err := openBox(p.cfg.Encryption.Recipients, p.cfg.Encryption.Identity)
	if err != nil {
		return nil, err
	}
	drills, err := rehearsals(&p.cfg, "", "", false)
	if err != nil {
		return nil, err
	}
	server, log := dump.New(p.server), changes.NewReader(p.server)
	crew := &snapshot.Crew{
		Depot:  &snapshot.Depot{Product: p.cfg.Product, Places: p.stores, Box: box},
		Server: p.cfg.Server.Name, Source: server, Changes: log, Log: log,
		Lock:    server.Lock,
		Scratch: drills,
		Workers: p.cfg.Workers, BytesPerSecond: p.cfg.BytesPerSecond, Retention: snapshot.Retention(p.cfg.Retention),
		ShipEvery: p.cfg.Ship.Every, ShipBytes: int(p.cfg.Ship.Bytes), Logger: p.log,
	}
	config := snapshot.ServiceConfig{Product: p.cfg.Product, Server: p.cfg.Server.Name, Every: p.cfg.Every, DrillEvery: p.cfg.Drill.Every, ScrubEvery: p.cfg.Scrub.Every,
		Ship: p.cfg.Ship.Every > 0, Work: crew, Logger: p.log}
	if p.client != nil { // a nil of the type would not be nil
		config.Leader = dumpLeader{p.client, p.cfg.Product}
	}
	for _, s := range p.stores {
		config.Stores = append(config.Stores, s.Name)
	}
	return snapshot.NewService(config), nil
}
