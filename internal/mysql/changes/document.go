package changes

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strconv"

	gomysql "github.com/go-mysql-org/go-mysql/mysql"
)

var errDocument = errors.New("JSON document in the binary log is cut off")

// The types of values in a binary JSON document (MySQL source, sql-common/json_binary.h).
const (
	jsonSmallObject = iota
	jsonLargeObject
	jsonSmallArray
	jsonLargeArray
	jsonLiteral
	jsonInt16
	jsonUint16
	jsonInt32
	jsonUint32
	jsonInt64
	jsonUint64
	jsonDouble
	jsonString
	jsonOpaque = 15
)

// maxDepth is deeper than the 100 levels that MySQL allows.
const maxDepth = 200

// appendDocument appends the text of a binary JSON document, exactly as the server
// prints the column. That it does is tested against the server.
func appendDocument(dst, document []byte) ([]byte, error) {
	if len(document) == 0 {
		return append(dst, "null"...), nil // what a column without a value means
	}
	return appendJSON(dst, document[0], document[1:], maxDepth)
}

func appendJSON(dst []byte, kind byte, data []byte, depth int) ([]byte, error) {
	if depth == 0 {
		return nil, errDocument
	}
	need := map[byte]int{jsonLiteral: 1, jsonInt16: 2, jsonUint16: 2, jsonInt32: 4, jsonUint32: 4, jsonInt64: 8, jsonUint64: 8, jsonDouble: 8}[kind]
	if len(data) < need {
		return nil, errDocument
	}
	switch kind {
	case jsonSmallObject:
		return appendContainer(dst, data, 2, true, depth)
	case jsonLargeObject:
		return appendContainer(dst, data, 4, true, depth)
	case jsonSmallArray:
		return appendContainer(dst, data, 2, false, depth)
	case jsonLargeArray:
		return appendContainer(dst, data, 4, false, depth)
	case jsonLiteral:
		literal, known := map[byte]string{0: "null", 1: "true", 2: "false"}[data[0]]
		if !known {
			return nil, fmt.Errorf("JSON literal %d is not known", data[0])
		}
		return append(dst, literal...), nil
	case jsonInt16:
		return strconv.AppendInt(dst, int64(int16(little(data[:2]))), 10), nil
	case jsonUint16:
		return strconv.AppendUint(dst, little(data[:2]), 10), nil
	case jsonInt32:
		return strconv.AppendInt(dst, int64(int32(little(data[:4]))), 10), nil
	case jsonUint32:
		return strconv.AppendUint(dst, little(data[:4]), 10), nil
	case jsonInt64:
		return strconv.AppendInt(dst, int64(little(data[:8])), 10), nil
	case jsonUint64:
		return strconv.AppendUint(dst, little(data[:8]), 10), nil
	case jsonDouble:
		return appendDouble(dst, math.Float64frombits(little(data[:8]))), nil
	case jsonString:
		text, err := variable(data)
		if err != nil {
			return nil, err
		}
		return appendQuoted(dst, text), nil
	case jsonOpaque:
		text, err := variable(data[min(1, len(data)):])
		if err != nil {
			return nil, err
		}
		return appendOpaque(dst, data[0], text)
	}
	return nil, fmt.Errorf("JSON type %d is not known", kind)
}

// appendContainer prints an object or an array: the count of its elements, its
// size, an entry for each key and each value, then keys and values; word is how
// large counts and offsets are.
func appendContainer(dst, data []byte, word int, isObject bool, depth int) ([]byte, error) {
	if len(data) < 2*word {
		return nil, errDocument
	}
	count := int(little(data[:word]))
	keyEntry, valueEntry := 0, 1+word
	if isObject {
		keyEntry = word + 2
	}
	values := 2*word + count*keyEntry
	if count > len(data) || values+count*valueEntry > len(data) {
		return nil, errDocument
	}
	ends := "[]"
	if isObject {
		ends = "{}"
	}
	dst = append(dst, ends[0])
	for i := range count {
		if i > 0 {
			dst = append(dst, ", "...)
		}
		if isObject {
			entry := data[2*word+i*keyEntry:]
			start, size := int(little(entry[:word])), int(little(entry[word:word+2]))
			if start+size > len(data) {
				return nil, errDocument
			}
			dst = append(appendQuoted(dst, data[start:start+size]), ": "...)
		}
		entry := data[values+i*valueEntry:]
		kind, value := entry[0], entry[1:1+word]
		isInlined := kind == jsonLiteral || kind == jsonInt16 || kind == jsonUint16 || word == 4 && (kind == jsonInt32 || kind == jsonUint32)
		if !isInlined {
			start := int(little(value))
			if start > len(data) {
				return nil, errDocument
			}
			value = data[start:]
		}
		var err error
		if dst, err = appendJSON(dst, kind, value, depth-1); err != nil {
			return nil, err
		}
	}
	return append(dst, ends[1]), nil
}

