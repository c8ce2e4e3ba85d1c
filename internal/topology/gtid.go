package topology

import (
	"cmp"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"
)

// GTIDSet is a set of MySQL global transaction identifiers, written like
// "uuid:1-5:7,uuid:tag:1-3" (MySQL 9.7 Reference Manual, "GTID Format and Storage";
// tags exist since 8.3). The zero value is the empty set. A GTIDSet is never
// changed after it is made, so copies may share memory.
type GTIDSet struct {
	lines []gtidLine // sorted by origin, none empty
}

// gtidLine is everything that one origin (a server UUID, or UUID and tag) committed.
type gtidLine struct {
	origin string     // "uuid" or "uuid:tag", lower case
	runs   []gtidSpan // sorted, disjoint, not adjacent
}

// gtidSpan is the closed range first..last of sequence numbers.
type gtidSpan struct{ first, last int64 }

// ParseGTIDSet reads a set as servers print it. White space between items is
// allowed, since servers print newlines. The error names the item at fault.
func ParseGTIDSet(text string) (GTIDSet, error) {
	spans := map[string][]gtidSpan{}
	for _, item := range strings.Split(text, ",") {
		item = strings.TrimSpace(item)
		if item == "" {
			continue
		}
		if err := parseGTIDItem(item, spans); err != nil {
			return GTIDSet{}, err
		}
	}
	return gtidSetOf(spans), nil
}

// MustGTIDSet is ParseGTIDSet for constants in tests and fakes; it panics on bad text.
func MustGTIDSet(text string) GTIDSet {
	set, err := ParseGTIDSet(text)
	if err != nil {
		panic(err)
	}
	return set
}

// GTIDSpan returns the set origin:first-last.
func GTIDSpan(origin string, first, last int64) GTIDSet {
	if last < first {
		return GTIDSet{}
	}
	return GTIDSet{lines: []gtidLine{{origin, []gtidSpan{{first, last}}}}}
}

func parseGTIDItem(item string, spans map[string][]gtidSpan) error {
	fields := strings.Split(item, ":")
	uuid := strings.ToLower(strings.TrimSpace(fields[0]))
	if !isUUID(uuid) {
		return fmt.Errorf("GTID set: %q does not start with a server UUID", item)
	}
	if len(fields) < 2 {
		return fmt.Errorf("GTID set: %q has no transaction numbers after the UUID", item)
	}
	origin, numbers := uuid, 0
	for _, field := range fields[1:] {
		field = strings.TrimSpace(field)
		if isGTIDTag(field) {
			origin = uuid + ":" + strings.ToLower(field)
			continue
		}
		span, err := parseGTIDSpan(field)
		if err != nil {
			return fmt.Errorf("GTID set: %q in %q: %w", field, item, err)
		}
		spans[origin] = append(spans[origin], span)
		numbers++
	}
	if numbers == 0 {
		return fmt.Errorf("GTID set: %q has no transaction numbers after the tag", item)
	}
	return nil
}

func parseGTIDSpan(field string) (gtidSpan, error) {
	from, to, ranged := strings.Cut(field, "-")
	first, err := strconv.ParseInt(strings.TrimSpace(from), 10, 64)
	if err != nil || first < 1 {
		return gtidSpan{}, fmt.Errorf("not a transaction number (1 or more)")
	}
	if !ranged {
		return gtidSpan{first, first}, nil
	}
	last, err := strconv.ParseInt(strings.TrimSpace(to), 10, 64)
	if err != nil || last < first {
		return gtidSpan{}, fmt.Errorf("not a range of transaction numbers")
	}
	return gtidSpan{first, last}, nil
}

func isUUID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case i == 8 || i == 13 || i == 18 || i == 23:
			if c != '-' {
				return false
			}
		case (c < '0' || c > '9') && (c < 'a' || c > 'f'):
			return false
		}
	}
	return true
}

// isGTIDTag follows the manual: a letter or underscore, then up to 31 letters, digits or underscores.
func isGTIDTag(s string) bool {
	if s == "" || len(s) > 32 || (s[0] >= '0' && s[0] <= '9') {
		return false
	}
	for i := 0; i < len(s); i++ {
		c := s[i] | 0x20
		if (c < 'a' || c > 'z') && (s[i] < '0' || s[i] > '9') && s[i] != '_' {
			return false
		}
	}
	return true
}

func gtidSetOf(spans map[string][]gtidSpan) GTIDSet {
	var set GTIDSet
	for origin, runs := range spans {
		if runs = joinSpans(runs); len(runs) > 0 {
			set.lines = append(set.lines, gtidLine{origin, runs})
		}
	}
	slices.SortFunc(set.lines, func(a, b gtidLine) int { return strings.Compare(a.origin, b.origin) })
	return set
}

func joinSpans(runs []gtidSpan) []gtidSpan {
	slices.SortFunc(runs, func(a, b gtidSpan) int { return cmp.Compare(a.first, b.first) })
	var out []gtidSpan
	for _, run := range runs {
		if n := len(out); n > 0 && run.first <= out[n-1].last+1 {
			out[n-1].last = max(out[n-1].last, run.last)
			continue
		}
		out = append(out, run)
	}
	return out
}

