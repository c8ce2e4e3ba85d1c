package main

import (
	"context"
	"errors"
	"strings"

	"github.com/failoverd/failoverd/internal/api"
)

// The exit codes. Scripts branch on them, so they keep their meaning.
const (
	exitDone     = 0
	exitFailed   = 1
	exitUsage    = 2
	exitRefused  = 3
	exitUnknown  = 4
	exitNoQuorum = 5
	exitHung     = 6
)

const exitHelp = `Exit codes:
  0  done
  1  failed (no watcher answers, a finding of "doctor", anything not below)
  2  wrong usage: nothing was asked for ("apply --detailed-exitcode": something changed)
  3  refused, or taken back: nothing was changed
  4  outcome unknown, or not finished yet: see the hint before asking again
  5  the watchers have no quorum: nothing was changed
  6  "serve": a part of this watcher hung, and it ended itself to be started anew`

// exitError is an error with its exit code and what to do about it.
type exitError struct {
	code    int
	message string // none: the command has said everything
	reasons []string
	hint    string
	cause   error
}

func (e *exitError) Error() string { return e.message }
func (e *exitError) Unwrap() error { return e.cause }

// usageError is for what was typed or written in a file, and is wrong.
func usageError(err error) error {
	return &exitError{code: exitUsage, message: err.Error(), cause: err}
}

// explainError finds an error's exit code and hint.
func explainError(ctx context.Context, err error) *exitError {
	var known *exitError
	if errors.As(err, &known) {
		return known
	}
	var answer *api.Error
	if errors.As(err, &answer) {
		return &exitError{code: codeOf(answer.Code), message: answer.Message, reasons: answer.Reasons, hint: answer.Help}
	}
	switch {
	case ctx.Err() != nil:
		return &exitError{code: exitFailed, message: "interrupted"}
	case errors.Is(err, api.ErrUnreachable):
		return &exitError{code: exitFailed, message: err.Error(),
			hint: "the watchers' addresses come from --endpoints or FAILOVERD_ENDPOINTS, and are " + api.DefaultListen + " otherwise"}
	case isCobraUsage(err):
		return &exitError{code: exitUsage, message: err.Error(), hint: "\"failoverd help\" lists the commands, \"failoverd COMMAND --help\" the flags"}
	}
	return &exitError{code: exitFailed, message: err.Error()}
}

func codeOf(code api.Code) int {
	switch code {
	case api.BadRequest, api.NotFound:
		return exitUsage
	case api.Refused, api.Stale, api.Forbidden:
		return exitRefused
	case api.UnknownOutcome:
		return exitUnknown
	case api.NoQuorum:
		return exitNoQuorum
	}
	return exitFailed
}

// isCobraUsage knows cobra's own complaints, which have no type.
func isCobraUsage(err error) bool {
	for _, start := range []string{"unknown command", "unknown flag", "unknown shorthand", "required flag", "flag needs an argument", "invalid argument",
		"accepts ", "requires at least", "if any flags in the group", "at least one of the flags"} {
		if strings.HasPrefix(err.Error(), start) {
			return true
		}
	}
	return false
}
