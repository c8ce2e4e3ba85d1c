package object_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/failoverd/failoverd/internal/object"
	"github.com/failoverd/failoverd/internal/object/objecttest"
)

func TestMemoryConforms(t *testing.T) {
	objecttest.Conform(t, func(*testing.T) object.Store { return object.NewMemory() })
}

func TestMemoryFaults(t *testing.T) {
	ctx := t.Context()
	m := object.NewMemory()
	fault := object.Fault{Err: object.ErrUnavailable}
	m.Inject(func(_ context.Context, call object.Call) object.Fault {
		if call.Method == "put" && call.Key == "faulty" {
			return fault
		}
		return object.Fault{}
	})
	_, err := m.Put(ctx, "fine", []byte("x"), object.Always)
	require.NoError(t, err)

	_, err = m.Put(ctx, "faulty", []byte("refused"), object.IfAbsent)
	require.ErrorIs(t, err, object.ErrUnavailable)
	_, err = m.Get(ctx, "faulty")
	require.ErrorIs(t, err, object.ErrNotFound, "a fault that did not take leaves nothing")

	fault.Took = true
	_, err = m.Put(ctx, "faulty", []byte("took"), object.IfAbsent)
	require.ErrorIs(t, err, object.ErrUnavailable)
	o, err := m.Get(ctx, "faulty")
	require.NoError(t, err)
	assert.Equal(t, "took", string(o.Body))
	assert.Equal(t, 2, m.Writes())
}

func TestConditionHolds(t *testing.T) {
	for name, c := range map[string]struct {
		cond   object.Condition
		exists bool
		etag   string
		want   bool
	}{
		"always on nothing":           {object.Always, false, "", true},
		"absent on nothing":           {object.IfAbsent, false, "", true},
		"absent on something":         {object.IfAbsent, true, "e", false},
		"match on nothing":            {object.IfMatch("e"), false, "e", false},
		"match on the same":           {object.IfMatch("e"), true, "e", true},
		"match on another":            {object.IfMatch("e"), true, "f", false},
		"an empty etag never matches": {object.IfMatch(""), true, "", false},
	} {
		assert.Equal(t, c.want, c.cond.Holds(c.exists, c.etag), name)
	}
}
