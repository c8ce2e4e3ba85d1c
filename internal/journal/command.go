package journal

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/failoverd/failoverd/internal/promote"
	"github.com/failoverd/failoverd/internal/topology"
)

// Command is one change of the state. Exactly one of the pointers is set. The
// fields are a wire format: append, never rename.
type Command struct {
	// At is the proposing leader's clock; it decides nothing but pauses' ends and the hold-down.
	At    time.Time `json:"at"`
	Actor string    `json:"actor"`

	Inventory *Inventory    `json:"inventory,omitempty"`
	Mode      *SetMode      `json:"mode,omitempty"`
	Pause     *SetPause     `json:"pause,omitempty"`
	Accept    *promote.Plan `json:"accept,omitempty"`
	Done      *Done         `json:"done,omitempty"`
	Abort     *End          `json:"abort,omitempty"`
	Supersede *End          `json:"supersede,omitempty"`
	HighWater *HighWater    `json:"highWater,omitempty"`
	Publish   *Head         `json:"publish,omitempty"`
	UUIDs     *UUIDs        `json:"uuids,omitempty"`
	Events    *Events       `json:"events,omitempty"`
	Brake     *Brake        `json:"brake,omitempty"`
	Skipped   *Skipped      `json:"skipped,omitempty"`
	Copies    *Copies       `json:"copies,omitempty"`
}

// Inventory replaces the inventories of the products it names, and removes those in Remove.
type Inventory struct {
	Chains []topology.Chain `json:"chains"`
	Remove []string         `json:"remove,omitempty"`
}

// SetMode changes a product's mode.
type SetMode struct {
	Product string        `json:"product"`
	Mode    topology.Mode `json:"mode"`
}

// SetPause pauses a product, or resumes it when Pause is nil.
type SetPause struct {
	Product string          `json:"product"`
	Pause   *topology.Pause `json:"pause,omitempty"`
}

// Done says that a step of an open plan is done.
type Done struct {
	Product string       `json:"product"`
	Plan    uint64       `json:"plan"`
	Index   int          `json:"index"`
	Undoing bool         `json:"undoing,omitempty"`
	Note    promote.Note `json:"note"`
}

// End closes an open plan before its end.
type End struct {
	Product string `json:"product"`
	Plan    uint64 `json:"plan"`
	Why     string `json:"why"`
	// Outright gives a plan up without its undo steps, or in the midst of them:
	// the rules judge what it leaves behind.
	Outright bool `json:"outright,omitempty"`
}

// HighWater raises a chain's high-water mark.
type HighWater struct {
	Product string           `json:"product"`
	Epoch   uint64           `json:"epoch"`
	Set     topology.GTIDSet `json:"set"`
}

// UUIDs notes the servers' UUIDs, by server name.
type UUIDs struct {
	Product string            `json:"product"`
	UUIDs   map[string]string `json:"uuids"`
}

// Events notes which scheduled events are switched off by a person at the master of an epoch.
type Events struct {
	Product  string   `json:"product"`
	Epoch    uint64   `json:"epoch"`
	Disabled []string `json:"disabled"`
}

// ErrStale is wrapped when a command is about a plan or an epoch that is not the
// present one: somebody else was faster. Nothing changed.
var ErrStale = errors.New("out of date")

// Encode writes the command for the raft log.
func (c Command) Encode() []byte {
	data, err := json.Marshal(c)
	if err != nil {
		panic(err) // plain data always encodes
	}
	return data
}

// Apply changes the state by one command from the log at the given index. The
// result depends on nothing else. A returned error means that nothing changed.
func (s *State) Apply(index uint64, data []byte) error {
	var c Command
	if err := json.Unmarshal(data, &c); err != nil {
		return fmt.Errorf("journal entry %d is not a command: %w", index, err)
	}
	return s.Do(index, c)
}

