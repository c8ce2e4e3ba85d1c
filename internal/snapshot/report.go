package snapshot

import (
	"time"

	"github.com/failoverd/failoverd/internal/topology"
)

// Report is what the dump service of a product says of itself to the leading
// watcher, about once a second. Ages are milliseconds as the dump machine measured
// them, -1 where nothing is known: no two machines' clocks are compared.
type Report struct {
	// Instance names the process, for a second one beside it is a mistake.
	Instance string `json:"instance"`
	// Leaving says that this is the process's last report: another may follow at once.
	Leaving bool `json:"leaving,omitempty"`
	// Server is the name of the server that is copied.
	Server string `json:"server"`
	// EveryMs is how often a snapshot is due.
	EveryMs int64 `json:"everyMs"`
	// Newest is the newest whole snapshot in any store, nil when there is none.
	Newest *Copy `json:"newest,omitempty"`
	// Running is the snapshot being taken, nil when none is.
	Running *Running `json:"running,omitempty"`
	// NextMs is the time until the next is due.
	NextMs int64 `json:"nextMs"`
	// Waiting says why none is begun although it is due.
	Waiting string `json:"waiting,omitempty"`
	// Failing is why the latest try failed, empty after a good one; FailingMs is for
	// how long it has been so.
	Failing   string        `json:"failing,omitempty"`
	FailingMs int64         `json:"failingMs,omitempty"`
	Stores    []StoreReport `json:"stores"`
	Drill     *DrillNote    `json:"drill,omitempty"` // the latest
	Drilling  bool          `json:"drilling,omitempty"`
	// Cut is the highest epoch whose beginning this process was told of, see Orders.Cuts.
	Cut uint64 `json:"cut,omitempty"`
	// Done is the number of the latest order to take one that was carried out, and
	// DoneWhy why that did not succeed.
	Done    uint64 `json:"done,omitempty"`
	DoneWhy string `json:"doneWhy,omitempty"`
}

// Copy is a snapshot in a few words.
type Copy struct {
	ID string `json:"id"`
	// Point is when the data was so, by the dump machine's clock; AgeMs the time since.
	Point       time.Time `json:"point"`
	AgeMs       int64     `json:"ageMs"`
	Epoch       uint64    `json:"epoch"`
	Full        bool      `json:"full"`
	Rows        int64     `json:"rows"`
	Bytes       int64     `json:"bytes"`
	ReadBytes   int64     `json:"readBytes"`
	StoredBytes int64     `json:"storedBytes"`
	TookMs      int64     `json:"tookMs"`
	StallMs     int64     `json:"stallMs"`
	// Diverged says that it holds transactions that its chain does not.
	Diverged bool `json:"diverged,omitempty"`
}

// CopyOf is a manifest in a few words.
func CopyOf(m Manifest, now time.Time) Copy {
	return Copy{ID: m.ID, Point: m.Point, AgeMs: now.Sub(m.Point).Milliseconds(), Epoch: m.Epoch, Full: m.Full, Rows: m.Totals.Rows, Bytes: m.Totals.Bytes,
		ReadBytes: m.Totals.ReadBytes, StoredBytes: m.Totals.StoredBytes, TookMs: m.Finished.Sub(m.Started).Milliseconds(), StallMs: m.StallMs,
		Diverged: !m.Diverged.Empty()}
}

// Running is how far a snapshot is.
type Running struct {
	ForMs int64 `json:"forMs"` // since it began
	// Bytes were read, of Of that are expected; canonical rows, 0 when not known.
	Bytes int64 `json:"bytes"`
	Of    int64 `json:"of"`
}

// StoreReport is what of the copies is in one store.
type StoreReport struct {
	Name string `json:"name"`
	// Newest is the newest snapshot there, empty for none; AgeMs its age.
	Newest string `json:"newest,omitempty"`
	AgeMs  int64  `json:"ageMs"`
	// Behind is how many snapshots are still to come from another store.
	Behind int `json:"behind"`
	// Error is why the store cannot be used, empty when it can.
	Error string `json:"error,omitempty"`
	// ShippedMs is how much is lost if all but this store is: the time since until when
	// all of the binary log is there. -1 when it is not shipped.
	ShippedMs int64 `json:"shippedMs"`
	// Gap says what is missing in the middle of it, empty for nothing: no restore goes
	// past that but from a younger snapshot.
	Gap string `json:"gap,omitempty"`
	// ShipError is why it is not shipped at the moment.
	ShipError string `json:"shipError,omitempty"`
}

// DrillNote is a drill in a few words.
type DrillNote struct {
	ID       string    `json:"id"`
	Snapshot string    `json:"snapshot"`
	At       time.Time `json:"at"`
	AgeMs    int64     `json:"ageMs"`
	Passed   bool      `json:"passed"`
	Why      string    `json:"why,omitempty"` // why it did not pass
	// TookMs is the whole drill's time and RestoreMs that until the copy could serve.
	TookMs    int64 `json:"tookMs"`
	RestoreMs int64 `json:"restoreMs"`
	// BytesPerSecond are canonical rows restored a second.
	BytesPerSecond int64 `json:"bytesPerSecond"`
}

// Orders are what the leading watcher answers.
type Orders struct {
	// Epoch is the chain's, Seat the seat of the server that is copied.
	Epoch uint64        `json:"epoch"`
	Seat  topology.Seat `json:"seat"`
	// Wait says why no snapshot may be taken now, empty when one may: a plan is open
	// that promotes, or the server's data is not its chain's.
	Wait string `json:"wait,omitempty"`
	// Acks says that the server acknowledges commits at the moment, so that it is better left alone.
	Acks bool `json:"acks,omitempty"`
	// Cuts are the ends of earlier epochs that the service was not told of yet.
	Cuts []Cut `json:"cuts,omitempty"`
	// Take is the number of the latest order to take one now, 0 for none.
	Take uint64 `json:"take,omitempty"`
}

// Event is what the history is to keep of the copies.
type Event struct {
	Server string `json:"server"`
	// What is "snapshot", "ship" or "drill".
	What string `json:"what"`
	// Outcome is "done", or "failed" with the reason.
	Outcome string `json:"outcome"`
	Why     string `json:"why,omitempty"`
	Ms      int64  `json:"ms,omitempty"` // how long it took, milliseconds
}
