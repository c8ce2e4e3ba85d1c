package snapshot

import (
	"cmp"
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// The ways in which a table is taken.
const wayWhole = "whole"

// tablePlan is how a table is taken. Without pieces it is read whole.
type tablePlan struct {
	Way, Why string
	// Pieces are, in the order of the key, chunks to keep and ranges to read.
	Pieces []piece
	Deltas []Delta
	// Total is what the table holds where chunks do not tell, because of deltas.
	Total *TableSummary
}

// piece is either chunks of an earlier snapshot or a range that is read.
type piece struct {
	Keep []Chunk
	Read *Range
}

// reading turns ranges of tables into stored chunks. Sessions read (as many as there
// are workers), sealers hash, compress and store; between them go buffers, of which
// there is a fixed number.
type reading struct {
	request TakeRequest
	point   Point
	tables  []Table
	prefix  string
	chunk   int // bytes of rows that make a chunk
	sealers int
	free    chan []byte
	pace    pace

	mu       sync.Mutex
	chunks   [][][]Chunk // by table, piece and place in it
	left     []int       // ranges that are not read to the end, by table
	progress Progress
	began    time.Time
}

const (
	chunkBytes    = 1 << 20
	maxChunkBytes = 16 << 20
	// mostChunks bounds what a snapshot has of them, for each costs memory until the
	// catalog is written: of 64 GB and more the chunks are larger.
	mostChunks = 1 << 16
	// rangeBytes is about how much of a table makes a range of its own: much less than
	// would leave one worker reading when the others are done.
	rangeBytes = 24 << 20
	mostRanges = 256
)

func newReading(r TakeRequest, id string, point Point, schema Schema) *reading {
	d := &reading{
		request: r, point: point, tables: schema.Tables, prefix: DataPrefix(r.Product, id),
		sealers: min(r.Workers, runtime.GOMAXPROCS(0)), pace: pace{perSecond: r.BytesPerSecond},
		chunks: make([][][]Chunk, len(schema.Tables)), left: make([]int, len(schema.Tables)), began: time.Now(),
	}
	d.progress = Progress{ID: id, Tables: len(schema.Tables)}
	for _, t := range schema.Tables {
		d.progress.Estimate += point.Estimate(t)
	}
	d.chunk = int(min(max(chunkBytes, d.progress.Estimate/mostChunks), maxChunkBytes))
	d.free = make(chan []byte, r.Workers+2*d.sealers)
	for range cap(d.free) {
		d.free <- nil
	}
	return d
}

// job is a range to be read.
type job struct {
	table, piece int
	read         Range
}

// filled is a chunk that was read and not yet stored.
type filled struct {
	job
	place int
	last  bool  // of its range
	chunk Chunk // but for its hash, its place in the store, and where it begins
	plain []byte
}

// run reads what the plans say and returns where everything is.
func (d *reading) run(ctx context.Context, plans []tablePlan) (Catalog, error) {
	all, ctx := errgroup.WithContext(ctx)
	jobs := make(chan job)
	read := make(chan filled)
	all.Go(func() error {
		defer close(jobs)
		return d.order(ctx, plans, jobs)
	})
	var readers sync.WaitGroup
	for worker := range d.request.Workers {
		readers.Add(1)
		all.Go(func() error {
			defer readers.Done()
			for j := range jobs {
				if err := d.read(ctx, worker, j, read); err != nil {
					return err
				}
			}
			return nil
		})
	}
	all.Go(func() error {
		readers.Wait()
		close(read)
		return nil
	})
	for i := range d.sealers {
		packer := NewPacker(d.request.Store, d.request.Box, fmt.Sprintf("%sp%d-", d.prefix, i))
		all.Go(func() error { return d.seal(ctx, packer, read) })
	}
	if err := all.Wait(); err != nil {
		return Catalog{}, err
	}
	catalog := Catalog{Tables: make([]TableData, len(plans))}
	for i, plan := range plans {
		catalog.Tables[i] = TableData{TableID: d.tables[i].ID(), Chunks: assemble(d.tables[i], plan, d.chunks[i]), Deltas: plan.Deltas}
	}
	return catalog, nil
}

// order gives out the ranges: what keeps the applier waiting first, then the largest
// tables, so that none of them is left for one worker at the end.
func (d *reading) order(ctx context.Context, plans []tablePlan, jobs chan<- job) error {
	order := make([]int, len(d.tables))
	for i := range order {
		order[i] = i
	}
	late := func(t Table) int {
		if t.Engine == "InnoDB" {
			return 1
		}
		return 0
	}
	slices.SortStableFunc(order, func(a, b int) int {
		return cmp.Or(late(d.tables[a])-late(d.tables[b]), cmp.Compare(d.point.Estimate(d.tables[b]), d.point.Estimate(d.tables[a])))
	})
	for _, i := range order {
		plan := &plans[i]
		if plan.Way == wayWhole {
			n := min(d.point.Estimate(d.tables[i])/rangeBytes+1, mostRanges)
			ranges, err := d.point.Ranges(ctx, d.tables[i], int(n))
			if err != nil {
				return err
			}
			for _, r := range ranges {
				plan.Pieces = append(plan.Pieces, piece{Read: &r})
			}
		}
		reads := 0
		for _, p := range plan.Pieces {
			if p.Read != nil {
				reads++
			}
		}
		d.mu.Lock()
		d.chunks[i], d.left[i] = make([][]Chunk, len(plan.Pieces)), reads
		if reads == 0 {
			d.progress.Done++
		}
		d.mu.Unlock()
		for k, p := range plan.Pieces {
			if p.Read == nil {
				continue
			}
			select {
			case jobs <- job{table: i, piece: k, read: *p.Read}:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
	}
	return nil
}

// read cuts the rows of a range into chunks. Each but the last ends with a row whose
// key is its bound, so that it can be read again by itself.
func (d *reading) read(ctx context.Context, worker int, j job, out chan<- filled) error {
	t := d.tables[j.table]
	next := filled{job: j}
	var last int // bytes of the last row
	send := func(upto Key) error {
		next.chunk.Upto = upto
		select {
		case out <- next:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		raw := next.chunk.Raw
		next = filled{job: j, place: next.place + 1}
		return d.pace.wait(ctx, raw)
	}
	err := d.point.Read(ctx, worker, t, j.read, func(row []byte) error {
		if len(next.plain) >= d.chunk { // only now is it known not to be the range's last
			var upto Key
			if t.Seekable() {
				var err error
				if upto, err = t.KeyOf(next.plain[len(next.plain)-last:]); err != nil {
					return err
				}
			}
			if err := send(upto); err != nil {
				return err
			}
		}
		if next.plain == nil {
			var err error
			if next.plain, err = d.buffer(ctx); err != nil {
				return err
			}
		}
		next.plain = AppendRow(next.plain, row)
		next.chunk.Rows++
		next.chunk.Raw += int64(len(row))
		last = len(row)
		return nil
	})
	if err != nil {
		return err
	}
	next.last = true
	return send(j.read.Upto)
}

// buffer waits for a buffer to be free.
func (d *reading) buffer(ctx context.Context) ([]byte, error) {
	select {
	case b := <-d.free:
		if b == nil {
			b = make([]byte, 0, d.chunk+d.chunk/8)
		}
		return b, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// seal hashes, compresses and stores chunks.
func (d *reading) seal(ctx context.Context, packer *Packer, in <-chan filled) error {
	defer packer.Close()
	for f := range in {
		var stored int64
		if f.chunk.Rows > 0 {
			sum, err := sumRows(f.plain)
			if err != nil {
				return err
			}
			f.chunk.Sum = sum
			if f.chunk.Ref, err = packer.Add(ctx, f.plain); err != nil {
				return fmt.Errorf("store rows of %s: %w", d.tables[f.table].ID(), err)
			}
			stored = f.chunk.Ref.Bytes
			if cap(f.plain) > 4*d.chunk {
				d.free <- nil // it was grown by a row of many megabytes
			} else {
				d.free <- f.plain[:0]
			}
		}
		d.stored(f, stored)
	}
	if err := packer.Flush(ctx); err != nil {
		return fmt.Errorf("store rows: %w", err)
	}
	return nil
}

// stored notes a chunk, and lets the caller know.
func (d *reading) stored(f filled, bytes int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	places := d.chunks[f.table][f.piece]
	for len(places) <= f.place {
		places = append(places, Chunk{})
	}
	places[f.place] = f.chunk
	d.chunks[f.table][f.piece] = places
	p := &d.progress
	p.Rows += f.chunk.Rows
	p.Bytes += f.chunk.Raw
	p.Stored += bytes
	if f.last {
		if d.left[f.table]--; d.left[f.table] == 0 {
			p.Done++
		}
	}
	if d.request.Progress != nil {
		now := *p
		now.Elapsed = time.Since(d.began)
		d.request.Progress(now)
	}
}

func sumRows(plain []byte) (Sum, error) {
	var sum Sum
	err := EachRow(plain, func(row []byte) error {
		sum.Add(row)
		return nil
	})
	return sum, err
}

// assemble puts the chunks of a table in order. One without rows is left out, and its
// neighbour answers for its keys too, so that there is no gap.
func assemble(t Table, plan tablePlan, read [][]Chunk) []Chunk {
	var out []Chunk
	var after Key
	for i, p := range plan.Pieces {
		chunks := p.Keep
		if p.Read != nil {
			chunks = read[i]
		}
		for _, c := range chunks {
			switch {
			case c.Rows > 0:
				c.After = after
				out = append(out, c)
			case len(out) > 0:
				out[len(out)-1].Upto = c.Upto
			default:
				continue // the first that has rows begins at the beginning
			}
			after = c.Upto
		}
	}
	if !t.Seekable() {
		for i := range out {
			out[i].After, out[i].Upto = nil, nil
		}
	}
	return out
}
