package s3_test

import (
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/stretchr/testify/assert"
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

// What was written stays, whoever deletes it with whatever right.
func TestLockedObjectsOutliveTheirDeletion(t *testing.T) {
	if testing.Short() {
		t.Skip("needs versitygw")
	}
	service, err := testenv.NewStrictS3(t.Context(), t.TempDir(), true, func(said string) { t.Log(said) })
	if errors.Is(err, testenv.ErrNoStrictS3) {
		t.Skip(err)
	}
	require.NoError(t, err)
	t.Cleanup(service.Close)
	store, err := s3.Open(t.Context(), service.URL(""), s3.Options{AccessKeyID: service.AccessKey, SecretAccessKey: service.SecretKey,
		Lock: s3.Lock{Mode: "compliance", Days: 3, Of: func(key string) bool { return key != "lease" }}})
	require.NoError(t, err)
	_, err = store.Put(t.Context(), "small", []byte("one"), object.IfAbsent)
	require.NoError(t, err)
	large := make([]byte, 20<<20)
	u, err := store.Upload(t.Context(), "large")
	require.NoError(t, err)
	require.NoError(t, u.Write(t.Context(), large))
	require.NoError(t, u.Commit(t.Context(), object.IfAbsent))
	for range 3 { // it is renewed
		_, err = store.Put(t.Context(), "lease", []byte("mine"), object.Always)
		require.NoError(t, err)
	}

	client := awss3.New(awss3.Options{BaseEndpoint: aws.String(service.Endpoint), Region: service.Region, UsePathStyle: true,
		Credentials: credentials.NewStaticCredentialsProvider(service.AccessKey, service.SecretKey, "")})
	versions, err := client.ListObjectVersions(t.Context(), &awss3.ListObjectVersionsInput{Bucket: &service.Bucket})
	require.NoError(t, err)
	seen := map[string]bool{}
	for _, v := range versions.Versions {
		seen[*v.Key] = true
		_, err := client.DeleteObject(t.Context(), &awss3.DeleteObjectInput{Bucket: &service.Bucket, Key: v.Key, VersionId: v.VersionId})
		if *v.Key == "lease" {
			assert.NoError(t, err)
		} else {
			assert.Error(t, err, *v.Key)
		}
	}
	assert.Len(t, seen, 3)
	for _, key := range []string{"small", "large"} {
		retention, err := client.GetObjectRetention(t.Context(), &awss3.GetObjectRetentionInput{Bucket: &service.Bucket, Key: &key})
		require.NoError(t, err)
		assert.Equal(t, types.ObjectLockRetentionModeCompliance, retention.Retention.Mode)
		assert.WithinDuration(t, time.Now().AddDate(0, 0, 3), *retention.Retention.RetainUntilDate, time.Hour)
		require.NoError(t, store.Delete(t.Context(), key), "a sweep's way to delete")
		_, err = store.Get(t.Context(), key)
		require.ErrorIs(t, err, object.ErrNotFound)
	}
}

func TestALockThatCannotBeIsRefused(t *testing.T) {
	for want, lock := range map[string]s3.Lock{"neither governance": {Mode: "strict", Days: 1}, "want 1 or more": {Mode: "compliance"}} {
		_, err := s3.Open(t.Context(), "s3://bucket", s3.Options{Lock: lock})
		require.ErrorContains(t, err, want)
	}
	_, err := s3.Open(t.Context(), "file://"+t.TempDir(), s3.Options{Lock: s3.Lock{Mode: "governance", Days: 1}})
	require.ErrorContains(t, err, "no object lock")
}

func TestBucketOfAStrictServiceConforms(t *testing.T) {
	open := strict(t, false)
	objecttest.Conform(t, func(*testing.T) object.Store { return open(s3.Options{}) })
}
