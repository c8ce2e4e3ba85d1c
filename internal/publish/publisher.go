package publish

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"time"

	"github.com/failoverd/failoverd/internal/object"
)

const (
	// HeadKey is the key of the object that everybody reads.
	HeadKey = "config.json"
	// HistoryPrefix starts the keys of the immutable copies.
	HistoryPrefix = "history/"
)

// HistoryKey is where a head's immutable copy is kept.
func HistoryKey(h *Head) string {
	short := strings.TrimPrefix(h.Hash, "sha256:")[:16]
	return fmt.Sprintf("%s%012d-%s.json", HistoryPrefix, h.Document.Version, short)
}

// Options of a Publisher. The zero value announces to nobody and trusts only the
// publisher's own key.
type Options struct {
	// Trust are further keys whose documents may be replaced: the old one
	// during a rotation.
	Trust Trust
	// Announce is called with each document that becomes the newest this
	// publisher knows, rendered here or found in the store, before it is stored
	// or returned. The leader commits its version to the replicated state (one
	// that lost its office fails here) and then serves it. An error ends the
	// call, and the document is not used. It must not call the Publisher.
	Announce func(context.Context, *Head) error
	// Now is time.Now unless a test says otherwise.
	Now func() time.Time
	// ReadTimeout bounds a read of the head, so that a store that does not
	// answer delays a promotion no longer than this. Default 1 s.
	ReadTimeout time.Duration
}

// Publisher puts the global config into a store. It is safe for concurrent use.
// Rendering and announcing take turns, and so do the calls to the store, but a
// store that hangs holds up no announcement.
type Publisher struct {
	store object.Store
	key   PrivateKey
	trust Trust
	opts  Options

	newest  atomic.Pointer[Head]
	storing turn // for calls to the store
	known   turn // for backlog, also during Announce; taken inside storing
	backlog backlog
}

const (
	defaultReadTimeout = time.Second
	// maxAttempts bounds the turns of a lost race. Each lost turn is some other
	// publisher's success.
	maxAttempts = 50
)

// NewPublisher returns a Publisher. Nothing is read or written yet.
func NewPublisher(store object.Store, key PrivateKey, options Options) *Publisher {
	if options.Announce == nil {
		options.Announce = func(context.Context, *Head) error { return nil }
	}
	if options.Now == nil {
		options.Now = time.Now
	}
	if options.ReadTimeout <= 0 {
		options.ReadTimeout = defaultReadTimeout
	}
	trust := options.Trust
	if key.key != nil {
		trust = append(Trust{key.Public()}, trust...)
	}
	return &Publisher{
		store: store, key: key, trust: trust, opts: options,
		storing: make(turn, 1), known: make(turn, 1),
	}
}

// Result says what a call came to.
type Result struct {
	Version uint64
	Hash    string
	ETag    string // of the head in the store; empty unless Stored
	Bytes   []byte // exactly what is served and stored
	Changed bool   // whether a new document was rendered
	Stored  bool   // whether the store holds it as its head
}

// Announce renders what in asks for, on top of all that was asked before, and
// hands it to Options.Announce if it is new. It does not wait for the store,
// except once for at most ReadTimeout when no document is known yet. Publish
// later stores it. Errors as for Publish, but never object.ErrUnavailable.
func (p *Publisher) Announce(ctx context.Context, in Input) (Result, error) {
	if p.newest.Load() == nil {
		// A store that is away stops nobody: versions start from LastVersion.
		if err := p.readFirst(ctx); err != nil && !isAway(err) {
			return Result{}, err
		}
	}
	return p.render(ctx, in)
}

// Publish announces what in asks for, as Announce does, and makes the store's
// head say so. When it says so already, nothing is written. A document goes to
// the history, then becomes the head if nobody replaced that meanwhile; after a
// conflict or a lost reply the head is read again.
//
// Errors: ErrEpochBehind when a published epoch is higher than in's;
// ErrUnverified or ErrMalformed when the head in the store cannot be read, which
// is never overwritten; object.ErrUnavailable when the store is away, with a
// Result that holds the announced document: call Publish again later and those
// bytes are stored.
func (p *Publisher) Publish(ctx context.Context, in Input) (Result, error) {
	announced, err := p.Announce(ctx, in)
	if err != nil {
		return announced, err
	}
	if err := p.storing.take(ctx); err != nil {
		return announced, fmt.Errorf("publish version %d: wait for the store: %w: %w",
			announced.Version, object.ErrUnavailable, err)
	}
	defer p.storing.release()
	result, err := p.storeNewest(ctx)
	if result.Version == 0 { // nothing newer became of it
		result = announced
	}
	result.Changed = result.Changed || announced.Changed
	if err != nil {
		if isAway(err) && !errors.Is(err, object.ErrUnavailable) {
			err = fmt.Errorf("%w: %w", object.ErrUnavailable, err)
		}
		return result, fmt.Errorf("publish version %d: %w", result.Version, err)
	}
	return result, nil
}

