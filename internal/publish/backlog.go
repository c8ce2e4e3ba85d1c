package publish

import (
	"bytes"
	"maps"
	"slices"
	"time"
)

// backlog is what a Publisher knows: pure, so that every order of events can be
// tried without a store.
type backlog struct {
	want   Input // what was asked for since newest was last in the store
	newest *Head // the newest document announced; nil if none
	// stored is what the store's head was when last looked at; nil if not known.
	stored *stored
	// unstored are the documents rendered here and not yet in the store, oldest
	// first.
	unstored []*Head
}

// stored is the store's head, or that there is none.
type stored struct {
	head *Head // nil: none
	etag string
}

// maxUnstored bounds what is kept for the history while the store is away.
const maxUnstored = 100

// merged is want with in's word on top.
func (b *backlog) merged(in Input) Input {
	want := Input{
		Products:    maps.Clone(b.want.Products),
		Zones:       b.want.Zones,
		Remove:      slices.Clone(b.want.Remove),
		LastVersion: max(b.want.LastVersion, in.LastVersion),
	}
	if want.Products == nil {
		want.Products = map[string]Product{}
	}
	if in.Zones != nil {
		want.Zones = slices.Clone(in.Zones)
	}
	for _, name := range in.Remove {
		delete(want.Products, name)
		if !slices.Contains(want.Remove, name) {
			want.Remove = append(want.Remove, name)
		}
	}
	for name, p := range in.Products {
		want.Products[name] = p
		want.Remove = slices.DeleteFunc(want.Remove, func(removed string) bool { return removed == name })
	}
	return want
}

// next renders want. It returns newest itself when that says so already.
func (b *backlog) next(want Input, key PrivateKey, now time.Time) (*Head, error) {
	base := b.base(want.Remove)
	if b.newest == nil || base == b.newest {
		return Render(base, want, key, now)
	}
	// Somebody else's document is in the store and ours is served already, so
	// the next one must be newer than both, whatever it says.
	want.LastVersion = max(want.LastVersion, b.newest.Document.Version)
	d, err := compose(base, want, now)
	if err != nil {
		return nil, err
	}
	head, err := key.Seal(d)
	if err != nil {
		return nil, err
	}
	return head, head.Document.Supersedes(b.newest.Document)
}

// base is the document that the next one follows: the newest, as long as it can
// be put on top of the store's head as it is, or else that head.
func (b *backlog) base(remove []string) *Head {
	switch {
	case b.stored == nil || b.stored.head == nil:
		return b.newest
	case b.newest == nil || !b.newestFollows(b.stored.head, remove):
		return b.stored.head
	default:
		return b.newest
	}
}

// newestFollows reports whether newest is head, or can be put in its place
// without a trace lost: it is newer, drops no product that was not meant to go,
// and its chain of hashes leads to head through documents that go to the history
// with it.
func (b *backlog) newestFollows(head *Head, remove []string) bool {
	if b.newest.Hash == head.Hash {
		return true
	}
	if b.newest.Document.Supersedes(head.Document) != nil {
		return false
	}
	for name := range head.Document.Products {
		if _, kept := b.newest.Document.Products[name]; !kept && !slices.Contains(remove, name) {
			return false
		}
	}
	previous := b.newest.Document.Previous
	for i := len(b.unstored) - 1; i >= 0 && previous != head.Hash; i-- {
		if b.unstored[i].Hash == previous {
			previous = b.unstored[i].Document.Previous
		}
	}
	return previous == head.Hash
}

// add records a document that was rendered and announced.
func (b *backlog) add(head *Head) {
	b.newest = head
	b.unstored = append(slices.Clone(b.unstored), head)
	if len(b.unstored) > maxUnstored {
		b.unstored = b.unstored[1:]
	}
}

// nowStored records the store's head; what is in its history is let go.
func (b *backlog) nowStored(s *stored) {
	b.stored = s
	if s.head == nil {
		return
	}
	at := slices.IndexFunc(b.unstored, func(h *Head) bool { return h.Hash == s.head.Hash })
	b.unstored = b.unstored[at+1:]
	if b.newest != nil && b.newest.Hash == s.head.Hash {
		b.want = Input{LastVersion: b.want.LastVersion} // newest carries the rest
	}
}

// resign forgets what was asked for and never stored.
func (b *backlog) resign() {
	b.want, b.unstored = Input{}, nil
}

// storedIs reports whether the store's head is known to be this one.
func (b *backlog) storedIs(head *Head) bool {
	return b.stored != nil && b.stored.head != nil && bytes.Equal(b.stored.head.Bytes, head.Bytes)
}
