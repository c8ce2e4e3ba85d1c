package load

import (
	"encoding/binary"
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/failoverd/failoverd/internal/snapshot"
)

func le16(n uint16) []byte { return binary.LittleEndian.AppendUint16(nil, n) }
func le32(n uint32) []byte { return binary.LittleEndian.AppendUint32(nil, n) }
func le64(n uint64) []byte { return binary.LittleEndian.AppendUint64(nil, n) }

func join(parts ...[]byte) (all []byte) {
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}

func TestText(t *testing.T) {
	for name, c := range map[string]struct {
		column snapshot.Column
		value  []byte
		want   string
	}{
		"null":                      {snapshot.Column{Wire: 253}, nil, `\N`},
		"empty":                     {snapshot.Column{Wire: 253}, []byte{}, ``},
		"escapes":                   {snapshot.Column{Wire: 253}, []byte("a\tb\nc\\d\x00e\r\x1a"), `a\tb\nc\\d\0e` + "\r\x1a"},
		"the word null":             {snapshot.Column{Wire: 253}, []byte("NULL"), `NULL`},
		"backslash N":               {snapshot.Column{Wire: 253}, []byte(`\N`), `\\N`},
		"tiny":                      {snapshot.Column{Wire: snapshot.WireTiny}, []byte{0x80}, `-128`},
		"unsigned tiny":             {snapshot.Column{Wire: snapshot.WireTiny, Unsigned: true}, []byte{0x80}, `128`},
		"short":                     {snapshot.Column{Wire: snapshot.WireShort}, le16(0xffff), `-1`},
		"medium":                    {snapshot.Column{Wire: snapshot.WireInt24}, le32(0xff800000), `-8388608`},
		"unsigned bigint":           {snapshot.Column{Wire: snapshot.WireLongLong, Unsigned: true}, le64(math.MaxUint64), `18446744073709551615`},
		"bigint":                    {snapshot.Column{Wire: snapshot.WireLongLong}, le64(1 << 63), `-9223372036854775808`},
		"year":                      {snapshot.Column{Wire: snapshot.WireYear}, le16(2155), `2155`},
		"no year":                   {snapshot.Column{Wire: snapshot.WireYear}, le16(0), `0000`},
		"a float that tools change": {snapshot.Column{Wire: snapshot.WireFloat}, le32(math.Float32bits(16777216)), `1.6777216e+07`},
		"a float is a double":       {snapshot.Column{Wire: snapshot.WireFloat}, le32(math.Float32bits(0.1)), `1.0000000149011612e-01`},
		"minus zero":                {snapshot.Column{Wire: snapshot.WireDouble}, le64(1 << 63), `-0e+00`},
		"smallest double":           {snapshot.Column{Wire: snapshot.WireDouble}, le64(1), `5e-324`},
		"zero date":                 {snapshot.Column{Wire: snapshot.WireDate}, []byte{}, `0000-00-00`},
		"date":                      {snapshot.Column{Wire: snapshot.WireDate}, join(le16(2024), []byte{2, 30}), `2024-02-30`},
		"zero timestamp":            {snapshot.Column{Wire: snapshot.WireTimestamp}, []byte{}, `0000-00-00 00:00:00`},
		"datetime of midnight":      {snapshot.Column{Wire: snapshot.WireDatetime}, join(le16(1), []byte{1, 1}), `0001-01-01 00:00:00`},
		"datetime":                  {snapshot.Column{Wire: snapshot.WireDatetime}, join(le16(9999), []byte{12, 31, 23, 59, 58}), `9999-12-31 23:59:58`},
		"microseconds":              {snapshot.Column{Wire: snapshot.WireDatetime}, join(le16(9999), []byte{12, 31, 23, 59, 58}, le32(7)), `9999-12-31 23:59:58.000007`},
		"no time":                   {snapshot.Column{Wire: snapshot.WireTime}, []byte{}, `00:00:00`},
		"time":                      {snapshot.Column{Wire: snapshot.WireTime}, join([]byte{1}, le32(34), []byte{22, 59, 59}), `-838:59:59`},
		"time with microseconds":    {snapshot.Column{Wire: snapshot.WireTime}, join([]byte{0}, le32(0), []byte{1, 2, 3}, le32(120000)), `01:02:03.120000`},
	} {
		t.Run(name, func(t *testing.T) {
			table := snapshot.Table{Columns: []snapshot.Column{c.column, {Wire: snapshot.WireTiny}}}
			row := snapshot.JoinRow(nil, table.Wires(), [][]byte{c.value, {7}})
			line, err := newText(table).append([]byte("before;"), row)
			require.NoError(t, err)
			assert.Equal(t, "before;"+c.want+"\t7\n", string(line))
		})
	}
}

func TestTextRefusesDamage(t *testing.T) {
	table := snapshot.Table{Columns: []snapshot.Column{{Name: "d", Wire: snapshot.WireDate}}}
	row := snapshot.JoinRow(nil, table.Wires(), [][]byte{{1, 2, 3}})
	_, err := newText(table).append(nil, row)
	require.ErrorIs(t, err, snapshot.ErrDamaged)
	_, err = newText(table).append(nil, row[:2])
	require.Error(t, err)
}
