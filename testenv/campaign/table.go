package campaign

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Table shows records grouped by fault, as Markdown.
func Table(records []Record) string {
	groups := map[string][]Record{}
	for _, r := range records {
		groups[r.Fault] = append(groups[r.Fault], r)
	}
	var b strings.Builder
	b.WriteString("| fault | runs | promotions | as expected | outage p50 | p99 | acked | lost | phantom | dual ackers | epoch regressions | broken |\n" +
		"|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n")
	var all group
	for _, name := range slices.Sorted(maps.Keys(groups)) {
		var g group
		for _, r := range groups[name] {
			g.add(r)
			all.add(r)
		}
		b.WriteString(g.row(name))
	}
	if len(groups) > 1 {
		b.WriteString(all.row("**all**"))
	}
	return b.String()
}

type group struct {
	runs, promotions, expected, acked, lost, phantom, dual, regressions, broken int
	outages                                                                     []int64
}

func (g *group) add(r Record) {
	g.runs++
	g.promotions += r.Promotions
	if r.asExpected() {
		g.expected++
	}
	if r.OutageMs != nil {
		g.outages = append(g.outages, *r.OutageMs)
	}
	g.acked += r.Acked
	g.lost += len(r.Lost)
	g.phantom += len(r.Phantom) + len(r.Duplicated) + len(r.Resurrected)
	g.dual += len(r.DualAckers)
	g.regressions += len(r.EpochRegressions)
	if len(r.Broken) > 0 {
		g.broken++
	}
}

func (g *group) row(name string) string {
	slices.Sort(g.outages)
	return fmt.Sprintf("| %s | %d | %d | %d of %d | %s | %s | %d | %d | %d | %d | %d | %d |\n", name, g.runs, g.promotions, g.expected, g.runs,
		percentile(g.outages, 50), percentile(g.outages, 99), g.acked, g.lost, g.phantom, g.dual, g.regressions, g.broken)
}

// percentile is the smallest number that at least p of a hundred do not exceed, in milliseconds.
func percentile(sorted []int64, p int) string {
	if len(sorted) == 0 {
		return "–"
	}
	return fmt.Sprintf("%d ms", sorted[max(0, (len(sorted)*p+99)/100-1)])
}

func (r Record) asExpected() bool {
	return r.Promotions >= r.Expected.Min && r.Promotions <= r.Expected.Max
}
