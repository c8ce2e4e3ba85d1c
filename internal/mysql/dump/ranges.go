package dump

import (
	"context"
	"fmt"
	"math/big"
	"slices"

	"github.com/failoverd/failoverd/internal/snapshot"
)

// Ranges implements snapshot.Point. A table is cut in the middle of its keys' values,
// then each half again, and so on. Each part is from one key that is there to another,
// so that gaps between keys fall away and the parts soon have about as many rows as
// one another, however the keys lie. It costs two seeks of the index a cut.
func (p *point) Ranges(ctx context.Context, t snapshot.Table, n int) ([]snapshot.Range, error) {
	if slices.Contains(elsewhere, t.Engine) {
		return nil, nil
	}
	whole := []snapshot.Range{{}}
	if !t.Seekable() || n < 2 || !slices.Contains(versioned, t.Engine) {
		return whole, nil
	}
	p.seeking.Lock()
	defer p.seeking.Unlock()
	seek := func(where, order string) (snapshot.Key, error) {
		rows, err := p.seeker.rows(ctx, selectKey(t, where, order))
		if err != nil || len(rows) == 0 {
			return nil, err
		}
		for i, value := range rows[0] { // ZEROFILL and YEAR come with zeros in front
			number, ok := new(big.Int).SetString(value, 10)
			if !ok {
				return nil, fmt.Errorf("%q is no key of %s", value, t.ID())
			}
			rows[0][i] = number.String()
		}
		return rows[0], nil
	}
	first, err := seek("", "")
	if err != nil || first == nil {
		return whole, err
	}
	last, err := seek("", " DESC")
	if err != nil || last == nil {
		return whole, err
	}
	spans, err := bisect(span{first, last}, n, func(prefix snapshot.Key, at string) (below, from snapshot.Key, err error) {
		same := ""
		for i, value := range prefix {
			same += ident(t.Columns[t.Key[i]].Name) + " = " + value + " AND "
		}
		column := ident(t.Columns[t.Key[len(prefix)]].Name)
		if below, err = seek(same+column+" < "+at, " DESC"); err == nil {
			from, err = seek(same+column+" >= "+at, "")
		}
		return below, from, err
	})
	if err != nil {
		return nil, fmt.Errorf("cut %s into ranges: %w", t.ID(), err)
	}
	return rangesOf(spans), nil
}

// selectKey is the first key of a condition in the given order.
func selectKey(t snapshot.Table, where, order string) string {
	if where != "" {
		where = " WHERE " + where
	}
	return "SELECT " + keyColumns(t, "") + " FROM " + name(t.ID()) + " FORCE INDEX (" + ident(t.KeyName) + ")" + where + " ORDER BY " + keyColumns(t, order) + " LIMIT 1"
}

// span is from one key that is there to another, both included.
type span struct{ first, last snapshot.Key }

// bisect cuts a span into at most n that leave out no key. seek returns the last key
// below and the first key from a value on, of the keys that begin with a prefix; there
// is one of each.
func bisect(whole span, n int, seek func(prefix snapshot.Key, at string) (below, from snapshot.Key, err error)) ([]span, error) {
	spans := []span{whole}
	for cut := true; cut && len(spans) < n; { // each round halves all of them
		cut = false
		var next []span
		for i, s := range spans {
			prefix, at := middle(s)
			if at == "" || len(next)+len(spans)-i >= n {
				next = append(next, s)
				continue
			}
			below, from, err := seek(prefix, at)
			if err != nil {
				return nil, err
			}
			if below == nil || from == nil {
				return nil, fmt.Errorf("a key that was there is gone")
			}
			next, cut = append(next, span{s.first, below}, span{from, s.last}), true
		}
		spans = next
	}
	return spans, nil
}

// middle is where to cut a span: the columns that its keys have in common, and a value
// of the next one, which its last key reaches and its first does not; empty for a
// single key.
func middle(s span) (prefix snapshot.Key, at string) {
	for i := range s.first {
		if s.first[i] == s.last[i] {
			continue
		}
		low, lowOK := new(big.Int).SetString(s.first[i], 10)
		high, highOK := new(big.Int).SetString(s.last[i], 10)
		if !lowOK || !highOK || low.Cmp(high) >= 0 {
			return nil, ""
		}
		sum := new(big.Int).Add(low, high)
		sum.Add(sum, big.NewInt(1))
		return s.first[:i], sum.Rsh(sum, 1).String()
	}
	return nil, ""
}

// rangesOf are ranges that leave no gap, from spans that leave out no key.
func rangesOf(spans []span) []snapshot.Range {
	ranges := make([]snapshot.Range, len(spans))
	for i := range spans[1:] {
		ranges[i].Upto, ranges[i+1].After = spans[i].last, spans[i].last
	}
	return ranges
}
