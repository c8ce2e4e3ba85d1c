package s3_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/failoverd/failoverd/internal/object"
	"github.com/failoverd/failoverd/internal/object/objecttest"
	"github.com/failoverd/failoverd/internal/s3"
)

var keys = s3.Options{AccessKeyID: "key", SecretAccessKey: "secret"}

// serve starts an S3 server in this process, behind wrap, and opens a store on it.
func serve(t *testing.T, options s3.Options, wrap func(http.Handler) http.Handler) object.Store {
	t.Helper()
	backend := s3mem.New()
	require.NoError(t, backend.CreateBucket("bucket"))
	handler := gofakes3.New(backend).Server()
	if wrap != nil {
		handler = wrap(handler)
	}
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	store, err := s3.Open(t.Context(), bucketURL(server.URL), options)
	require.NoError(t, err)
	return store
}

func bucketURL(endpoint string) string {
	return "s3://bucket/some/prefix?" + url.Values{
		"region": {"eu-central-1"}, "endpoint": {endpoint}, "pathStyle": {"true"},
	}.Encode()
}

func openDir(t *testing.T, path string) object.Store {
	t.Helper()
	store, err := s3.Open(t.Context(), "file://"+path, s3.Options{})
	require.NoError(t, err)
	return store
}

func TestBucketConforms(t *testing.T) {
	objecttest.Conform(t, func(t *testing.T) object.Store { return serve(t, keys, nil) }, objecttest.LargeIfAbsent)
}

func TestDirConforms(t *testing.T) {
	objecttest.Conform(t, func(t *testing.T) object.Store { return openDir(t, t.TempDir()) })
}

// Several processes, not only goroutines, must not lose an update.
func TestDirIsSafeAmongProcesses(t *testing.T) {
	const processes, each = 3, 20
	if path := os.Getenv("FAILOVERD_TEST_COUNTER"); path != "" {
		store := openDir(t, path)
		for range each {
			require.NoError(t, increment(t.Context(), store))
		}
		return
	}
	path := t.TempDir()
	store := openDir(t, path)
	_, err := store.Put(t.Context(), "counter", []byte("0"), object.IfAbsent)
	require.NoError(t, err)
	var wg sync.WaitGroup
	for range processes {
		wg.Go(func() {
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestDirIsSafeAmongProcesses$")
			cmd.Env = append(os.Environ(), "FAILOVERD_TEST_COUNTER="+path)
			out, err := cmd.CombinedOutput()
			assert.NoError(t, err, "%s", out)
		})
	}
	wg.Wait()
	o, err := store.Get(t.Context(), "counter")
	require.NoError(t, err)
	assert.Equal(t, strconv.Itoa(processes*each), string(o.Body))
}

func increment(ctx context.Context, store object.Store) error {
	for {
		o, err := store.Get(ctx, "counter")
		if err != nil {
			return err
		}
		n, err := strconv.Atoi(string(o.Body))
		if err != nil {
			return err
		}
		_, err = store.Put(ctx, "counter", []byte(strconv.Itoa(n+1)), object.IfMatch(o.ETag))
		if err == nil || !isConflict(err) {
			return err
		}
	}
}

// answer makes every request get this status and S3 error code.
func answer(status int, code string) func(http.Handler) http.Handler {
	return func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/xml")
			w.WriteHeader(status)
			if status != http.StatusNotModified {
				fmt.Fprintf(w, "<Error><Code>%s</Code><Message>said the test</Message></Error>", code)
			}
		})
	}
}

func TestAnswersBecomeSentinels(t *testing.T) {
	options := keys
	options.Attempts = 1
	for name, c := range map[string]struct {
		status int
		code   string
		put    error // nil: any error but a sentinel
		get    error
	}{
		"412":                  {412, "PreconditionFailed", object.ErrConflict, object.ErrConflict},
		"409 from AWS":         {409, "ConditionalRequestConflict", object.ErrConflict, object.ErrConflict},
		"409 of another kind":  {409, "OperationAborted", nil, nil},
		"404 to an If-Match":   {404, "NoSuchKey", object.ErrConflict, object.ErrNotFound},
		"no such bucket":       {404, "NoSuchBucket", nil, nil},
		"denied":               {403, "AccessDenied", nil, nil},
		"internal error":       {500, "InternalError", object.ErrUnavailable, object.ErrUnavailable},
		"slow down":            {503, "SlowDown", object.ErrUnavailable, object.ErrUnavailable},
		"too many requests":    {429, "TooManyRequests", object.ErrUnavailable, object.ErrUnavailable},
		"unknown header (501)": {501, "NotImplemented", nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			store := serve(t, options, answer(c.status, c.code))
			_, err := store.Put(t.Context(), "key", []byte("x"), object.IfMatch(`"e"`))
			assertSentinel(t, c.put, err)
			_, err = store.Get(t.Context(), "key")
			assertSentinel(t, c.get, err)
			assert.NotContains(t, err.Error(), "secret")
		})
	}
}

func assertSentinel(t *testing.T, want, err error) {
	t.Helper()
	require.Error(t, err)
	for _, sentinel := range []error{object.ErrConflict, object.ErrNotFound, object.ErrNotModified, object.ErrUnavailable} {
		if sentinel == want {
			assert.ErrorIs(t, err, sentinel)
		} else {
			assert.NotErrorIs(t, err, sentinel)
		}
	}
}

func TestRetriesAreBounded(t *testing.T) {
	var asked atomic.Int32
	store := serve(t, keys, func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			asked.Add(1)
			w.WriteHeader(http.StatusInternalServerError)
		})
	})
	_, err := store.Get(t.Context(), "key")
	require.ErrorIs(t, err, object.ErrUnavailable)
	assert.EqualValues(t, 3, asked.Load())
}

