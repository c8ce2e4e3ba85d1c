package load

import (
	"context"
	"database/sql"
	"fmt"
	"strings"

	"github.com/failoverd/failoverd/internal/snapshot"
)

// manyBytes is from where on keys are made after the rows: below, two more changes of
// the table cost more than they save.
const manyBytes = 1 << 20

// Create implements snapshot.Target. Foreign keys always wait, for the tables that
// they refer to; other keys wait if a try with the empty table shows that the table
// comes out as it is to be.
func (s *Server) Create(ctx context.Context, t snapshot.Table, bytes int64) error {
	return s.session(ctx, func(conn *sql.Conn) error {
		if err := s.createDatabase(ctx, conn, t.Database); err != nil {
			return err
		}
		if err := createTable(ctx, conn, t, bytes >= manyBytes && transactional(t), s.job.Single); err != nil {
			return err
		}
		return exec(ctx, conn, addTableSQL, t.Database, t.Name)
	})
}

func (s *Server) createDatabase(ctx context.Context, conn *sql.Conn, name string) error {
	for _, d := range s.job.Schema.Databases {
		if d.Name == name {
			rest, _ := strings.CutPrefix(d.Create, "CREATE DATABASE ")
			if err := exec(ctx, conn, "CREATE DATABASE IF NOT EXISTS "+rest); err != nil {
				return fmt.Errorf("database %s: %w", name, err)
			}
			return nil
		}
	}
	return fmt.Errorf("database %s is not in the schema: %w", name, snapshot.ErrDamaged)
}

func createTable(ctx context.Context, conn *sql.Conn, t snapshot.Table, deferKeys, single bool) error {
	if err := exec(ctx, conn, fmt.Sprintf(useSQL, quote(t.Database))); err != nil {
		return err
	}
	if !single { // what is there is of an earlier try
		if err := exec(ctx, conn, fmt.Sprintf(dropTableSQL, quote(t.Name))); err != nil {
			return err
		}
	}
	d, err := parseDefinition(t.Create)
	if err != nil { // then the server is given all of it at once
		return exec(ctx, conn, t.Create)
	}
	whole := d.without(isForeignKey)
	keys := whole.deferrable(t)
	if deferKeys && len(keys) > 0 {
		waiting := map[string]bool{}
		for _, k := range keys {
			waiting[k] = true
		}
		exact, err := tryDeferred(ctx, conn, t, whole, whole.without(func(item string) bool { return waiting[item] }), keys)
		if err != nil || exact {
			return err
		}
		if err := exec(ctx, conn, fmt.Sprintf(dropTableSQL, quote(t.Name))); err != nil {
			return err
		}
	}
	return exec(ctx, conn, whole.inheriting().String())
}

// tryDeferred makes the lean table and sees whether it becomes the whole one when the
// keys are added; if so the lean one is left.
func tryDeferred(ctx context.Context, conn *sql.Conn, t snapshot.Table, whole, lean definition, keys []string) (exact bool, err error) {
	if err := exec(ctx, conn, lean.inheriting().String()); err != nil {
		return false, err
	}
	if err := addItems(ctx, conn, t, keys); err != nil {
		return false, nil // the whole statement may still be good, or says what is not
	}
	now, err := showCreate(ctx, conn, t.ID())
	if err != nil {
		return false, err
	}
	if now != whole.String() {
		return false, nil
	}
	drops := make([]string, len(keys))
	for i, k := range keys {
		drops[i] = "DROP KEY " + keyName(k)
	}
	return true, exec(ctx, conn, fmt.Sprintf(alterSQL, quoteID(t.ID()), strings.Join(drops, ", ")))
}

// Index implements snapshot.Target.
func (s *Server) Index(ctx context.Context, t snapshot.Table) error {
	return s.session(ctx, func(conn *sql.Conn) error {
		if want, err := parseDefinition(t.Create); err == nil {
			text, err := showCreate(ctx, conn, t.ID())
			if err != nil {
				return err
			}
			have, err := parseDefinition(text)
			if err != nil {
				return fmt.Errorf("%w: %s", err, text)
			}
			var keys []string
			for _, item := range have.missing(want) {
				if keyName(item) != "" {
					keys = append(keys, item)
				}
			}
			if err := addItems(ctx, conn, t, keys); err != nil {
				return err
			}
		}
		return exec(ctx, conn, indexedSQL, t.Database, t.Name)
	})
}

// addItems adds keys or constraints in one change; those for full text one by one,
// since InnoDB makes no two of them in place.
func addItems(ctx context.Context, conn *sql.Conn, t snapshot.Table, items []string) error {
	if err := exec(ctx, conn, fmt.Sprintf(useSQL, quote(t.Database))); err != nil {
		return err
	}
	var together []string
	var changes []string
	for _, item := range items {
		if isFulltext(item) {
			changes = append(changes, "ADD "+item)
		} else {
			together = append(together, "ADD "+item)
		}
	}
	if len(together) > 0 {
		changes = append([]string{strings.Join(together, ", ")}, changes...)
	}
	for _, change := range changes {
		if err := exec(ctx, conn, fmt.Sprintf(alterSQL, quoteID(t.ID()), change)); err != nil {
			return fmt.Errorf("%s: %w", change, err)
		}
	}
	return nil
}

// constrain adds the foreign keys that a table lacks, sets its counter, and notes
// what is not as it was.
func constrain(ctx context.Context, conn *sql.Conn, t snapshot.Table) ([]snapshot.Note, error) {
	text, err := showCreate(ctx, conn, t.ID())
	if err != nil || text == t.Create {
		return nil, err
	}
	want, wantErr := parseDefinition(t.Create)
	have, haveErr := parseDefinition(text)
	if wantErr == nil && haveErr == nil {
		var missing []string
		for _, item := range have.missing(want) {
			if isForeignKey(item) {
				missing = append(missing, item)
			}
		}
		if err := addItems(ctx, conn, t, missing); err != nil {
			return nil, err
		}
	}
	if t.AutoIncrement > 1 {
		if err := exec(ctx, conn, fmt.Sprintf(alterSQL, quoteID(t.ID()), fmt.Sprintf(counterClause, t.AutoIncrement))); err != nil {
			return nil, err
		}
	}
	if text, err = showCreate(ctx, conn, t.ID()); err != nil || text == t.Create {
		return nil, err
	}
	return []snapshot.Note{{Differs: true, Text: fmt.Sprintf("table %s is now %q, was %q", t.ID(), text, t.Create)}}, nil
}

func showCreate(ctx context.Context, conn *sql.Conn, id snapshot.TableID) (text string, err error) {
	var name string
	err = conn.QueryRowContext(ctx, fmt.Sprintf(showCreateSQL, quoteID(id))).Scan(&name, &text)
	return text, err
}
