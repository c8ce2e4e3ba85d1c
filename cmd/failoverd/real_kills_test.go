package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/failoverd/failoverd/internal/api"
	"github.com/failoverd/failoverd/internal/config"
	"github.com/failoverd/failoverd/internal/snapshot"
	"github.com/failoverd/failoverd/testenv"
	"github.com/failoverd/failoverd/testenv/stage"
)

// bulkRows of bulkRow random bytes each are what a snapshot spends seconds on, for the
// stage's dump service may read only so many a second. They do not get smaller, and are
// more than one part of an upload, so that a killed snapshot leaves something.
const (
	bulkRows      = 256
	bulkRow       = 64 << 10
	bulkPerSecond = 6_000_000 // a snapshot of about 3 s
	slowPerSecond = 1_800_000 // one of about 10 s
	killPatience  = 3 * time.Minute
)

// variable is a number from the environment.
func variable(t *testing.T, name string, without uint64) uint64 {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return without
	}
	n, err := strconv.ParseUint(text, 10, 64)
	require.NoError(t, err, name)
	return n
}

// fillBulk makes the large table.
func fillBulk(t *testing.T, s *stage.Stage) {
	t.Helper()
	master := s.Master(t.Context())
	require.NoError(t, master.Exec(t.Context(), "CREATE TABLE shop.bulk (id INT AUTO_INCREMENT PRIMARY KEY, body MEDIUMBLOB NOT NULL)"))
	random := rand.NewChaCha8([32]byte{})
	const together = 16
	for range bulkRows / together {
		var rows []any
		for range together {
			row := make([]byte, bulkRow)
			_, _ = random.Read(row) // never fails (documentation of math/rand/v2)
			rows = append(rows, row)
		}
		require.NoError(t, master.Exec(t.Context(), "INSERT INTO shop.bulk (body) VALUES (?)"+strings.Repeat(",(?)", together-1), rows...))
	}
}

// redefine has the next snapshot read all of the large table, as of one whose definition
// changed, and waits until all stores are level and nobody works.
func redefine(t *testing.T, s *stage.Stage) {
	t.Helper()
	comment := fmt.Sprintf("as of %d", time.Now().UnixNano())
	require.NoError(t, s.Master(t.Context()).Exec(t.Context(), "ALTER TABLE shop.bulk COMMENT='"+comment+"'"))
	slave := s.Chain.At(testenv.Dump)
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		var there string
		err := slave.DB().QueryRowContext(t.Context(), "SELECT TABLE_COMMENT FROM information_schema.TABLES WHERE TABLE_SCHEMA='shop' AND TABLE_NAME='bulk'").Scan(&there)
		if assert.NoError(c, err) {
			assert.Equal(c, comment, there)
		}
	}, killPatience, 50*time.Millisecond, "the dump slave has it")
	_, err := s.AwaitCopies(t.Context(), "level stores", killPatience, func(c api.Copies) bool {
		for _, store := range c.Stores {
			if store.Behind > 0 || store.Error != "" {
				return false
			}
		}
		return c.SilentMs < 3000 && c.Running == nil && c.Ordered == 0
	})
	require.NoError(t, err)
}

// lines is how often the dump service has logged any of these.
func lines(s *stage.Stage, phrases ...string) (n int) {
	log := s.Dump.Output()
	for _, phrase := range phrases {
		n += strings.Count(log, phrase)
	}
	return n
}

// begin orders a snapshot until one more is begun than so many: an order is lost with
// the watcher that led when it was given.
func begin(t *testing.T, s *stage.Stage, begun int) {
	t.Helper()
	var asked time.Time
	require.Eventually(t, func() bool {
		if lines(s, "snapshot begun") > begun {
			return true
		}
		if time.Since(asked) > 5*time.Second {
			code, _, errs := command(t, s, "snapshot", "now", s.Product, "--wait", "0")
			if asked = time.Now(); code != exitDone {
				t.Log(errs)
			}
		}
		return false
	}, killPatience, 10*time.Millisecond, "it begins")
}

// takeNow has a snapshot taken as an operator would, who asks again when another watcher
// leads by now.
func takeNow(t *testing.T, s *stage.Stage) {
	t.Helper()
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		code, out, errs := command(t, s, "snapshot", "now", s.Product)
		assert.Equal(c, exitDone, code, errs)
		assert.Contains(c, out, "rows")
	}, killPatience, time.Second, "the next is good")
}

