package main

import (
	"fmt"
	"slices"
	"time"

	"github.com/failoverd/failoverd/internal/api"
)

// copiesCell is the age of the newest copy in object stores, for the table of products.
func copiesCell(p api.Product) cell {
	c := p.Copies
	switch {
	case c == nil:
		return cell{"", plain}
	case c.Newest == nil:
		return cell{"none", bad}
	}
	text, look := ageText(c.Newest.AgeMs), plain
	if c.Away || c.Failing != "" || stale(c) {
		look = bad
	}
	return cell{text, look}
}

// stale says that the newest copy is older than it should ever be.
func stale(c *api.Copies) bool { return c.Newest != nil && c.Newest.AgeMs > 2*c.EveryMs+60_000 }

// anyCopies says whether any product has a dump service.
func anyCopies(products []api.Product) bool {
	return slices.ContainsFunc(products, func(p api.Product) bool { return p.Copies != nil })
}

// sayCopies says what is not well with the copies of a product.
func (c *cli) sayCopies(p api.Product) {
	copies := p.Copies
	if copies == nil {
		return
	}
	say := func(format string, args ...any) { c.say(p.Name+": ", "copies: "+fmt.Sprintf(format, args...)) }
	switch {
	case copies.Away:
		say("the dump service beside %s has not reported for %s", copies.Server, ageText(copies.SilentMs))
	case copies.Failing != "":
		say("no snapshot for %s: %s", ageText(copies.FailingMs), copies.Failing)
	case copies.Waiting != "":
		say("a snapshot is due and waits: %s", copies.Waiting)
	case stale(copies):
		say("the newest is %s old, one is due every %s", ageText(copies.Newest.AgeMs), ageText(copies.EveryMs))
	}
	if n := copies.Newest; n != nil && n.Diverged {
		say("%s holds transactions that the chain does not", n.ID)
	}
	for _, s := range copies.Stores {
		switch {
		case s.Error != "":
			say("store %s: %s", s.Name, s.Error)
		case s.ShipError != "":
			say("store %s has the binary log up to %s ago: %s", s.Name, ageText(s.ShippedMs), s.ShipError)
		case s.Gap != "":
			say("store %s has a gap in the binary log: %s", s.Name, s.Gap)
		case s.Behind > 1:
			say("store %s lacks %d snapshots that another has", s.Name, s.Behind)
		}
	}
	if d := copies.Drill; d != nil && !d.Passed {
		say("the drill %s ago FAILED: %s", ageText(d.AgeMs), d.Why)
	}
}

// ageText is a length of time as people say it, from milliseconds.
func ageText(ms int64) string {
	d := time.Duration(ms) * time.Millisecond
	switch {
	case ms < 0:
		return "?"
	case d < 10*time.Second:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d < 2*time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < 2*time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h", int(d.Hours()))
	}
	return fmt.Sprintf("%d days", int(d.Hours()/24))
}

// sizeText is a number of bytes as people say it.
func sizeText(n int64) string {
	units := []string{"B", "kB", "MB", "GB", "TB", "PB"}
	value, unit := float64(n), 0
	for value >= 999.5 && unit < len(units)-1 {
		value /= 1000
		unit++
	}
	if unit == 0 || value >= 99.5 {
		return fmt.Sprintf("%.0f %s", value, units[unit])
	}
	return fmt.Sprintf("%.3g %s", value, units[unit])
}
