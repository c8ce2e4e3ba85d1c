package api

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/failoverd/failoverd/internal/journal"
	"github.com/failoverd/failoverd/internal/promote"
	"github.com/failoverd/failoverd/internal/snapshot"
	"github.com/failoverd/failoverd/internal/topology"
)

// Copies is what is known of the copies of a product in object stores, from its
// dump service. Ages are as of now.
type Copies struct {
	snapshot.Report
	// SilentMs is the time since its last report; Away says that it is too long.
	SilentMs int64 `json:"silentMs"`
	Away     bool  `json:"away"`
	// Ordered is the number of the latest order to take a snapshot that is not carried out yet.
	Ordered uint64 `json:"ordered,omitempty"`
}

// SnapshotReply is the answer to an order to take a snapshot now.
type SnapshotReply struct {
	// Order is its number; it is carried out when Copies.Done has reached it.
	Order uint64 `json:"order"`
	// Waiting says why it is not begun at once, empty when it is.
	Waiting string `json:"waiting,omitempty"`
}

const (
	// dumpAway is the silence after which a dump service counts as away, and may be replaced.
	dumpAway = 10 * time.Second
	// dumpForgotten is when it is no longer spoken of: the inventory may have changed.
	dumpForgotten = 7 * 24 * time.Hour
)

// desk is the leader's memory of the dump services. It starts empty with each
// process and is filled by their next reports, a second later.
type desk struct {
	mu       sync.Mutex
	products map[string]*dumpService
}

type dumpService struct {
	report  snapshot.Report
	at      time.Time // of the report
	ordered uint64
}

func newDesk() *desk { return &desk{products: map[string]*dumpService{}} }

// take keeps a report. Its error refuses a second service for the same product.
func (d *desk) take(product string, r snapshot.Report, now time.Time) (ordered uint64, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.products[product]
	switch {
	case s == nil:
		s = &dumpService{}
		d.products[product] = s
	case s.report.Instance != r.Instance && !s.report.Leaving && now.Sub(s.at) < dumpAway:
		return 0, &Error{Code: Refused, Message: fmt.Sprintf("another dump service takes the snapshots of %s, it copies %s and reported %s ago", product, s.report.Server, now.Sub(s.at).Round(time.Second)),
			Help: fmt.Sprintf("end one of the two; one that is ended is replaced after %s", dumpAway)}
	}
	s.report, s.at = r, now
	if s.ordered <= r.Done {
		s.ordered = 0
	}
	return s.ordered, nil
}

// order asks for a snapshot. Its number is higher than any before, also of an earlier leader.
func (d *desk) order(product string, now time.Time) uint64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.products[product]
	if s == nil {
		return 0
	}
	if s.ordered == 0 {
		s.ordered = max(uint64(now.UnixMilli()), s.report.Done+1)
	}
	return s.ordered
}

// copies is what is known of a product, nil when no dump service has reported.
func (d *desk) copies(product string, now time.Time) *Copies {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.products[product]
	if s == nil || now.Sub(s.at) > dumpForgotten {
		return nil
	}
	silent := max(0, now.Sub(s.at).Milliseconds())
	return &Copies{Report: aged(s.report, silent), SilentMs: silent, Away: s.report.Leaving || silent > dumpAway.Milliseconds(), Ordered: s.ordered}
}

// aged is a report whose ages have grown by so many milliseconds since.
func aged(r snapshot.Report, ms int64) snapshot.Report {
	grow := func(age *int64) {
		if *age >= 0 {
			*age += ms
		}
	}
	if r.Newest != nil {
		newest := *r.Newest
		grow(&newest.AgeMs)
		r.Newest = &newest
	}
	if r.Drill != nil {
		drill := *r.Drill
		grow(&drill.AgeMs)
		r.Drill = &drill
	}
	if r.Failing != "" {
		grow(&r.FailingMs)
	}
	r.Stores = slices.Clone(r.Stores)
	for i := range r.Stores {
		grow(&r.Stores[i].AgeMs)
		grow(&r.Stores[i].ShippedMs)
	}
	return r
}