// variable reads a length of seven bits in each byte, and as many bytes.
func variable(data []byte) ([]byte, error) {
	size, used := binary.Uvarint(data)
	if used <= 0 || size > uint64(len(data)-used) {
		return nil, errDocument
	}
	return data[used : used+int(size)], nil
}

// appendOpaque prints what JSON has no type for.
func appendOpaque(dst []byte, kind byte, data []byte) ([]byte, error) {
	switch kind {
	case gomysql.MYSQL_TYPE_NEWDECIMAL:
		if len(data) < 3 || len(data)-2 != decimalSize(int(data[0]), int(data[1])) {
			return nil, errDocument
		}
		return appendDecimal(dst, data[2:], int(data[0]), int(data[1]), 0), nil
	case gomysql.MYSQL_TYPE_DATE, gomysql.MYSQL_TYPE_DATETIME, gomysql.MYSQL_TYPE_TIMESTAMP, gomysql.MYSQL_TYPE_TIME:
		if len(data) != 8 {
			return nil, errDocument
		}
		packed := int64(little(data))
		negative := packed < 0
		if negative {
			packed = -packed
		}
		m := ofPacked(packed >> 24)
		m.micro = int(packed & (1<<24 - 1))
		switch kind {
		case gomysql.MYSQL_TYPE_DATE:
			return fmt.Appendf(dst, `"%04d-%02d-%02d"`, m.year, m.month, m.day), nil
		case gomysql.MYSQL_TYPE_TIME:
			sign, hours := "", int(packed>>36)&1023
			if negative {
				sign = "-"
			}
			return fmt.Appendf(dst, `"%s%02d:%02d:%02d.%06d"`, sign, hours, m.minute, m.sec, m.micro), nil
		}
		return fmt.Appendf(dst, `"%04d-%02d-%02d %02d:%02d:%02d.%06d"`, m.year, m.month, m.day, m.hour, m.minute, m.sec, m.micro), nil
	}
	// The server breaks base64 into lines of 76 characters; how it prints a line's end depends on its version.
	if len(data) > 57 {
		return nil, fmt.Errorf("a JSON document holds binary data of %d bytes, which servers print in different ways", len(data))
	}
	dst = fmt.Appendf(dst, `"base64:type%d:`, kind)
	return append(base64.StdEncoding.AppendEncode(dst, data), '"'), nil
}

// appendDouble prints a double as the server's my_gcvt does: with the fewest digits
// that give it again, and with an exponent only for more than 15 digits before the
// point and none behind it, or more than 14 zeros behind it. JSON tells it from a
// whole number by a point or an exponent.
func appendDouble(dst []byte, v float64) []byte {
	var buffer [32]byte
	text := strconv.AppendFloat(buffer[:0], v, 'e', -1, 64)
	exponentAt := len(text) - 1
	for text[exponentAt] != 'e' {
		exponentAt--
	}
	exponent, _ := strconv.Atoi(string(text[exponentAt+1:])) // as FormatFloat wrote it
	if before := exponent + 1; v == 0 || before >= -14 && (before <= 15 || v != math.Trunc(v)) {
		plain := strconv.AppendFloat(buffer[:0], v, 'f', -1, 64)
		dst = append(dst, plain...)
		if v == math.Trunc(v) {
			dst = append(dst, ".0"...)
		}
		return dst
	}
	dst = append(append(dst, text[:exponentAt]...), 'e')
	return strconv.AppendInt(dst, int64(exponent), 10)
}

const hexDigits = "0123456789abcdef"

// appendQuoted prints a string: only what JSON forbids is escaped.
func appendQuoted(dst, text []byte) []byte {
	dst = append(dst, '"')
	for _, c := range text {
		switch {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c == '\b':
			dst = append(dst, `\b`...)
		case c == '\t':
			dst = append(dst, `\t`...)
		case c == '\n':
			dst = append(dst, `\n`...)
		case c == '\f':
			dst = append(dst, `\f`...)
		case c == '\r':
			dst = append(dst, `\r`...)
		case c < ' ':
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		default:
			dst = append(dst, c)
		}
	}
	return append(dst, '"')
}
