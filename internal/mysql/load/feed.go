package load

import (
	"errors"
	"io"
	"sync"

	"github.com/failoverd/failoverd/internal/snapshot"
)

// feedBytes is about how much text is made while the driver sends what was made
// before it.
const feedBytes = 256 << 10

// feed turns rows into text for the driver to read, in a goroutine of its own, for
// the driver pulls and rows are pushed.
type feed struct {
	text *text
	rows snapshot.Rows

	full chan []byte // text to be read; closed at the end
	free chan []byte // buffers to be filled
	quit chan struct{}
	err  error // what ended it; good once full is closed

	begun  sync.Once
	ended  sync.Once
	worker sync.WaitGroup
	given  int64

	current, rest []byte
}

func newFeed(t snapshot.Table, rows snapshot.Rows) *feed {
	f := &feed{text: newText(t), rows: rows, full: make(chan []byte, 1), free: make(chan []byte, 2), quit: make(chan struct{})}
	f.free <- make([]byte, 0, feedBytes+feedBytes/4)
	f.free <- make([]byte, 0, feedBytes+feedBytes/4)
	return f
}

// reader begins. The driver calls it when the server asks for the text, which it
// does not if it refuses the statement.
func (f *feed) reader() io.Reader {
	f.begun.Do(func() { f.worker.Go(f.fill) })
	return f
}

// stop ends it and returns how many rows were given.
func (f *feed) stop() int64 {
	f.ended.Do(func() { close(f.quit) })
	f.worker.Wait()
	return f.given
}

var errFeedStopped = errors.New("nobody reads any more")

func (f *feed) fill() {
	defer close(f.full)
	buffer := <-f.free
	f.err = f.rows(func(row []byte) (err error) {
		if buffer, err = f.text.append(buffer, row); err != nil {
			return err
		}
		f.given++
		if len(buffer) < feedBytes {
			return nil
		}
		if err := f.hand(buffer); err != nil {
			return err
		}
		select {
		case buffer = <-f.free:
			return nil
		case <-f.quit:
			return errFeedStopped
		}
	})
	if f.err == nil && len(buffer) > 0 {
		f.err = f.hand(buffer)
	}
}

func (f *feed) hand(buffer []byte) error {
	select {
	case f.full <- buffer:
		return nil
	case <-f.quit:
		return errFeedStopped
	}
}

// Read implements io.Reader. What was made before an error is read before it.
func (f *feed) Read(p []byte) (int, error) {
	if len(f.rest) == 0 {
		if f.current != nil {
			f.free <- f.current[:0] // there is room: no more than two are about
			f.current = nil
		}
		next, more := <-f.full
		if !more {
			if f.err != nil {
				return 0, f.err
			}
			return 0, io.EOF
		}
		f.current, f.rest = next, next
	}
	n := copy(p, f.rest)
	f.rest = f.rest[n:]
	return n, nil
}
