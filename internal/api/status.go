package api

import (
	"context"
	"fmt"
	"time"

	"github.com/failoverd/failoverd/internal/promote"
	"github.com/failoverd/failoverd/internal/topology"
)

// Status is everything about an installation on one page.
type Status struct {
	// Watcher is who answered, and Leads whether it is the leader; only the
	// leader knows what all watchers see.
	Watcher  string    `json:"watcher"`
	Leads    bool      `json:"leads"`
	Leader   Leader    `json:"leader"`
	Term     uint64    `json:"term"`
	Watchers []Watcher `json:"watchers"`
	Products []Product `json:"products"` // by name
	Brake    Brake     `json:"brake"`
	Head     Head      `json:"head"`
}

// Leader is who leads; both are empty when nobody is known to.
type Leader struct {
	ID  string `json:"id"`
	API string `json:"api"`
}

// Head is how far the published document got.
type Head struct {
	// Version is the newest document's, StoredVersion that in the object store.
	Version       uint64 `json:"version"`
	StoredVersion uint64 `json:"storedVersion"`
	StoreError    string `json:"storeError,omitempty"`
}

// Product is the state of one product's chain.
type Product struct {
	Name   string          `json:"name"`
	Mode   topology.Mode   `json:"mode"`
	Pause  *topology.Pause `json:"pause,omitempty"` // nil unless it holds now
	Epoch  uint64          `json:"epoch"`
	Policy topology.Policy `json:"policy"`
	// Ackers acknowledge, and Acks of them must for each commit; 0 without semi-sync.
	Ackers  []string          `json:"ackers"`
	Acks    int               `json:"acks"`
	Verdict topology.Verdict  `json:"verdict"`
	Would   string            `json:"would,omitempty"`
	Waiting string            `json:"waiting,omitempty"`
	Open    *promote.Progress `json:"open,omitempty"` // the open plan
	// Protected says that every acknowledged write is on two servers right now:
	// measured, not configured. ProtectedWhy says what is missing.
	Protected    bool                `json:"protected"`
	ProtectedWhy string              `json:"protectedWhy,omitempty"`
	Servers      []Server            `json:"servers"`
	Last         *topology.Promotion `json:"lastPromotion,omitempty"`
	// Copies are those in object stores, nil unless a dump service reports to the leader.
	Copies *Copies `json:"copies,omitempty"`
}

// Server is one server as the watchers see it.
type Server struct {
	topology.Server
	// Contacts says in a few words how the watchers see it, Up that some can talk to it.
	Contacts string `json:"contacts"`
	Up       bool   `json:"up"`
	// Source is the name of the server it should replicate from.
	Source string `json:"source,omitempty"`
	Acker  bool   `json:"acker"`
	// Lag is how many transactions of the master it has not executed, nil when that is not known.
	Lag *int64 `json:"lagTransactions"`
	// Facts are the youngest known, nil when there are none.
	Facts *Facts `json:"facts"`
}

// Facts is the state of a server at one moment.
type Facts struct {
	AgeMs    int64  `json:"ageMs"` // the time since, in milliseconds
	Version  string `json:"version"`
	ReadOnly bool   `json:"readOnly"`
	Executed string `json:"executed"` // its GTID set
	// Link is its replication link, nil when it has none.
	Link *Link `json:"link"`
}

// Link is the replica's side of a replication link.
type Link struct {
	SourceAddr string               `json:"sourceAddr"`
	IO         topology.ThreadState `json:"io"`
	SQL        topology.ThreadState `json:"sql"`
	// SilenceMs is the time since it last heard its source, in milliseconds.
	SilenceMs int64  `json:"silenceMs"`
	IOError   string `json:"ioError,omitempty"`
	SQLError  string `json:"sqlError,omitempty"`
}

