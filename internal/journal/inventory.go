package journal

import (
	"fmt"

	"github.com/failoverd/failoverd/internal/topology"
)

// inventory sets the inventories that operators wrote. What failoverd itself
// moves (seats, standing, epoch, ackers) stays with the servers that are known.
func (s *State) inventory(index uint64, c Command) error {
	merged := map[string]topology.Chain{}
	for _, wanted := range c.Inventory.Chains {
		chain, err := s.Merge(wanted)
		if err != nil {
			return err
		}
		merged[wanted.Product] = chain
	}
	for _, name := range c.Inventory.Remove {
		p, err := s.product(name)
		if err != nil {
			return err
		}
		if p.Open != nil {
			return fmt.Errorf("product %s: plan %d (%s) is open: wait for its end before removing the product", name, p.Open.Plan.ID, p.Open.Plan.Kind)
		}
	}
	for _, wanted := range c.Inventory.Chains {
		chain := merged[wanted.Product]
		what := "inventory"
		if p, ok := s.Products[wanted.Product]; ok {
			p.Chain = chain
		} else {
			what = "product added"
			s.Products[wanted.Product] = &Product{Chain: chain}
		}
		s.record(Entry{ID: index, At: c.At, Product: wanted.Product, What: what, Actor: c.Actor, Epoch: chain.Epoch})
	}
	for _, name := range c.Inventory.Remove {
		delete(s.Products, name)
		s.record(Entry{ID: index, At: c.At, Product: name, What: "product removed", Actor: c.Actor})
	}
	return nil
}

// Merge returns the chain as it would be after an inventory was applied: for
// known servers the address and zone are taken from it and the seat stays,
// except that dump slaves become what it says. A new product starts in observe
// mode at epoch 1, with its candidate as the only acker.
func (s *State) Merge(wanted topology.Chain) (topology.Chain, error) {
	if err := wanted.Validate(); err != nil {
		return topology.Chain{}, err
	}
	p, known := s.Products[wanted.Product]
	if !known {
		chain := topology.Chain{Product: wanted.Product, Policy: wanted.Policy, Mode: topology.Observe, Epoch: 1}
		for _, server := range wanted.Servers {
			server.Standing, server.Why, server.UUID = topology.In, "", ""
			chain.Servers = append(chain.Servers, server)
			if server.Seat == topology.Candidate && wanted.Policy.Durability == topology.SemiSync {
				chain.Ackers = []string{server.Name}
			}
		}
		return chain, nil
	}
	if p.Open != nil {
		return topology.Chain{}, fmt.Errorf("product %s: plan %d (%s) is open: apply again when it is finished", wanted.Product, p.Open.Plan.ID, p.Open.Plan.Kind)
	}
	return merge(p.Chain, wanted)
}

func merge(chain, wanted topology.Chain) (topology.Chain, error) {
	out := chain
	out.Policy = wanted.Policy
	out.Servers = nil
	for _, server := range wanted.Servers {
		known, ok := chain.Server(server.Name)
		switch {
		case !ok:
			if server.Seat == topology.Master || server.Seat == topology.Candidate {
				return topology.Chain{}, fmt.Errorf("product %s: %s is new and cannot come as the %s: add it as a slave, then \"failoverd raise %s %s\"",
					wanted.Product, server.Name, server.Seat, wanted.Product, server.Name)
			}
			server.Standing, server.Why = topology.Out, "was added to the inventory"
		default:
			if server.Seat != topology.Dump && known.Seat != topology.Dump {
				server.Seat = known.Seat
			}
			server.Standing, server.Why, server.Until, server.UUID = known.Standing, known.Why, known.Until, known.UUID
			server.Doubt, server.CloneMark = known.Doubt, known.CloneMark
		}
		out.Servers = append(out.Servers, server)
	}
	for _, server := range chain.Servers {
		if _, kept := wanted.Server(server.Name); kept {
			continue
		}
		if server.Seat == topology.Master || chain.IsAcker(server.Name) {
			return topology.Chain{}, fmt.Errorf("product %s: %s cannot be removed, it is the %s and writes depend on it", wanted.Product, server.Name, server.Seat)
		}
	}
	if wanted.Policy.Durability == topology.Async {
		out.Ackers, out.Acks = nil, 0
	} else if candidate, ok := out.At(topology.Candidate); ok && len(out.Ackers) == 0 {
		out.Ackers = []string{candidate.Name}
	}
	return out, out.Validate()
}