// storeNewest stores what is wanted by now, which is what this caller wants and
// perhaps more.
func (p *Publisher) storeNewest(ctx context.Context) (result Result, err error) {
	for attempt := range maxAttempts {
		if readErr := p.readUnlessKnown(ctx); readErr != nil {
			return result, errors.Join(readErr, err)
		}
		next, renderErr := p.render(ctx, Input{})
		if renderErr != nil {
			return result, renderErr
		}
		next.Changed = next.Changed || result.Changed
		if result = next; result.Stored {
			return result, nil
		}
		var now *stored
		if now, err = p.put(ctx); err == nil {
			return Result{
				Version: now.head.Document.Version, Hash: now.head.Hash, ETag: now.etag, Bytes: now.head.Bytes,
				Changed: result.Changed, Stored: true,
			}, nil
		}
		if !errors.Is(err, object.ErrConflict) && !isAway(err) {
			return result, err
		}
		if pauseErr := pause(ctx, attempt); pauseErr != nil {
			return result, errors.Join(pauseErr, err)
		}
	}
	return result, fmt.Errorf("gave up after %d attempts: %w", maxAttempts, err)
}

// Read looks at the store's head and returns the newest document known, which
// may be one that is not stored yet, or nil if there is none. A watcher that is
// not the leader calls it now and then, so that it can publish at once when it
// becomes one; the leader does too, to notice a head that somebody put back.
// Errors as for Publish; the document is returned beside one.
func (p *Publisher) Read(ctx context.Context) (*Head, error) {
	if err := p.storing.take(ctx); err != nil {
		return p.Head(), fmt.Errorf("read the published config: wait for the store: %w", err)
	}
	defer p.storing.release()
	err := p.read(ctx)
	return p.Head(), err
}

// Head returns the newest document known, stored or not, or nil.
func (p *Publisher) Head() *Head { return p.newest.Load() }

// Resign forgets what was announced and never stored. A watcher calls it when it
// loses the leadership, so that nothing of its old word is published in a later
// term: the replicated state then says all that is wanted.
func (p *Publisher) Resign() {
	_ = p.known.take(context.Background())
	defer p.known.release()
	p.backlog.resign()
}

// render makes the document for in, and announces it if it is new.
func (p *Publisher) render(ctx context.Context, in Input) (Result, error) {
	if err := p.known.take(ctx); err != nil {
		return Result{}, fmt.Errorf("wait for another announcement: %w", err)
	}
	defer p.known.release()
	b := &p.backlog
	want := b.merged(in)
	head, err := b.next(want, p.key, p.opts.Now())
	if err != nil {
		return Result{}, err
	}
	changed := b.newest == nil || head.Hash != b.newest.Hash
	if changed {
		if err := p.announce(ctx, head); err != nil {
			return Result{}, err
		}
		b.add(head)
	}
	b.want = want
	result := Result{Version: head.Document.Version, Hash: head.Hash, Bytes: head.Bytes, Changed: changed}
	if b.storedIs(head) {
		result.ETag, result.Stored = b.stored.etag, true
	}
	return result, nil
}

func (p *Publisher) announce(ctx context.Context, head *Head) error {
	if err := p.opts.Announce(ctx, head); err != nil {
		return fmt.Errorf("announce version %d: %w", head.Document.Version, err)
	}
	p.newest.Store(head)
	return nil
}

func (p *Publisher) readFirst(ctx context.Context) error {
	if err := p.storing.take(ctx); err != nil {
		return fmt.Errorf("wait for the store: %w", err)
	}
	defer p.storing.release()
	if p.newest.Load() != nil {
		return nil // somebody else was first
	}
	return p.readUnlessKnown(ctx)
}

func (p *Publisher) readUnlessKnown(ctx context.Context) error {
	if p.snapshot().stored != nil {
		return nil
	}
	return p.read(ctx)
}

