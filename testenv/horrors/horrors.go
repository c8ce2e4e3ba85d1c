// Package horrors is a database with whatever is known to be lost or changed on the way
// from one MySQL server to another: copies are tried on it.
package horrors

import (
	"context"
	_ "embed"
	"fmt"
	"strings"

	"github.com/failoverd/failoverd/testenv"
)

// SQL makes the database. The mysql client reads it too.
//
//go:embed horrors.sql
var SQL string

// Databases are what it makes.
var Databases = []string{"horrors", "horrors_empty", "horrors_latin", "odd `name` \"x\" ünï.%_-$ 日本"}

// Config are the lines that my.cnf of every server must have that is to hold it:
// testenv.Options.Config.
var Config = []string{"partial_revokes=ON"}

// Load makes the database on a server that takes writes.
func Load(ctx context.Context, s *testenv.Server) error {
	conn, err := s.DB().Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	for _, statement := range Statements(SQL) {
		if _, err := conn.ExecContext(ctx, statement); err != nil {
			return fmt.Errorf("horrors: %.80q: %w", statement, err)
		}
	}
	return nil
}

// Statements cuts a file as the mysql client would, if each statement ends with the
// delimiter at the end of a line, and comments have lines of their own.
func Statements(file string) []string {
	var out []string
	var statement strings.Builder
	delimiter := ";"
	for line := range strings.Lines(file) {
		text := strings.TrimSuffix(line, "\n")
		switch {
		case statement.Len() == 0 && (text == "" || strings.HasPrefix(text, "-- ")):
		case statement.Len() == 0 && strings.HasPrefix(text, "DELIMITER "):
			delimiter = strings.TrimPrefix(text, "DELIMITER ")
		case strings.HasSuffix(text, delimiter):
			out = append(out, statement.String()+strings.TrimSuffix(text, delimiter))
			statement.Reset()
		default:
			statement.WriteString(line)
		}
	}
	return out
}
