package publish

import (
	"net/http"
	"strconv"
	"sync"
	"time"
)

// FeedPath is where a watcher mounts its Feed.
const FeedPath = "/v1/config"

// MaxWait is the longest that a Feed holds a request.
const MaxWait = 60 * time.Second

// Feed serves the newest document to those who wait for it. This is the
// contract, which package follow keeps on the other side:
//
//	GET /v1/config?after=VERSION&wait=30s
//
// answers 200 with the document's exact bytes and its hash as ETag as soon as
// its version is above VERSION, and 204 when wait has passed without one. after
// is 0 and wait is 0s unless given; wait is at most 60s. 400 is for other values,
// 405 for methods other than GET and HEAD. Readers check the signature
// themselves, so any watcher may serve it, leader or not.
type Feed struct {
	mu      sync.Mutex
	head    *Head
	changed chan struct{} // closed when head changes
}

// NewFeed returns a Feed that has nothing to serve yet.
func NewFeed() *Feed { return &Feed{changed: make(chan struct{})} }

// Set serves head from now on if it supersedes the one served, and reports
// whether it does. head must come from Trust.Verify or a Publisher.
func (f *Feed) Set(head *Head) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.head != nil && head.Document.Supersedes(f.head.Document) != nil {
		return false
	}
	f.head = head
	close(f.changed)
	f.changed = make(chan struct{})
	return true
}

// Head returns the document served, or nil.
func (f *Feed) Head() *Head {
	head, _ := f.look()
	return head
}

func (f *Feed) look() (*Head, <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.head, f.changed
}

// ServeHTTP implements the contract above.
func (f *Feed) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "only GET and HEAD", http.StatusMethodNotAllowed)
		return
	}
	after, wait, problem := feedQuery(r)
	if problem != "" {
		http.Error(w, problem, http.StatusBadRequest)
		return
	}
	// The server's own write timeout may be shorter than a reader waits. A
	// response writer that cannot do this has no such timeout.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(wait + 10*time.Second))
	expired := time.NewTimer(wait)
	defer expired.Stop()
	w.Header().Set("Cache-Control", "no-store")
	for {
		head, changed := f.look()
		if head != nil && head.Document.Version > after {
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("ETag", strconv.Quote(head.Hash))
			w.Header().Set("Content-Length", strconv.Itoa(len(head.Bytes)))
			_, _ = w.Write(head.Bytes) // a reader that went away asks again
			return
		}
		select {
		case <-changed:
		case <-expired.C:
			w.WriteHeader(http.StatusNoContent)
			return
		case <-r.Context().Done():
			return
		}
	}
}

func feedQuery(r *http.Request) (after uint64, wait time.Duration, problem string) {
	query := r.URL.Query()
	if s := query.Get("after"); s != "" {
		var err error
		if after, err = strconv.ParseUint(s, 10, 64); err != nil {
			return 0, 0, "after is not a version"
		}
	}
	if s := query.Get("wait"); s != "" {
		var err error
		if wait, err = time.ParseDuration(s); err != nil || wait < 0 {
			return 0, 0, "wait is not a duration such as 30s"
		}
	}
	return after, min(wait, MaxWait), ""
}
