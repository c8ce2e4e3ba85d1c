package campaign

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/failoverd/failoverd/internal/publish"
	"github.com/failoverd/failoverd/testenv/campaign/check"
	"github.com/failoverd/failoverd/testenv/stage"
)

// storeReader reads the published object over and over, as a web server without the watchers would.
type storeReader struct {
	mu       sync.Mutex
	readings []check.Reading
}

func (r *storeReader) run(ctx context.Context, s *stage.Stage) {
	client := &http.Client{Timeout: 12 * time.Second} // S3 may be slow
	for pause(ctx, 200*time.Millisecond) == nil {
		d, err := readStore(ctx, client, s)
		if err != nil {
			continue // S3 is broken on purpose now and then
		}
		r.mu.Lock()
		r.readings = append(r.readings, check.Reading{Reader: "store", Epoch: d.Products[s.Product].Epoch, Version: d.Version})
		r.mu.Unlock()
	}
}

func readStore(ctx context.Context, client *http.Client, s *stage.Stage) (*publish.Document, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("%s/%s/demo/config.json", s.S3.Endpoint, s.S3.Bucket), nil)
	if err != nil {
		return nil, err
	}
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("S3 answers %s", response.Status)
	}
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	return publish.Decode(body)
}

func (r *storeReader) read() []check.Reading {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]check.Reading(nil), r.readings...)
}
