package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/spf13/cobra"
)

// format is the value of -o.
type format string

const (
	asTable format = "table"
	asJSON  format = "json"
	asYAML  format = "yaml"
)

// formatFlag adds -o.
func formatFlag(cmd *cobra.Command, to *format) {
	*to = asTable
	cmd.Flags().VarP(to, "output", "o", "`format`: table, json or yaml")
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{"table", "json", "yaml"}, cobra.ShellCompDirectiveNoFileComp))
}

func (f *format) String() string { return string(*f) }

// Type implements pflag.Value.
func (f *format) Type() string { return "format" }

// Set implements pflag.Value.
func (f *format) Set(text string) error {
	switch format(text) {
	case asTable, asJSON, asYAML:
		*f = format(text)
		return nil
	}
	return fmt.Errorf("%q is not table, json or yaml", text)
}

// encode prints a document for programs.
func (c *cli) encode(f format, document any) error {
	data, err := json.MarshalIndent(document, "", "  ")
	if err == nil && f == asYAML {
		data, err = yaml.JSONToYAML(data) // the same names and forms as in JSON
	}
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(c.out, strings.TrimRight(string(data), "\n"))
	return err
}

// pageWidth is what every table fits into.
const pageWidth = 100

// style is how a cell looks on a terminal, as an SGR code.
type style string

const (
	plain style = ""
	bold  style = "1"
	dim   style = "2"
	good  style = "32"
	odd   style = "33"
	bad   style = "31"
)

// paint colours text on a terminal, unless NO_COLOR is set (no-color.org).
func (c *cli) paint(s style, text string) string {
	if s == plain || text == "" || !c.outTerminal || c.env("NO_COLOR") != "" || c.env("TERM") == "dumb" {
		return text
	}
	return "\x1b[" + string(s) + "m" + text + "\x1b[0m"
}

// cell is a word of a table.
type cell struct {
	text  string
	style style
}

// table is rows of cells, aligned by columns.
type table struct {
	indent string
	rows   [][]cell
}

func (t *table) head(words ...string) {
	var row []cell
	for _, word := range words {
		row = append(row, cell{word, dim})
	}
	t.rows = append(t.rows, row)
}

func (t *table) row(cells ...cell) { t.rows = append(t.rows, cells) }

// print writes the table; what would not fit the page is cut at the longest column.
func (c *cli) print(t table) {
	widths := t.widths()
	for _, row := range t.rows {
		var line strings.Builder
		line.WriteString(t.indent)
		for i, cell := range row {
			text := cut(cell.text, widths[i])
			line.WriteString(c.paint(cell.style, text))
			if i < len(row)-1 {
				line.WriteString(strings.Repeat(" ", widths[i]-utf8.RuneCountInString(text)+2))
			}
		}
		fmt.Fprintln(c.out, strings.TrimRight(line.String(), " "))
	}
}

func (t *table) widths() []int {
	var widths []int
	for _, row := range t.rows {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], utf8.RuneCountInString(cell.text))
		}
	}
	for {
		total, longest := utf8.RuneCountInString(t.indent)+2*max(0, len(widths)-1), 0
		for i, w := range widths {
			total += w
			if w > widths[longest] {
				longest = i
			}
		}
		if total <= pageWidth || widths[longest] < 8 {
			return widths
		}
		widths[longest]--
	}
}

func cut(text string, width int) string {
	if utf8.RuneCountInString(text) <= width {
		return text
	}
	return string([]rune(text)[:max(0, width-1)]) + "…"
}

// say writes a sentence, wrapped to the page, with later lines indented like the first's words.
func (c *cli) say(indent, sentence string) {
	hang := strings.Repeat(" ", len(indent)-len(strings.TrimLeft(indent, " "))+2)
	line := indent
	for _, word := range strings.Fields(sentence) {
		if utf8.RuneCountInString(line)+utf8.RuneCountInString(word) > pageWidth-1 && strings.TrimSpace(line) != "" {
			fmt.Fprintln(c.out, strings.TrimRight(line, " "))
			line = hang
		}
		line += word + " "
	}
	fmt.Fprintln(c.out, strings.TrimRight(line, " "))
}

// took writes milliseconds as people read them.
func took(ms int64) string {
	ms = max(ms, 0) // the clocks of two leaders differ
	d := time.Duration(ms) * time.Millisecond
	switch {
	case d < 10*time.Second:
		return fmt.Sprintf("%d ms", ms)
	case d < time.Minute:
		return fmt.Sprintf("%.1f s", d.Seconds())
	}
	return d.Round(time.Second).String()
}

// at writes a time; all of failoverd's are UTC.
func at(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05Z") }

// several is "1 error" or "2 errors".
func several(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
