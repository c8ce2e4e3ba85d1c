package dump

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/failoverd/failoverd/internal/mysql"
	"github.com/failoverd/failoverd/internal/snapshot"
	"github.com/failoverd/failoverd/internal/topology"
)

// point is a server at one set of transactions. Each of its sessions has a view of the
// data as of then, and holds every table's definition: a change of one waits until the
// point is closed, so that no row is read by other columns than those of the schema.
// All of them hold all: a change that waits for one would keep the others out.
type point struct {
	about  snapshot.About
	schema snapshot.Schema
	sizes  map[snapshot.TableID]int64

	// control stops, locks and asks. It has no view and holds no definition: after UNLOCK
	// INSTANCE a session held none any more (seen with MySQL 9.7.4).
	control *session
	seeker  *session // for Ranges, one caller at a time
	seeking sync.Mutex
	workers []*session
	// held keeps tables still that have no views of older data.
	held *heldTables
}

const (
	// attempts bounds how often a point is tried that did not hold still.
	attempts = 4
	// between is the rest before the next try, in which the applier catches up.
	between = 200 * time.Millisecond
	// writeLocks bounds how often a server that takes writes is asked to stand still.
	writeLocks = 5
)

func openPoint(ctx context.Context, cfg mysql.Config, workers int) (*point, error) {
	for try := 1; ; try++ {
		p, err := tryPoint(ctx, cfg, workers, try == attempts)
		if err == nil || !errors.Is(err, errMoved) || try == attempts {
			return p, err
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(between):
		}
	}
}

// errMoved says that a point did not hold still, or not for the reason that is known.
var errMoved = fmt.Errorf("transactions came in between: %w", ErrNotNow)

// tryPoint tries once. On the last try what is prepared and not committed is left out
// with a warning.
func tryPoint(ctx context.Context, cfg mysql.Config, workers int, last bool) (_ *point, err error) {
	p := &point{workers: make([]*session, workers)}
	defer func() {
		if err != nil {
			p.Close()
		}
	}()
	// Whatever can be done before the applier stands still is.
	all, allCtx := errgroup.WithContext(ctx)
	all.Go(func() (err error) { p.control, err = connect(allCtx, cfg); return err })
	all.Go(func() (err error) { p.seeker, err = connect(allCtx, cfg); return err })
	for i := range p.workers {
		all.Go(func() (err error) { p.workers[i], err = connect(allCtx, cfg); return err })
	}
	if err := all.Wait(); err != nil {
		return nil, err
	}
	about, err := p.control.row(ctx, aboutSQL)
	if err != nil {
		return nil, err
	}
	p.about.UUID, p.about.Version = about[0], about[1]
	if about[2] != "ON" {
		return nil, fmt.Errorf("server %s has gtid_mode %s: without GTIDs a snapshot's place in the history is not known", cfg.Addr, about[2])
	}
	if p.sizes, err = readSizes(ctx, p.control); err != nil {
		return nil, err
	}
	p.held, err = readUnversioned(ctx, p.control)
	if err != nil {
		return nil, err
	}
	if len(p.held.tables) > 0 {
		if p.held.session, err = connect(ctx, cfg); err != nil {
			return nil, err
		}
	}
	closed := about[3] == "1"
	prepared, err := p.freeze(ctx, cfg, closed)
	if err != nil {
		return nil, err
	}
	if len(prepared) > 0 {
		if !last {
			return nil, errMoved
		}
		p.about.Warnings = append(p.about.Warnings, fmt.Sprintf(
			"%d XA transactions were prepared and neither committed nor rolled back (%s): the snapshot lacks them, and counts their preparation as executed", len(prepared), strings.Join(prepared, ", ")))
	}
	if err := p.readSchema(ctx); err != nil {
		return nil, err
	}
	p.about.Warnings = append(p.about.Warnings, p.held.warnings()...)
	return p, nil
}

