package dump

import (
	"cmp"
	"math/big"
	"slices"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/failoverd/failoverd/internal/snapshot"
)

// seekIn is a table in memory: keys of so many columns, in order.
func seekIn(keys []snapshot.Key) func(prefix snapshot.Key, at string) (below, from snapshot.Key, err error) {
	return func(prefix snapshot.Key, at string) (below, from snapshot.Key, err error) {
		for _, key := range keys {
			if !slices.Equal(key[:len(prefix)], prefix) {
				continue
			}
			if whole(key[len(prefix)]).Cmp(whole(at)) < 0 {
				below = key
			} else if from == nil {
				from = key
			}
		}
		return below, from, nil
	}
}

func whole(text string) *big.Int {
	n, ok := new(big.Int).SetString(text, 10)
	if !ok {
		panic(text)
	}
	return n
}

func compare(a, b snapshot.Key) int {
	for i := range a {
		if c := whole(a[i]).Cmp(whole(b[i])); c != 0 {
			return c
		}
	}
	return 0
}

// TestEveryKeyIsInOneRange, however keys lie.
func TestEveryKeyIsInOneRange(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		columns := rapid.IntRange(1, 3).Draw(t, "columns")
		value := rapid.OneOf(rapid.Int64Range(-3, 3), rapid.Int64(), rapid.Int64Range(1<<62, 1<<62+50))
		keys := rapid.SliceOfNDistinct(rapid.SliceOfN(value, columns, columns), 1, 200, func(k []int64) string {
			text := ""
			for _, v := range k {
				text += strconv.FormatInt(v, 10) + ","
			}
			return text
		}).Draw(t, "keys")
		var table []snapshot.Key
		for _, k := range keys {
			var key snapshot.Key
			for _, v := range k {
				key = append(key, strconv.FormatInt(v, 10))
			}
			table = append(table, key)
		}
		slices.SortFunc(table, compare)
		n := rapid.IntRange(2, 40).Draw(t, "n")
		spans, err := bisect(span{table[0], table[len(table)-1]}, n, seekIn(table))
		require.NoError(t, err)
		ranges := rangesOf(spans)
		require.LessOrEqual(t, len(ranges), n)
		require.Nil(t, ranges[0].After)
		require.Nil(t, ranges[len(ranges)-1].Upto)
		for _, key := range table {
			in := 0
			for _, r := range ranges {
				if (r.After == nil || compare(r.After, key) < 0) && (r.Upto == nil || compare(key, r.Upto) <= 0) {
					in++
				}
			}
			require.Equal(t, 1, in, "key %v, ranges %v", key, ranges)
		}
		if len(table) >= 2*n {
			require.Greater(t, len(ranges), n/2)
		}
	})
}

func TestRangesAreOfLikeSize(t *testing.T) {
	var table []snapshot.Key
	for i := range 4000 { // two heaps with a wide gap between, and one key far off
		table = append(table, snapshot.Key{strconv.Itoa(i)}, snapshot.Key{strconv.Itoa(1<<40 + i)})
	}
	table = append(table, snapshot.Key{"18446744073709551615"})
	slices.SortFunc(table, compare)
	spans, err := bisect(span{table[0], table[len(table)-1]}, 16, seekIn(table))
	require.NoError(t, err)
	largest := 0
	for _, s := range spans {
		first, _ := slices.BinarySearchFunc(table, s.first, compare)
		last, _ := slices.BinarySearchFunc(table, s.last, compare)
		largest = max(largest, last-first+1)
	}
	assert.LessOrEqual(t, largest, 2*len(table)/len(spans)*2)
	assert.True(t, slices.IsSortedFunc(spans, func(a, b span) int { return cmp.Compare(compare(a.first, b.first), 0) }))
}

func TestRangeCondition(t *testing.T) {
	table := snapshot.Table{Database: "d", Name: "t", Key: []int{1, 0}, Columns: []snapshot.Column{{Name: "a", Wire: snapshot.WireLong}, {Name: "b`", Wire: snapshot.WireLong}}}
	assert.Equal(t, "(`b``` > 1 OR `b``` = 1 AND `a` > -2) AND (`b``` < 3 OR `b``` = 3 AND `a` <= 4)",
		rangeCondition(table, snapshot.Range{After: snapshot.Key{"1", "-2"}, Upto: snapshot.Key{"3", "4"}}))
	assert.Empty(t, rangeCondition(table, snapshot.Range{}))
}
