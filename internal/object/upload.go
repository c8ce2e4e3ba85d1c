package object

import (
	"context"
	"time"
)

// Upload is an object on its way into a store, for what is too large to be held
// as a whole. It is used by one goroutine at a time, and ends with Commit or Abort;
// whoever abandons it leaves something in the store that is paid for until it is
// discarded (see Store.Unfinished).
type Upload interface {
	// Write appends p, which the caller may use again. It may return the error of an
	// earlier piece that was still under way. After an error only Abort is of use.
	Write(ctx context.Context, p []byte) error
	// Commit makes the object appear as a whole, if cond holds. ErrConflict when it does
	// not hold, or when the upload is not there any more: somebody discarded it, or
	// an earlier Commit took and its reply was lost. Read and compare. After any
	// error the upload may still be aborted.
	Commit(ctx context.Context, cond Condition) error
	// Abort removes what was written. After a Commit that took, or an Abort, it does
	// nothing; after a Commit of unknown outcome it never removes the object.
	Abort(ctx context.Context) error
}

// Unfinished is an upload that was neither committed nor aborted.
type Unfinished struct {
	Key string
	// Begun is when, by the store's own clock.
	Begun time.Time
	// ID is the store's name for it.
	ID string
}
