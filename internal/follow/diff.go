package follow

import (
	"fmt"
	"slices"
	"strings"
)

const (
	diffContext = 3
	// diffCells bounds the table of the longest common subsequence; larger
	// files are shown as one replacement.
	diffCells = 4 << 20
)

// edit is a line that is kept (' '), removed ('-') or added ('+').
type edit struct {
	kind byte
	line string
}

// unifiedDiff returns "diff -u" of two contents, or nothing if they are equal.
func unifiedDiff(path string, before, after []byte) string {
	edits := diffLines(splitLines(string(before)), splitLines(string(after)))
	var out strings.Builder
	oldLine, newLine := 1, 1
	for i := 0; i < len(edits); {
		if edits[i].kind == ' ' {
			i, oldLine, newLine = i+1, oldLine+1, newLine+1
			continue
		}
		if out.Len() == 0 {
			fmt.Fprintf(&out, "--- %s\n+++ %s (rendered)\n", path, path)
		}
		lead := min(diffContext, i)
		end := hunkEnd(edits, i)
		hunk := edits[i-lead : end]
		oldLen, newLen := 0, 0
		for _, e := range hunk {
			if e.kind != '+' {
				oldLen++
			}
			if e.kind != '-' {
				newLen++
			}
		}
		fmt.Fprintf(&out, "@@ -%s +%s @@\n", hunkRange(oldLine-lead, oldLen), hunkRange(newLine-lead, newLen))
		for _, e := range hunk {
			out.WriteByte(e.kind)
			out.WriteString(e.line)
			if !strings.HasSuffix(e.line, "\n") {
				out.WriteString("\n\\ No newline at end of file\n")
			}
		}
		oldLine, newLine, i = oldLine-lead+oldLen, newLine-lead+newLen, end
	}
	return out.String()
}

// hunkEnd finds where the context after the changes from i on runs out.
func hunkEnd(edits []edit, i int) int {
	last := i
	for j := i; j < len(edits) && j-last <= 2*diffContext; j++ {
		if edits[j].kind != ' ' {
			last = j
		}
	}
	return min(last+1+diffContext, len(edits))
}

// hunkRange writes a range as diff does: an empty one names the line before.
func hunkRange(start, length int) string {
	if length == 0 {
		start--
	}
	return fmt.Sprintf("%d,%d", start, length)
}

func splitLines(s string) []string {
	lines := strings.SplitAfter(s, "\n")
	if lines[len(lines)-1] == "" {
		lines = lines[:len(lines)-1]
	}
	return lines
}

func diffLines(a, b []string) []edit {
	if len(a)*len(b) > diffCells {
		return append(edits('-', a), edits('+', b)...)
	}
	// common[i][j] is the length of what a[i:] and b[j:] have in common.
	common := make([][]int, len(a)+1)
	for i := range common {
		common[i] = make([]int, len(b)+1)
	}
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			if a[i] == b[j] {
				common[i][j] = common[i+1][j+1] + 1
			} else {
				common[i][j] = max(common[i+1][j], common[i][j+1])
			}
		}
	}
	var out []edit
	i, j := 0, 0
	for i < len(a) && j < len(b) {
		switch {
		case a[i] == b[j]:
			out = append(out, edit{' ', a[i]})
			i, j = i+1, j+1
		case common[i+1][j] >= common[i][j+1]:
			out = append(out, edit{'-', a[i]})
			i++
		default:
			out = append(out, edit{'+', b[j]})
			j++
		}
	}
	return slices.Concat(out, edits('-', a[i:]), edits('+', b[j:]))
}

func edits(kind byte, lines []string) []edit {
	out := make([]edit, len(lines))
	for i, line := range lines {
		out[i] = edit{kind, line}
	}
	return out
}
