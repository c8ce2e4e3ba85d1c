package snapshot

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestKeyOf(t *testing.T) {
	table := Table{Database: "shop", Name: "t", Key: []int{3, 1, 2, 0}, Columns: []Column{
		{Name: "tiny", Wire: WireTiny}, {Name: "long", Wire: WireLong},
		{Name: "big", Wire: WireLongLong, Unsigned: true}, {Name: "year", Wire: WireYear, Unsigned: true}, {Name: "name", Wire: 253},
	}}
	row := JoinRow(nil, table.Wires(), [][]byte{
		{0x80}, {0xfe, 0xff, 0xff, 0xff}, {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, {0x6b, 0x08}, []byte("x"),
	})
	key, err := table.KeyOf(row)
	require.NoError(t, err)
	assert.Equal(t, Key{"2155", "-2", "18446744073709551615", "-128"}, key)

	_, err = table.KeyOf(row[:len(row)-1])
	require.ErrorIs(t, err, errRow)
	row = JoinRow(nil, table.Wires(), [][]byte{nil, {0, 0, 0, 0}, make([]byte, 8), {0, 0}, nil})
	_, err = table.KeyOf(row)
	require.ErrorContains(t, err, "key column tiny", "a key has no NULL")
}
