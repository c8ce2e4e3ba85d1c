// Package object says what failoverd asks of an object store: whole objects,
// conditional writes and listing. Adapters (S3, a directory) live in
// internal/s3; Memory is the twin that tests and the simulator use. All of them
// pass the suite in objecttest.
package object

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// The errors a caller branches on. Any other error means that the store said
// no for a reason that waiting does not mend (denied, no such bucket, bad key).
var (
	// ErrNotFound says that no object has this key.
	ErrNotFound = errors.New("object not found")
	// ErrConflict says that a condition did not hold when the write arrived:
	// HTTP 412, AWS's 409 ConditionalRequestConflict, or the 404 that If-Match
	// gets for a missing object. It can be the echo of this very write, when an
	// earlier reply was lost and the client asked again: read and compare.
	ErrConflict = errors.New("object changed meanwhile")
	// ErrNotModified says that the object still has the ETag that was named.
	ErrNotModified = errors.New("object not modified")
	// ErrUnavailable says that the store gave no usable answer: timeout, broken
	// connection, 5xx or throttling. After a write it means "unknown", not "no".
	ErrUnavailable = errors.New("object store unavailable")
)

// Object is a whole object and the opaque tag of this content.
type Object struct {
	Body []byte
	ETag string
}

// Entry is one line of a listing.
type Entry struct {
	Key  string
	Size int64 // bytes
	// Modified is when the object was written, by the store's own clock. Compare it
	// with the times of other entries of the same store only.
	Modified time.Time
}

// Store keeps whole objects under slash-separated keys (see CheckKey). A read
// that starts after a write has returned sees it. Every method may also return
// the context's error or ErrUnavailable.
type Store interface {
	// Get reads an object. ErrNotFound when there is none.
	Get(ctx context.Context, key string) (Object, error)
	// GetIfChanged reads an object unless its ETag is still etag.
	// ErrNotModified when it is, ErrNotFound when there is no object.
	GetIfChanged(ctx context.Context, key, etag string) (Object, error)
	// GetRange reads size bytes of an object from offset on, fewer where it ends
	// before. ErrNotFound when there is no object, or none of it from offset on.
	GetRange(ctx context.Context, key string, offset, size int64) ([]byte, error)
	// Put writes the object as a whole if cond holds, and returns its ETag.
	// ErrConflict when cond does not hold.
	Put(ctx context.Context, key string, body []byte, cond Condition) (etag string, err error)
	// Upload begins an object that is written in pieces. Nothing need reach the
	// store before its Commit, and nothing is seen there.
	Upload(ctx context.Context, key string) (Upload, error)
	// List returns the entries whose keys start with prefix (any string, not
	// only whole path segments), sorted by key. No entries is not an error.
	List(ctx context.Context, prefix string) ([]Entry, error)
	// Delete removes an object. Deleting what is not there is not an error.
	Delete(ctx context.Context, key string) error
	// Unfinished returns the uploads to keys that start with prefix which were
	// neither committed nor aborted, whoever began them, sorted by key.
	Unfinished(ctx context.Context, prefix string) ([]Unfinished, error)
	// Discard ends an unfinished upload: what it wrote is removed, and it cannot be
	// committed. Discarding what is not there is not an error.
	Discard(ctx context.Context, u Unfinished) error
}

// Condition is what must hold for a Put to take.
type Condition struct {
	kind conditionKind
	etag string
}

type conditionKind int

const (
	always conditionKind = iota
	ifAbsent
	ifMatch
)

var (
	// Always overwrites whatever is there.
	Always = Condition{}
	// IfAbsent creates the object and never overwrites one.
	IfAbsent = Condition{kind: ifAbsent}
)

// IfMatch replaces exactly the object with this ETag. An empty etag matches
// nothing, so a forgotten one cannot become an unconditional write.
func IfMatch(etag string) Condition { return Condition{kind: ifMatch, etag: etag} }

// Absent reports whether the object must not exist.
func (c Condition) Absent() bool { return c.kind == ifAbsent }

// Match returns the ETag that the object must have, if one is asked for.
func (c Condition) Match() (etag string, asked bool) { return c.etag, c.kind == ifMatch }

// Holds decides the condition against an object's present state.
func (c Condition) Holds(exists bool, etag string) bool {
	switch c.kind {
	case ifAbsent:
		return !exists
	case ifMatch:
		return exists && c.etag != "" && etag == c.etag
	default:
		return true
	}
}

func (c Condition) String() string {
	switch c.kind {
	case ifAbsent:
		return "if absent"
	case ifMatch:
		return "if match " + c.etag
	default:
		return "always"
	}
}

// maxKeyBytes is S3's limit on an object key.
const maxKeyBytes = 1024

// CheckKey refuses keys that some store could not hold or would read
// differently: a key is non-empty segments joined by single slashes, none of
// them starting with a dot (a directory store keeps its own files there, and
// "..", of course, leads out of it).
func CheckKey(key string) error {
	if key == "" || len(key) > maxKeyBytes {
		return fmt.Errorf("object key of %d bytes: want 1 to %d", len(key), maxKeyBytes)
	}
	for i := range len(key) {
		if key[i] < 0x20 || key[i] == 0x7f || key[i] == '\\' {
			return fmt.Errorf("object key %q: control characters and backslashes are not allowed", key)
		}
	}
	for segment := range strings.SplitSeq(key, "/") {
		if segment == "" || segment[0] == '.' {
			return fmt.Errorf("object key %q: a segment is empty or starts with a dot", key)
		}
	}
	return nil
}

// CheckRange refuses a range that no object has.
func CheckRange(offset, size int64) error {
	if offset < 0 || size < 1 {
		return fmt.Errorf("range of %d bytes from %d on", size, offset)
	}
	return nil
}
