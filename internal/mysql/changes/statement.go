package changes

import (
	"strings"

	"github.com/failoverd/failoverd/internal/snapshot"
)

// reach is what a statement in the binary log may have done to rows.
type reach int

const (
	nothing   reach = iota // to none
	named                  // to those of the tables that it names
	databases              // to those of the databases that it names
	anything               // nobody knows
)

// harmless are the beginnings of statements that change no rows of base tables.
var harmless = []string{
	"BEGIN", "START TRANSACTION", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE SAVEPOINT", "XA ",
	"CREATE USER", "ALTER USER", "DROP USER", "RENAME USER", "SET PASSWORD", "SET DEFAULT ROLE", "CREATE ROLE", "DROP ROLE", "GRANT", "REVOKE",
	"CREATE DATABASE", "CREATE SCHEMA", "ALTER DATABASE", "ALTER SCHEMA",
	"CREATE TEMPORARY TABLE", "DROP TEMPORARY TABLE",
	"ANALYZE", "FLUSH", "INSTALL", "UNINSTALL", "CREATE SERVER", "ALTER SERVER", "DROP SERVER",
	"CREATE RESOURCE GROUP", "ALTER RESOURCE GROUP", "DROP RESOURCE GROUP", "CREATE SPATIAL REFERENCE SYSTEM", "CREATE OR REPLACE SPATIAL REFERENCE SYSTEM", "DROP SPATIAL REFERENCE SYSTEM",
	"CREATE FUNCTION", "CREATE AGGREGATE FUNCTION", "DROP FUNCTION", "ALTER FUNCTION", "CREATE PROCEDURE", "DROP PROCEDURE", "ALTER PROCEDURE", "DROP VIEW", "DROP TRIGGER", "DROP EVENT",
	"CREATE TABLESPACE", "ALTER TABLESPACE", "DROP TABLESPACE", "CREATE UNDO TABLESPACE", "ALTER UNDO TABLESPACE", "DROP UNDO TABLESPACE", "ALTER INSTANCE",
}

// aboutTables are the beginnings of statements that reach the tables they name.
var aboutTables = []string{"CREATE TABLE", "ALTER TABLE", "DROP TABLE", "DROP TABLES", "TRUNCATE", "RENAME TABLE", "RENAME TABLES", "CREATE INDEX", "CREATE UNIQUE INDEX",
	"CREATE FULLTEXT INDEX", "CREATE SPATIAL INDEX", "DROP INDEX", "OPTIMIZE", "REPAIR", "IMPORT TABLE", "CHECK TABLE"}

var aboutDatabases = []string{"DROP DATABASE", "DROP SCHEMA"}

// reachOf judges a statement by how it begins, comments and case aside. Views,
// triggers and events begin in too many ways (a DEFINER clause): they are looked for by their noun.
func reachOf(statement string) reach {
	words := strings.Fields(strings.ToUpper(withoutComments(statement)))
	if len(words) == 0 {
		return nothing
	}
	head := strings.Join(words[:min(len(words), 8)], " ") + " "
	begins := func(with []string) bool {
		for _, beginning := range with {
			if strings.HasPrefix(head, strings.TrimSpace(beginning)+" ") {
				return true
			}
		}
		return false
	}
	switch {
	case begins(harmless):
		return nothing
	case begins(aboutDatabases):
		return databases
	case begins(aboutTables):
		return named
	case (words[0] == "CREATE" || words[0] == "ALTER") && begins([]string{"CREATE DEFINER", "CREATE OR REPLACE", "CREATE ALGORITHM", "CREATE SQL", "CREATE VIEW", "CREATE TRIGGER", "CREATE EVENT",
		"ALTER DEFINER", "ALTER ALGORITHM", "ALTER SQL", "ALTER VIEW", "ALTER EVENT"}), strings.HasPrefix(head, "CREATE DEFINER="), strings.HasPrefix(head, "CREATE ALGORITHM="),
		strings.HasPrefix(head, "ALTER DEFINER="), strings.HasPrefix(head, "ALTER ALGORITHM="):
		return nothing // a view, a routine, a trigger or an event
	}
	return anything
}

// withoutComments leaves comments at the beginning out; those that are executed
// (/*! … */) have their marks left out instead.
func withoutComments(statement string) string {
	for {
		statement = strings.TrimLeft(statement, " \t\r\n(")
		switch {
		case strings.HasPrefix(statement, "/*!"):
			statement = strings.TrimLeft(statement[3:], "0123456789")
		case strings.HasPrefix(statement, "/*"):
			_, rest, closed := strings.Cut(statement, "*/")
			if !closed {
				return ""
			}
			statement = rest
		case strings.HasPrefix(statement, "--"), strings.HasPrefix(statement, "#"):
			_, statement, _ = strings.Cut(statement, "\n")
		default:
			return statement
		}
	}
}

// tablesOf are the tables of the schema that the statement may reach: it errs on
// the side of too many, by looking for their names anywhere in it.
func tablesOf(statement string, r reach, schema *snapshot.Schema) (ids []snapshot.TableID) {
	text := strings.ToLower(statement)
	for i := range schema.Tables {
		t := &schema.Tables[i]
		if r == anything || r == named && mentions(text, t.Name) || r == databases && mentions(text, t.Database) {
			ids = append(ids, t.ID())
		}
	}
	return ids
}

// mentions is whether a lower-case statement may name something: quotes in a name
// are doubled; what is not ASCII depends on a character set that is not known here.
func mentions(text, name string) bool {
	name = strings.ToLower(name)
	foreign := func(r rune) bool { return r >= 0x80 }
	if strings.IndexFunc(name, foreign) >= 0 {
		return strings.IndexFunc(text, foreign) >= 0
	}
	return strings.Contains(text, name) || strings.Contains(text, strings.ReplaceAll(name, "`", "``")) || strings.Contains(text, strings.ReplaceAll(name, `"`, `""`))
}
