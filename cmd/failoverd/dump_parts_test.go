package main

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/failoverd/failoverd/internal/config"
)

// The store itself says what it cannot lock, so that a lock that was asked for is never
// silently left out.
func TestObjectLockReachesTheStore(t *testing.T) {
	at := config.DumpStore{Name: "here", URL: "file://" + t.TempDir()}
	_, err := openDumpStores(t.Context(), []config.DumpStore{at})
	require.NoError(t, err)
	at.ObjectLock = config.ObjectLock{Mode: "compliance", Days: 7}
	_, err = openDumpStores(t.Context(), []config.DumpStore{at})
	assert.ErrorContains(t, err, "a directory has no object lock")
}
