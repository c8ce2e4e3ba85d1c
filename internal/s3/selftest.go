package s3

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/failoverd/failoverd/internal/object"
)

// ErrUnsafe says that the store does not keep the conditions of its writes, so
// that nothing stops two watchers from overwriting each other's config. It is a
// reason to refuse to start; object.ErrUnavailable, from a store that is merely
// away, is not.
var ErrUnsafe = errors.New("object store is not safe to publish to")

// racers is how many writers the self test lets race for one object.
const racers = 4

// SelfTest tries the store's conditional writes under keys that start with
// prefix (empty or ending in a slash), and removes what it wrote. The error
// wraps ErrUnsafe and says what the store does wrong and what that would risk,
// or it is the error of the call that failed.
func SelfTest(ctx context.Context, store object.Store, prefix string) error {
	key := prefix + "selftest-" + randomName()
	defer func() {
		cleanup, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		_ = store.Delete(cleanup, key) // a leftover does no harm, and the verdict stands
	}()
	steps := []func(context.Context, object.Store, string) error{testCreate, testReplace, testRace}
	for _, step := range steps {
		if err := step(ctx, store, key); err != nil {
			return fmt.Errorf("self test of the object store: %w", err)
		}
	}
	return nil
}

func testCreate(ctx context.Context, store object.Store, key string) error {
	first := []byte("first")
	if _, err := store.Put(ctx, key, first, object.IfAbsent); err != nil {
		// A conflict can be the echo of our own write whose reply was lost.
		o, readErr := store.Get(ctx, key)
		if !errors.Is(err, object.ErrConflict) || readErr != nil || string(o.Body) != string(first) {
			return fmt.Errorf("create an object: %w", err)
		}
	}
	_, err := store.Put(ctx, key, []byte("second"), object.IfAbsent)
	return mustConflict(err, "a create (If-None-Match: *) overwrote an existing object",
		"two watchers could each publish a first config, and history could be rewritten")
}

func testReplace(ctx context.Context, store object.Store, key string) error {
	o, err := store.Get(ctx, key)
	if err != nil {
		return fmt.Errorf("read an object just written: %w", err)
	}
	if o.ETag == "" {
		return unsafe("an object has no ETag", "a write could not name the version it replaces")
	}
	if _, err = store.Put(ctx, key, []byte("third"), object.IfMatch(o.ETag)); err != nil && !errors.Is(err, object.ErrConflict) {
		return fmt.Errorf("replace an object: %w", err)
	}
	after, readErr := store.Get(ctx, key)
	if readErr != nil {
		return fmt.Errorf("read an object just replaced: %w", readErr)
	}
	if string(after.Body) != "third" {
		if err != nil {
			return unsafe("a replace (If-Match) with the present ETag was refused", "no config could ever be published")
		}
		return unsafe("a read after a write returned older content", "a leader could miss a newer leader's config")
	}
	_, err = store.Put(ctx, key, []byte("fourth"), object.IfMatch(o.ETag))
	return mustConflict(err, "a replace (If-Match) with an old ETag overwrote newer content",
		"a leader that lost its office could send clients back to the old master")
}

func testRace(ctx context.Context, store object.Store, key string) error {
	o, err := store.Get(ctx, key)
	if err != nil {
		return fmt.Errorf("read before the race: %w", err)
	}
	errs := make([]error, racers)
	var wg sync.WaitGroup
	for i := range racers {
		wg.Go(func() {
			_, errs[i] = store.Put(ctx, key, fmt.Appendf(nil, "racer %d", i), object.IfMatch(o.ETag))
		})
	}
	wg.Wait()
	won := 0
	for _, err := range errs {
		switch {
		case err == nil:
			won++
		case !errors.Is(err, object.ErrConflict):
			return fmt.Errorf("replace an object in a race: %w", err)
		}
	}
	if won > 1 {
		return unsafe(fmt.Sprintf("%d of %d concurrent replaces of one version succeeded", won, racers),
			"one of two leaders' configs would be lost unnoticed")
	}
	return nil
}

func mustConflict(err error, wrong, risk string) error {
	if err == nil {
		return unsafe(wrong, risk)
	}
	if !errors.Is(err, object.ErrConflict) {
		return fmt.Errorf("a write that must be refused: %w", err)
	}
	return nil
}

func unsafe(wrong, risk string) error {
	return fmt.Errorf("%w: %s; %s", ErrUnsafe, wrong, strings.TrimSpace(risk))
}

func randomName() string {
	random := make([]byte, 8)
	_, _ = rand.Read(random) // documented never to fail
	return hex.EncodeToString(random)
}
