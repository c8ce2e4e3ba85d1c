package topology

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

const (
	uuidA = "3e11fa47-71ca-11e1-9e33-c80aa9429562"
	uuidB = "3e11fa47-71ca-11e1-9e33-c80aa9429563"
)

func TestParseGTIDSet(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"empty", "", ""},
		{"one", uuidA + ":7", uuidA + ":7"},
		{"a range of one", uuidA + ":7-7", uuidA + ":7"},
		{"adjacent ranges join", uuidA + ":1-5:6:8-9", uuidA + ":1-6:8-9"},
		{"ranges in any order", uuidA + ":8-9:1-5", uuidA + ":1-5:8-9"},
		{"overlap", uuidA + ":1-5:3-9", uuidA + ":1-9"},
		{"upper case and newlines as servers print them", strings.ToUpper(uuidB) + ":1-2,\n" + uuidA + ":3", uuidA + ":3," + uuidB + ":1-2"},
		{"the same origin twice", uuidA + ":1-2," + uuidA + ":3", uuidA + ":1-3"},
		{"tags are origins of their own", uuidA + ":1-2:blue:1:7,", uuidA + ":1-2," + uuidA + ":blue:1:7"},
		{"two tags in one item", uuidA + ":Blue:1:green:2", uuidA + ":blue:1," + uuidA + ":green:2"},
	} {
		t.Run(c.name, func(t *testing.T) {
			set, err := ParseGTIDSet(c.text)
			require.NoError(t, err)
			assert.Equal(t, c.want, set.String())
		})
	}
}

func TestParseGTIDSetRefuses(t *testing.T) {
	for _, text := range []string{
		"x", uuidA, uuidA + ":", uuidA + ":0", uuidA + ":-1", uuidA + ":5-3", uuidA + ":1-2-3", uuidA + ":blue", uuidA + ":9blue:1",
		uuidA + ":" + strings.Repeat("a", 33) + ":1", "0-1-7", uuidA[1:] + ":1", uuidA + ":99999999999999999999",
	} {
		_, err := ParseGTIDSet(text)
		assert.Error(t, err, "%q", text)
	}
}

func TestGTIDSetWithoutServer(t *testing.T) {
	set := MustGTIDSet(uuidA + ":1-5," + uuidA + ":blue:1-2," + uuidB + ":1")
	assert.Equal(t, uuidB+":1", set.WithoutServer(strings.ToUpper(uuidA)).String())
	assert.Equal(t, int64(5), set.Last(uuidA))
	assert.Zero(t, set.Last("nobody"))
}

// model is a GTID set as plainly as can be.
type model map[string]bool

var origins = []string{uuidA, uuidB, uuidA + ":blue"}

func drawSet(t *rapid.T, label string) (GTIDSet, model) {
	m := model{}
	var items []string
	for range rapid.IntRange(0, 6).Draw(t, label+" items") {
		origin := rapid.SampledFrom(origins).Draw(t, label+" origin")
		first := rapid.Int64Range(1, 20).Draw(t, label+" first")
		last := first + rapid.Int64Range(0, 6).Draw(t, label+" length")
		items = append(items, fmt.Sprintf("%s:%d-%d", origin, first, last))
		for n := first; n <= last; n++ {
			m[fmt.Sprintf("%s:%d", origin, n)] = true
		}
	}
	return MustGTIDSet(strings.Join(items, ",")), m
}

func modelOf(s GTIDSet) model {
	m := model{}
	for _, line := range s.lines {
		for _, run := range line.runs {
			for n := run.first; n <= run.last; n++ {
				m[fmt.Sprintf("%s:%d", line.origin, n)] = true
			}
		}
	}
	return m
}

func TestGTIDSetIsASet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, ma := drawSet(t, "a")
		b, mb := drawSet(t, "b")
		before := a.String()
		union, minus, contains := model{}, model{}, true
		for x := range ma {
			union[x] = true
			if !mb[x] {
				minus[x] = true
			}
		}
		for x := range mb {
			union[x] = true
			contains = contains && ma[x]
		}
		require.Equal(t, ma, modelOf(a))
		require.Equal(t, union, modelOf(a.Union(b)))
		require.Equal(t, minus, modelOf(a.Minus(b)))
		require.Equal(t, contains, a.Contains(b))
		require.Equal(t, int64(len(ma)), a.Count())
		require.Equal(t, len(ma) == 0, a.Empty())
		require.Equal(t, before, a.String(), "operations change nothing")

		require.True(t, a.Union(b).Equal(b.Union(a)))
		require.True(t, a.Union(b).Contains(a))
		require.True(t, a.Minus(b).Union(b).Equal(a.Union(b)))
		require.True(t, a.Minus(a).Empty())
		require.Equal(t, a.String(), a.Union(b).Minus(b.Minus(a)).String(), "one set has one text")
	})
}

func TestGTIDSetTextRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, _ := drawSet(t, "a")
		text, err := a.MarshalText()
		require.NoError(t, err)
		var again GTIDSet
		require.NoError(t, again.UnmarshalText(text))
		require.True(t, a.Equal(again))
		require.Equal(t, string(text), again.String())
	})
}

func FuzzParseGTIDSet(f *testing.F) {
	f.Add(uuidA + ":1-5:7," + uuidB + ":blue:1-3")
	f.Fuzz(func(t *testing.T, text string) {
		set, err := ParseGTIDSet(text)
		if err != nil {
			return
		}
		again, err := ParseGTIDSet(set.String())
		require.NoError(t, err)
		assert.True(t, set.Equal(again))
	})
}
