package dump

import (
	"context"
	"errors"
	"fmt"
	"time"
)

const (
	// stopWithin bounds the wait for the transaction that is being applied.
	stopWithin = 10 * time.Second
	// startWithin bounds the wait for an applier that was ordered to stop and had not
	// yet done so when it was given up on: it can be started only after that.
	startWithin = time.Minute
)

// appliers are the channels whose applier was stopped here, and is started again.
type appliers struct {
	cfg     func(ctx context.Context) (*session, error) // a session of its own
	stopped []string
	since   time.Time // when the first was stopped
}

// stop stops every applier that runs.
func (a *appliers) stop(ctx context.Context, s *session) error {
	running, err := s.rows(ctx, appliersSQL)
	if err != nil {
		return fmt.Errorf("state of the appliers: %w", err)
	}
	a.since = time.Now()
	for _, row := range running {
		// Noted before the order, which takes effect at some time even if its answer is lost.
		a.stopped = append(a.stopped, row[0])
		bounded, cancel := context.WithTimeoutCause(ctx, stopWithin,
			fmt.Errorf("the applier did not finish its transaction within %s: %w", stopWithin, ErrNotNow))
		err := s.exec(bounded, fmt.Sprintf(stopApplierSQL, literal(row[0])))
		cancel()
		if err != nil {
			return lockFailed("stop the applier", err)
		}
	}
	return nil
}

// start starts what stop has stopped, and says for how long it stood still. It goes on
// after its caller was called off: a dump slave must not be left without its applier.
func (a *appliers) start(ctx context.Context, s *session) (time.Duration, error) {
	if len(a.stopped) == 0 {
		return 0, nil
	}
	ctx, cancel := context.WithTimeoutCause(context.WithoutCancel(ctx), startWithin, errors.New("it did not start in time"))
	defer cancel()
	var errs []error
	for _, channel := range a.stopped {
		if err := a.startOne(ctx, s, channel); err != nil {
			errs = append(errs, fmt.Errorf("the applier of channel %q was stopped for a snapshot and could not be started again: %w", channel, err))
		}
	}
	a.stopped = nil
	return time.Since(a.since), errors.Join(errs...)
}

// startOne starts a channel. Where the given session has failed, a new one asks until
// the applier has stopped and was started after that.
func (a *appliers) startOne(ctx context.Context, s *session, channel string) error {
	order := fmt.Sprintf(startApplierSQL, literal(channel))
	err := s.exec(ctx, order)
	if err == nil {
		return nil
	}
	for poll := 10 * time.Millisecond; ; poll = min(2*poll, time.Second) {
		if err = a.restart(ctx, channel, order); err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(err, context.Cause(ctx))
		case <-time.After(poll):
		}
	}
}

var errStillRuns = errors.New("it has not stopped yet")

func (a *appliers) restart(ctx context.Context, channel, order string) error {
	s, err := a.cfg(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	state, err := s.row(ctx, fmt.Sprintf(applierSQL, literal(channel)))
	if err != nil {
		return err
	}
	if state[0] == "ON" {
		return errStillRuns
	}
	return s.exec(ctx, order)
}
