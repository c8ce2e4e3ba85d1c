package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/failoverd/failoverd/internal/config"
	"github.com/failoverd/failoverd/internal/s3"
	"github.com/failoverd/failoverd/internal/snapshot"
)

// depotFlags say where copies are: in the stores of a dump service's configuration, or
// in one that is named, so that a restore needs nothing but the store.
type depotFlags struct {
	config, identity string
	stores           []string
}

// defaultDumpConfig is where the packages of a dump machine put it.
const defaultDumpConfig = "/etc/failoverd/dump.yaml"

func (d *depotFlags) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVarP(&d.config, "config", "c", "", "a dump service's configuration `file` (FAILOVERD_DUMP_CONFIG, else "+defaultDumpConfig+")")
	f.StringSliceVar(&d.stores, "store", nil, "instead of it, the `URL` of a store: s3://BUCKET/PREFIX or file:///DIR, with the SDK's own credentials")
	f.StringVar(&d.identity, "identity", "", "the `file` with the age identity of an encrypted store")
}

// open returns the depot of a product, and the configuration if there is one.
func (c *cli) openDepot(ctx context.Context, d depotFlags, product string) (*snapshot.Depot, *config.Dump, error) {
	if len(d.stores) > 0 {
		if d.config != "" {
			return nil, nil, usageError(errors.New("give either --config or --store"))
		}
		depot := &snapshot.Depot{Product: product}
		for _, url := range d.stores {
			store, err := s3.Open(ctx, url, s3.Options{Timeout: storeTimeout})
			if err != nil {
				return nil, nil, usageError(err)
			}
			name, _, _ := strings.Cut(url, "?")
			depot.Places = append(depot.Places, snapshot.Place{Name: name, Store: store})
		}
		var err error
		depot.Box, err = openBox(nil, d.identity)
		return depot, nil, err
	}
	path := d.config
	if path == "" {
		path = c.env("FAILOVERD_DUMP_CONFIG")
	}
	if path == "" {
		path = defaultDumpConfig
	}
	cfg, err := config.LoadDump(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil, &exitError{code: exitUsage, message: err.Error(), cause: err,
			hint: "--config names a dump service's configuration, --store s3://BUCKET/PREFIX or file:///DIR a store; both do on any machine that reaches the store"}
	case err != nil:
		return nil, nil, usageError(err)
	case cfg.Product != product:
		return nil, nil, usageError(fmt.Errorf("%s is of the product %s, not of %s", path, cfg.Product, product))
	}
	stores, err := openDumpStores(ctx, cfg.Stores)
	if err != nil {
		return nil, nil, err
	}
	if d.identity == "" {
		d.identity = cfg.Encryption.Identity
	}
	box, err := openBox(cfg.Encryption.Recipients, d.identity)
	if err != nil {
		return nil, nil, err
	}
	return &snapshot.Depot{Product: product, Places: stores, Box: box}, &cfg, nil
}

// openBox is how copies are compressed and encrypted.
func openBox(recipients []string, identity string) (*snapshot.Box, error) {
	var keys snapshot.Keys
	var err error
	if identity == "" {
		keys, err = snapshot.ParseKeys(recipients, nil)
	} else {
		var file *os.File
		if file, err = os.Open(identity); err != nil {
			return nil, fmt.Errorf("encryption.identity: %w", err)
		}
		defer file.Close()
		keys, err = snapshot.ParseKeys(recipients, file)
	}
	if err != nil {
		return nil, usageError(fmt.Errorf("encryption: %w", err))
	}
	box, err := snapshot.NewEncryptedBox(keys)
	if err != nil {
		return nil, fmt.Errorf("encryption: %w", err)
	}
	return box, nil
}