// killing is a series of kills, each at a random moment of a snapshot.
type killing struct {
	*stage.Stage
	random *rand.Rand
	places []snapshot.Place
	length time.Duration // of a snapshot
	whole  map[string]bool
}

func killed9(t *testing.T, s *stage.Stage, strict *testenv.StrictS3) {
	seed := variable(t, "FAILOVERD_SEED", uint64(time.Now().UnixNano()))
	t.Logf("FAILOVERD_SEED=%d", seed)
	cfg, err := config.LoadDump(s.Dump.Config)
	require.NoError(t, err)
	places, err := openDumpStores(t.Context(), cfg.Stores)
	require.NoError(t, err)
	k := &killing{Stage: s, random: rand.New(rand.NewPCG(seed, 0)), places: places, whole: map[string]bool{}}
	redefine(t, s)
	takeNow(t, s)
	taken, err := s.AwaitCopies(t.Context(), "the large table", killPatience, func(c api.Copies) bool { return c.Newest != nil && c.Newest.Bytes > bulkRows*bulkRow })
	require.NoError(t, err)
	k.length = time.Duration(taken.Newest.TookMs) * time.Millisecond

	slave := s.Chain.At(testenv.Dump)
	victims := []victim{
		{"the dump service", func() { s.Dump.Kill() }, func() error { return s.Dump.Start() }},
		{"the dump slave", func() { slave.Kill() }, func() error { return slave.Start(t.Context()) }},
		{theStore, func() { s.S3.Down() }, func() error { return s.S3.Up(t.Context()) }},
	}
	if strict != nil {
		victims[2] = victim{theStore, strict.Kill, func() error { return strict.Start(t.Context()) }}
	}
	n, hits := int(variable(t, "FAILOVERD_KILLS", 3)), 0
	for i := range n {
		for range 3 { // a kill between two snapshots does no harm, and proves little
			hit := k.once(t, victims[i%len(victims)], i == 0)
			if hit {
				hits++
				break
			}
		}
	}
	t.Logf("%d of %d kills were in the midst of a snapshot of about %s", hits, n, k.length)
	require.Greater(t, 2*hits, n, "kills in the midst of a snapshot")
	k.sweep(t)
}

const theStore = "the store"

type victim struct {
	name  string
	kill  func()
	start func() error
}

// once kills the victim at a random moment of a snapshot, and says whether that was
// still one. late waits until some of the snapshot is in the store, so that
// there is something to be swept.
func (k *killing) once(t *testing.T, v victim, late bool) (hit bool) {
	t.Helper()
	redefine(t, k.Stage)
	before := len(listedIn(t, k.Stage))
	begun, ended := lines(k.Stage, "snapshot begun"), lines(k.Stage, "snapshot taken", "snapshot failed", "snapshot gave way")
	done := lines(k.Stage, "snapshot taken")
	left := len(k.unfinished(t))
	begin(t, k.Stage, begun)
	over := func() bool { return lines(k.Stage, "snapshot taken", "snapshot failed", "snapshot gave way") > ended }
	moment := time.Duration(k.random.Int64N(int64(k.length)))
	if late {
		require.Eventually(t, func() bool { return len(k.unfinished(t)) > left || over() }, killPatience, 10*time.Millisecond, "some of it is in the store")
		moment /= 8
	}
	<-time.After(moment)
	running := !over()
	v.kill()
	hit = running && lines(k.Stage, "snapshot taken") == done
	t.Logf("%s killed after %s, in the midst of a snapshot: %t", v.name, moment, hit)
	if v.name != theStore {
		k.allWhole(t)
	}
	if late && hit {
		require.Greater(t, len(k.unfinished(t)), left, "who is killed leaves what it had sent")
	}
	require.NoError(t, v.start())
	k.allWhole(t)
	_, err := k.AwaitCopies(t.Context(), "the order to be carried out", killPatience, func(c api.Copies) bool {
		return c.SilentMs < 3000 && c.Newest != nil && c.Ordered == 0 && c.Running == nil
	})
	require.NoError(t, err)
	if len(listedIn(t, k.Stage)) == before { // the order was lost with a watcher
		takeNow(t, k.Stage)
	}
	list := k.allWhole(t)
	require.Greater(t, list[len(list)-1].Rows, int64(bulkRows), "the large table is in the next")
	return hit
}

