package follow

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/failoverd/failoverd/internal/publish"
)

const (
	connectTimeout = 3 * time.Second
	// longPoll is how long a watcher holds a request that it has no news for.
	longPoll = 30 * time.Second
	// answerTimeout is what a watcher gets beyond that.
	answerTimeout = 5 * time.Second
)

// pollEndpoint keeps one request waiting at one watcher; publish.Feed states the
// contract. Every endpoint has its own loop: one that is cut off from the other
// watchers answers in good order and knows nothing new.
func (w *Watcher) pollEndpoint(ctx context.Context, endpoint string) {
	health := health{logger: w.logger, source: endpoint}
	for ctx.Err() == nil {
		after := uint64(0)
		if head := w.Head(); head != nil {
			after = head.Document.Version
		}
		start := time.Now()
		body, err := w.ask(ctx, endpoint, after, longPoll)
		news := false
		if err == nil && body != nil {
			err = w.offer(body, endpoint)
			news = err == nil
		}
		if ctx.Err() != nil {
			return
		}
		// An answer that came at once and was no news must not make a busy loop.
		pause := time.Duration(0)
		if !news && time.Since(start) < longPoll/2 && !w.overtook(after) {
			pause = w.cfg.Poll
		}
		sleep(ctx, health.note(err, pause))
	}
}

// overtook reports whether another source brought a newer document meanwhile, so
// that an old one from here is no wonder.
func (w *Watcher) overtook(after uint64) bool {
	head := w.Head()
	return head != nil && head.Document.Version > after
}

// ask returns nil bytes when the endpoint has nothing above version after.
func (w *Watcher) ask(ctx context.Context, endpoint string, after uint64, wait time.Duration) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, wait+answerTimeout)
	defer cancel()
	query := url.Values{"after": {strconv.FormatUint(after, 10)}, "wait": {wait.String()}}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet,
		strings.TrimSuffix(endpoint, "/")+publish.FeedPath+"?"+query.Encode(), nil)
	if err != nil {
		return nil, err
	}
	response, err := w.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	switch response.StatusCode {
	case http.StatusNoContent:
		return nil, nil
	case http.StatusOK:
		body, err := io.ReadAll(io.LimitReader(response.Body, publish.MaxBytes+1))
		if err != nil {
			return nil, fmt.Errorf("read the answer: %w", err)
		}
		return body, nil
	default:
		return nil, errors.New("answered " + response.Status)
	}
}
