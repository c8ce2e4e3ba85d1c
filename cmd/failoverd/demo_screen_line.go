package main

import (
	"strings"
	"unicode/utf8"
)

// line is one line of the demo's screen, in pieces of one style each.
type line []piece

type piece struct {
	style style
	text  string
}

func (l *line) add(s style, text string) { *l = append(*l, piece{s, text}) }

// tab goes to a column, and at least one space on unless that is the first.
func (l *line) tab(column int) {
	if width := l.width(); column > 0 {
		l.add(plain, strings.Repeat(" ", max(column-width, 1)))
	}
}

func (l line) width() int {
	n := 0
	for _, p := range l {
		n += utf8.RuneCountInString(p.text)
	}
	return n
}

// within cuts the line to a width.
func (l line) within(width int) line {
	if l.width() <= width {
		return l
	}
	var out line
	room := width - 1 // for the mark that something is missing
	for _, p := range l {
		text := []rune(p.text)
		if len(text) >= room {
			out.add(p.style, string(text[:max(room, 0)])+"…")
			return out
		}
		out = append(out, p)
		room -= len(text)
	}
	return out
}

func (l line) text() string {
	var b strings.Builder
	for _, p := range l {
		b.WriteString(p.text)
	}
	return strings.TrimRight(b.String(), " ")
}

func (l line) ansi() string {
	var b strings.Builder
	for _, p := range l {
		if p.style == plain {
			b.WriteString(p.text)
		} else {
			b.WriteString("\x1b[" + string(p.style) + "m" + p.text + "\x1b[0m")
		}
	}
	return b.String()
}

// paintScreen puts the lines of a whole screen on a terminal, over what is there:
// nothing is cleared before it is written, so nothing flickers.
func paintScreen(lines []line, width int, colour bool) string {
	var b strings.Builder
	b.WriteString("\x1b[H")
	for i, l := range lines {
		if i > 0 {
			b.WriteString("\r\n")
		}
		if colour {
			b.WriteString(l.ansi())
		} else {
			b.WriteString(l.text())
		}
		if !colour || l.width() < width { // after the last column it would clear that
			b.WriteString("\x1b[K")
		}
	}
	return b.String()
}

// wrapWords breaks a text into at most n lines of a width; what does not fit is cut.
func wrapWords(text string, width, n int) []string {
	var out []string
	current := ""
	words := strings.Fields(text)
	for i, word := range words {
		switch {
		case current == "":
			current = word
		case utf8.RuneCountInString(current)+1+utf8.RuneCountInString(word) <= width:
			current += " " + word
		case len(out) == n-1:
			return append(out, cut(current+" "+strings.Join(words[i:], " "), width))
		default:
			out = append(out, current)
			current = word
		}
	}
	if current != "" {
		out = append(out, cut(current, width))
	}
	return out
}

// bars draws counts as a curve; an empty slot is a dot.
func bars(counts []int, full int) string {
	const levels = "▁▂▃▄▅▆▇█"
	glyphs := []rune(levels)
	var b strings.Builder
	for _, n := range counts {
		if n == 0 {
			b.WriteRune('·')
			continue
		}
		b.WriteRune(glyphs[min(n*len(glyphs)/max(full, 1), len(glyphs)-1)])
	}
	return b.String()
}
