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
	fmt.Fprintf(c.err, "%s [y/N] ", question)
	answers := make(chan string, 1)
	go func() { // it may outlive the question: reading a terminal cannot be called off
		line, _ := bufio.NewReader(c.in).ReadString('\n')
		answers <- line
	}()
	var answer string
	select {
	case answer = <-answers:
	case <-ctx.Done():
		fmt.Fprintln(c.err)
	}
	switch strings.ToLower(strings.TrimSpace(answer)) {
	case "y", "yes":
		return nil
	}
	return &exitError{code: exitRefused, message: "nothing was changed"}
}
