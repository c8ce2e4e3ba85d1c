package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/failoverd/failoverd/internal/api"
	"github.com/failoverd/failoverd/internal/topology"
)

// farBehind is a lag, in transactions, of more than what the time between two looks explains.
const farBehind = 1000

// columns of the chain's table.
type columns struct{ seat, name, addr, zone, state, follows, lag, acker int }

func (f frame) columns(width int) columns {
	name, addr := 4, 7
	for _, s := range f.product.Servers {
		name, addr = max(name, len(s.Name)), max(addr, len(s.Addr()))
	}
	c := columns{seat: 1, name: 12}
	c.addr = c.name + name + 2
	c.zone = c.addr + addr + 2
	c.state = c.zone + 6
	c.follows = c.state + 15
	if width >= wide {
		c.follows = c.state + 21
	}
	c.lag = c.follows + 9
	c.acker = c.lag + 6
	return c
}

func (f frame) chain(width int, tall bool) []line {
	c, most := f.columns(width), 1
	if tall {
		most = 2
	}
	var head line
	for _, h := range []struct {
		column int
		word   string
	}{{c.seat, "SEAT"}, {c.name, "NAME"}, {c.addr, "ADDRESS"}, {c.zone, "ZONE"}, {c.state, "STATE"}, {c.follows, "FOLLOWS"}, {c.lag, "LAG"}, {c.acker, "ACKER"}} {
		head.tab(h.column)
		head.add(dim, h.word)
	}
	out := []line{head}
	for _, s := range inOrder(f.product.Servers) {
		out = append(out, f.server(c, s))
		for i, text := range wrapWords(f.why(s), width-c.name-3, most) {
			var l line
			l.tab(c.name)
			l.add(odd, []string{"└ ", "  "}[min(i, 1)]+text)
			out = append(out, l)
		}
	}
	return out
}

// inOrder is the servers from the master down.
func inOrder(servers []api.Server) []api.Server {
	order := []topology.Seat{topology.Master, topology.Candidate, topology.Slave, topology.Dump}
	out := slices.Clone(servers)
	slices.SortStableFunc(out, func(a, b api.Server) int { return slices.Index(order, a.Seat) - slices.Index(order, b.Seat) })
	return out
}

func (f frame) server(c columns, s api.Server) line {
	var l line
	l.tab(c.seat)
	seat := plain
	if s.Seat == topology.Master {
		seat = bold
	}
	l.add(seat, string(s.Seat))
	l.tab(c.name)
	l.add(seat, s.Name)
	l.tab(c.addr)
	l.add(plain, s.Addr())
	l.tab(c.zone)
	l.add(f.zoneStyle(s.Zone), s.Zone)
	l.tab(c.state)
	state := f.state(s)
	l.add(state.style, cut(state.text, c.follows-c.state-1))
	l.tab(c.follows)
	follows := f.follows(s)
	l.add(follows.style, follows.text)
	l.tab(c.lag)
	if s.Seat != topology.Master && s.Lag != nil && f.answers(s) {
		behind := plain
		if *s.Lag >= farBehind {
			behind = odd
		}
		l.add(behind, fmt.Sprint(*s.Lag))
	}
	if s.Acker {
		l.tab(c.acker)
		l.add(good, "●")
	}
	return l
}

// answers says that what the watchers last heard of the server still means something.
func (f frame) answers(s api.Server) bool { return s.Up && f.servers[s.Name] == runs }

// zoneStyle gives each zone its colour.
func (f frame) zoneStyle(zone string) style {
	var zones []string
	for _, s := range f.product.Servers {
		zones = append(zones, s.Zone)
	}
	slices.Sort(zones)
	palette := []style{"36", "35", "94"}
	return palette[slices.Index(slices.Compact(zones), zone)%len(palette)]
}

// state joins what was done to the process and what failoverd made of it.
func (f frame) state(s api.Server) cell {
	var words []string
	look := good
	switch did := f.servers[s.Name]; {
	case did == starting || did == frozen:
		words, look = append(words, string(did)), odd
	case did != runs:
		words, look = append(words, string(did)), bad
	case !s.Up:
		words, look = append(words, "no answer"), odd
	case s.Seat == topology.Master && s.Facts != nil && s.Facts.ReadOnly:
		words, look = append(words, "up, read-only"), odd
	case s.Seat != topology.Master && s.Facts != nil && !s.Facts.ReadOnly:
		words, look = append(words, "up, writable"), bad
	default:
		words = append(words, "up")
	}
	if s.Standing != topology.In && s.Standing != "" {
		if words[0] == "up" {
			words = nil // where it stands says more
		}
		words = append(words, string(s.Standing))
		if look == good {
			look = odd
		}
		if s.Standing == topology.Quarantined {
			look = bad
		}
	}
	return cell{strings.Join(words, ", "), look}
}

// follows is the source it really has, and a mark when that or the link is not as it should be.
func (f frame) follows(s api.Server) cell {
	if s.Facts == nil || !f.answers(s) {
		return cell{}
	}
	link := s.Facts.Link
	if link == nil {
		if s.Source == "" || s.Standing != topology.In {
			return cell{}
		}
		return cell{"nobody", odd}
	}
	source := link.SourceAddr
	for _, other := range f.product.Servers {
		if other.Addr() == link.SourceAddr {
			source = other.Name
		}
	}
	if source != s.Source || link.IO != topology.On || link.SQL != topology.On {
		return cell{"← " + source + " !", odd}
	}
	return cell{"← " + source, plain}
}

// why says what a person should know of a server that is not simply well.
func (f frame) why(s api.Server) string {
	switch {
	case s.Standing != topology.In && s.Why != "":
		return s.Why
	case s.Facts == nil || !f.answers(s) || s.Facts.Link == nil:
		return ""
	case s.Facts.Link.SQLError != "":
		return s.Facts.Link.SQLError
	}
	return s.Facts.Link.IOError
}