// statusOf puts together what a Backend and the desk know. Products that vanish meanwhile are left out.
func statusOf(ctx context.Context, b Backend, copies *desk, now time.Time) Status {
	state := b.State()
	s := Status{Watcher: b.ID(), Leads: b.IsLeader(), Term: b.Term(), Watchers: b.Watchers(), Products: []Product{}, Brake: brakeOf(state, now)}
	s.Leader.ID, s.Leader.API = b.Leader()
	s.Head.Version = state.Head.Version
	version, err := b.Stored()
	s.Head.StoredVersion = version
	if err != nil {
		s.Head.StoreError = err.Error()
	}
	for _, name := range state.Names() {
		live, err := b.Live(ctx, name, false)
		if err != nil {
			live = Live{Case: topology.Case{Chain: state.Products[name].Chain, Watchers: len(s.Watchers), Now: now},
				Verdict: topology.Verdict{Rule: "unknown", Action: topology.None, Why: err.Error()}}
		}
		p := productOf(live, state.Products[name].Open)
		if s.Leads { // a watcher that led before has old reports
			p.Copies = copies.copies(name, now)
		}
		s.Products = append(s.Products, p)
	}
	return s
}

func productOf(live Live, open *promote.Progress) Product {
	chain, picture := live.Case.Chain, live.Case.Digest()
	p := Product{Name: chain.Product, Mode: chain.Mode, Epoch: chain.Epoch, Policy: chain.Policy, Ackers: chain.Ackers, Acks: chain.AcksNeeded(),
		Verdict: live.Verdict, Would: live.Would, Waiting: live.Waiting, Open: open, Last: chain.Last, Servers: []Server{}}
	if p.Ackers == nil {
		p.Ackers = []string{}
	}
	if chain.Paused(live.Case.Now) {
		p.Pause = chain.Pause
	}
	p.Protected, p.ProtectedWhy = protection(chain, picture)
	for _, server := range chain.Servers {
		p.Servers = append(p.Servers, serverOf(chain, picture, server))
	}
	return p
}

func serverOf(chain topology.Chain, picture *topology.Picture, server topology.Server) Server {
	s := Server{Server: server, Contacts: picture.Contacts(server.Name), Up: picture.Up(server.Name),
		Source: chain.SourceOf(server.Name), Acker: chain.IsAcker(server.Name)}
	facts, age := picture.Facts(server.Name)
	if facts == nil {
		return s
	}
	s.Facts = &Facts{AgeMs: age.Std().Milliseconds(), Version: facts.Version, ReadOnly: !facts.Open(), Executed: facts.Executed.String()}
	if link := facts.Link; link != nil {
		s.Facts.Link = &Link{SourceAddr: link.SourceAddr, IO: link.IO, SQL: link.SQL,
			SilenceMs: link.Silence.Std().Milliseconds(), IOError: link.IOError, SQLError: link.SQLError}
	}
	if server.Seat == topology.Master {
		return s
	}
	reference := chain.HighWater
	if master, _ := picture.Facts(chain.Master()); master != nil {
		reference = reference.Union(master.Executed)
	}
	if !reference.Empty() {
		lag := reference.Minus(facts.Executed).Count()
		s.Lag = &lag
	}
	return s
}

// protection says whether an acknowledged write is on two servers at the moment.
func protection(chain topology.Chain, picture *topology.Picture) (bool, string) {
	if chain.Policy.Durability != topology.SemiSync {
		return false, "durability is " + string(chain.Policy.Durability)
	}
	master := chain.Master()
	facts, _ := picture.Facts(master)
	switch {
	case facts == nil || !picture.Up(master):
		return false, "master " + master + " does not answer"
	case !facts.Source.Enabled || !facts.Source.On:
		return false, "semi-sync is off on " + master
	case facts.Source.Clients == 0:
		return false, "no acker is attached to " + master + ": its commits wait"
	case facts.Source.Clients < chain.AcksNeeded():
		return false, fmt.Sprintf("%d of %d needed ackers are attached to %s: its commits wait", facts.Source.Clients, chain.AcksNeeded(), master)
	}
	return true, ""
}
