package watcher

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
)

// unsure is a node that may or may not be confirmed as the leader.
type unsure struct {
	Node
	err error
}

func (u *unsure) Barrier(context.Context) error { return u.err }

func TestASessionIsAdmittedWhileItsTermLasts(t *testing.T) {
	node := &unsure{}
	w := &Watcher{node: node}
	term, end := context.WithCancelCause(t.Context())
	admit := w.admit(term)
	assert.NoError(t, admit(t.Context()))

	node.err = errors.New("another leads")
	assert.ErrorIs(t, admit(t.Context()), node.err, "whoever is not confirmed")

	node.err = nil
	over := errors.New("the leadership was lost")
	end(over)
	assert.ErrorIs(t, admit(t.Context()), over, "who leads again does not go on with what it began before")
}
