package load

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/failoverd/failoverd/internal/snapshot"
)

// How the server names what a view lacks (messages of errors 1146 and 1054).
var (
	lacksTable  = regexp.MustCompile(`^Table '([^.']+)\.([^']+)' doesn't exist$`)
	lacksColumn = regexp.MustCompile(`^Unknown column '([^.']+)\.([^.']+)\.([^']+)' in `)
)

// maxStubs bounds how many tables and columns a broken view may lack.
const maxStubs = 1000

// createBroken makes a view that is broken where it comes from, since a table or a
// column of it is gone: these are made for as long as it takes. Its text is all that
// a server keeps of it. The error is that of the view if it cannot be helped.
func (s *Server) createBroken(ctx context.Context, conn *sql.Conn, v snapshot.Object) (err error) {
	var stubs []snapshot.TableID
	defer func() {
		for _, id := range stubs {
			err = errors.Join(err, exec(ctx, conn, fmt.Sprintf(dropTableSQL, quoteID(id))))
		}
	}()
	for range maxStubs {
		made := s.createObject(ctx, conn, v)
		number := errorNumber(made)
		if number == 0 {
			return made
		}
		text := made.Error()
		text = text[strings.Index(text, ": ")+2:]
		if m := lacksTable.FindStringSubmatch(text); number == errNoSuchTable && m != nil {
			id := snapshot.TableID{Database: m[1], Name: m[2]}
			if err := exec(ctx, conn, fmt.Sprintf(stubTableSQL, quoteID(id), "`failoverd` INT")); err != nil {
				return made
			}
			stubs = append(stubs, id)
			continue
		}
		m := lacksColumn.FindStringSubmatch(text)
		if number != errNoSuchColumn || m == nil || len(stubs) == 0 {
			return made
		}
		id := snapshot.TableID{Database: m[1], Name: m[2]}
		if err := addColumn(ctx, conn, stubs, id, m[3]); err != nil {
			return made
		}
	}
	return fmt.Errorf("view %s.%s lacks too much", v.Database, v.Name)
}

// addColumn adds a column to a stub, never to a table that is real.
func addColumn(ctx context.Context, conn *sql.Conn, stubs []snapshot.TableID, id snapshot.TableID, name string) error {
	for _, stub := range stubs {
		if stub == id {
			return exec(ctx, conn, fmt.Sprintf(alterSQL, quoteID(id), "ADD "+quote(name)+" INT"))
		}
	}
	return errors.New("a table that is there lacks a column")
}
