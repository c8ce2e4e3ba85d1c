// Command figures runs every script of the demo several times, each on a new
// deployment, and prints what was measured as Markdown.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/failoverd/failoverd/testenv/stage"
)

func main() {
	binary := flag.String("binary", "bin/failoverd", "the program that is measured")
	runs := flag.Int("runs", 10, "how often each script runs")
	scripts := flag.String("scripts", "switchover,kill-master,freeze-master,kill-candidate,kill-leader-and-master", "which scripts run")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := measure(ctx, *binary, *runs, strings.Split(*scripts, ",")); err != nil {
		fmt.Fprintln(os.Stderr, "figures:", err)
		os.Exit(1)
	}
}

// measure prints the table even when promises were broken, and then fails.
func measure(ctx context.Context, binary string, runs int, scripts []string) error {
	broken := 0
	var rows []row
	for _, script := range scripts {
		one := row{script: script}
		for i := range runs {
			r, err := runOnce(ctx, binary, script)
			if err != nil {
				return fmt.Errorf("%s, run %d: %w", script, i+1, err)
			}
			fmt.Fprintf(os.Stderr, "%s %d of %d: %d ms, %d acknowledged, %d lost %s\n",
				script, i+1, runs, r.WriteOutageMs, r.WritesAcked, r.WritesLost, strings.Join(r.Broken, "; "))
			one.results = append(one.results, r)
			broken += len(r.Broken)
		}
		rows = append(rows, one)
	}
	idle, err := measureIdle(ctx, binary)
	if err != nil {
		return err
	}
	fmt.Println(table(rows))
	fmt.Println(machine(ctx))
	fmt.Println(idle)
	if broken > 0 {
		return fmt.Errorf("%d promises were broken", broken)
	}
	return nil
}

// patience bounds one run, the first download of MySQL included.
const patience = 10 * time.Minute

// runOnce runs the demo. Its exit code 1 with a result says that a promise was
// broken, which the result says too.
func runOnce(ctx context.Context, binary, script string) (stage.Result, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var said, complained bytes.Buffer
	cmd := exec.CommandContext(ctx, binary, "demo", "--script", script, "--json")
	cmd.Stdout, cmd.Stderr = &said, &complained
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) } // it ends what it started
	cmd.WaitDelay = 30 * time.Second
	failed := cmd.Run()
	var r stage.Result
	if err := json.Unmarshal(said.Bytes(), &r); err != nil {
		return r, fmt.Errorf("%w: %s", firstOf(ctx.Err(), failed, err), last(complained.String(), 5))
	}
	return r, nil
}

func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// last returns the last n lines.
func last(text string, n int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
