// Command failoverd watches MySQL chains, promotes a replica when a master dies,
// and tells the web servers about it. See "failoverd help".
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/term"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, streams{
		in: os.Stdin, out: os.Stdout, err: os.Stderr, env: os.Getenv, now: time.Now,
		inTerminal:  term.IsTerminal(int(os.Stdin.Fd())),
		outTerminal: term.IsTerminal(int(os.Stdout.Fd())),
	}, os.Args[1:])
	stop()
	os.Exit(code)
}

// streams are a command's surroundings, so that tests can be them.
type streams struct {
	in                      io.Reader
	out, err                io.Writer
	env                     func(string) string
	now                     func() time.Time
	inTerminal, outTerminal bool
	patience                time.Duration // with watchers that are away; 0 is the client's own
}

// run executes one command line and returns its exit code.
func run(ctx context.Context, s streams, args []string) int {
	root := newRootCommand(&cli{streams: s})
	root.SetArgs(args)
	root.SetIn(s.in)
	root.SetOut(s.out)
	root.SetErr(s.err)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitDone
	}
	outcome := explainError(ctx, err)
	if outcome.message != "" {
		fmt.Fprintf(s.err, "failoverd: %s\n", outcome.message)
	}
	for _, reason := range outcome.reasons {
		fmt.Fprintf(s.err, "  - %s\n", reason)
	}
	if outcome.hint != "" {
		fmt.Fprintf(s.err, "hint: %s\n", outcome.hint)
	}
	return outcome.code
}
