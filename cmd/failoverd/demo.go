package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/failoverd/failoverd/internal/api"
	"github.com/failoverd/failoverd/internal/snapshot"
	"github.com/failoverd/failoverd/testenv"
	"github.com/failoverd/failoverd/testenv/stage"
)

func newDemoCommand() *cobra.Command {
	var script, dir, network string
	var asJSON, relaxed bool
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Set up four MySQL servers, three watchers, S3 and two web servers here, and break them",
		Long: `Set up a whole deployment on this machine, all of it real: four MySQL servers,
three watchers, an S3 service and two web servers that write through the config
that failoverd publishes. Then kill, freeze and switch over, and watch.

Without a terminal, or with --script, one scenario runs unattended; the exit
code is 1 when a promise was broken. Scripts: ` + strings.Join(scriptNames(), ", ") + `.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			interactive := script == "" && !asJSON && term.IsTerminal(int(os.Stdout.Fd())) && term.IsTerminal(int(os.Stdin.Fd()))
			if script == "" {
				script = "kill-master"
			}
			if _, ok := scripts[script]; !ok && script != drillScript {
				return usageError(fmt.Errorf("there is no script %q: take %s", script, strings.Join(scriptNames(), ", ")))
			}
			binary, err := os.Executable()
			if err != nil {
				return err
			}
			start := time.Now()
			say := func(text string) { fmt.Fprintf(os.Stderr, "%5.1fs  %s\n", time.Since(start).Seconds(), text) }
			s, err := stage.New(ctx, stage.Options{Binary: binary, Dir: dir, Progress: say,
				Policy: []string{"holdDown: 10s"}, // an audience freezes a second master sooner than an operator would
				Chain:  testenv.Options{Network: testenv.Network(network), Relaxed: relaxed, Dir: chainDir(dir)}})
			if err != nil {
				return demoFailed(ctx, err)
			}
			defer s.Close()
			say("chain " + s.Product + " is up and written to")
			if interactive || script == drillScript {
				// A snapshot each minute, so that an audience sees one.
				if err := s.StartDump(ctx, "every: 1m", "scrub: {every: 0s}"); err != nil {
					return demoFailed(ctx, err)
				}
			}
			switch {
			case interactive:
				return newScreen(s).run(ctx)
			case script == drillScript:
				return runDrill(ctx, s, asJSON, say)
			}
			return runScript(ctx, s, script, asJSON, say)
		},
	}
	f := cmd.Flags()
	f.StringVar(&script, "script", "", "run one scenario unattended: `NAME` is "+strings.Join(scriptNames(), ", "))
	f.BoolVar(&asJSON, "json", false, "print the result as one JSON document")
	f.StringVar(&dir, "dir", "", "keep all files and logs in this `directory`")
	f.StringVar(&network, "network", "", "loopback or netns (needs root)")
	f.BoolVar(&relaxed, "relaxed", false, "give up fsync at commit, for slow disks; figures are not comparable")
	cmd.AddCommand(newDemoWebCommand())
	return cmd
}

func chainDir(dir string) string {
	if dir == "" {
		return ""
	}
	return filepath.Join(dir, "mysql")
}

func demoFailed(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return errors.New("interrupted; everything that was started has been ended")
	}
	return err
}

func runScript(ctx context.Context, s *stage.Stage, name string, asJSON bool, say func(string)) error {
	result, err := stage.RunScript(ctx, s, name, scripts[name], say)
	if err != nil {
		return demoFailed(ctx, err)
	}
	if asJSON {
		out := json.NewEncoder(os.Stdout)
		out.SetIndent("", "  ")
		if err := out.Encode(result); err != nil {
			return err
		}
	} else {
		printResult(result)
	}
	if len(result.Broken) > 0 {
		return fmt.Errorf("a promise was broken: %s", strings.Join(result.Broken, "; "))
	}
	return nil
}

func printResult(r stage.Result) {
	if r.Promotions > 0 {
		fmt.Printf("\n%s: %s → %s, epoch %d\n", r.Script, r.From, r.To, r.Epoch)
	} else {
		fmt.Printf("\n%s: %s was lost, %s stays the master of epoch %d\n", r.Script, r.From, r.To, r.Epoch)
	}
	fmt.Printf("  write outage   %d ms (as the web servers saw it)\n", r.WriteOutageMs)
	fmt.Printf("  writes         %d acknowledged, %d lost, %d failed, %d unknown\n", r.WritesAcked, r.WritesLost, r.WritesFailed, r.WritesUnknown)
	fmt.Printf("  promotions     %d\n", r.Promotions)
	for _, p := range r.Phases {
		fmt.Printf("  %6d ms  %s\n", p.Ms, strings.TrimSpace(p.Step+"  "+p.Text))
	}
	fmt.Printf("  afterwards     %s\n", r.Afterwards)
}

// scripts are the scenarios, in the order of scriptNames.
var scripts = map[string]stage.Script{
	"kill-master":            stage.KillMaster,
	"freeze-master":          stage.FreezeMaster,
	"switchover":             stage.Switchover,
	"kill-candidate":         stage.KillCandidate,
	"kill-leader-and-master": stage.KillLeaderAndMaster,
}

// drillScript breaks nothing: it restores a copy from the store and compares it.
const drillScript = "drill"

func runDrill(ctx context.Context, s *stage.Stage, asJSON bool, say func(string)) error {
	say("the dump service takes the first snapshot")
	copies, err := s.AwaitCopies(ctx, "the first copy", 2*time.Minute, func(c api.Copies) bool { return c.Newest != nil })
	if err != nil {
		return demoFailed(ctx, err)
	}
	say("restoring " + copies.Newest.ID + " on a server of its own")
	out, err := s.Drill(ctx)
	if err != nil {
		return demoFailed(ctx, err)
	}
	if asJSON {
		_, err = os.Stdout.Write(out)
		return err
	}
	var report snapshot.DrillReport
	if err := json.Unmarshal(out, &report); err != nil {
		return err
	}
	fmt.Printf("\n%s was restored in %s: %d rows; every one was read back and is as it was\n", report.Snapshot, took(int64(report.RTOSeconds*1000)), report.Rows)
	if report.Joined != "" {
		fmt.Println("then it replicated: " + report.Joined)
	}
	return nil
}

func scriptNames() []string {
	return []string{"kill-master", "freeze-master", "switchover", "kill-candidate", "kill-leader-and-master", drillScript}
}