// reportCopies takes the report of a dump service and answers with its orders.
func (h *handler) reportCopies(_ context.Context, c *call) (any, error) {
	var report snapshot.Report
	if err := c.body(&report); err != nil {
		return nil, err
	}
	name, p, err := h.product(c)
	if err != nil {
		return nil, err
	}
	server, ok := p.Chain.Server(report.Server)
	if !ok {
		return nil, &Error{Code: Refused, Message: fmt.Sprintf("%s is no server of %s", report.Server, name), Help: "its name must be the one in the inventory: \"failoverd inventory\""}
	}
	if report.Instance == "" {
		return nil, badRequest("instance is missing")
	}
	ordered, err := h.desk.take(name, report, h.now())
	if err != nil {
		return nil, err
	}
	orders := ordersFor(*p, server, ordered)
	for _, cut := range p.Cuts {
		if cut.Epoch > report.Cut {
			orders.Cuts = append(orders.Cuts, cut)
		}
	}
	return orders, nil
}

// ordersFor says what a dump service may do beside what the chain is doing.
func ordersFor(p journal.Product, server topology.Server, ordered uint64) snapshot.Orders {
	o := snapshot.Orders{Epoch: p.Chain.Epoch, Seat: server.Seat, Acks: p.Chain.IsAcker(server.Name), Take: ordered}
	switch {
	case p.Open != nil && (p.Open.Plan.Kind.Promotes() || p.Open.Plan.Kind == promote.Rebuild && p.Open.Plan.Target == server.Name):
		o.Wait = fmt.Sprintf("plan %d is open: %s", p.Open.Plan.ID, planText(p.Open.Plan))
	case server.Standing == topology.Quarantined:
		o.Wait = server.Name + " is quarantined: its data is not the chain's"
	case server.Seat == topology.Master:
		o.Wait = server.Name + " is the master: snapshots are taken of a replica"
	}
	return o
}

// noteCopies puts an event into the history.
func (h *handler) noteCopies(ctx context.Context, c *call) (any, error) {
	var e snapshot.Event
	if err := c.body(&e); err != nil {
		return nil, err
	}
	name, p, err := h.product(c)
	if err != nil {
		return nil, err
	}
	if _, ok := p.Chain.Server(e.Server); !ok && e.Server != "" {
		return nil, &Error{Code: Refused, Message: fmt.Sprintf("%s is no server of %s", e.Server, name)}
	}
	switch {
	case !slices.Contains([]string{"snapshot", "ship", "drill"}, e.What):
		return nil, badRequest("what: %q is not snapshot, ship or drill", e.What)
	case strings.TrimSpace(e.Outcome) == "":
		return nil, badRequest("outcome is missing")
	}
	return h.commit(ctx, journal.Command{At: h.now(), Actor: c.actor, Copies: &journal.Copies{Product: name, Server: e.Server, What: e.What,
		Outcome: bounded(e.Outcome), Why: bounded(e.Why), Ms: e.Ms}})
}

// bounded keeps a text from filling the journal.
func bounded(text string) string {
	const most = 1000
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "…"
}

// orderSnapshot asks the dump service for a snapshot now.
func (h *handler) orderSnapshot(_ context.Context, c *call) (any, error) {
	if err := c.body(&struct{}{}); err != nil {
		return nil, err
	}
	name, p, err := h.product(c)
	if err != nil {
		return nil, err
	}
	known := h.desk.copies(name, h.now())
	help := "\"systemctl status failoverd-dump\" on the machine beside the dump slave; \"failoverd dump --once\" there takes one without the watchers"
	switch {
	case known == nil:
		return nil, &Error{Code: Refused, Message: fmt.Sprintf("no dump service of %s has reported to this leader", name), Help: help}
	case known.Away:
		silent := (time.Duration(known.SilentMs) * time.Millisecond).Round(time.Second)
		message := fmt.Sprintf("the dump service of %s has not reported for %s", name, silent)
		if known.Leaving {
			message = fmt.Sprintf("the dump service of %s was stopped %s ago", name, silent)
		}
		return nil, &Error{Code: Refused, Message: message, Help: help}
	}
	reply := SnapshotReply{Order: h.desk.order(name, h.now())}
	if server, ok := p.Chain.Server(known.Server); ok {
		reply.Waiting = ordersFor(*p, server, 0).Wait
	}
	return reply, nil
}
