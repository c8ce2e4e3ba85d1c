package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strings"

	"github.com/failoverd/failoverd/testenv"
)

// version is how the tools write their own.
var version = regexp.MustCompile(`[0-9]+\.[0-9]+[-.0-9]*`)

// machine says on what the figures were measured: without it they are worth little.
func machine(ctx context.Context, install testenv.Install) string {
	parts := []string{fmt.Sprintf("%d cores of %s", runtime.NumCPU(), processor()), runtime.GOOS + " " + firstLine("/proc/sys/kernel/osrelease"), "MySQL " + install.Version, runtime.Version()}
	for _, tool := range []string{"zstd", "mydumper"} {
		path, err := exec.LookPath(tool)
		if err != nil {
			continue
		}
		if out, err := exec.CommandContext(ctx, path, "--version").Output(); err == nil {
			parts = append(parts, tool+" "+version.FindString(string(out)))
		}
	}
	return strings.Join(parts, ", ")
}

func processor() string {
	file, err := os.Open("/proc/cpuinfo")
	if err != nil {
		return runtime.GOARCH
	}
	defer file.Close()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		if name, value, _ := strings.Cut(lines.Text(), ":"); strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}

// loadAverage says what else goes on: of one, five and fifteen minutes.
func loadAverage() string {
	fields := strings.Fields(firstLine("/proc/loadavg"))
	return strings.Join(fields[:min(3, len(fields))], " ")
}

func firstLine(path string) string {
	data, err := os.ReadFile(path)
	if err != nil {
		return "?"
	}
	line, _, _ := strings.Cut(string(data), "\n")
	return line
}
