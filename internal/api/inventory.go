package api

import (
	"context"
	"fmt"
	"slices"

	"github.com/failoverd/failoverd/internal/inventory"
	"github.com/failoverd/failoverd/internal/journal"
	"github.com/failoverd/failoverd/internal/topology"
)

func (h *handler) readInventory(context.Context, *call) (any, error) {
	state := h.backend.State()
	var chains []topology.Chain
	for _, name := range state.Names() {
		chains = append(chains, state.Products[name].Chain)
	}
	names := state.Names()
	if names == nil {
		names = []string{}
	}
	return InventoryReply{Inventory: inventory.Print(chains), Products: names}, nil
}

func (h *handler) changeInventory(ctx context.Context, c *call) (any, error) {
	var ask InventoryRequest
	if err := c.body(&ask); err != nil {
		return nil, err
	}
	wanted, err := inventory.Parse("inventory", []byte(ask.Inventory))
	if err != nil {
		return nil, badRequest("%v", err)
	}
	state := h.backend.State()
	change, err := compare(state, wanted, ask.Remove)
	if err != nil || !change.Changed {
		return change, err
	}
	// What is wrong with the servers stops nothing, for a product is only watched
	// at first; but it is said before anybody relies on it.
	for _, want := range wanted {
		chain, err := state.Merge(want)
		if err != nil {
			return nil, err
		}
		for _, f := range h.backend.Examine(ctx, chain) {
			if f.Level != LevelOK {
				change.Findings = append(change.Findings, f)
			}
		}
	}
	if ask.DryRun {
		return change, nil
	}
	err = h.backend.Propose(ctx, journal.Command{At: h.now(), Actor: c.actor, Inventory: &journal.Inventory{Chains: wanted, Remove: ask.Remove}})
	if err != nil {
		return nil, err
	}
	change.Applied = true
	return change, nil
}

// compare says what a request would change.
func compare(state *journal.State, wanted []topology.Chain, remove []string) (InventoryChange, error) {
	var before, after []topology.Chain
	change := InventoryChange{Notes: []string{}}
	say := func(format string, args ...any) { change.Notes = append(change.Notes, fmt.Sprintf(format, args...)) }
	for _, want := range wanted {
		if slices.Contains(remove, want.Product) {
			return change, badRequest("product %s is in the inventory and in remove", want.Product)
		}
		merged, err := state.Merge(want)
		if err != nil {
			return change, err
		}
		after = append(after, merged)
		known, ok := state.Products[want.Product]
		if !ok {
			say("%s is new and starts in mode observe: run \"failoverd mode %s auto\" to let failoverd act", want.Product, want.Product)
			continue
		}
		before = append(before, known.Chain)
		notes(say, known.Chain, want, merged)
	}
	for _, name := range remove {
		p, ok := state.Products[name]
		if !ok {
			return change, noProduct(name, state.Names())
		}
		if p.Open != nil {
			return change, &Error{Code: Stale, Message: fmt.Sprintf("product %s: plan %d (%s) is open", name, p.Open.Plan.ID, p.Open.Plan.Kind),
				Plan: p.Open.Plan.ID, Help: fmt.Sprintf("wait for its end: \"failoverd wait %d\"", p.Open.Plan.ID)}
		}
		before = append(before, p.Chain)
		say("%s is forgotten, its servers are left as they are: nobody watches them any more", name)
	}
	change.Diff = inventory.Diff(before, after)
	change.Changed = change.Diff != ""
	return change, nil
}

// notes says what of a known product's inventory has no effect, and what has more than one would think.
func notes(say func(string, ...any), known, want, merged topology.Chain) {
	for _, server := range want.Servers {
		was, ok := known.Server(server.Name)
		now, _ := merged.Server(server.Name)
		switch {
		case !ok:
			say("%s is new in %s and comes into rotation once it has shown that it holds nothing foreign", server.Name, want.Product)
		case now.Seat != server.Seat:
			say("seat of %s stays %s: the inventory's seat counts only when a server is new; %s", server.Name, now.Seat, mover(want.Product, now, server))
		case was.Addr() != now.Addr():
			say("%s moves from %s to %s: it must be the same server with the same data", server.Name, was.Addr(), now.Addr())
		}
	}
	if known.Policy.Durability != want.Policy.Durability && want.Policy.Durability == topology.Async {
		say("%s becomes unprotected: with durability async a failover can lose acknowledged writes", want.Product)
	}
}

// mover is the command that gives a server the seat which the inventory asks for.
func mover(product string, now, want topology.Server) string {
	switch {
	case want.Seat == topology.Master:
		return fmt.Sprintf("to move it run \"failoverd switchover %s --to %s\"", product, want.Name)
	case want.Seat == topology.Candidate && now.Seat == topology.Slave:
		return fmt.Sprintf("to move it run \"failoverd raise %s %s\"", product, want.Name)
	}
	return "promotions move seats, \"failoverd inventory\" prints them as they are"
}

func (h *handler) adopt(ctx context.Context, c *call) (any, error) {
	var ask AdoptRequest
	if err := c.body(&ask); err != nil {
		return nil, err
	}
	if ask.Addr == "" {
		return nil, badRequest("addr is missing: host:port of one server of the chain")
	}
	if ask.Product == "" {
		ask.Product = "adopted"
	}
	chain, findings, err := h.backend.Adopt(ctx, ask.Product, ask.Addr)
	if err != nil {
		return nil, internalError(err)
	}
	if findings == nil {
		findings = []Finding{}
	}
	return AdoptReply{Inventory: inventory.Print([]topology.Chain{chain}), Findings: findings}, nil
}
