// Package follow is what runs beside a web server: it watches the published
// config, verifies it, renders the server's own config files from it, checks
// them, swaps them in, reloads the server and puts the old file back when the
// reload fails.
//
// It listens to the object store and to every watcher at the same time, and takes
// the newest document that is signed by a trusted key and takes no product back
// an epoch. So a watcher that is frozen or cut off, or a store that is away, holds
// nothing up; when all are gone the last good copy stays in force, also across
// a restart.
package follow

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/failoverd/failoverd/internal/publish"
)

const (
	retryMin    = time.Second
	retryMax    = time.Minute
	onceTimeout = 10 * time.Second // for all sources together
)

// Run follows until ctx ends. It starts from the last good copy in the cache
// directory, and retries a target that fails, with growing pauses. A reload under
// way is finished before Run returns. The error is one of the configuration.
func Run(ctx context.Context, cfg Config, logger hclog.Logger) error {
	if cfg.Noop {
		return RunOnce(ctx, cfg, logger)
	}
	watcher, err := NewWatcher(cfg, logger)
	if err != nil {
		return err
	}
	st := openState(cfg.CacheDir, logger)
	var wg sync.WaitGroup
	wg.Go(func() { watcher.Run(ctx) })
	for _, t := range cfg.Targets {
		wg.Go(func() { follow(ctx, watcher, &target{Target: t, state: st}, logger.With("target", t.Path)) })
	}
	if cfg.OnChange != nil {
		wg.Go(func() {
			head, err := watcher.Next(ctx, nil)
			for err == nil {
				cfg.OnChange(head.Document)
				head, err = watcher.Next(ctx, head)
			}
		})
	}
	wg.Wait()
	return nil
}

// RunOnce asks every source once and applies the newest document to every
// target; with cfg.Noop it only prints what would change. When no source
// answers it applies the last good copy, and says so in its error.
func RunOnce(ctx context.Context, cfg Config, logger hclog.Logger) error {
	watcher, err := NewWatcher(cfg, logger)
	if err != nil {
		return err
	}
	sourceErr := watcher.Refresh(ctx)
	head := watcher.Head()
	if head == nil {
		return fmt.Errorf("no published config to be had: %w", sourceErr)
	}
	if sourceErr != nil {
		sourceErr = fmt.Errorf("used the last good copy, version %d: %w", head.Document.Version, sourceErr)
	}
	st := openState(cfg.CacheDir, logger)
	errs := []error{sourceErr}
	for _, t := range cfg.Targets {
		one := &target{Target: t, state: st}
		if cfg.Noop {
			err = one.preview(head, cfg.Out)
		} else {
			err = applyAndRecord(ctx, one, head, logger.With("target", t.Path))
		}
		errs = append(errs, err)
	}
	if cfg.OnChange != nil && !cfg.Noop {
		cfg.OnChange(head.Document)
	}
	return errors.Join(errs...)
}

// follow keeps one target at the newest document. Targets wait for nothing of
// each other, so a reload that hangs delays only its own.
func follow(ctx context.Context, watcher *Watcher, t *target, logger hclog.Logger) {
	head, err := watcher.Next(ctx, nil)
	for err == nil {
		retry := retryMin
		current := head
		for {
			applyErr := applyAndRecord(ctx, t, current, logger)
			if applyErr == nil {
				head, err = watcher.Next(ctx, current)
				break
			}
			logger.Warn("config not applied", "version", current.Document.Version, "retry", retry, "error", applyErr)
			wait, cancel := context.WithTimeout(ctx, retry)
			head, err = watcher.Next(wait, current)
			cancel()
			if err == nil || ctx.Err() != nil {
				break // a newer one, or the end
			}
			retry = min(2*retry, retryMax)
		}
	}
}

func applyAndRecord(ctx context.Context, t *target, head *publish.Head, logger hclog.Logger) error {
	start := time.Now()
	changed, err := t.apply(ctx, head)
	t.state.record(t.Path, head, err)
	if err != nil {
		return fmt.Errorf("target %s: %w", t.Path, err)
	}
	if changed {
		logger.Info("config applied", "version", head.Document.Version, "took", time.Since(start).Round(time.Millisecond))
	}
	return nil
}
