// Package errant keeps the transactions that a server executed and its chain did
// not, before the server is rebuilt: as the binary log they are in, and as SQL
// that a person can read and replay.
package errant

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/failoverd/failoverd/internal/object"
	"github.com/failoverd/failoverd/internal/topology"
)

// Source is the server that has them. Errors are those of the server.
type Source interface {
	// Look gathers the server's facts.
	Look(ctx context.Context) (topology.Facts, error)
	// ReadBinlog reads the binary log from its beginning, without the transactions
	// of without, and gives each raw event to yield, a format description before any
	// other. It returns when yield wants no more or the end of the log is reached.
	ReadBinlog(ctx context.Context, without topology.GTIDSet, yield func(event []byte) (more bool, err error)) error
	// Columns describes a table as it is now, in order; none when there is no such table.
	Columns(ctx context.Context, schema, table string) ([]Column, error)
}

// Column is one column of a table.
type Column struct {
	Name string
	// Key says that it is of the primary key.
	Key bool
	// Generated columns cannot be written.
	Generated bool
}

// Request says what to save. Product and Server are segments of object keys.
type Request struct {
	Product string
	Server  string
	// Epoch is the chain's when it was found out.
	Epoch uint64
	Set   topology.GTIDSet
}

// Manifest is the last object that is written: with it, everything is there.
type Manifest struct {
	Product string `json:"product"`
	Server  string `json:"server"`
	UUID    string `json:"uuid"`
	Version string `json:"version"`
	Epoch   uint64 `json:"epoch"`
	// Set is what was asked for, Found what is saved, Missing what the server's
	// binary log does not hold (any more).
	Set     topology.GTIDSet `json:"set"`
	Found   topology.GTIDSet `json:"found"`
	Missing topology.GTIDSet `json:"missing,omitzero"`
	// Binlog and SQL are parts to be joined in this order (cat): each is one file.
	Binlog  []Part    `json:"binlog"`
	SQL     []Part    `json:"sql"`
	SavedAt time.Time `json:"savedAt"`
}

// Part is one object.
type Part struct {
	Key    string `json:"key"`
	Bytes  int    `json:"bytes"`
	SHA256 string `json:"sha256"`
}

const manifestName = "manifest.json"

// Save writes the transactions of the set to the store and returns the prefix of
// the objects' keys, errant/PRODUCT/SERVER/HASH. What the binary log does not hold
// is named in the manifest and counted in the answer; it keeps nothing else from
// being saved, since it is nowhere else to be had. What is saved already is not
// saved again. The memory that it takes is that of a part and of the largest event.
func Save(ctx context.Context, source Source, store object.Store, r Request) (where string, err error) {
	sum := sha256.Sum256([]byte(r.Set.String()))
	prefix := fmt.Sprintf("errant/%s/%s/%s", r.Product, r.Server, hex.EncodeToString(sum[:6]))
	saved, err := manifestAt(ctx, store, prefix)
	if err == nil && saved.Set.Contains(r.Set) {
		return saved.where(prefix), nil
	}
	if err != nil && !errors.Is(err, object.ErrNotFound) {
		return "", err
	}
	m, err := collect(ctx, source, store, prefix, r)
	if err != nil {
		return "", fmt.Errorf("save errant transactions of %s: %w", r.Server, err)
	}
	body, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return "", err
	}
	// Whoever is first has saved the same.
	if _, err := store.Put(ctx, prefix+"/"+manifestName, body, object.IfAbsent); err != nil && !errors.Is(err, object.ErrConflict) {
		return "", err
	}
	return m.where(prefix), nil
}

func manifestAt(ctx context.Context, store object.Store, prefix string) (Manifest, error) {
	var m Manifest
	o, err := store.Get(ctx, prefix+"/"+manifestName)
	if err != nil {
		return m, err
	}
	if err := json.Unmarshal(o.Body, &m); err != nil {
		return m, fmt.Errorf("%s/%s: %w", prefix, manifestName, err)
	}
	return m, nil
}

func (m Manifest) where(prefix string) string {
	if m.Missing.Empty() {
		return prefix
	}
	return fmt.Sprintf("%s (without %d of %d transactions, which the binary log no longer holds)", prefix, m.Missing.Count(), m.Set.Count())
}

// collect reads the binary log once and writes both forms as it goes.
func collect(ctx context.Context, source Source, store object.Store, prefix string, r Request) (Manifest, error) {
	facts, err := source.Look(ctx)
	if err != nil {
		return Manifest{}, err
	}
	m := Manifest{Product: r.Product, Server: r.Server, UUID: facts.UUID, Version: facts.Version, Epoch: r.Epoch,
		Set: r.Set, SavedAt: time.Now().UTC().Truncate(time.Second)}
	// A server refuses to send a log that begins after what its reader lacks.
	without := facts.Executed.Minus(r.Set).Union(facts.Purged)
	there := r.Set.Minus(r.Set.Minus(facts.Executed)).Minus(facts.Purged)
	binlog := &parts{ctx: ctx, store: store, prefix: prefix + "/binlog"}
	text := &parts{ctx: ctx, store: store, prefix: prefix + "/changes", suffix: ".sql"}
	if err := text.write(preamble(m)); err != nil {
		return Manifest{}, err
	}
	reader := newReader(there, binlog, &renderer{ctx: ctx, source: source, out: text})
	if !there.Empty() {
		if err := source.ReadBinlog(ctx, without, reader.event); err != nil {
			return Manifest{}, err
		}
	}
	m.Found = reader.found
	m.Missing = r.Set.Minus(m.Found)
	if reader.open {
		return Manifest{}, errors.New("the binary log ended within a transaction")
	}
	if m.Binlog, err = binlog.finish(); err != nil {
		return Manifest{}, err
	}
	m.SQL, err = text.finish()
	return m, err
}

// maxPart bounds an object, bytes.
const maxPart = 16 << 20

// parts is a file in a store, cut into objects. Their names hold their content's
// hash, so that those of two who save at once do not mix.
type parts struct {
	ctx            context.Context // of the one Save that this is part of
	store          object.Store
	prefix, suffix string
	buffer         bytes.Buffer
	done           []Part
}

// write appends; what fits into a part is never cut.
func (p *parts) write(text []byte) error {
	for p.buffer.Len() > 0 && p.buffer.Len()+len(text) > maxPart {
		if err := p.flush(); err != nil {
			return err
		}
	}
	for len(text) > maxPart {
		p.buffer.Write(text[:maxPart])
		if err := p.flush(); err != nil {
			return err
		}
		text = text[maxPart:]
	}
	p.buffer.Write(text)
	return nil
}

func (p *parts) flush() error {
	sum := sha256.Sum256(p.buffer.Bytes())
	part := Part{Bytes: p.buffer.Len(), SHA256: hex.EncodeToString(sum[:])}
	part.Key = fmt.Sprintf("%s-%06d-%s%s", p.prefix, len(p.done)+1, part.SHA256[:8], p.suffix)
	if _, err := p.store.Put(p.ctx, part.Key, bytes.Clone(p.buffer.Bytes()), object.IfAbsent); err != nil && !errors.Is(err, object.ErrConflict) {
		return err
	}
	p.buffer.Reset()
	p.done = append(p.done, part)
	return nil
}

func (p *parts) finish() ([]Part, error) {
	if p.buffer.Len() == 0 {
		return p.done, nil
	}
	err := p.flush()
	return p.done, err
}
