package snapshot

import (
	"time"

	"github.com/failoverd/failoverd/internal/topology"
)

// Format is the version of what is written. A reader refuses a higher one.
const Format = 1

// Manifest describes a snapshot. It is written last, and only if there is none of
// its name: a snapshot exists if and only if its manifest does. It is small; what
// grows with the data is in the objects that it refers to.
type Manifest struct {
	Format  int    `json:"format"`
	ID      string `json:"id"` // see NewID
	Product string `json:"product"`
	// Epoch is the chain's when the point was taken.
	Epoch uint64 `json:"epoch"`
	// Server is the dump slave's name, UUID and Version are its own.
	Server  string `json:"server"`
	UUID    string `json:"uuid"`
	Version string `json:"version"`
	// GTIDs is exactly what the snapshot holds.
	GTIDs topology.GTIDSet `json:"gtids"`
	// Started and Finished are when work on it began and ended, Point is when the
	// data was as it is here; the dump machine's clock.
	Started  time.Time `json:"started"`
	Point    time.Time `json:"point"`
	Finished time.Time `json:"finished"`
	// StallMs is for how long the applier stood still, milliseconds.
	StallMs int64 `json:"stallMs"`
	// Full says that everything was read from the server; otherwise Parent is the
	// snapshot whose chunks were referred to.
	Full   bool   `json:"full"`
	Parent string `json:"parent,omitempty"`
	// FullAt is the Point of the latest full snapshot that it goes back to, its own when it is full.
	FullAt time.Time `json:"fullAt,omitzero"`
	// Drifted are tables that were read and are not what the snapshot before and the log
	// since would make of them: something changed them past the log. This snapshot has them as they are.
	Drifted []TableID `json:"drifted,omitempty"`
	// Schema holds the Schema, Catalog the Catalog, both JSON.
	Schema  Ref            `json:"schema"`
	Catalog Ref            `json:"catalog"`
	Totals  Totals         `json:"totals"`
	Tables  []TableSummary `json:"tables"`
	// Diverged are transactions in it that the chain does not have: the dump slave
	// was ahead of the server that was promoted. Such a snapshot is not restored
	// unless that is asked for.
	Diverged topology.GTIDSet `json:"diverged,omitzero"`
	// Warnings are sentences on what the snapshot cannot hold exactly.
	Warnings []string `json:"warnings,omitempty"`
}

// TableSummary is what a manifest says of one table.
type TableSummary struct {
	TableID
	Rows int64 `json:"rows"`
	// Bytes are of its canonical rows.
	Bytes int64 `json:"bytes"`
	Sum   Sum   `json:"sum"`
	// Way is how it was taken: whole, same, chunks or delta.
	Way string `json:"way"`
	// Why says what spoke against a cheaper way, empty where everything is read anyway.
	Why string `json:"why,omitempty"`
}

// Totals sum a snapshot up.
type Totals struct {
	Tables int   `json:"tables"`
	Rows   int64 `json:"rows"`
	Bytes  int64 `json:"bytes"` // of canonical rows
	// ReadBytes were read from the server, canonical; StoredBytes were written to the store for it.
	ReadBytes   int64 `json:"readBytes"`
	StoredBytes int64 `json:"storedBytes"`
}

// Ref is a whole object, or a piece of one, as stored: compressed, and encrypted if the
// store is.
type Ref struct {
	Key    string `json:"key"`
	Offset int64  `json:"offset,omitempty"`
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"` // of these bytes, hexadecimal
}

// Catalog says where the rows of each table are.
type Catalog struct {
	Tables []TableData `json:"tables"`
}

// TableData is where a table's rows are: all of Chunks, then each of Deltas on top, in order.
type TableData struct {
	TableID
	Chunks []Chunk `json:"chunks"`
	Deltas []Delta `json:"deltas,omitempty"`
}

// Chunk is about a megabyte of rows in key order: each a uvarint of its length and
// the canonical row; then compressed as one zstd frame, and encrypted if the store is.
type Chunk struct {
	Ref
	Rows int64 `json:"rows"`
	Raw  int64 `json:"raw"` // bytes of the canonical rows
	Sum  Sum   `json:"sum"`
	// The rows are those with After < key <= Upto, in a table that is Seekable. A
	// table's first chunk has no After, its last no Upto, and they leave no gap.
	After Key `json:"after,omitempty"`
	Upto  Key `json:"upto,omitempty"`
}

// Delta is a set of changed rows: canonical rows whose keys are to be deleted, if
// present, before all the rows of Upserts are put in. Both are laid out as a chunk.
type Delta struct {
	Deletes *Chunk `json:"deletes,omitempty"` // rows with the key's columns alone
	Upserts *Chunk `json:"upserts,omitempty"`
	// Touches are the places in the table's Chunks that its keys belong to, as runs of
	// first and last; known for a table that is Seekable.
	Touches [][2]int `json:"touches,omitempty"`
}

// Key is a value of a Seekable table's key: a decimal number for each of its columns.
type Key []string
