package testenv

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
)

// S3 is an S3 service in this process, holding its data in memory, that can be made to misbehave. It honours
// If-Match and If-None-Match on PUT; it checks no signature and no SHA-256, ignores If-Match on DELETE and
// If-None-Match at multipart completion, and has no object lock.
type S3 struct {
	Endpoint  string // http://host:port, for path-style requests
	Bucket    string
	Region    string
	AccessKey string
	SecretKey string

	addr    string
	handler http.Handler

	mu     sync.Mutex
	server *http.Server // nil while down
	ended  chan struct{}
	faults s3Faults
}

type s3Faults struct {
	delay     time.Duration
	status    int
	failing   int // requests still to fail, negative for all
	loseReply int
}

// NewS3 serves on a free port of 127.0.0.1 until Close.
func NewS3(ctx context.Context) (*S3, error) { return NewS3At(ctx, "127.0.0.1:0") }

// NewS3At serves on a given host:port, for viewers in network namespaces.
func NewS3At(ctx context.Context, addr string) (*S3, error) {
	backend := s3mem.New()
	s := &S3{Bucket: "failoverd", Region: "us-east-1", AccessKey: "test-key", SecretKey: "test-secret"}
	if err := backend.CreateBucket(s.Bucket); err != nil {
		return nil, fmt.Errorf("create bucket: %w", err)
	}
	s.handler = gofakes3.New(backend, gofakes3.WithTimeSkewLimit(0),
		gofakes3.WithLogger(gofakes3.DiscardLog())).Server()
	if err := s.listen(ctx, addr); err != nil {
		return nil, err
	}
	return s, nil
}

func (s *S3) listen(ctx context.Context, addr string) error {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
	if err != nil {
		return fmt.Errorf("serve S3: %w", err)
	}
	s.addr = listener.Addr().String()
	s.Endpoint = "http://" + s.addr
	server := &http.Server{Handler: s, ReadHeaderTimeout: 30 * time.Second,
		ErrorLog: log.New(io.Discard, "", 0)} // it complains of replies that are lost on purpose
	ended := make(chan struct{})
	s.server, s.ended = server, ended
	go func() {
		defer close(ended)
		_ = server.Serve(listener) // always ends with ErrServerClosed, by Down or Close
	}()
	return nil
}

// ServeHTTP applies the faults that are set and passes the request on.
func (s *S3) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	fault := s.take()
	if fault.delay > 0 {
		timer := time.NewTimer(fault.delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-r.Context().Done():
			return
		}
	}
	if fault.failing != 0 {
		w.Header().Set("Content-Type", "application/xml")
		w.WriteHeader(fault.status)
		fmt.Fprintf(w, "<Error><Code>%s</Code><Message>made to fail</Message></Error>", s3Code(fault.status))
		return
	}
	if fault.loseReply > 0 {
		s.handler.ServeHTTP(lost{http.Header{}}, r)
		panic(http.ErrAbortHandler) // net/http's way to cut the connection
	}
	s.handler.ServeHTTP(w, r)
}

// take returns the faults of one request and counts it.
func (s *S3) take() s3Faults {
	s.mu.Lock()
	defer s.mu.Unlock()
	fault := s.faults
	if s.faults.failing > 0 {
		s.faults.failing--
	}
	if fault.failing == 0 && s.faults.loseReply > 0 {
		s.faults.loseReply--
	}
	return fault
}

// Down refuses connections, and cuts those there are, until Up.
func (s *S3) Down() {
	s.mu.Lock()
	server, ended := s.server, s.ended
	s.server = nil
	s.mu.Unlock()
	if server != nil {
		server.Close()
		<-ended
	}
}

// Up serves again at the same address, with the data kept and no fault set.
func (s *S3) Up(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = s3Faults{}
	if s.server != nil {
		return nil
	}
	return s.listen(ctx, s.addr)
}

// Delay holds every request back for d.
func (s *S3) Delay(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults.delay = d
}

// Fail answers the next n requests with an HTTP status and without effect; n < 0 means all until Up.
func (s *S3) Fail(status, n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults.status, s.faults.failing = status, n
}

// LoseReply performs each of the next n requests and then cuts the connection instead of answering.
func (s *S3) LoseReply(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults.loseReply = n
}

// Close ends the service.
func (s *S3) Close() { s.Down() }

// s3Code is the error code S3 sends with a status (Amazon S3 API reference, "Error responses").
func s3Code(status int) string {
	switch status {
	case http.StatusForbidden:
		return "AccessDenied"
	case http.StatusNotFound:
		return "NoSuchKey"
	case http.StatusConflict:
		return "ConditionalRequestConflict"
	case http.StatusPreconditionFailed:
		return "PreconditionFailed"
	case http.StatusServiceUnavailable:
		return "SlowDown"
	}
	return "InternalError"
}

// lost is a response that nobody will read.
type lost struct{ header http.Header }

func (l lost) Header() http.Header         { return l.header }
func (l lost) Write(b []byte) (int, error) { return len(b), nil }
func (l lost) WriteHeader(int)             {}
