package s3_test

import (
	"errors"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/failoverd/failoverd/internal/object"
	"github.com/failoverd/failoverd/internal/object/objecttest"
	"github.com/failoverd/failoverd/internal/s3"
	"github.com/failoverd/failoverd/testenv"
)

// strict starts a service of its own for the test. Each store that it opens has its own prefix.
func strict(t *testing.T, locks bool) (open func(options s3.Options) object.Store) {
	t.Helper()
	if testing.Short() {
		t.Skip("needs versitygw")
	}
	service, err := testenv.NewStrictS3(t.Context(), t.TempDir(), locks, func(said string) { t.Log(said) })
	if errors.Is(err, testenv.ErrNoStrictS3) {
		t.Skip(err)
	}
	require.NoError(t, err)
	t.Cleanup(service.Close)
	var opened atomic.Int32
	return func(options s3.Options) object.Store {
		options.AccessKeyID, options.SecretAccessKey = service.AccessKey, service.SecretKey
		store, err := s3.Open(t.Context(), service.URL(fmt.Sprintf("store/%d", opened.Add(1))), options)
		require.NoError(t, err)
		return store
	}
}

func TestBucketOfAStrictServiceConforms(t *testing.T) {
	open := strict(t, false)
	objecttest.Conform(t, func(*testing.T) object.Store { return open(s3.Options{}) })
}
