package dump

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/failoverd/failoverd/internal/snapshot"
)

// versioned are the engines that show a table as it was when the view was opened.
var versioned = []string{"InnoDB", "ndbcluster"}

// elsewhere are the engines whose rows are none, or another table's, or another server's.
var elsewhere = []string{"BLACKHOLE", "MRG_MYISAM", "FEDERATED"}

// heldTables are tables of engines without views of older data (MyISAM, ARCHIVE, CSV,
// MEMORY). A read lock keeps them as they were at the point, which holds the applier up
// if it writes to one; so they are read first, and let go when the last was.
type heldTables struct {
	session *session // nil without such tables
	tables  []snapshot.TableID

	mu   sync.Mutex
	left map[snapshot.TableID]bool
}

func readUnversioned(ctx context.Context, s *session) (*heldTables, error) {
	rows, err := s.rows(ctx, tablesSQL)
	if err != nil {
		return nil, err
	}
	h := &heldTables{left: map[snapshot.TableID]bool{}}
	for _, row := range rows {
		if !slices.Contains(versioned, row[2]) && !slices.Contains(elsewhere, row[2]) {
			id := snapshot.TableID{Database: row[0], Name: row[1]}
			h.tables = append(h.tables, id)
			h.left[id] = true
		}
	}
	return h, nil
}

func (h *heldTables) lock(ctx context.Context) error {
	if len(h.tables) == 0 {
		return nil
	}
	var parts []string
	for _, id := range h.tables {
		parts = append(parts, name(id)+" READ")
	}
	if err := h.session.exec(ctx, "LOCK TABLES "+strings.Join(parts, ", ")); err != nil {
		return lockFailed("lock tables that are not InnoDB", err)
	}
	return nil
}

// done notes that a table was read, and lets all of them go after the last.
func (h *heldTables) done(ctx context.Context, id snapshot.TableID) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.left[id] {
		return nil
	}
	delete(h.left, id)
	if len(h.left) > 0 {
		return nil
	}
	return h.session.exec(ctx, unlockReadSQL)
}

// holds says whether the table's rows cannot change, for one reason or another.
func (h *heldTables) holds(t snapshot.Table) bool {
	return slices.Contains(versioned, t.Engine) || slices.Contains(elsewhere, t.Engine) || slices.Contains(h.tables, t.ID())
}

func (h *heldTables) warnings() []string {
	if len(h.tables) == 0 {
		return nil
	}
	var names []string
	for _, id := range h.tables {
		names = append(names, id.String())
	}
	slices.Sort(names)
	return []string{fmt.Sprintf("%d tables are not InnoDB (%s): the applier had to wait for each that it writes to until all of them were read", len(names), strings.Join(names, ", "))}
}

// perLock is how many tables one statement holds; a join has at most 61.
const perLock = 50

// holdDefinitions makes every session hold the definition of every table until its
// transaction ends. It is called while no definition can change, so none of them waits
// for a change that waits for another.
func holdDefinitions(ctx context.Context, sessions []*session, tables []snapshot.Table) error {
	all, ctx := errgroup.WithContext(ctx)
	for _, s := range sessions {
		all.Go(func() error {
			for some := range slices.Chunk(tables, perLock) {
				if hold(ctx, s, some) == nil {
					continue
				}
				for _, t := range some { // which of them is it?
					if err := hold(ctx, s, []snapshot.Table{t}); err != nil {
						return lockFailed("hold the definition of "+t.ID().String(), err)
					}
				}
			}
			return nil
		})
	}
	return all.Wait()
}

// hold opens tables without reading them: metadata locks last until the end of the
// transaction (MySQL manual, "Metadata Locking").
func hold(ctx context.Context, s *session, tables []snapshot.Table) error {
	names := make([]string, len(tables))
	for i, t := range tables {
		names[i] = name(t.ID())
	}
	return s.exec(ctx, "SELECT 1 FROM "+strings.Join(names, ", ")+" WHERE FALSE")
}

// name is a table's name as a statement has it.
func name(id snapshot.TableID) string { return ident(id.Database) + "." + ident(id.Name) }
