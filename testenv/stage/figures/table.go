package main

import (
	"context"
	"fmt"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/failoverd/failoverd/testenv"
	"github.com/failoverd/failoverd/testenv/stage"
)

// row is what came of one script.
type row struct {
	script  string
	results []stage.Result
}

// table shows all numbers, not only the percentiles: of ten runs the 99th is the worst.
func table(rows []row) string {
	var b strings.Builder
	b.WriteString("| event | write outage p50 | p99 | until the plan, p50 | every run, ms | acknowledged writes | lost |\n|---|--:|--:|--:|---|--:|--:|\n")
	for _, r := range rows {
		var outages, detections []int64
		acked, lost := 0, 0
		for _, result := range r.results {
			outages = append(outages, result.WriteOutageMs)
			if len(result.Phases) > 0 {
				detections = append(detections, result.Phases[0].Ms)
			}
			acked += result.WritesAcked
			lost += result.WritesLost
		}
		slices.Sort(outages)
		slices.Sort(detections)
		var all []string
		for _, ms := range outages {
			all = append(all, strconv.FormatInt(ms, 10))
		}
		fmt.Fprintf(&b, "| %s | %d ms | %d ms | %d ms | %s | %d | %d |\n", r.script,
			percentile(outages, 50), percentile(outages, 99), percentile(detections, 50), strings.Join(all, " "), acked, lost)
	}
	return b.String()
}

// percentile is the smallest number that at least p of a hundred do not exceed.
func percentile(sorted []int64, p int) int64 {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[max(0, (len(sorted)*p+99)/100-1)]
}

// machine says where the figures were taken.
func machine(ctx context.Context) string {
	parts := []string{fmt.Sprintf("%d cores", runtime.NumCPU())}
	for _, fact := range []struct{ file, pattern, format string }{
		{"/proc/cpuinfo", `model name\s*: (.+)`, "%s"},
		{"/proc/meminfo", `MemTotal:\s*(\d+)\d{6} kB`, "%s GB of memory"},
		{"/etc/os-release", `PRETTY_NAME="(.+)"`, "%s"},
		{"/proc/sys/kernel/osrelease", `(.+)`, "Linux %s"},
	} {
		text, err := os.ReadFile(fact.file)
		if m := regexp.MustCompile(fact.pattern).FindStringSubmatch(string(text)); err == nil && m != nil {
			parts = append(parts, fmt.Sprintf(fact.format, m[1]))
		}
	}
	if server, err := testenv.FindServer(ctx, nil); err == nil {
		parts = append(parts, "MySQL "+server.Version)
	}
	parts = append(parts, runtime.Version())
	if took, err := syncTakes(os.TempDir()); err == nil {
		parts = append(parts, fmt.Sprintf("a disk that syncs 4 KB in %.1f ms (median)", float64(took.Microseconds())/1000))
	}
	return "Servers, watchers, web servers and S3 all on one machine: " + strings.Join(parts, ", ") + "."
}

// syncTakes is the median time of appending 4 KB to a file and syncing it: each commit waits for several of these.
func syncTakes(dir string) (time.Duration, error) {
	file, err := os.CreateTemp(dir, "sync-")
	if err != nil {
		return 0, err
	}
	defer os.Remove(file.Name())
	defer file.Close()
	var all []time.Duration
	for range 100 {
		start := time.Now()
		if _, err := file.Write(make([]byte, 4096)); err != nil {
			return 0, err
		}
		if err := file.Sync(); err != nil {
			return 0, err
		}
		all = append(all, time.Since(start))
	}
	slices.Sort(all)
	return all[len(all)/2], nil
}
