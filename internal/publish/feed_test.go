package publish_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/failoverd/failoverd/internal/publish"
)

func ask(ctx context.Context, feed *publish.Feed, method, query string) *http.Response {
	w := httptest.NewRecorder()
	feed.ServeHTTP(w, httptest.NewRequestWithContext(ctx, method, publish.FeedPath+query, nil))
	return w.Result()
}

func TestFeedAnswers(t *testing.T) {
	key := newKey(t)
	feed := publish.NewFeed()
	assert.Equal(t, http.StatusNoContent, ask(t.Context(), feed, "GET", "").StatusCode, "nothing yet")
	first := render(t, nil, shop(1, "db1"), key)
	second := render(t, first, shop(2, "db2"), key)
	require.True(t, feed.Set(first))
	require.True(t, feed.Set(second))
	assert.False(t, feed.Set(first), "an older one is not served")
	assert.False(t, feed.Set(second), "nor the same again")
	assert.Same(t, second, feed.Head())

	for query, want := range map[string]int{
		"": 200, "?after=0": 200, "?after=1": 200, "?after=2": 204, "?after=99&wait=0s": 204,
		"?after=x": 400, "?after=-1": 400, "?wait=x": 400, "?wait=-1s": 400,
	} {
		assert.Equal(t, want, ask(t.Context(), feed, "GET", query).StatusCode, query)
	}
	assert.Equal(t, http.StatusMethodNotAllowed, ask(t.Context(), feed, "POST", "").StatusCode)
	response := ask(t.Context(), feed, "GET", "")
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	assert.Equal(t, second.Bytes, body)
	assert.Equal(t, `"`+second.Hash+`"`, response.Header.Get("ETag"))
}

func TestFeedHoldsARequestUntilThereIsNews(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		key := newKey(t)
		feed := publish.NewFeed()
		first := render(t, nil, shop(1, "db1"), key)
		feed.Set(first)
		start := time.Now()
		assert.Equal(t, 204, ask(t.Context(), feed, "GET", "?after=1&wait=30s").StatusCode)
		assert.Equal(t, 30*time.Second, time.Since(start))
		assert.Equal(t, 204, ask(t.Context(), feed, "GET", "?after=1&wait=1h").StatusCode)
		assert.Equal(t, 90*time.Second, time.Since(start), "a wait is at most a minute")

		answers := make(chan *http.Response, 100)
		for range 100 {
			go func() { answers <- ask(t.Context(), feed, "GET", "?after=1&wait=30s") }()
		}
		synctest.Wait()
		start = time.Now()
		feed.Set(render(t, first, shop(2, "db2"), key))
		for range 100 {
			assert.Equal(t, 200, (<-answers).StatusCode)
		}
		assert.Zero(t, time.Since(start))

		ctx, cancel := context.WithCancel(t.Context())
		go func() { answers <- ask(ctx, feed, "GET", "?after=2&wait=30s") }()
		synctest.Wait()
		cancel()
		<-answers
		assert.Zero(t, time.Since(start), "a reader that leaves ends its request")
	})
}

// A server's own write timeout must not cut a held request.
func TestFeedOutlastsTheServersWriteTimeout(t *testing.T) {
	feed := publish.NewFeed()
	server := httptest.NewUnstartedServer(feed)
	server.Config.WriteTimeout = 50 * time.Millisecond
	server.Start()
	defer server.Close()
	response, err := http.Get(server.URL + publish.FeedPath + "?wait=200ms")
	require.NoError(t, err)
	defer response.Body.Close()
	assert.Equal(t, http.StatusNoContent, response.StatusCode)
}