// Do is Apply for a decoded command.
func (s *State) Do(index uint64, c Command) error {
	switch {
	case c.Inventory != nil:
		return s.inventory(index, c)
	case c.Mode != nil:
		return s.mode(index, c)
	case c.Pause != nil:
		return s.pause(index, c)
	case c.Accept != nil:
		return s.accept(c)
	case c.Done != nil:
		return s.done(index, c)
	case c.Abort != nil:
		return s.abort(index, c)
	case c.Supersede != nil:
		return s.supersede(index, c)
	case c.HighWater != nil:
		return s.highWater(*c.HighWater)
	case c.Publish != nil:
		return s.publish(*c.Publish)
	case c.UUIDs != nil:
		return s.uuids(*c.UUIDs)
	case c.Events != nil:
		return s.events(*c.Events)
	case c.Brake != nil:
		return s.brake(index, c)
	case c.Skipped != nil:
		return s.skipped(index, c)
	case c.Copies != nil:
		return s.copies(index, c)
	}
	return fmt.Errorf("journal entry %d is of a kind that this version of failoverd does not know: upgrade this watcher", index)
}

func (s *State) product(name string) (*Product, error) {
	p, ok := s.Products[name]
	if !ok {
		return nil, fmt.Errorf("there is no product %q", name)
	}
	return p, nil
}

func (s *State) mode(index uint64, c Command) error {
	p, err := s.product(c.Mode.Product)
	if err != nil {
		return err
	}
	if c.Mode.Mode != topology.Observe && c.Mode.Mode != topology.Auto {
		return fmt.Errorf("mode %q is not observe or auto", c.Mode.Mode)
	}
	if p.Chain.Mode == c.Mode.Mode {
		return nil
	}
	p.Chain.Mode = c.Mode.Mode
	s.record(Entry{ID: index, At: c.At, Product: c.Mode.Product, What: "mode " + string(c.Mode.Mode), Actor: c.Actor, Epoch: p.Chain.Epoch})
	return nil
}

func (s *State) pause(index uint64, c Command) error {
	p, err := s.product(c.Pause.Product)
	if err != nil {
		return err
	}
	p.Chain.Pause = c.Pause.Pause
	entry := Entry{ID: index, At: c.At, Product: c.Pause.Product, What: "resume", Actor: c.Actor, Epoch: p.Chain.Epoch}
	if c.Pause.Pause != nil {
		entry.What, entry.Why, entry.Until = "pause", c.Pause.Pause.Reason, c.Pause.Pause.Until
	}
	s.record(entry)
	return nil
}

func (s *State) highWater(h HighWater) error {
	p, err := s.product(h.Product)
	if err != nil {
		return err
	}
	if p.Chain.Epoch != h.Epoch {
		return fmt.Errorf("high-water mark of epoch %d, the chain is at %d: %w", h.Epoch, p.Chain.Epoch, ErrStale)
	}
	p.Chain.HighWater = p.Chain.HighWater.Union(h.Set)
	return nil
}

func (s *State) publish(h Head) error {
	if h.Version <= s.Head.Version {
		return fmt.Errorf("document version %d is not above %d: %w", h.Version, s.Head.Version, ErrStale)
	}
	s.Head = h
	return nil
}

func (s *State) events(e Events) error {
	p, err := s.product(e.Product)
	if err != nil {
		return err
	}
	if p.Chain.Epoch != e.Epoch || p.Open != nil {
		return fmt.Errorf("events of epoch %d, the chain is at %d or on its way to the next: %w", e.Epoch, p.Chain.Epoch, ErrStale)
	}
	p.Chain.DisabledEvents = e.Disabled
	return nil
}

func (s *State) uuids(u UUIDs) error {
	p, err := s.product(u.Product)
	if err != nil {
		return err
	}
	servers := append([]topology.Server(nil), p.Chain.Servers...)
	for i, server := range servers {
		if uuid, ok := u.UUIDs[server.Name]; ok {
			servers[i].UUID = uuid
		}
	}
	p.Chain.Servers = servers
	return nil
}
