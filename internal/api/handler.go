package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/failoverd/failoverd/internal/publish"
)

// Options of a handler.
type Options struct {
	// Logger gets one line for each change that somebody asked for.
	Logger hclog.Logger
	// Feed serves the published document; without it there is no /v1/config.
	Feed http.Handler
	// Panel serves every other path to operators; without it they are not found.
	Panel http.Handler
	// Now is time.Now unless a test says otherwise.
	Now func() time.Time
}

// handler is the API over a Backend.
type handler struct {
	backend Backend
	desk    *desk
	logger  hclog.Logger
	now     func() time.Time
}

// NewHandler returns the API. Who may do what is decided by the client
// certificate's role; without TLS everything is allowed, and only on a loopback address.
func NewHandler(b Backend, o Options) http.Handler {
	h := &handler{backend: b, desk: newDesk(), logger: o.Logger, now: o.Now}
	if h.logger == nil {
		h.logger = hclog.NewNullLogger()
	}
	if h.now == nil {
		h.now = time.Now
	}
	mux := http.NewServeMux()
	for _, r := range h.routes() {
		mux.Handle(r.pattern, h.serve(r))
	}
	raw := func(pattern string, who access, next http.Handler) {
		mux.Handle(pattern, h.guard(who, next))
	}
	raw("GET /metrics", readers, newMetrics(b, h.desk, h.now)) // so that no scraper holds a certificate that may change anything
	raw("GET /livez", anybody, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, http.StatusOK, Ack{OK: true}) }))
	raw("GET /readyz", anybody, http.HandlerFunc(h.ready))
	if o.Feed != nil {
		raw(publish.FeedPath, readers, o.Feed)
	}
	if o.Panel != nil {
		raw("/", people, o.Panel)
	} else {
		raw("/", people, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			writeError(w, &Error{Code: NotFound, Message: fmt.Sprintf("there is no %s %s", r.Method, r.URL.Path)})
		}))
	}
	// A page that an operator's browser shows must not be able to change anything here.
	return http.NewCrossOriginProtection().Handler(mux)
}

// where says which watcher answers a route.
type where int

const (
	here        where = iota // the one that was asked
	leaderFirst              // the leader, or the one that was asked while there is none
	leaderOnly
)

// reportCopies comes once a second from every dump service, too often for a line in the log each.
const reportCopies = "POST /v1/products/{product}/copies"

type route struct {
	pattern string
	who     access
	where   where
	// atMost bounds the work; a long poll sets its own.
	atMost time.Duration
	handle func(ctx context.Context, c *call) (any, error)
}

// call is one request, after access was granted.
type call struct {
	request *http.Request
	writer  http.ResponseWriter
	actor   string
}

const (
	quick   = 10 * time.Second
	patient = 30 * time.Second // for what asks servers one after the other
)

func (h *handler) routes() []route {
	return []route{
		{"GET /v1/status", people, leaderFirst, quick, h.status},
		{"GET /v1/history", people, leaderFirst, quick, h.history},
		{"GET /v1/plans/{id}", people, leaderFirst, publish.MaxWait + quick, h.plan},
		{"GET /v1/inventory", people, leaderFirst, quick, h.readInventory},
		{"POST /v1/inventory", people, leaderOnly, 3 * quick, h.changeInventory},
		{"GET /v1/products/{product}/explain", people, leaderFirst, quick, h.explain},
		{"GET /v1/products/{product}/doctor", people, here, patient, h.doctor},
		{"POST /v1/products/{product}/switchover", people, leaderOnly, quick, h.switchover},
		{"POST /v1/products/{product}/raise", people, leaderOnly, quick, h.raise},
		{"POST /v1/products/{product}/failover", people, leaderOnly, quick, h.failover},
		{"POST /v1/products/{product}/maintenance", people, leaderOnly, quick, h.maintenance},
		{"POST /v1/products/{product}/rebuild", people, leaderOnly, quick, h.rebuild},
		{"POST /v1/products/{product}/mode", people, leaderOnly, quick, h.mode},
		{"POST /v1/products/{product}/pause", people, leaderOnly, quick, h.pause},
		{"POST /v1/products/{product}/resume", people, leaderOnly, quick, h.resume},
		{"POST /v1/products/{product}/snapshot", people, leaderOnly, quick, h.orderSnapshot},
		{reportCopies, dumpers, leaderOnly, quick, h.reportCopies},
		{"POST /v1/products/{product}/copies/event", drillers, leaderOnly, quick, h.noteCopies},
		{"GET /v1/brake", people, leaderFirst, quick, h.readBrake},
		{"POST /v1/brake", people, leaderOnly, quick, h.setBrake},
		{"POST /v1/adopt", people, here, patient, h.adopt},
		{"POST /v1/watchers", people, leaderOnly, quick, h.join},
		{"DELETE /v1/watchers/{id}", people, leaderOnly, quick, h.remove},
		{"POST /v1/leader", people, leaderOnly, quick, h.transfer},
		{"GET /v1/peer/views", peers, here, quick, h.views},
	}
}

