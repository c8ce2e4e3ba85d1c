package dump

import (
	"bytes"
	"encoding/binary"
	"io"
	"strings"
	"testing"

	gomysql "github.com/go-mysql-org/go-mysql/mysql"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// script plays a server: what it answers to each command in turn, and what it was asked.
type script struct {
	answers [][]byte
	now     []byte
	asked   bytes.Buffer
	most    int // bytes of one read; 0 is no bound
}

func (s *script) Read(b []byte) (int, error) {
	if len(s.now) == 0 {
		return 0, io.EOF
	}
	if s.most > 0 && len(b) > s.most {
		b = b[:s.most]
	}
	n := copy(b, s.now)
	s.now = s.now[n:]
	return n, nil
}

func (s *script) Write(b []byte) (int, error) {
	if len(s.answers) > 0 {
		s.now, s.answers = append(s.now, s.answers[0]...), s.answers[1:]
	}
	return s.asked.Write(b)
}

// packets lays payloads out as a server does; each group is one answer, numbered from 1.
func packets(groups ...[][]byte) [][]byte {
	var answers [][]byte
	for _, group := range groups {
		var out []byte
		number := byte(1)
		for _, payload := range group {
			for {
				part := payload[:min(len(payload), wholePacket)]
				payload = payload[len(part):]
				out = append(out, byte(len(part)), byte(len(part)>>8), byte(len(part)>>16), number)
				out = append(out, part...)
				number++
				if len(part) < wholePacket {
					break
				}
			}
		}
		answers = append(answers, out)
	}
	return answers
}

var eof = []byte{0xfe, 0, 0, 2, 0}

func definition(name string, kind byte, flags uint16) []byte {
	var out []byte
	for _, text := range []string{"def", "shop", "t", "t", name, name} {
		out = append(append(out, byte(len(text))), text...)
	}
	out = append(out, 12, 63, 0, 20, 0, 0, 0, kind)
	return append(binary.LittleEndian.AppendUint16(out, flags), 0, 0, 0)
}

func prepared(columns, parameters byte) []byte {
	return []byte{0, 7, 0, 0, 0, columns, 0, parameters, 0, 0, 0, 0}
}

func run(s *script) (columns []column, rows [][]byte, err error) {
	err = newWire(s).query("SELECT a FROM t", func(c []column) error { columns = c; return nil }, func(row []byte) error {
		rows = append(rows, bytes.Clone(row))
		return nil
	})
	return columns, rows, err
}

func TestQuery(t *testing.T) {
	a := definition("a", 8, unsignedFlag)
	large := append([]byte{0}, bytes.Repeat([]byte("x"), 2*wholePacket)...)
	exact := append([]byte{0}, bytes.Repeat([]byte("y"), wholePacket-1)...)
	s := &script{answers: packets(
		[][]byte{prepared(1, 0), a, eof},
		[][]byte{{1}, a, eof, {0, 0, 1}, large, {0, 0, 2}, exact, {0}, append([]byte{0, 0xfe}, make([]byte, 300000)...), {0, 3}, eof},
	), most: 100_001}
	columns, rows, err := run(s)
	require.NoError(t, err)
	assert.Equal(t, []column{{"a", 8, unsignedFlag}}, columns)
	require.Len(t, rows, 7)
	assert.Equal(t, []byte{0, 1}, rows[0])
	assert.Equal(t, large[1:], rows[1])
	assert.Equal(t, []byte{0, 2}, rows[2])
	assert.Equal(t, exact[1:], rows[3])
	assert.Empty(t, rows[4])
	assert.Len(t, rows[5], 300001)
	assert.Equal(t, []byte{3}, rows[6])
	asked := s.asked.String()
	assert.Equal(t, "\x10\x00\x00\x00\x16SELECT a FROM t", asked[:20])
	assert.Equal(t, "\x0a\x00\x00\x00\x17\x07\x00\x00\x00\x00\x01\x00\x00\x00"+"\x05\x00\x00\x00\x19\x07\x00\x00\x00", asked[20:])
}

func TestQueryRefusesWhatIsNoAnswer(t *testing.T) {
	a := definition("a", 8, 0)
	refusal := append([]byte{0xff, 0x15, 0x04, '#'}, "28000access denied"...)
	begin := [][]byte{prepared(1, 0), a, eof}
	for name, answers := range map[string][][]byte{
		"refused":                 packets([][]byte{refusal}),
		"refused between rows":    packets(begin, [][]byte{{1}, a, eof, {0, 1}, refusal}),
		"parameters":              packets([][]byte{prepared(1, 1), a, eof, a, eof}),
		"no columns":              packets([][]byte{prepared(0, 0)}),
		"columns do not end":      packets([][]byte{prepared(1, 0), a, a}),
		"a column is cut off":     packets([][]byte{prepared(1, 0), a[:20], eof}),
		"ends early":              packets(begin, [][]byte{{1}, a, eof, {0, 1}}),
		"ends in a row":           {packets(begin)[0], packets([][]byte{{1}, a, eof, {0, 1}})[0][:70]},
		"a row is no binary one":  packets(begin, [][]byte{{1}, a, eof, {3, 'a', 'b', 'c'}, eof}),
		"ends in a packet's head": {packets(begin)[0], {1, 0, 0}},
		"an empty packet":         packets(begin, [][]byte{{}}),
		"an error is cut off":     packets([][]byte{{0xff, 1}}),
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := run(&script{answers: answers})
			require.Error(t, err)
			if strings.HasPrefix(name, "refused") {
				var said *gomysql.MyError
				require.ErrorAs(t, err, &said)
				assert.EqualValues(t, 1045, said.Code)
				assert.Equal(t, "access denied", said.Message)
			}
		})
	}
	swapped := packets(begin)
	swapped[0][3] = 2
	_, _, err := run(&script{answers: swapped})
	require.ErrorIs(t, err, errProtocol)
}

func TestQueryAllocatesNothingForARow(t *testing.T) {
	a := definition("a", 8, 0)
	rows := make([][]byte, 0, 20003)
	rows = append(rows, []byte{1}, a, eof)
	for range 20000 {
		rows = append(rows, append([]byte{0, 0}, "0123456789012345678901234567890123456789"...))
	}
	answers := packets([][]byte{prepared(1, 0), a, eof}, append(rows, eof))
	allocations := testing.AllocsPerRun(3, func() {
		err := newWire(&script{answers: answers}).query("SELECT a FROM t", func([]column) error { return nil }, func([]byte) error { return nil })
		require.NoError(t, err)
	})
	assert.Less(t, allocations, 100.0)
}

func FuzzAnswers(f *testing.F) {
	a := definition("a", 8, 0)
	good := packets([][]byte{prepared(1, 0), a, eof}, [][]byte{{1}, a, eof, {0, 0, 1}, eof})
	f.Add(good[0], good[1])
	f.Fuzz(func(t *testing.T, first, second []byte) {
		_, _, _ = run(&script{answers: [][]byte{first, second}})
	})
}