// read learns the store's head, and announces it if it is the newest document.
// The caller has the storing turn.
func (p *Publisher) read(ctx context.Context) error {
	etag := ""
	if s := p.snapshot().stored; s != nil {
		etag = s.etag
	}
	getCtx, cancel := context.WithTimeout(ctx, p.opts.ReadTimeout)
	defer cancel()
	o, err := p.store.GetIfChanged(getCtx, HeadKey, etag)
	switch {
	case errors.Is(err, object.ErrNotModified):
		return nil
	case errors.Is(err, object.ErrNotFound):
		return p.learn(ctx, &stored{})
	case err != nil && ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("read the published config: no answer in %s: %w", p.opts.ReadTimeout, object.ErrUnavailable)
	case err != nil:
		return fmt.Errorf("read the published config: %w", err)
	}
	head, err := p.trust.Verify(o.Body)
	if err != nil {
		return fmt.Errorf("%s in the store is left as it is: %w; to mend: trust the key it was signed with, "+
			"or put the last good object of %s in its place, or delete it", HeadKey, err, HistoryPrefix)
	}
	return p.learn(ctx, &stored{head: head, etag: o.ETag})
}

func (p *Publisher) learn(ctx context.Context, s *stored) error {
	_ = p.known.take(context.WithoutCancel(ctx)) // or what was read would be lost
	defer p.known.release()
	b := &p.backlog
	newest := b.newest
	if s.head != nil && (newest == nil || s.head.Document.Supersedes(newest.Document) == nil) {
		if err := p.announce(ctx, s.head); err != nil {
			return err
		}
		newest = s.head
	}
	b.nowStored(s) // compares with our own newest: what somebody else stored leaves want as it is
	b.newest = newest
	return nil
}

// put stores the history first, since a head without its copy could never be
// proved, and then the newest document as the head. When that fails, the store's
// head counts as unknown.
func (p *Publisher) put(ctx context.Context) (*stored, error) {
	b := p.snapshot()
	after, err := p.putNewest(ctx, b)
	_ = p.known.take(context.WithoutCancel(ctx))
	defer p.known.release()
	if err != nil {
		p.backlog.stored = nil
		return nil, err
	}
	p.backlog.nowStored(after)
	return after, nil
}

func (p *Publisher) putNewest(ctx context.Context, b backlog) (*stored, error) {
	history := b.unstored
	if len(history) == 0 || history[len(history)-1].Hash != b.newest.Hash {
		history = []*Head{b.newest} // it was stored once and has gone
	}
	for _, h := range history {
		if err := p.archive(ctx, h); err != nil {
			return nil, err
		}
	}
	cond := object.IfAbsent
	if b.stored.head != nil {
		cond = object.IfMatch(b.stored.etag)
	}
	etag, err := p.store.Put(ctx, HeadKey, b.newest.Bytes, cond)
	if err != nil {
		return nil, err
	}
	return &stored{head: b.newest, etag: etag}, nil
}

func (p *Publisher) archive(ctx context.Context, h *Head) error {
	key := HistoryKey(h)
	_, err := p.store.Put(ctx, key, h.Bytes, object.IfAbsent)
	if !errors.Is(err, object.ErrConflict) {
		return err
	}
	o, err := p.store.Get(ctx, key)
	if err != nil {
		return err
	}
	if !bytes.Equal(o.Body, h.Bytes) {
		return fmt.Errorf("%s in the store is not what its name says; move it away", key)
	}
	return nil
}

// snapshot is a copy: what backlog points to is replaced, never changed.
func (p *Publisher) snapshot() backlog {
	_ = p.known.take(context.Background()) // only Announce holds it for long, bounded by its own context
	defer p.known.release()
	return p.backlog
}

// isAway tells a store that may answer later from one that said no.
func isAway(err error) bool {
	return errors.Is(err, object.ErrUnavailable) || errors.Is(err, context.DeadlineExceeded)
}

// pause waits up to 5 ms after the first lost turn and up to 200 ms later on.
func pause(ctx context.Context, attempt int) error {
	limit := min(5*time.Millisecond<<min(attempt, 10), 200*time.Millisecond)
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(rand.N(limit)):
		return nil
	}
}

// turn is a lock that a context can end the wait for.
type turn chan struct{}

func (t turn) take(ctx context.Context) error {
	select {
	case t <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (t turn) release() { <-t }
