package load

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync/atomic"

	driver "github.com/go-sql-driver/mysql"

	"github.com/failoverd/failoverd/internal/snapshot"
)

// Load implements snapshot.Target.
func (s *Server) Load(ctx context.Context, t snapshot.Table, piece string, rows snapshot.Rows) error {
	return s.session(ctx, func(conn *sql.Conn) error {
		return s.inPiece(ctx, conn, t, piece, func() error {
			return infile(ctx, conn, "", quoteID(t.ID()), t, rows)
		})
	})
}

// Apply implements snapshot.Target. The rows whose keys go are found through a
// temporary table of the same types, so that the server compares like with like.
func (s *Server) Apply(ctx context.Context, t snapshot.Table, piece string, deletes, upserts snapshot.Rows) error {
	if len(t.Key) == 0 {
		return fmt.Errorf("changed rows of a table without a key: %w", snapshot.ErrDamaged)
	}
	return s.session(ctx, func(conn *sql.Conn) error {
		keys := snapshot.Table{}
		var names, equal []string
		for _, i := range t.Key {
			keys.Columns = append(keys.Columns, t.Columns[i])
			name := quote(t.Columns[i].Name)
			names, equal = append(names, name), append(equal, "t."+name+" = k."+name)
		}
		if deletes != nil {
			if err := exec(ctx, conn, fmt.Sprintf(useSQL, quote(t.Database))); err != nil { // aliases want one
				return err
			}
			if err := exec(ctx, conn, dropKeysSQL); err != nil {
				return err
			}
			if err := exec(ctx, conn, fmt.Sprintf(makeKeysSQL, strings.Join(names, ", "), quoteID(t.ID()))); err != nil {
				return err
			}
		}
		err := s.inPiece(ctx, conn, t, piece, func() error {
			if deletes != nil {
				if err := infile(ctx, conn, "", keysTable, keys, deletes); err != nil {
					return err
				}
				gone := fmt.Sprintf(deleteKeysSQL, quoteID(t.ID()), quote(t.KeyName), strings.Join(equal, " AND "))
				if err := exec(ctx, conn, gone); err != nil {
					return err
				}
			}
			if upserts == nil {
				return nil
			}
			return infile(ctx, conn, "REPLACE ", quoteID(t.ID()), t, upserts)
		})
		if err != nil || deletes == nil {
			return err
		}
		return exec(ctx, conn, dropKeysSQL)
	})
}

// inPiece runs do and remembers the piece, in one transaction.
func (s *Server) inPiece(ctx context.Context, conn *sql.Conn, t snapshot.Table, piece string, do func() error) error {
	if err := exec(ctx, conn, "START TRANSACTION"); err != nil {
		return err
	}
	err := do()
	if err == nil {
		err = exec(ctx, conn, addPieceSQL, t.Database, t.Name, piece)
	}
	if err == nil {
		err = exec(ctx, conn, "COMMIT")
	}
	if err != nil {
		// The session is given up anyway; this frees the locks at once.
		_ = exec(context.WithoutCancel(ctx), conn, "ROLLBACK")
		return fmt.Errorf("%s: %w", piece, err)
	}
	return nil
}

// Count implements snapshot.Target.
func (s *Server) Count(ctx context.Context, id snapshot.TableID) (rows int64, err error) {
	err = s.session(ctx, func(conn *sql.Conn) error {
		rows, err = one[int64](ctx, conn, fmt.Sprintf(countSQL, quoteID(id)))
		return err
	})
	return rows, err
}

// feeds tells the driver's readers from one another.
var feeds atomic.Int64

