package main

import (
	"fmt"
	"math"
	"strings"
)

// figures are all that one run has measured.
type figures struct {
	dumps, restores, increments []result
	rows, repeats               int
	machine                     string
	loadBegin, loadEnd          string
}

// gigabytes are those of the rows as failoverd reads them. All rates are of these, or
// tools that print more text would seem faster.
func (f figures) gigabytes() (gb float64) {
	for _, r := range f.dumps {
		gb = max(gb, float64(r.read)/1e9)
	}
	return gb
}

// report is Markdown.
func report(f figures) string {
	var b strings.Builder
	gb := f.gigabytes()
	fmt.Fprintf(&b, "%d rows, %.2f GB in the binary protocol. Dumps in turn, the better of %d runs each; restores and what follows once.\n", f.rows, gb, f.repeats)
	fmt.Fprintf(&b, "Measured on %s; load average %s at the beginning and %s at the end.\n\n", f.machine, f.loadBegin, f.loadEnd)
	b.WriteString("| | seconds | MB/s | CPU s per GB, client | CPU s per GB, server | peak MB | stored MB |\n|---|--:|--:|--:|--:|--:|--:|\n")
	var notes []string
	for _, r := range append(f.dumps[:len(f.dumps):len(f.dumps)], f.restores...) {
		if r.note != "" {
			notes = append(notes, plain(r.name)+": "+r.note+".")
		}
		if r.seconds == 0 {
			fmt.Fprintf(&b, "| %s | – | – | – | – | – | – |\n", r.name)
			continue
		}
		fmt.Fprintf(&b, "| %s | %.1f | %.0f | %s | %s | %.0f | %.0f |\n", r.name, r.seconds, 1000*gb/r.seconds, perGB(r.clientCPU, gb), perGB(r.serverCPU, gb), r.peakMB, float64(r.stored)/1e6)
	}
	b.WriteString("\n| the next snapshot | seconds | MB of rows read | MB of log read | MB stored | CPU s, client | peak MB | tables |\n|---|--:|--:|--:|--:|--:|--:|---|\n")
	for _, r := range f.increments {
		fmt.Fprintf(&b, "| %s | %.2f | %.1f | %.1f | %s | %.2f | %.0f | %s |\n", r.name, r.seconds, float64(r.read)/1e6, float64(r.logged)/1e6, stored(r.stored), r.clientCPU, r.peakMB, r.note)
	}
	b.WriteString("\n")
	for _, line := range append(verdicts(f), notes...) {
		b.WriteString("- " + line + "\n")
	}
	return b.String()
}

// verdicts hold the figures against what they are to be.
func verdicts(f figures) (lines []string) {
	compare := func(what string, all []result, slow, fast, aim string) {
		s, f := find(all, slow), find(all, fast)
		if s.seconds > 0 && f.seconds > 0 {
			lines = append(lines, fmt.Sprintf("%s: %.2f × (%s).", what, s.seconds/f.seconds, aim))
		}
	}
	compare("A dump beside mysqldump | zstd -1, as fast", f.dumps, nameMysqldump, nameTake, "aim: at least 2")
	compare("A dump beside reading, hashing and zstd alone, as long", f.dumps, nameTake, nameFloor, "aim: at most 1.25")
	take, floor, mysqldump := find(f.dumps, nameTake), find(f.dumps, nameFloor), find(f.dumps, nameMysqldump)
	cpu := func(r result) float64 { return r.clientCPU + r.serverCPU }
	if mysqldump.seconds > 0 && cpu(take) > 0 && cpu(floor) > 0 {
		lines = append(lines, fmt.Sprintf("The same in CPU seconds of client and server, which other load disturbs less: mysqldump | zstd -1 takes %.2f × a dump's, a dump %.2f × those of reading, hashing and zstd.", cpu(mysqldump)/cpu(take), cpu(take)/cpu(floor)))
	}
	compare("restore --into beside zstd -d | mysql, as fast", f.restores, namePlain, nameInto, "aim: at least 2")
	compare("restore --new beside zstd -d | mysql, as fast", f.restores, namePlain, nameNew, "aim: at least 2; it makes the server, too")
	return lines
}

func find(all []result, name string) result {
	for _, r := range all {
		if r.name == name {
			return r
		}
	}
	return result{}
}

func perGB(seconds, gb float64) string {
	if math.IsNaN(seconds) {
		return "–"
	}
	return fmt.Sprintf("%.1f", seconds/gb)
}

func stored(bytes int64) string {
	if bytes < 100_000 {
		return fmt.Sprintf("%.3f", float64(bytes)/1e6)
	}
	return fmt.Sprintf("%.1f", float64(bytes)/1e6)
}

// plain is a name as it is outside of a table.
func plain(name string) string { return strings.ReplaceAll(name, `\`, "") }