// String prints the set in the order and form that MySQL itself uses, on one line.
func (s GTIDSet) String() string {
	var b strings.Builder
	for i, line := range s.lines {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(line.origin)
		for _, run := range line.runs {
			b.WriteByte(':')
			b.WriteString(strconv.FormatInt(run.first, 10))
			if run.last > run.first {
				b.WriteByte('-')
				b.WriteString(strconv.FormatInt(run.last, 10))
			}
		}
	}
	return b.String()
}

// MarshalText writes the set as String does.
func (s GTIDSet) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads what MarshalText wrote; see ParseGTIDSet for its errors.
func (s *GTIDSet) UnmarshalText(text []byte) error {
	set, err := ParseGTIDSet(string(text))
	if err != nil {
		return err
	}
	*s = set
	return nil
}

// Empty says whether the set has no transaction.
func (s GTIDSet) Empty() bool { return len(s.lines) == 0 }

// IsZero lets encoders leave out an empty set.
func (s GTIDSet) IsZero() bool { return s.Empty() }

// Count is the number of transactions in the set.
func (s GTIDSet) Count() int64 {
	var n int64
	for _, line := range s.lines {
		for _, run := range line.runs {
			n += run.last - run.first + 1
		}
	}
	return n
}

// Each yields the GTIDs of the set one by one, in its order.
func (s GTIDSet) Each() iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, line := range s.lines {
			for _, run := range line.runs {
				for n := run.first; n <= run.last; n++ {
					if !yield(line.origin + ":" + strconv.FormatInt(n, 10)) {
						return
					}
				}
			}
		}
	}
}

// Last is the highest transaction number of one origin, 0 when there is none.
func (s GTIDSet) Last(origin string) int64 {
	runs := s.runs(origin)
	if len(runs) == 0 {
		return 0
	}
	return runs[len(runs)-1].last
}

func (s GTIDSet) runs(origin string) []gtidSpan {
	for _, line := range s.lines {
		if line.origin == origin {
			return line.runs
		}
	}
	return nil
}

// Contains says whether every transaction of other is in s.
func (s GTIDSet) Contains(other GTIDSet) bool {
	for _, line := range other.lines {
		have := s.runs(line.origin)
		i := 0
		for _, run := range line.runs {
			for i < len(have) && have[i].last < run.first {
				i++
			}
			if i == len(have) || have[i].first > run.first || have[i].last < run.last {
				return false
			}
		}
	}
	return true
}

// Equal says whether both hold the same transactions.
func (s GTIDSet) Equal(other GTIDSet) bool { return s.Contains(other) && other.Contains(s) }

// Union returns the transactions of either set.
func (s GTIDSet) Union(other GTIDSet) GTIDSet {
	if s.Contains(other) {
		return s
	}
	if other.Contains(s) {
		return other
	}
	out := GTIDSet{lines: make([]gtidLine, 0, len(s.lines)+len(other.lines))}
	i, j := 0, 0
	for i < len(s.lines) && j < len(other.lines) {
		switch a, b := s.lines[i], other.lines[j]; strings.Compare(a.origin, b.origin) {
		case -1:
			out.lines = append(out.lines, a)
			i++
		case 1:
			out.lines = append(out.lines, b)
			j++
		default:
			out.lines = append(out.lines, gtidLine{a.origin, joinSpans(append(append([]gtidSpan(nil), a.runs...), b.runs...))})
			i, j = i+1, j+1
		}
	}
	out.lines = append(out.lines, s.lines[i:]...)
	out.lines = append(out.lines, other.lines[j:]...)
	return out
}

// Minus returns the transactions of s that other lacks.
func (s GTIDSet) Minus(other GTIDSet) GTIDSet {
	var out GTIDSet
	for _, line := range s.lines {
		if runs := minusSpans(line.runs, other.runs(line.origin)); len(runs) > 0 {
			out.lines = append(out.lines, gtidLine{line.origin, runs})
		}
	}
	return out
}

func minusSpans(runs, cut []gtidSpan) []gtidSpan {
	var out []gtidSpan
	for _, run := range runs {
		first := run.first
		for _, c := range cut {
			if c.last < first {
				continue
			}
			if c.first > run.last {
				break
			}
			if c.first > first {
				out = append(out, gtidSpan{first, c.first - 1})
			}
			first = c.last + 1
		}
		if first <= run.last {
			out = append(out, gtidSpan{first, run.last})
		}
	}
	return out
}

// Common returns what is in both sets.
func (s GTIDSet) Common(other GTIDSet) GTIDSet { return s.Minus(s.Minus(other)) }

// OfServer returns what the server with this UUID committed under any tag.
func (s GTIDSet) OfServer(uuid string) GTIDSet { return s.Minus(s.WithoutServer(uuid)) }

// WithoutServer returns the set without what the server with this UUID
// committed under any tag.
func (s GTIDSet) WithoutServer(uuid string) GTIDSet {
	uuid = strings.ToLower(uuid)
	committed := func(line gtidLine) bool {
		return strings.HasPrefix(line.origin, uuid) && (len(line.origin) == len(uuid) || line.origin[len(uuid)] == ':')
	}
	if !slices.ContainsFunc(s.lines, committed) {
		return s
	}
	out := GTIDSet{lines: make([]gtidLine, 0, len(s.lines))}
	for _, line := range s.lines {
		if !committed(line) {
			out.lines = append(out.lines, line)
		}
	}
	return out
}