// infile puts rows into a table. Those whose documents hold numbers that text alone
// would change are held back, no more than a piece of them, and go in afterwards, in
// as many goes as there are kinds of them.
func infile(ctx context.Context, conn *sql.Conn, replace, table string, t snapshot.Table, rows snapshot.Rows) error {
	hasJSON := false
	for _, c := range t.Columns {
		hasJSON = hasJSON || c.Kind == "json"
	}
	if !hasJSON {
		return infileAlike(ctx, conn, replace, table, t, oddKind{}, rows)
	}
	var names []string
	held := map[string][][]byte{}
	kinds := map[string]oddKind{}
	x := newText(t)
	err := infileAlike(ctx, conn, replace, table, t, oddKind{}, func(yield func(row []byte) error) error {
		return rows(func(row []byte) error {
			odds, err := x.odds(row)
			if err != nil || len(odds) == 0 {
				return errors.Join(err, yield(row))
			}
			kind := kindOf(odds)
			name := fmt.Sprint(kind)
			if _, known := kinds[name]; !known {
				kinds[name] = kind
				names = append(names, name)
			}
			held[name] = append(held[name], bytes.Clone(row))
			return nil
		})
	})
	for _, name := range names {
		if err != nil {
			return err
		}
		err = infileAlike(ctx, conn, replace, table, t, kinds[name], func(yield func(row []byte) error) error {
			for _, row := range held[name] {
				if err := yield(row); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return err
}

// infileAlike puts rows with the same odd numbers into a table, and fails if the
// server did not take each of them as it is: with LOCAL it leaves out and changes what
// it does not like, and warns.
func infileAlike(ctx context.Context, conn *sql.Conn, replace, table string, t snapshot.Table, odds oddKind, rows snapshot.Rows) error {
	f := newFeed(t, rows)
	f.text.withOdds = odds.numbers > 0
	name := fmt.Sprintf("failoverd-%d", feeds.Add(1))
	driver.RegisterReaderHandler(name, f.reader)
	defer driver.DeregisterReaderHandler(name)
	fields, set := fieldList(t, odds)
	result, err := conn.ExecContext(ctx, fmt.Sprintf(loadSQL, name, replace, table, fields, set))
	given := f.stop()
	if err != nil {
		return err
	}
	warnings, err := readWarnings(ctx, conn)
	if err != nil {
		return err
	}
	if w := firstMatter(t, warnings); w != "" {
		return fmt.Errorf("the server would not keep a value: %s", w)
	}
	taken, err := result.RowsAffected()
	if err != nil {
		return err
	}
	if taken != given && replace == "" {
		return fmt.Errorf("the server took %d of %d rows: %s", taken, given, strings.Join(warningTexts(warnings), "; "))
	}
	return nil
}

// fieldList names the columns, and gives those that are not taken from the text as
// it is: numbers of ENUM and SET values, which could be mistaken for the values'
// names, and JSON, which must not be binary.
func fieldList(t snapshot.Table, odds oddKind) (fields, set string) {
	if len(t.Columns) == 0 {
		return "@nothing", ""
	}
	var names, sets []string
	for i, c := range t.Columns {
		name := quote(c.Name)
		variable := fmt.Sprintf("@v%d", i)
		switch c.Kind {
		case "enum", "set":
			sets = append(sets, name+" = CAST("+variable+" AS UNSIGNED)")
		case "json":
			value := "CONVERT(" + variable + " USING utf8mb4)"
			if odds.sets[i] != "" {
				value = "JSON_REPLACE(" + value + odds.sets[i] + ")"
			}
			sets = append(sets, name+" = "+value)
		default:
			variable = name
		}
		names = append(names, variable)
	}
	for n := range odds.numbers {
		names = append(names, fmt.Sprintf("@odd%d", n))
	}
	if len(sets) > 0 {
		set = " SET " + strings.Join(sets, ", ")
	}
	return strings.Join(names, ", "), set
}

type warning struct {
	number int
	text   string
}

func readWarnings(ctx context.Context, conn *sql.Conn) ([]warning, error) {
	rows, err := conn.QueryContext(ctx, warningsSQL)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []warning
	for rows.Next() {
		var level string
		var w warning
		if err := rows.Scan(&level, &w.number, &w.text); err != nil {
			return nil, err
		}
		all = append(all, w)
	}
	return all, rows.Err()
}

func warningTexts(all []warning) (texts []string) {
	for _, w := range all[:min(len(all), 3)] {
		texts = append(texts, w.text)
	}
	return texts
}

// The warnings that LOAD DATA gives to values that it keeps as they are.
const (
	warnTruncated = 1265 // number 0 of an ENUM, the value of what is none
	warnRange     = 1264 // FLOAT(M,D), whose greatest float is above its greatest decimal
)

// inMessage finds the column in the server's message, which ends with "at row N".
var inMessage = regexp.MustCompile(`(?s)column '(.*)' at row \d+$`)

// firstMatter is the first warning that says that a value was changed.
func firstMatter(t snapshot.Table, warnings []warning) string {
	kinds := map[string]snapshot.Column{}
	for _, c := range t.Columns {
		kinds[c.Name] = c
	}
	for _, w := range warnings {
		name := ""
		if m := inMessage.FindStringSubmatch(w.text); m != nil {
			name = m[1]
		}
		c := kinds[name]
		switch {
		case w.number == warnTruncated && c.Kind == "enum":
		case w.number == warnRange && (c.Wire == snapshot.WireFloat || c.Wire == snapshot.WireDouble):
		default:
			return w.text
		}
	}
	return ""
}
