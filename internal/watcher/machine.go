package watcher

import (
	"sync"

	"github.com/failoverd/failoverd/internal/journal"
)

// Machine is the raft state machine: a thin cover over the journal's state.
type Machine struct {
	// published is called with every new head, in order.
	published func(journal.Head)
	// moved is called after every change.
	moved func()

	mu    sync.RWMutex
	state *journal.State
}

func newMachine(published func(journal.Head), moved func()) *Machine {
	return &Machine{state: journal.New(), published: published, moved: moved}
}

// Apply implements cluster.Machine.
func (m *Machine) Apply(index uint64, command []byte) any {
	m.mu.Lock()
	version := m.state.Head.Version
	err := m.state.Apply(index, command)
	head := m.state.Head
	m.mu.Unlock()
	if head.Version != version {
		m.published(head)
	}
	m.moved()
	if err != nil {
		return err
	}
	return nil
}

// Snapshot implements cluster.Machine.
func (m *Machine) Snapshot() ([]byte, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.state.Encode()
}

// Restore implements cluster.Machine.
func (m *Machine) Restore(snapshot []byte) error {
	state, err := journal.Decode(snapshot)
	if err != nil {
		return err
	}
	m.mu.Lock()
	m.state = state
	m.mu.Unlock()
	if state.Head.Version > 0 {
		m.published(state.Head)
	}
	m.moved()
	return nil
}

// product returns a copy. The journal replaces what a product points to and never
// changes it in place, so the copy is the reader's own.
func (m *Machine) product(name string) (journal.Product, bool) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	p, ok := m.state.Products[name]
	if !ok {
		return journal.Product{}, false
	}
	return *p, true
}

// view returns a copy of the whole state, for the same reason a shallow one.
func (m *Machine) view() *journal.State {
	m.mu.RLock()
	defer m.mu.RUnlock()
	out := *m.state
	out.Products = make(map[string]*journal.Product, len(m.state.Products))
	for name, p := range m.state.Products {
		copied := *p
		out.Products[name] = &copied
	}
	return &out
}
