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
		if err := s.createEach(ctx, conn, byKind[kind]); err != nil {
			return nil, err
		}
	}
	if notes, err = s.createViews(ctx, conn, views); err != nil {
		return notes, err
	}
	for _, kind := range []string{"trigger", "event"} {
		if err := s.createEach(ctx, conn, byKind[kind]); err != nil {
			return notes, err
		}
	}
	return notes, nil
}

func (s *Server) createEach(ctx context.Context, conn *sql.Conn, objects []snapshot.Object) error {
	for _, o := range objects {
		if err := s.createObject(ctx, conn, o); err != nil {
			return fmt.Errorf("%s %s.%s: %w", o.Kind, o.Database, o.Name, err)
		}
	}
	return nil
}

// createViews makes views until no more can be made: each round makes those whose
// tables and views are there.
func (s *Server) createViews(ctx context.Context, conn *sql.Conn, views []snapshot.Object) (notes []snapshot.Note, err error) {
	for len(views) > 0 {
		var waiting []snapshot.Object
		var reasons []string
		for _, v := range views {
			err := s.createObject(ctx, conn, v)
			switch errorNumber(err) {
			case 0:
				if err != nil {
					return notes, err
				}
			case errNoSuchTable, errNoSuchColumn, errUnknownDB, errNoRoutine, errInvalidView:
				waiting = append(waiting, v)
				reasons = append(reasons, err.Error())
			default:
				return notes, fmt.Errorf("view %s.%s: %w", v.Database, v.Name, err)
			}
		}
		if len(waiting) == len(views) {
			for i, v := range waiting {
				if err := s.createBroken(ctx, conn, v); err == nil {
					continue
				} else if errorNumber(err) == 0 {
					return notes, err
				}
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
func (s *Server) createObject(ctx context.Context, conn *sql.Conn, o snapshot.Object) error {
	if err := exec(ctx, conn, fmt.Sprintf(useSQL, quote(o.Database))); err != nil {
		return err
	}
	if err := exec(ctx, conn, fmt.Sprintf(dropSQL, strings.ToUpper(o.Kind), quote(o.Name))); err != nil {
		return err
	}
	client, zone := o.Charset, o.TimeZone
	if client == "" {
		client = "utf8mb4"
	}
	if zone == "" {
		zone = "+00:00"
	}
	collation := o.Collation
	if collation == "" {
		collation = "utf8mb4_0900_ai_ci"
	}
	restore, err := collate(ctx, conn, o)
	if err != nil {
		return err
	}
	at := "DEFAULT"
	if !s.job.At.IsZero() {
		at = fmt.Sprintf("%.6f", float64(s.job.At.UnixMicro())/1e6)
	}
	if err := exec(ctx, conn, fmt.Sprintf(clientsSQL, o.SQLMode, client, collation, zone, at)); err != nil {
		return err
	}
	made := exec(ctx, conn, awake(o))
	if err := exec(ctx, conn, oursSQL); err != nil {
		return err
	}
	if restore != "" {
		if err := exec(ctx, conn, restore); err != nil {
			return err
		}
	}
	return made
}

// awake is the statement of an object; that of an event that sleeps only because it
// came by replication has it enabled, as it is where it comes from. On a server that
// is closed no event runs.
func awake(o snapshot.Object) string {
	if !o.Asleep {
		return o.Create
	}
	for _, asleep := range []string{" DISABLE ON REPLICA", " DISABLE ON SLAVE"} {
		if at := indexUnquoted(o.Create, asleep); at >= 0 {
			return o.Create[:at] + " ENABLE" + o.Create[at+len(asleep):]
		}
	}
	return o.Create
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
