package main

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
)

// progressLine is one line on a terminal that is written over and over; elsewhere it
// says something now and then. It is safe for concurrent use.
type progressLine struct {
	mu       sync.Mutex
	out      io.Writer
	terminal bool
	width    int // of what stands there
	said     string
	saidAt   time.Time
}

// sayEvery is how often a log, or a pipe, gets a line.
const sayEvery = 30 * time.Second

// newProgressLine writes to standard error, so that the output stays clean.
func (c *cli) newProgressLine() *progressLine {
	return &progressLine{out: c.err, terminal: c.outTerminal && c.env("TERM") != "dumb"}
}

// show replaces what stands there.
func (p *progressLine) show(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if text == p.said {
		return
	}
	if !p.terminal {
		if p.saidAt.IsZero() {
			p.saidAt = time.Now() // what is done within that time needs no line
		}
		if time.Since(p.saidAt) >= sayEvery {
			fmt.Fprintln(p.out, text)
			p.said, p.saidAt = text, time.Now()
		}
		return
	}
	text = cut(text, pageWidth-1)
	width := utf8.RuneCountInString(text)
	fmt.Fprint(p.out, "\r"+text+strings.Repeat(" ", max(0, p.width-width)))
	p.width, p.said = width, text
}

// end takes the line away.
func (p *progressLine) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.terminal && p.width > 0 {
		fmt.Fprint(p.out, "\r"+strings.Repeat(" ", p.width)+"\r")
	}
	p.width = 0
}

// progressText is how far something is: bytes of what is expected (0: not known),
// the rate, and the time that is left at that rate.
func progressText(bytes, of int64, spent time.Duration) string {
	rate := int64(0)
	if spent > 0 {
		rate = int64(float64(bytes) / spent.Seconds())
	}
	text := sizeText(bytes)
	if of > 0 {
		text += fmt.Sprintf(" of %s (%d %%)", sizeText(of), min(100, bytes*100/of))
	}
	text += fmt.Sprintf(", %s/s", sizeText(rate))
	if of > bytes && rate > 0 && spent > time.Second {
		text += ", " + ageText((of-bytes)*1000/rate) + " left"
	}
	return text
}
