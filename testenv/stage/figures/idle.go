package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/failoverd/failoverd/testenv/stage"
)

// idleFor is how long idle watchers are observed.
const idleFor = 30 * time.Second

// ticksPerSecond is USER_HZ, the unit of CPU time in /proc/PID/stat (proc(5)); 100 on every Linux that Go runs on.
const ticksPerSecond = 100

// measureIdle returns a sentence with what a watcher costs while one chain of
// four servers is healthy and nobody writes.
func measureIdle(ctx context.Context, binary string) (string, error) {
	binary, err := filepath.Abs(binary)
	if err != nil {
		return "", err
	}
	s, err := stage.New(ctx, stage.Options{Binary: binary, Webs: -1})
	if err != nil {
		return "", err
	}
	defer s.Close()
	before := make([]float64, len(s.Watchers))
	for i, w := range s.Watchers {
		if before[i], err = cpuSeconds(w.PID()); err != nil {
			return "", err
		}
	}
	select {
	case <-ctx.Done():
		return "", ctx.Err()
	case <-time.After(idleFor):
	}
	leader := s.Leader(ctx)
	var lines []string
	for i, w := range s.Watchers {
		after, err := cpuSeconds(w.PID())
		if err != nil {
			return "", err
		}
		resident, err := residentMB(w.PID())
		if err != nil {
			return "", err
		}
		who := "another"
		if w == leader {
			who = "the leader"
		}
		lines = append(lines, fmt.Sprintf("%s %.0f MB and %.1f %%", who, resident, 100*(after-before[i])/idleFor.Seconds()))
	}
	return "A watcher with one idle chain of four, resident memory and share of one core: " + strings.Join(lines, ", ") + ".", nil
}

// cpuSeconds is the CPU time that a process has used, from /proc/PID/stat fields 14 and 15 (proc(5)).
func cpuSeconds(pid int) (float64, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(data), ") ") // the name may hold blanks
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return 0, fmt.Errorf("/proc/%d/stat has %d fields", pid, len(fields))
	}
	user, err := strconv.Atoi(fields[11])
	if err != nil {
		return 0, err
	}
	system, err := strconv.Atoi(fields[12])
	return float64(user+system) / ticksPerSecond, err
}

// residentMB is VmRSS of /proc/PID/status, in megabytes.
func residentMB(pid int) (float64, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(data)) {
		if value, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kb, err := strconv.Atoi(strings.Fields(value)[0])
			return float64(kb) / 1024, err
		}
	}
	return 0, fmt.Errorf("/proc/%d/status has no VmRSS", pid)
}
