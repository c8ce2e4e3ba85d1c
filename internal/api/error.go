package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/failoverd/failoverd/internal/journal"
	"github.com/failoverd/failoverd/internal/promote"
)

// Code is what kind of failure an Error is. Programs branch on it.
type Code string

// The codes. Except for UnknownOutcome and Internal, nothing changed.
const (
	BadRequest     Code = "bad-request"
	NotFound       Code = "not-found"
	Refused        Code = "refused"
	Stale          Code = "stale"
	NoQuorum       Code = "no-quorum"
	UnknownOutcome Code = "unknown-outcome"
	Forbidden      Code = "forbidden"
	Internal       Code = "internal"
)

// Error is the body of every answer that is not a success, and what the Client
// returns for it.
type Error struct {
	Code    Code   `json:"code"`
	Message string `json:"error"`
	// Reasons has a sentence for each thing that speaks against a request.
	Reasons []string `json:"reasons,omitempty"`
	// Help is what to do about it, often a command.
	Help string `json:"help,omitempty"`
	// Plan is the plan that this is about, 0 when there is none or it is not known.
	Plan uint64 `json:"plan,omitempty"`
	// Copy is set when a rebuild was refused for want of a server to copy: what may be
	// filled from a copy in the object store instead.
	Copy *CopyInstead `json:"copy,omitempty"`
}

// CopyInstead is a server out of rotation whose data may come from the object store,
// since no server is left to copy.
type CopyInstead struct {
	Server string `json:"server"`
	Addr   string `json:"addr"` // host:port
	// UUID is that of the server as last seen, before it was set up anew.
	UUID string `json:"uuid,omitempty"`
}

// Error is the message with its reasons.
func (e *Error) Error() string {
	if len(e.Reasons) == 0 {
		return e.Message
	}
	return e.Message + ": " + strings.Join(e.Reasons, "; ")
}

// Is makes errors.Is work with ErrNoQuorum, ErrNotFound and ErrUnknownOutcome on
// both sides of the wire.
func (e *Error) Is(target error) bool {
	switch target {
	case ErrNoQuorum:
		return e.Code == NoQuorum
	case ErrNotFound:
		return e.Code == NotFound
	case ErrUnknownOutcome:
		return e.Code == UnknownOutcome
	case journal.ErrStale:
		return e.Code == Stale
	}
	return false
}

func (e *Error) status() int {
	switch e.Code {
	case BadRequest:
		return http.StatusBadRequest
	case NotFound:
		return http.StatusNotFound
	case Refused, Stale:
		return http.StatusConflict
	case NoQuorum:
		return http.StatusServiceUnavailable
	case UnknownOutcome:
		return http.StatusGatewayTimeout
	case Forbidden:
		return http.StatusForbidden
	}
	return http.StatusInternalServerError
}

const (
	helpNoQuorum = "a majority of the watchers must be up and see each other: run \"failoverd watchers\" against each of them"
	helpUnknown  = "the change may or may not have happened, do not repeat it blindly: run \"failoverd status\" and \"failoverd history\" to see"
	helpStale    = "somebody was faster: run \"failoverd status\" and decide again"
)

// asError gives every error of a Backend its code. The default is that of a
// change which the journal refused.
func asError(err error) *Error {
	var wire *Error
	var refusal promote.Refusal
	switch {
	case errors.As(err, &wire):
		return wire
	case errors.As(err, &refusal):
		return &Error{Code: Refused, Message: "refused, nothing was changed", Reasons: refusal.Reasons}
	case errors.Is(err, ErrUnknownOutcome):
		return &Error{Code: UnknownOutcome, Message: err.Error(), Help: helpUnknown}
	case errors.Is(err, ErrNoQuorum), errors.Is(err, ErrNotLeader):
		return &Error{Code: NoQuorum, Message: err.Error(), Help: helpNoQuorum}
	case errors.Is(err, journal.ErrStale):
		return &Error{Code: Stale, Message: err.Error(), Help: helpStale}
	case errors.Is(err, ErrNotFound):
		return &Error{Code: NotFound, Message: err.Error()}
	}
	return &Error{Code: Refused, Message: err.Error()}
}

// internalError is for failures that are nobody's refusal: a server that could not be asked.
func internalError(err error) error {
	if errors.Is(err, ErrNotFound) || errors.Is(err, ErrNoQuorum) || errors.Is(err, ErrNotLeader) {
		return err
	}
	var wire *Error
	if errors.As(err, &wire) {
		return err
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return &Error{Code: Internal, Message: "it took too long: " + err.Error()}
	}
	return &Error{Code: Internal, Message: err.Error()}
}

func badRequest(format string, args ...any) error {
	return &Error{Code: BadRequest, Message: fmt.Sprintf(format, args...)}
}

func noProduct(name string, known []string) error {
	has := "there are none yet: \"failoverd apply -f products.yaml\" adds them"
	if len(known) > 0 {
		has = "there is " + strings.Join(known, ", ")
	}
	return &Error{Code: NotFound, Message: fmt.Sprintf("there is no product %q", name), Help: has}
}

func writeError(w http.ResponseWriter, err error) {
	e := asError(err)
	writeJSON(w, e.status(), e)
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	data, err := json.Marshal(body)
	if err != nil {
		panic(err) // plain data always encodes
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(append(data, '\n')) // a caller that went away asks again
}