func (h *handler) serve(r route) http.Handler {
	return h.guard(r.who, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if !h.routed(w, req, r.where) {
			return
		}
		ctx, cancel := context.WithTimeout(req.Context(), r.atMost)
		defer cancel()
		// A writer that cannot do this has no such timeout.
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(r.atMost + quick))
		c := &call{request: req, writer: w, actor: actor(req)}
		body, err := r.handle(ctx, c)
		if req.Method != http.MethodGet && (r.pattern != reportCopies || err != nil) {
			h.audit(c, err)
		}
		if err != nil {
			writeError(w, err)
			return
		}
		writeJSON(w, http.StatusOK, body)
	}))
}

// audit writes down who asked for which change, and what came of it.
func (h *handler) audit(c *call, err error) {
	fields := []any{"actor", c.actor, "method", c.request.Method, "path", c.request.URL.Path, "from", c.request.RemoteAddr}
	if err != nil {
		h.logger.Warn("request refused", append(fields, "code", asError(err).Code, "error", err)...)
		return
	}
	h.logger.Info("request carried out", fields...)
}

// leaderlessHeader names the watcher in an answer that it gave though it knows of
// no leader: what the others decided since it lost them is not in it.
const leaderlessHeader = "Failoverd-Leaderless"

// routed reports whether this watcher answers; otherwise it has sent the caller on.
func (h *handler) routed(w http.ResponseWriter, r *http.Request, to where) bool {
	if to == here || h.backend.IsLeader() || (to == leaderFirst && r.URL.Query().Get("local") == "1") {
		return true
	}
	id, api := h.backend.Leader()
	switch {
	case id != "" && id != h.backend.ID() && api != "":
		w.Header().Set("Location", strings.TrimSuffix(api, "/")+r.URL.RequestURI())
		w.WriteHeader(http.StatusTemporaryRedirect)
		return false
	case to == leaderFirst:
		if id == "" || id == h.backend.ID() {
			w.Header().Set(leaderlessHeader, h.backend.ID())
		}
		return true
	case id != "" && id != h.backend.ID():
		writeError(w, &Error{Code: NoQuorum, Message: fmt.Sprintf("watcher %s leads, and %s has not heard the address of its API", id, h.backend.ID()),
			Help: "give its address too, with --endpoints"})
		return false
	}
	writeError(w, &Error{Code: NoQuorum, Message: "no watcher leads at the moment, nothing was changed", Help: helpNoQuorum})
	return false
}

func (h *handler) ready(w http.ResponseWriter, _ *http.Request) {
	if err := h.backend.Ready(); err != nil {
		writeJSON(w, http.StatusServiceUnavailable, &Error{Code: Internal, Message: err.Error()})
		return
	}
	writeJSON(w, http.StatusOK, Ack{OK: true})
}

const maxBody = 1 << 20

// body decodes a request's body strictly. An empty one leaves out as it is.
func (c *call) body(out any) error {
	decoder := json.NewDecoder(http.MaxBytesReader(c.writer, c.request.Body, maxBody))
	decoder.DisallowUnknownFields()
	err := decoder.Decode(out)
	if errors.Is(err, io.EOF) {
		return nil
	}
	var tooLong *http.MaxBytesError
	switch {
	case errors.As(err, &tooLong):
		return badRequest("the body is longer than %d bytes", tooLong.Limit)
	case err != nil:
		return badRequest("the body is not as expected: %s", strings.TrimPrefix(err.Error(), "json: "))
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return badRequest("the body goes on after its end")
	}
	return nil
}
