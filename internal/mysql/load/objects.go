package load

import (
	"context"
	"database/sql"
	"fmt"
	"strings"

	"github.com/failoverd/failoverd/internal/snapshot"
)

// createObjects makes routines first, for views use functions; then views, triggers
// and events. Views that cannot be made are noted: they may have been broken where
// they come from, and must not keep the rest from coming back.
func (s *Server) createObjects(ctx context.Context, conn *sql.Conn) (notes []snapshot.Note, err error) {
	var views []snapshot.Object
	byKind := map[string][]snapshot.Object{}
	for _, o := range s.job.Schema.Objects {
		byKind[o.Kind] = append(byKind[o.Kind], o)
		if o.Kind == "view" {
			views = append(views, o)
		}
	}
	for _, kind := range []string{"function", "procedure"} {
		more, err := s.createEach(ctx, conn, byKind[kind])
		if notes = append(notes, more...); err != nil {
			return notes, err
		}
	}
	more, err := s.createViews(ctx, conn, views)
	if notes = append(notes, more...); err != nil {
		return notes, err
	}
	for _, kind := range []string{"trigger", "event"} {
		more, err := s.createEach(ctx, conn, byKind[kind])
		if notes = append(notes, more...); err != nil {
			return notes, err
		}
	}
	asleep := 0
	for _, o := range byKind["event"] {
		if head := unquoted(o.Create); strings.Contains(head, " DISABLE ON REPLICA") || strings.Contains(head, " DISABLE ON SLAVE") {
			asleep++
		}
	}
	if asleep > 0 {
		notes = append(notes, snapshot.Note{Text: fmt.Sprintf("%d events are DISABLE ON REPLICA, as on the dump slave: on a new master ALTER EVENT … ENABLE those that are to run", asleep)})
	}
	return notes, nil
}

func (s *Server) createEach(ctx context.Context, conn *sql.Conn, objects []snapshot.Object) (notes []snapshot.Note, err error) {
	for _, o := range objects {
		note, err := s.createObject(ctx, conn, o)
		if err != nil {
			return notes, fmt.Errorf("%s %s.%s: %w", o.Kind, o.Database, o.Name, err)
		}
		notes = append(notes, note...)
	}
	return notes, nil
}

// createViews makes views until no more can be made: each round makes those whose
// tables and views are there.
func (s *Server) createViews(ctx context.Context, conn *sql.Conn, views []snapshot.Object) (notes []snapshot.Note, err error) {
	for len(views) > 0 {
		var waiting []snapshot.Object
		var reasons []string
		for _, v := range views {
			note, err := s.createObject(ctx, conn, v)
			switch errorNumber(err) {
			case 0:
				if err != nil {
					return notes, err
				}
				notes = append(notes, note...)
			case errNoSuchTable, errNoSuchColumn, errUnknownDB, errNoRoutine, errInvalidView:
				waiting = append(waiting, v)
				reasons = append(reasons, err.Error())
			default:
				return notes, fmt.Errorf("view %s.%s: %w", v.Database, v.Name, err)
			}
		}
		if len(waiting) == len(views) {
			for i, v := range waiting {
				notes = append(notes, snapshot.Note{Differs: true, Text: fmt.Sprintf("view %s.%s could not be made: %s", v.Database, v.Name, reasons[i])})
			}
			return notes, nil
		}
		views = waiting
	}
	return notes, nil
}

// createObject makes an object in a session like that of its maker, whose settings
// are part of what it means.
func (s *Server) createObject(ctx context.Context, conn *sql.Conn, o snapshot.Object) (notes []snapshot.Note, err error) {
	if err := exec(ctx, conn, fmt.Sprintf(useSQL, quote(o.Database))); err != nil {
		return nil, err
	}
	if err := exec(ctx, conn, fmt.Sprintf(dropSQL, strings.ToUpper(o.Kind), quote(o.Name))); err != nil {
		return nil, err
	}
	client, zone := o.Charset, o.TimeZone
	if client == "" {
		client = "utf8mb4"
	}
	if zone == "" {
		zone = "+00:00"
	}
	text := []byte(o.Create)
	if client != "utf8mb4" && client != "utf8mb3" && client != "binary" {
		var kept bool
		if err := conn.QueryRowContext(ctx, fmt.Sprintf(asTextSQL, client), o.Create, o.Create, o.Create).Scan(&text, &kept); err != nil {
			return nil, err
		}
		if !kept {
			text, client = []byte(o.Create), "utf8mb4"
			notes = append(notes, snapshot.Note{Differs: true, Text: fmt.Sprintf(
				"%s %s.%s was made by a client that spoke %s, in which its text cannot be written: it is made in utf8mb4", o.Kind, o.Database, o.Name, o.Charset)})
		}
	}
	collation := o.Collation
	if collation == "" {
		collation = "utf8mb4_0900_ai_ci"
	}
	restore, err := collate(ctx, conn, o)
	if err != nil {
		return notes, err
	}
	at := "DEFAULT"
	if !s.job.At.IsZero() {
		at = fmt.Sprintf("%.6f", float64(s.job.At.UnixMicro())/1e6)
	}
	if err := exec(ctx, conn, fmt.Sprintf(clientsSQL, o.SQLMode, client, collation, zone, at)); err != nil {
		return notes, err
	}
	made := exec(ctx, conn, string(text))
	if err := exec(ctx, conn, oursSQL); err != nil {
		return notes, err
	}
	if restore != "" {
		if err := exec(ctx, conn, restore); err != nil {
			return notes, err
		}
	}
	return notes, made
}

// collate gives the database the collation that it had when the object was made, for
// that is remembered with it, and returns the statement that undoes it.
func collate(ctx context.Context, conn *sql.Conn, o snapshot.Object) (undo string, err error) {
	if o.DatabaseCollation == "" {
		return "", nil
	}
	now, err := one[string](ctx, conn, collationOfSQL, o.Database)
	if err != nil || now == o.DatabaseCollation {
		return "", err
	}
	change := func(collation string) (string, error) {
		charset, err := one[string](ctx, conn, charsetOfSQL, collation)
		return fmt.Sprintf(collateSQL, quote(o.Database), charset, collation), err
	}
	if undo, err = change(now); err != nil {
		return "", err
	}
	do, err := change(o.DatabaseCollation)
	if err != nil {
		return "", err
	}
	return undo, exec(ctx, conn, do)
}
