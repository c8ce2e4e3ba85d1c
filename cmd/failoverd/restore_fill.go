package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/failoverd/failoverd/internal/mysql"
	"github.com/failoverd/failoverd/internal/mysql/changes"
	"github.com/failoverd/failoverd/internal/mysql/load"
	"github.com/failoverd/failoverd/internal/mysql/scratch"
	"github.com/failoverd/failoverd/internal/snapshot"
)

// fill restores into the server that is there, or into one that it makes.
func (c *cli) fill(ctx context.Context, depot *snapshot.Depot, place snapshot.Place, m snapshot.Manifest, h *snapshot.History, r restoring, done *restored) error {
	if r.dir == "" {
		cfg, err := c.intoConfig(r)
		if err != nil {
			return err
		}
		done.Server = r.into
		return c.fillServer(ctx, depot, place, m, h, r, cfg, done)
	}
	schema, err := snapshot.LoadSchema(ctx, place.Store, depot.Box, m)
	if err != nil {
		return err
	}
	done.Server = r.dir
	if r.output == asTable {
		fmt.Fprintf(c.out, "making a server in %s\n", r.dir)
	}
	server, err := scratch.New(ctx, scratch.Options{Dir: r.dir, Mysqld: r.mysqld, Settings: schema.Settings})
	if err != nil {
		return err
	}
	err = c.fillServer(ctx, depot, place, m, h, r, server.Config(), done)
	if err == nil {
		err = server.Forget(ctx)
		done.Report.Notes = slices.DeleteFunc(done.Report.Notes, func(n snapshot.Note) bool { return strings.Contains(n.Text, server.Own()) }) // it is gone now
	}
	if err != nil {
		return errors.Join(err, server.Remove()) // half a server helps nobody
	}
	stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownPatience)
	defer cancel()
	return server.Stop(stopping)
}

// shutdownPatience is for a server that writes out what it holds in memory.
const shutdownPatience = 5 * time.Minute

func (c *cli) fillServer(ctx context.Context, depot *snapshot.Depot, place snapshot.Place, m snapshot.Manifest, h *snapshot.History, r restoring, cfg mysql.Config, done *restored) (err error) {
	target, err := load.New(cfg, load.Options{Workers: r.workers, Keep: h != nil})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, target.Close()) }()
	line := c.newProgressLine()
	done.Report, err = snapshot.Restore(ctx, snapshot.RestoreRequest{Store: place.Store, Box: depot.Box, Manifest: m, Target: target, Workers: r.workers, Tables: r.only,
		Progress: func(p snapshot.RestoreProgress) { line.show(restoreText(p)) }})
	line.end()
	if err != nil {
		return err
	}
	done.GTIDs = m.GTIDs.String()
	if h == nil {
		return nil
	}
	began := time.Now()
	line.show(fmt.Sprintf("replaying %s", several(int(h.GTIDs.Count()), "transaction")))
	err = changes.NewPlayer(cfg).Play(ctx, m.GTIDs, h)
	line.end()
	if err == nil {
		err = target.Forget(ctx)
	}
	if err != nil {
		return halfReplayed(ctx, err, r, m)
	}
	done.Report.Phases = append(done.Report.Phases, snapshot.Phase{Name: "replay", Seconds: time.Since(began).Seconds()})
	done.Replayed, done.Last, done.LeftOut, done.GTIDs = h.GTIDs.Count(), h.Last, h.LeftOut.String(), m.GTIDs.Union(h.GTIDs).String()
	return nil
}

// halfReplayed says what to do when the replay broke off.
func halfReplayed(ctx context.Context, err error, r restoring, m snapshot.Manifest) error {
	e := &exitError{code: exitFailed, message: err.Error(), cause: err}
	if ctx.Err() != nil {
		e.code, e.message = exitUnknown, "interrupted"
	}
	switch {
	case errors.Is(err, changes.ErrNotAsLeft):
		e.code, e.hint = exitRefused, "nothing was changed. Take an empty server, or ask for a moment after all that this one holds"
	case r.dir == "":
		e.hint = "the snapshot is in, and the binary log only in part: the same command goes on where it was"
	default:
		e.hint = "begin anew, or with --snapshot " + m.ID + " for the snapshot alone"
	}
	return e
}

// readPassword reads a secret from a file, without the newline at its end.
func readPassword(path string) (string, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("password: %w", err)
	}
	return strings.TrimRight(string(data), "\r\n"), nil
}
