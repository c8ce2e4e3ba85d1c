package cluster

import (
	"fmt"
	"io"

	"github.com/hashicorp/raft"
)

// machine is the caller's Machine as raft wants it. It decides nothing.
type machine struct {
	inner     Machine
	stopwatch *stopwatch
}

func (m *machine) Apply(entry *raft.Log) any {
	defer m.stopwatch.start("applying a command")()
	return m.inner.Apply(entry.Index, entry.Data)
}

func (m *machine) Snapshot() (raft.FSMSnapshot, error) {
	defer m.stopwatch.start("taking a snapshot of the state")()
	content, err := m.inner.Snapshot()
	if err != nil {
		return nil, err
	}
	return image(content), nil
}

func (m *machine) Restore(r io.ReadCloser) error {
	defer m.stopwatch.start("restoring a snapshot")()
	defer r.Close()
	content, err := io.ReadAll(r)
	if err != nil {
		return fmt.Errorf("read snapshot: %w", err)
	}
	if err := m.inner.Restore(content); err != nil {
		return fmt.Errorf("restore snapshot: %w", err)
	}
	return nil
}

// image is a snapshot that waits to be written.
type image []byte

func (i image) Persist(sink raft.SnapshotSink) error {
	if _, err := sink.Write(i); err != nil {
		return fmt.Errorf("write snapshot: %w", joinCancel(err, sink))
	}
	return sink.Close()
}

func (i image) Release() {}

func joinCancel(err error, sink raft.SnapshotSink) error {
	if cancelErr := sink.Cancel(); cancelErr != nil {
		return fmt.Errorf("%w (and cancel: %w)", err, cancelErr)
	}
	return err
}