// freeze opens the views of all sessions at one set of transactions: nobody commits
// while it does. It leaves definitions locked, and the applier as it was.
func (p *point) freeze(ctx context.Context, cfg mysql.Config, closed bool) (prepared []string, err error) {
	applier := &appliers{cfg: func(ctx context.Context) (*session, error) { return connect(ctx, cfg) }}
	began := time.Now()
	defer func() {
		stall, startErr := applier.start(ctx, p.control)
		err = errors.Join(err, startErr)
		p.about.Stall = max(p.about.Stall, stall)
	}()
	if err := applier.stop(ctx, p.control); err != nil {
		return nil, err
	}
	if err := p.control.exec(ctx, lockInstanceSQL); err != nil {
		return nil, lockFailed("lock definitions", err)
	}
	if !closed { // others write, or may
		if began, err = lockWrites(ctx, p.control); err != nil {
			return nil, err
		}
	}
	before, err := p.control.row(ctx, executedSQL)
	if err != nil {
		return nil, err
	}
	all, allCtx := errgroup.WithContext(ctx)
	for _, s := range p.sessions() {
		all.Go(func() error { return s.exec(allCtx, beginSQL) })
	}
	all.Go(func() error { return p.held.lock(allCtx) })
	if err := all.Wait(); err != nil {
		return nil, err
	}
	p.about.At = time.Now()
	xids, err := p.control.rows(ctx, preparedSQL)
	if err != nil {
		return nil, fmt.Errorf("prepared XA transactions: %w", err)
	}
	for _, row := range xids {
		prepared = append(prepared, row[len(row)-1])
	}
	after, err := p.control.row(ctx, executedSQL)
	if err != nil {
		return nil, err
	}
	if before[0] != after[0] {
		return nil, errMoved
	}
	if p.about.GTIDs, err = topology.ParseGTIDSet(after[0]); err != nil {
		return nil, err
	}
	if !closed {
		if err := p.control.exec(ctx, unlockReadSQL); err != nil {
			return nil, err
		}
		p.about.Stall = time.Since(began)
	}
	return prepared, nil
}

// lockWrites makes a server that takes writes stand still, and says since when. The lock
// waits for statements that run, and keeps others from beginning; where one waits for a
// row of a transaction whose next statement it keeps out, it waits in vain. So it waits
// for a second only, and tries again a moment later.
func lockWrites(ctx context.Context, s *session) (since time.Time, err error) {
	if err := s.exec(ctx, waitBrieflySQL); err != nil {
		return since, err
	}
	for range writeLocks {
		since = time.Now()
		if err = s.exec(ctx, lockReadSQL); number(err) != errLockWait {
			break
		}
		select {
		case <-ctx.Done():
			return since, context.Cause(ctx)
		case <-time.After(between):
		}
	}
	if err != nil {
		return since, lockFailed("lock against writes", err)
	}
	return since, s.exec(ctx, waitSQL)
}

// lockFailed says what a lock that was waited for in vain means.
func lockFailed(op string, err error) error {
	switch number(err) {
	case errLockWait, errInstanceLocked:
		return fmt.Errorf("%s: %w: %w", op, ErrNotNow, err)
	}
	return fmt.Errorf("%s: %w", op, err)
}

// Error numbers of the MySQL 9.7 Error Message Reference.
const (
	errLockWait       = 1205
	errInstanceLocked = 3857 // an applier cannot be stopped: another copy is being begun
)

// sessions are those that have a view.
func (p *point) sessions() []*session {
	return append([]*session{p.seeker}, p.workers...)
}

// About implements snapshot.Point.
func (p *point) About() snapshot.About { return p.about }

// Schema implements snapshot.Point.
func (p *point) Schema(context.Context) (snapshot.Schema, error) { return p.schema, nil }

// Estimate implements snapshot.Point.
func (p *point) Estimate(t snapshot.Table) int64 { return p.sizes[t.ID()] }

// Close implements snapshot.Point: the sessions end, and with them views and locks.
func (p *point) Close() error {
	for _, s := range append(p.sessions(), p.control) {
		if s != nil {
			s.close()
		}
	}
	if p.held != nil && p.held.session != nil {
		p.held.session.close()
	}
	return nil
}
