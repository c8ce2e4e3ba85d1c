package load

import (
	"context"
	"database/sql"
	"fmt"
	"regexp"
	"strings"

	"github.com/failoverd/failoverd/internal/snapshot"
)

// createAccounts makes all accounts, without what they may do: grants name other
// accounts, and tables and routines that are not there yet. One that is there is made
// anew; that of this session is altered, for it is still needed.
func (s *Server) createAccounts(ctx context.Context, conn *sql.Conn) error {
	for _, a := range s.job.Schema.Accounts {
		create, ok := strings.CutPrefix(a.Create, "CREATE USER ")
		if !ok {
			return fmt.Errorf("account %s: its statement is not CREATE USER: %w", accountName(a), snapshot.ErrDamaged)
		}
		statements := []string{fmt.Sprintf(dropUserSQL, quoteAccount(a.User, a.Host)), a.Create}
		if s.isSelf(a) {
			statements = []string{"ALTER USER " + create}
		}
		for _, statement := range statements {
			if err := exec(ctx, conn, statement); err != nil {
				return fmt.Errorf("account %s: %w", accountName(a), err) // never the statement: it has the hash
			}
		}
	}
	return nil
}

// waitingGrant is a grant on what is not there yet.
type waitingGrant struct {
	account   snapshot.Account
	statement string
}

// grantFirst gives accounts what they may do, before there are views and routines: a
// view on another is only made if the other's definer may read what is below. What
// names something that is not there is returned.
func (s *Server) grantFirst(ctx context.Context, conn *sql.Conn) (waiting []waitingGrant, err error) {
	for _, a := range s.job.Schema.Accounts {
		if s.isSelf(a) {
			continue
		}
		for _, statement := range a.Grants {
			switch err := exec(ctx, conn, statement); errorNumber(err) {
			case 0:
				if err != nil {
					return nil, err
				}
			case errNoSuchTable, errNoSuchColumn, errBadField, errNoRoutine:
				waiting = append(waiting, waitingGrant{a, statement})
			default:
				return nil, fmt.Errorf("account %s: %s: %w", accountName(a), statement, err)
			}
		}
	}
	return waiting, nil
}

// grantLast gives the rest: grants that waited, default roles, and last what this
// session's own account may do, for what it loses must not be missed before.
func (s *Server) grantLast(ctx context.Context, conn *sql.Conn, waiting []waitingGrant) (notes []snapshot.Note, err error) {
	for _, a := range s.job.Schema.Accounts {
		if !s.isSelf(a) {
			continue
		}
		for _, statement := range a.Grants {
			waiting = append(waiting, waitingGrant{a, statement})
		}
	}
	revoked := false
	for _, w := range waiting {
		if s.isSelf(w.account) && !revoked {
			revoked = true
			if err := revokeAll(ctx, conn, w.account); err != nil {
				return nil, fmt.Errorf("account %s: %w", accountName(w.account), err)
			}
		}
		err := exec(ctx, conn, w.statement)
		if n := errorNumber(err); n == errNoSuchTable || n == errNoSuchColumn || n == errBadField {
			err = s.grantOnNothing(ctx, conn, w.statement, err)
		}
		if err != nil {
			return nil, fmt.Errorf("account %s: %s: %w", accountName(w.account), w.statement, err)
		}
	}
	for _, a := range s.job.Schema.Accounts {
		if a.DefaultRole == "" {
			continue
		}
		if err := exec(ctx, conn, a.DefaultRole); err != nil {
			return nil, fmt.Errorf("account %s: %s: %w", accountName(a), a.DefaultRole, err)
		}
	}
	return s.others(ctx, conn)
}