// allWhole lists the snapshots, and verifies those that were not seen before.
func (k *killing) allWhole(t *testing.T) []listed {
	t.Helper()
	list := listedIn(t, k.Stage)
	require.NotEmpty(t, list)
	for _, l := range list {
		for _, store := range l.Stores {
			if seen := store + " " + l.ID; !k.whole[seen] {
				code, out, errs := onTheDumpMachine(t, k.Stage, "snapshot", "verify", k.Product, l.ID)
				require.Equal(t, exitDone, code, "%s %s", out, errs)
				k.whole[seen] = true
			}
		}
	}
	return list
}

// unfinished are the uploads of which the preferred store has a part.
func (k *killing) unfinished(t *testing.T) []string {
	t.Helper()
	all, err := k.places[0].Store.Unfinished(t.Context(), snapshot.Prefix(k.Product))
	require.NoError(t, err)
	var keys []string
	for _, u := range all {
		keys = append(keys, u.Key)
	}
	return keys
}

// sweep prunes without a period of grace, after which the stores hold what the listed
// snapshots reach and nothing else.
func (k *killing) sweep(t *testing.T) {
	t.Helper()
	redefine(t, k.Stage)
	left := k.unfinished(t)
	require.NotEmpty(t, left, "the killed ones left something")
	code, out, errs := onTheDumpMachine(t, k.Stage, "snapshot", "prune", k.Product)
	require.Equal(t, exitDone, code, "%s %s", out, errs)
	require.Equal(t, left, k.unfinished(t), "it may be of a snapshot that is being taken")
	require.EventuallyWithT(t, func(c *assert.CollectT) { // stores tell times in seconds
		code, out, errs := onTheDumpMachine(t, k.Stage, "snapshot", "prune", k.Product, "--grace", "1ms", "-o", "json")
		if !assert.Equal(c, exitDone, code, errs) {
			return
		}
		var stores []pruned
		assert.NoError(c, json.Unmarshal([]byte(out), &stores))
		for _, store := range stores {
			assert.Empty(c, store.Held, store.Store)
			assert.Empty(c, store.Warnings, store.Store)
		}
		for _, p := range k.places {
			strays, err := k.strays(t, p)
			assert.NoError(c, err)
			assert.Empty(c, strays, p.Name)
		}
	}, killPatience, time.Second)
	k.whole = map[string]bool{}
	list := k.allWhole(t)
	t.Logf("%d unfinished uploads were swept, %d snapshots are whole", len(left), len(list))
}

// strays are the keys in a store that no listed snapshot reaches, beside those of the
// binary log, of cuts and drills, and leases, which end by themselves.
func (k *killing) strays(t *testing.T, p snapshot.Place) (strays []string, err error) {
	box, err := openBox(nil, "")
	if err != nil {
		return nil, err
	}
	manifests, errs := snapshot.List(t.Context(), p.Store, box, k.Product)
	if len(errs) > 0 {
		return nil, errs[0]
	}
	reached := map[string]bool{}
	for _, m := range manifests {
		catalog, err := snapshot.LoadCatalog(t.Context(), p.Store, box, m)
		if err != nil {
			return nil, err
		}
		reached[snapshot.ManifestKey(k.Product, m.ID)], reached[m.Schema.Key], reached[m.Catalog.Key] = true, true, true
		for _, table := range catalog.Tables {
			pieces := table.Chunks
			for _, d := range table.Deltas {
				for _, piece := range []*snapshot.Chunk{d.Deletes, d.Upserts} {
					if piece != nil {
						pieces = append(pieces, *piece)
					}
				}
			}
			for _, piece := range pieces {
				reached[piece.Key] = true
			}
		}
	}
	entries, err := p.Store.List(t.Context(), snapshot.Prefix(k.Product))
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		area, _, _ := strings.Cut(strings.TrimPrefix(e.Key, snapshot.Prefix(k.Product)), "/")
		if !reached[e.Key] && !slices.Contains([]string{"binlog", "shipped", "cuts", "drills", "leases"}, area) {
			strays = append(strays, e.Key)
		}
	}
	unfinished, err := p.Store.Unfinished(t.Context(), snapshot.Prefix(k.Product)+"data/")
	for _, u := range unfinished {
		strays = append(strays, "unfinished "+u.Key)
	}
	return strays, err
}
