package main

import (
	"fmt"
	"os"
	"runtime"
	"strings"
)

// report is the table. All rates are of the same bytes, the rows as failoverd reads
// them, or tools that print more text would seem faster.
func report(results []result, machine string) string {
	var b strings.Builder
	rows := 0.0 // gigabytes
	for _, r := range results {
		rows = max(rows, float64(r.read)/1e9)
	}
	b.WriteString("| | seconds | MB/s | CPU s per GB, client | CPU s per GB, server | peak MB | stored MB | |\n|---|--:|--:|--:|--:|--:|--:|---|\n")
	for _, r := range results {
		if r.seconds == 0 {
			fmt.Fprintf(&b, "| %s | – | – | – | – | – | – | %s |\n", r.name, r.note)
			continue
		}
		fmt.Fprintf(&b, "| %s | %.1f | %.0f | %.1f | %.1f | %.0f | %.0f | %s |\n", r.name, r.seconds, 1000*rows/r.seconds, r.clientCPU/rows, r.serverCPU/rows, r.peakMB, float64(r.stored)/1e6, r.note)
	}
	b.WriteString("\n" + machine + "\n")
	return b.String()
}

// machine says what else went on: figures of a busy machine are worth little.
func machine() string {
	load, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		load = []byte("?")
	}
	return fmt.Sprintf("%d cores, load average at the end: %s", runtime.NumCPU(), strings.TrimSpace(string(load)))
}