func revokeAll(ctx context.Context, conn *sql.Conn, a snapshot.Account) error {
	if err := exec(ctx, conn, fmt.Sprintf(revokeSQL, quoteAccount(a.User, a.Host))); err != nil {
		return err
	}
	rows, err := conn.QueryContext(ctx, rolesOfSQL, a.User, a.Host)
	if err != nil {
		return err
	}
	defer rows.Close()
	var roles []string
	for rows.Next() {
		var user, host string
		if err := rows.Scan(&user, &host); err != nil {
			return err
		}
		roles = append(roles, quoteAccount(user, host))
	}
	if err := rows.Err(); err != nil {
		return err
	}
	for _, role := range roles {
		if err := exec(ctx, conn, fmt.Sprintf(revokeRoleSQL, role, quoteAccount(a.User, a.Host))); err != nil {
			return err
		}
	}
	return nil
}

// onTable finds the table of a grant: names as SHOW GRANTS quotes them.
var (
	onTable     = regexp.MustCompile("(?s) ON (`(?:[^`]|``)+`)\\.(`(?:[^`]|``)+`) TO `")
	columnNames = regexp.MustCompile("(?s)\\(((?:`(?:[^`]|``)+`(?:, )?)+)\\)")
)

// grantOnNothing repeats a grant on a table that is gone: its grants outlived it, and
// count again for a table of the same name. A table is made for as long as it takes.
func (s *Server) grantOnNothing(ctx context.Context, conn *sql.Conn, statement string, cause error) error {
	m := onTable.FindStringSubmatchIndex(statement)
	if m == nil {
		return cause
	}
	database, table := unquote(statement[m[2]:m[3]]), unquote(statement[m[4]:m[5]])
	id := snapshot.TableID{Database: database, Name: table}
	if there, err := one[int](ctx, conn, tableThereSQL, database, table); err != nil {
		return err
	} else if there > 0 {
		return cause // it is there, and lacks a column that is gone
	}
	columns := map[string]bool{"`failoverd`": true}
	for _, list := range columnNames.FindAllStringSubmatch(statement[:m[0]], -1) {
		for name := range strings.SplitSeq(list[1], ", ") {
			columns[name] = true
		}
	}
	var names []string
	for name := range columns {
		names = append(names, name+" INT")
	}
	known := false
	for _, d := range s.job.Schema.Databases {
		known = known || d.Name == database
	}
	do := []string{fmt.Sprintf(stubTableSQL, quoteID(id), strings.Join(names, ", ")), statement}
	undo := "DROP TABLE " + quoteID(id)
	if !known {
		do = append([]string{"CREATE DATABASE IF NOT EXISTS " + quote(database)}, do...)
		undo = "DROP DATABASE " + quote(database)
	}
	for _, statement := range do {
		if err := exec(ctx, conn, statement); err != nil {
			return err
		}
	}
	return exec(ctx, conn, undo)
}

// others notes the accounts that the server has and the snapshot has not. Of a server
// that was made for the restore, whoever made it removes its account.
func (s *Server) others(ctx context.Context, conn *sql.Conn) (notes []snapshot.Note, err error) {
	rows, err := conn.QueryContext(ctx, accountsSQL)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var user, host string
		if err := rows.Scan(&user, &host); err != nil {
			return nil, err
		}
		name := user + "@" + host
		if !s.has(name) && user != passingUser && !(name == s.self && s.opts.Passing) {
			notes = append(notes, snapshot.Note{Text: fmt.Sprintf("account %s is not of the snapshot: it was there before and still is", name)})
		}
	}
	return notes, rows.Err()
}

// passingUser is the account of servers that package scratch makes.
const passingUser = "failoverd_restore"

func (s *Server) isSelf(a snapshot.Account) bool { return a.User+"@"+a.Host == s.self }

func (s *Server) has(name string) bool {
	for _, a := range s.job.Schema.Accounts {
		if a.User+"@"+a.Host == name {
			return true
		}
	}
	return false
}

func accountName(a snapshot.Account) string { return a.User + "@" + a.Host }

// accountText quotes what CURRENT_USER() returns. A host has no @.
func accountText(name string) string {
	at := strings.LastIndexByte(name, '@')
	return quoteAccount(name[:at], name[at+1:])
}

func quoteAccount(user, host string) string { return quote(user) + "@" + quote(host) }

func unquote(name string) string { return strings.ReplaceAll(name[1:len(name)-1], "``", "`") }