func TestOneFailureIsRetried(t *testing.T) {
	var asked atomic.Int32
	store := serve(t, keys, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if asked.Add(1) == 1 {
				w.WriteHeader(http.StatusServiceUnavailable)
				return
			}
			next.ServeHTTP(w, r)
		})
	})
	_, err := store.Put(t.Context(), "key", []byte("x"), object.IfAbsent)
	require.NoError(t, err)
}

func TestNoAnswerIsUnavailable(t *testing.T) {
	hang := make(chan struct{})
	defer close(hang)
	options := keys
	options.Timeout = 50 * time.Millisecond
	store := serve(t, options, func(http.Handler) http.Handler {
		return http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			select {
			case <-hang:
			case <-r.Context().Done():
			}
		})
	})
	start := time.Now()
	_, err := store.Put(t.Context(), "key", []byte("x"), object.Always)
	require.ErrorIs(t, err, object.ErrUnavailable)
	assert.Less(t, time.Since(start), 5*time.Second)

	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	store, err = s3.Open(t.Context(), bucketURL(server.URL), keys)
	require.NoError(t, err)
	_, err = store.Get(t.Context(), "key")
	require.ErrorIs(t, err, object.ErrUnavailable, "nobody listens")
}

func TestOpenRefusesBadURLs(t *testing.T) {
	for rawURL, want := range map[string]string{
		"":                                "neither s3 nor file",
		"http://bucket":                   "neither s3 nor file",
		"s3:///prefix":                    "names no bucket",
		"s3://key:hunter2@bucket/x":       "credentials do not belong",
		"s3://bucket?regoin=x":            `"regoin" is unknown`,
		"s3://bucket?region=a&region=b":   `"region" is unknown or repeated`,
		"s3://bucket?pathStyle=maybe":     `"maybe" is neither`,
		"s3://bucket?endpoint=minio:9000": "endpoint is not",
		"s3://bucket/a//b":                "prefix",
		"file://relative":                 "file:///absolute/dir",
		"file:///dir?x=y":                 "file:///absolute/dir",
		"s3://bucket#x":                   "fragment",
		"s3://hunter2:\x7f@bucket":        "cannot be parsed",
	} {
		_, err := s3.Open(t.Context(), rawURL, s3.Options{})
		if assert.ErrorContains(t, err, want, rawURL) {
			assert.NotContains(t, err.Error(), "hunter2")
		}
	}
}

func TestOptionsHideCredentials(t *testing.T) {
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		assert.NotContains(t, fmt.Sprintf(verb, keys), "secret")
	}
}

func isConflict(err error) bool { return errors.Is(err, object.ErrConflict) }

// A snapshot of hours is not lost because the store was away for a minute.
func TestAnUploadOutlivesAStoreThatIsAway(t *testing.T) {
	options := keys
	options.Attempts = 1
	var asked, parts, completed atomic.Int32
	store := serve(t, options, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			asked.Add(1)
			fails := false
			switch {
			case r.Method == http.MethodPut && r.URL.Query().Get("partNumber") == "2":
				fails = parts.Add(1) == 1
			case r.Method == http.MethodPost && r.URL.Query().Has("uploadId"):
				fails = completed.Add(1) == 1
			}
			if fails {
				w.WriteHeader(http.StatusServiceUnavailable)
				return
			}
			next.ServeHTTP(w, r)
		})
	})
	body := make([]byte, 20<<20)
	u, err := store.Upload(t.Context(), "key")
	require.NoError(t, err)
	require.NoError(t, u.Write(t.Context(), body))
	require.NoError(t, u.Commit(t.Context(), object.IfAbsent))
	o, err := store.Get(t.Context(), "key")
	require.NoError(t, err)
	assert.Len(t, o.Body, len(body))
	assert.EqualValues(t, 2, parts.Load())
	assert.EqualValues(t, 2, completed.Load())
}

func TestAnUploadThatLostAPartIsNotCommitted(t *testing.T) {
	options := keys
	options.Attempts, options.Persist = 1, -1
	store := serve(t, options, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Query().Get("partNumber") == "1" {
				w.WriteHeader(http.StatusServiceUnavailable)
				return
			}
			next.ServeHTTP(w, r)
		})
	})
	u, err := store.Upload(t.Context(), "key")
	require.NoError(t, err)
	err = u.Write(t.Context(), make([]byte, 20<<20))
	require.ErrorIs(t, errors.Join(err, u.Commit(t.Context(), object.IfAbsent)), object.ErrUnavailable)
	require.ErrorIs(t, u.Commit(t.Context(), object.IfAbsent), object.ErrUnavailable, "once more")
	require.NoError(t, u.Abort(t.Context()))
	_, err = store.Get(t.Context(), "key")
	require.ErrorIs(t, err, object.ErrNotFound)
}

// The connection breaks in the midst of a body, which the SDK leaves to its caller.
func TestABodyThatBreaksOffIsReadAgain(t *testing.T) {
	var asked atomic.Int32
	store := serve(t, keys, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodGet && asked.Add(1) == 1 {
				w.Header().Set("Content-Length", "1000")
				_, _ = w.Write(make([]byte, 500))
				panic(http.ErrAbortHandler) // net/http's way to cut the connection
			}
			next.ServeHTTP(w, r)
		})
	})
	_, err := store.Put(t.Context(), "key", []byte("0123456789"), object.Always)
	require.NoError(t, err)
	body, err := store.GetRange(t.Context(), "key", 2, 3)
	require.NoError(t, err)
	assert.Equal(t, "234", string(body))
	assert.EqualValues(t, 2, asked.Load())
}
