package sim

import (
	"context"
	"time"
)

// term is the context of one leadership, or of one tick in it. It is a context of
// our own because a cancelled one has to wake a process through the clock.
type term struct {
	parent *term
	err    error
	tells  []*tell
}

// tell is somebody who waits for the end of a context.
type tell struct{ f func() }

var _ context.Context = (*term)(nil)

func (t *term) Deadline() (time.Time, bool) { return time.Time{}, false }

// Done is never closed: processes of a world do not wait for channels.
func (t *term) Done() <-chan struct{} { return nil }

func (t *term) Err() error {
	if t.err == nil && t.parent != nil {
		return t.parent.Err()
	}
	return t.err
}

func (t *term) Value(any) any { return nil }

// cancel ends the context.
func (t *term) cancel(err error) {
	if t.err != nil {
		return
	}
	t.err = err
	tells := t.tells
	t.tells = nil
	for _, tell := range tells {
		if tell.f != nil {
			tell.f()
		}
	}
}

// onCancel has f called when ctx ends, until the returned function is called.
func onCancel(ctx context.Context, f func()) (stop func()) {
	t, ok := ctx.(*term)
	if !ok {
		return func() {}
	}
	told := &tell{f}
	for up := t; up != nil; up = up.parent {
		up.tells = append(up.tells, told)
	}
	return func() {
		told.f = nil
		for up := t; up != nil; up = up.parent {
			up.forget()
		}
	}
}

func (t *term) forget() {
	kept := t.tells[:0]
	for _, tell := range t.tells {
		if tell.f != nil {
			kept = append(kept, tell)
		}
	}
	t.tells = kept
}
