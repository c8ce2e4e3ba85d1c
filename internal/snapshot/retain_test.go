package snapshot

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// aged is a manifest of that age at noon, named so.
func aged(name string, age time.Duration) Manifest { return Manifest{ID: name, Point: noon.Add(-age)} }

func TestKeep(t *testing.T) {
	const day = 24 * time.Hour
	diverged := func(m Manifest) Manifest { m.Diverged = gtids(t); return m }
	for name, c := range map[string]struct {
		manifests []Manifest
		drilled   map[string]time.Time
		keep      []Kept
		expire    []string
	}{
		"nothing": {},
		"all of a day": {
			manifests: []Manifest{aged("a", 23*time.Hour), aged("b", 23*time.Hour-time.Minute), aged("c", 0)},
			keep:      []Kept{{"a", "younger than 24 h"}, {"b", "younger than 24 h"}, {"c", "the newest"}},
		},
		"the first of each hour of a week": {
			manifests: []Manifest{aged("a", 2*day+50*time.Minute), aged("b", 2*day+45*time.Minute), aged("c", 2*day-time.Minute), aged("now", 0)},
			keep:      []Kept{{"a", "the first of its hour"}, {"c", "the first of its hour"}, {"now", "the newest"}},
			expire:    []string{"b"},
		},
		"the first of each day of a month": {
			manifests: []Manifest{aged("a", 10*day+11*time.Hour), aged("b", 10*day+10*time.Hour), aged("c", 9*day), aged("now", 0)},
			keep:      []Kept{{"a", "the first of its day"}, {"c", "the first of its day"}, {"now", "the newest"}},
			expire:    []string{"b"},
		},
		"nothing after a month": {
			manifests: []Manifest{aged("a", 30*day), aged("now", 0)},
			keep:      []Kept{{"now", "the newest"}},
			expire:    []string{"a"},
		},
		"the newest, however old": {
			manifests: []Manifest{aged("a", 101*day), aged("b", 100*day)},
			keep:      []Kept{{"b", "the newest"}},
			expire:    []string{"a"},
		},
		"the last that was drilled, not the others": {
			manifests: []Manifest{aged("a", 102*day), aged("b", 101*day), aged("c", 100*day)},
			drilled:   map[string]time.Time{"a": noon.Add(-2 * day), "b": noon.Add(-3 * day), "gone": noon},
			keep:      []Kept{{"a", "the last that a drill restored"}, {"c", "the newest"}},
			expire:    []string{"b"},
		},
		"a diverged one is never the newest whole one": {
			manifests: []Manifest{aged("a", 100*day), diverged(aged("b", 99*day))},
			keep:      []Kept{{"a", "the newest"}},
			expire:    []string{"b"},
		},
		"a diverged one stands for no hour": {
			manifests: []Manifest{diverged(aged("a", 2*day+50*time.Minute)), aged("b", 2*day+45*time.Minute), aged("now", 0)},
			keep:      []Kept{{"a", "diverged, for a person to look at"}, {"b", "the first of its hour"}, {"now", "the newest"}},
		},
		"a diverged one goes after a week": {
			manifests: []Manifest{diverged(aged("a", 7*day)), aged("now", 0)},
			keep:      []Kept{{"now", "the newest"}},
			expire:    []string{"a"},
		},
		"one from the future": {
			manifests: []Manifest{aged("a", -time.Hour), aged("b", -2*time.Hour)},
			keep:      []Kept{{"a", "from the future"}, {"b", "the newest"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			keep, expire := Keep(DefaultRetention, c.manifests, c.drilled, noon)
			assert.Equal(t, c.keep, keep)
			assert.Equal(t, c.expire, expire)
		})
	}
}

// Whatever there is and whenever it is looked at: the newest whole one stays, nothing is
// lost or counted twice, and what has once expired does not stay because time goes on.
func TestKeepAlwaysKeepsTheNewest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var manifests []Manifest
		for i := range rapid.IntRange(1, 60).Draw(t, "manifests") {
			m := aged(string(rune('A'+i)), time.Duration(rapid.IntRange(0, 50*24*4).Draw(t, "quarters of an hour"))*15*time.Minute)
			if rapid.IntRange(0, 9).Draw(t, "diverged") == 0 {
				_ = m.Diverged.UnmarshalText([]byte("3E11FA47-71CA-11E1-9E33-C80AA9429562:1")) // it is well formed
			}
			manifests = append(manifests, m)
		}
		keep, expire := Keep(DefaultRetention, manifests, nil, noon)
		require.Len(t, manifests, len(keep)+len(expire))
		kept := map[string]bool{}
		for _, k := range keep {
			require.NotEmpty(t, k.Why)
			kept[k.ID] = true
		}
		var newest *Manifest
		var left []Manifest
		for i, m := range manifests {
			if m.Diverged.Empty() && (newest == nil || m.Point.After(newest.Point)) {
				newest = &manifests[i]
			}
			if kept[m.ID] {
				left = append(left, m)
			}
		}
		if newest != nil {
			anyOfThen := false
			for _, m := range left {
				anyOfThen = anyOfThen || m.Diverged.Empty() && m.Point.Equal(newest.Point)
			}
			require.True(t, anyOfThen, "the newest expired")
		}
		again, more := Keep(DefaultRetention, left, nil, noon)
		require.Len(t, again, len(left), "%v", more)
	})
}
