package snapshot

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
)

// rehash reads every row of every table, and says which table, and where the catalog
// tells also which rows, are not those of the snapshot.
func (d *drill) rehash(ctx context.Context, point Point, p plan, have Schema, workers int) error {
	there := map[TableID]bool{}
	for _, t := range have.Tables {
		there[t.ID()] = true
	}
	var tables []Table // as the snapshot has them; one that is missing was named already
	for _, t := range p.job.Schema.Tables {
		if there[t.ID()] {
			tables = append(tables, t)
		}
	}
	slices.SortStableFunc(tables, func(a, b Table) int {
		return int(p.summaries[b.ID()].Bytes>>10) - int(p.summaries[a.ID()].Bytes>>10)
	})
	var mu sync.Mutex
	var failed error
	var group sync.WaitGroup
	for worker := range workers {
		group.Go(func() {
			for {
				mu.Lock()
				if len(tables) == 0 || failed != nil {
					mu.Unlock()
					return
				}
				t := tables[0]
				tables = tables[1:]
				mu.Unlock()
				if err := d.rehashTable(ctx, point, worker, t, p); err != nil {
					mu.Lock()
					failed = errors.Join(failed, fmt.Errorf("table %s: %w", t.ID(), err))
					mu.Unlock()
				}
			}
		})
	}
	group.Wait()
	return failed
}

func (d *drill) rehashTable(ctx context.Context, point Point, worker int, t Table, p plan) error {
	ranges, err := point.Ranges(ctx, t, 1)
	if err != nil {
		return err
	}
	var rows int64
	var sum Sum
	for _, r := range ranges {
		n, s, err := sumOfRange(ctx, point, worker, t, r)
		if err != nil {
			return err
		}
		rows += n
		sum.Join(s)
	}
	want := p.summaries[t.ID()]
	if rows == want.Rows && sum == want.Sum {
		return nil
	}
	where, err := differingRanges(ctx, point, worker, t, p.data[t.ID()])
	if err != nil {
		return err
	}
	d.fail("table %s has %d rows with the sum %s, should have %d with %s%s", t.ID(), rows, sum, want.Rows, want.Sum, where)
	return nil
}

func sumOfRange(ctx context.Context, point Point, worker int, t Table, r Range) (rows int64, sum Sum, err error) {
	err = point.Read(ctx, worker, t, r, func(row []byte) error {
		rows++
		sum.Add(row)
		return nil
	})
	return rows, sum, err
}

// maxDiffering bounds how many places are named.
const maxDiffering = 5

// differingRanges names the chunks whose rows are not what is in the server. Deltas
// blur that, and tables without a key have no ranges.
func differingRanges(ctx context.Context, point Point, worker int, t Table, data TableData) (string, error) {
	if !t.Seekable() || len(data.Deltas) > 0 {
		return "", nil
	}
	var places []string
	for _, c := range data.Chunks {
		rows, sum, err := sumOfRange(ctx, point, worker, t, Range{After: c.After, Upto: c.Upto})
		if err != nil {
			return "", err
		}
		if rows == c.Rows && sum == c.Sum {
			continue
		}
		if len(places) == maxDiffering {
			places = append(places, "…")
			break
		}
		places = append(places, fmt.Sprintf("%s (%d rows, should be %d; byte %d of %s)", keysBetween(t, c.After, c.Upto), rows, c.Rows, c.Offset, c.Key))
	}
	if len(places) == 0 {
		return "", nil
	}
	return ": " + strings.Join(places, ", "), nil
}

func keysBetween(t Table, after, upto Key) string {
	names := make([]string, len(t.Key))
	for i, place := range t.Key {
		names[i] = t.Columns[place].Name
	}
	text := "rows"
	if after != nil {
		text += " after " + strings.Join(after, ",")
	}
	if upto != nil {
		text += " up to " + strings.Join(upto, ",")
	}
	return text + " of key " + strings.Join(names, ",")
}
