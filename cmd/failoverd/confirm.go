package main

import (
	"bufio"
	"context"
	"fmt"
	"strings"
)

// mayAsk says, before anything is done, whether a question could be answered.
func (c *cli) mayAsk(yes bool) error {
	if yes || c.inTerminal {
		return nil
	}
	return &exitError{code: exitUsage, message: "this asks before it acts, and there is no terminal to ask at: nothing was done",
		hint: "--yes goes ahead, --dry-run only shows what would be done"}
}

// confirm asks on the terminal. Everything but yes is a no, the end of ctx included.
func (c *cli) confirm(ctx context.Context, question string) error {
	switch strings.ToLower(strings.TrimSpace(c.question(ctx, question+" [y/N] "))) {
	case "y", "yes":
		return nil
	}
	return &exitError{code: exitRefused, message: "nothing was changed"}
}

// confirmName asks for a name to be typed, for what cannot be undone: a y is too
// quickly typed.
func (c *cli) confirmName(ctx context.Context, warning, name string) error {
	if strings.TrimSpace(c.question(ctx, fmt.Sprintf("%s Type %s to go ahead: ", c.paint(bad, warning), name))) == name {
		return nil
	}
	return &exitError{code: exitRefused, message: fmt.Sprintf("that was not %q: nothing was changed", name)}
}

// question asks for a line on the terminal, empty when none comes.
func (c *cli) question(ctx context.Context, question string) string {
	fmt.Fprint(c.err, question)
	if c.lines == nil {
		c.lines = bufio.NewReader(c.in) // one for all questions, for it reads ahead
	}
	answers := make(chan string, 1)
	go func() { // it may outlive the question: reading a terminal cannot be called off
		line, _ := c.lines.ReadString('\n')
		answers <- line
	}()
	select {
	case answer := <-answers:
		return answer
	case <-ctx.Done():
		fmt.Fprintln(c.err)
		return ""
	}
}
