package sim

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/failoverd/failoverd/internal/promote"
	"github.com/failoverd/failoverd/internal/topology"
)

// World implements watcher.Around.
func (x *scout) World(topology.Chain) promote.World { return servants{x} }

// servants are the servers of the chain as one watcher works on them.
type servants struct{ x *scout }

// Server implements promote.World.
func (v servants) Server(s topology.Server) promote.Server {
	return &control{w: v.x.w, s: v.x.w.byName(s.Name), owner: v.x.owner, node: v.x.node(), scout: v.x}
}

// Each implements promote.World.
func (v servants) Each(ctx context.Context, servers []topology.Server, f func(context.Context, topology.Server) error) map[string]error {
	w := v.x.w
	p := w.running
	out := make(map[string]error, len(servers))
	if len(servers) == 1 {
		out[servers[0].Name] = f(ctx, servers[0])
		return out
	}
	ticket, open := p.ticket(), len(servers)
	for _, s := range servers {
		p.children = append(p.children, w.spawn(p.held, func(*proc) {
			out[s.Name] = f(ctx, s)
			if open--; open == 0 {
				p.wake(ticket)
			}
		}))
	}
	if open > 0 {
		p.pause()
	}
	p.children = nil
	return out
}

// Publish implements promote.World.
func (v servants) Publish(ctx context.Context, _ string) error { return v.x.announce(ctx) }

// Pause implements promote.World.
func (v servants) Pause(ctx context.Context, d time.Duration) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	p := v.x.w.running
	ticket := p.ticket()
	v.x.w.afterNumber(d, p.wakes, ticket)
	cancel := onCancel(ctx, func() { p.wake(ticket) })
	p.pause()
	cancel()
	return ctx.Err()
}

var errLostBinlog = errors.New("the binary log cannot be read")

// Save implements promote.World.
func (v servants) Save(ctx context.Context, product string, server topology.Server, set topology.GTIDSet) (string, error) {
	w, s := v.x.w, v.x.w.byName(server.Name)
	if err := v.Pause(ctx, w.between(20*time.Millisecond, 400*time.Millisecond)); err != nil {
		return "", err
	}
	if !set.Empty() && w.saved[s.id].Contains(set) && !w.store.away && !w.isCut(v.x.node(), storeNode) {
		return "errant/" + product + "/" + server.Name, nil // the store has it, whatever became of the server
	}
	switch {
	case !s.up() || w.isCut(v.x.node(), s.node()) || w.isCut(s.node(), v.x.node()):
		return "", fmt.Errorf("save: %w: %w", promote.ErrUnreachable, errLostBinlog)
	case s.hollow:
		return "", errLostBinlog
	case w.store.away || w.isCut(v.x.node(), storeNode):
		return "", errAway
	}
	w.saved[s.id] = w.saved[s.id].Union(set)
	w.note("saved", s.id, int(set.Count()), 0)
	return "errant/" + product + "/" + server.Name, nil
}
