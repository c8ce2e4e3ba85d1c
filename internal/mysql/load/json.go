package load

import (
	"bytes"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/failoverd/failoverd/internal/snapshot"
)

// A server that reads the text of a JSON document makes a DOUBLE of every number with
// a point, and of whole numbers beyond 64 bits. A document may hold a DECIMAL there,
// put in by JSON functions: 2.50 would become 2.5, and long ones lose digits. Those
// numbers that no DOUBLE prints that way are therefore put in as what they are.

// odd is a number in a document of a row that a server would not read as it is.
type odd struct {
	column int
	path   string // of MySQL's JSON paths, keys quoted
	token  []byte
	digits int // the precision of a DECIMAL that holds it, and its scale
	scale  int
}

// oddNumbers are those of a row, none for most.
func oddNumbers(columns []snapshot.Column, fields [][]byte) (all []odd) {
	for i, c := range columns {
		if c.Kind != "json" || fields[i] == nil || !hasOdd(fields[i]) {
			continue
		}
		for _, o := range oddIn(fields[i]) {
			o.column = i
			all = append(all, o)
		}
	}
	return all
}

// hasOdd says whether there is an odd number, without asking where.
func hasOdd(doc []byte) bool {
	found := false
	eachToken(doc, func(token []byte) {
		found = found || isOdd(token)
	})
	return found
}

// eachToken gives every number, and every other sign of structure or whole string.
func eachToken(doc []byte, use func(token []byte)) {
	for i := 0; i < len(doc); {
		switch c := doc[i]; {
		case c == '"':
			end := i + 1
			for end < len(doc) && doc[end] != '"' {
				if doc[end] == '\\' {
					end++
				}
				end++
			}
			end = min(end+1, len(doc))
			use(doc[i:end])
			i = end
		case c == '-' || c >= '0' && c <= '9':
			end := i + 1
			for end < len(doc) && (doc[end] >= '0' && doc[end] <= '9' || bytes.IndexByte([]byte("+-.eE"), doc[end]) >= 0) {
				end++
			}
			use(doc[i:end])
			i = end
		default:
			use(doc[i : i+1])
			i++
		}
	}
}

// isOdd says whether a token is a number that would be printed otherwise once it had
// been a DOUBLE. The server prints DOUBLEs from 1e15 on, and very small ones, with an
// exponent, and the fewest digits that tell them from their neighbours.
func isOdd(token []byte) bool {
	if c := token[0]; c != '-' && (c < '0' || c > '9') {
		return false
	}
	text := string(token)
	if strings.ContainsAny(text, "eE") {
		return false
	}
	if !strings.Contains(text, ".") {
		if len(text) < 19 {
			return false
		}
		_, signed := strconv.ParseInt(text, 10, 64)
		_, unsigned := strconv.ParseUint(text, 10, 64)
		return signed != nil && unsigned != nil
	}
	number, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return true
	}
	if size := math.Abs(number); size >= 1e15 || size != 0 && size < 1e-14 {
		return true
	}
	plain := strconv.FormatFloat(number, 'f', -1, 64)
	if !strings.Contains(plain, ".") {
		plain += ".0"
	}
	return plain != text
}

// level is an object or array that the walk is in.
type level struct {
	array bool
	index int
	key   string // the last one, quoted
	value bool   // a value comes next, in an object
}

// oddIn finds the odd numbers of a document, and where they are.
func oddIn(doc []byte) (all []odd) {
	var levels []level
	eachToken(doc, func(token []byte) {
		var in *level
		if len(levels) > 0 {
			in = &levels[len(levels)-1]
		}
		switch token[0] {
		case '{', '[':
			levels = append(levels, level{array: token[0] == '['})
		case '}', ']':
			levels = levels[:len(levels)-1]
		case ',':
			in.index++
			in.value = false
		case ':':
			in.value = true
		case '"':
			if in != nil && !in.array && !in.value {
				in.key = string(token)
			}
		default:
			if !isOdd(token) {
				return
			}
			whole, fraction, _ := strings.Cut(strings.TrimPrefix(string(token), "-"), ".")
			scale := len(fraction)
			// The server keeps nine digits to a word: whole words, so that there are few kinds.
			digits := min(65, scale+(len(whole)+8)/9*9)
			all = append(all, odd{path: pathOf(levels), token: token, digits: max(digits, scale+len(whole)), scale: scale})
		}
	})
	return all
}

func pathOf(levels []level) string {
	var b strings.Builder
	b.WriteByte('$')
	for _, l := range levels {
		if l.array {
			fmt.Fprintf(&b, "[%d]", l.index)
		} else {
			b.WriteString("." + l.key)
		}
	}
	return b.String()
}

// oddKind is what puts the odd numbers of a row into its documents: an expression for
// each column, of the variables @odd0, @odd1 and so on, so many. Rows of one kind go
// in together.
type oddKind struct {
	sets    map[int]string
	numbers int
}

func kindOf(all []odd) oddKind {
	k := oddKind{sets: map[int]string{}, numbers: len(all)}
	for n, o := range all {
		path := strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(o.path)
		k.sets[o.column] += fmt.Sprintf(", '%s', CAST(@odd%d AS DECIMAL(%d,%d))", path, n, o.digits, o.scale)
	}
	return k
}
