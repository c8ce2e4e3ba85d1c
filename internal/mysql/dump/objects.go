package dump

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/failoverd/failoverd/internal/snapshot"
)

// readObjects reads views, routines, triggers and events. Their text comes in the
// character set of the client that made them, since nothing is converted here.
func readObjects(ctx context.Context, s *session) ([]snapshot.Object, error) {
	var out []snapshot.Object
	for _, read := range []func(context.Context, *session) ([]snapshot.Object, error){readViews, readRoutines, readTriggers, readEvents} {
		some, err := read(ctx, s)
		if err != nil {
			return nil, err
		}
		out = append(out, some...)
	}
	return out, nil
}

func readViews(ctx context.Context, s *session) ([]snapshot.Object, error) {
	rows, err := s.rows(ctx, viewsSQL)
	if err != nil {
		return nil, fmt.Errorf("views: %w", err)
	}
	byName(rows)
	var out []snapshot.Object
	for _, row := range rows {
		// View, Create View, character_set_client, collation_connection
		create, err := s.row(ctx, fmt.Sprintf(createViewSQL, ident(row[0])+"."+ident(row[1])))
		if err != nil {
			return nil, fmt.Errorf("view %s.%s: %w", row[0], row[1], err)
		}
		out = append(out, snapshot.Object{Kind: "view", Database: row[0], Name: row[1], Create: create[1], Charset: create[2], Collation: create[3]})
	}
	return out, nil
}

func readRoutines(ctx context.Context, s *session) ([]snapshot.Object, error) {
	rows, err := s.rows(ctx, routinesSQL)
	if err != nil {
		return nil, fmt.Errorf("routines: %w", err)
	}
	slices.SortFunc(rows, func(a, b []string) int {
		return cmp.Or(cmp.Compare(a[2], b[2]), cmp.Compare(a[0], b[0]), cmp.Compare(a[1], b[1])) // functions first
	})
	var out []snapshot.Object
	for _, row := range rows {
		// Procedure, sql_mode, Create Procedure, character_set_client, collation_connection, Database Collation
		create, err := s.row(ctx, fmt.Sprintf(createRoutineSQL, row[2], ident(row[0])+"."+ident(row[1])))
		if err == nil && create[2] == "" {
			err = errNotShown
		}
		if err != nil {
			return nil, fmt.Errorf("%s %s.%s: %w", strings.ToLower(row[2]), row[0], row[1], err)
		}
		out = append(out, snapshot.Object{Kind: strings.ToLower(row[2]), Database: row[0], Name: row[1], SQLMode: create[1], Create: create[2],
			Charset: create[3], Collation: create[4], DatabaseCollation: create[5]})
	}
	return out, nil
}

var errNotShown = fmt.Errorf("its definition is not shown to this account")

func readTriggers(ctx context.Context, s *session) ([]snapshot.Object, error) {
	rows, err := s.rows(ctx, triggersSQL)
	if err != nil {
		return nil, fmt.Errorf("triggers: %w", err)
	}
	var out []snapshot.Object
	for _, row := range rows {
		// Trigger, sql_mode, SQL Original Statement, character_set_client, collation_connection, Database Collation, Created
		create, err := s.row(ctx, fmt.Sprintf(createTriggerSQL, ident(row[0])+"."+ident(row[1])))
		if err != nil {
			return nil, fmt.Errorf("trigger %s.%s: %w", row[0], row[1], err)
		}
		out = append(out, snapshot.Object{Kind: "trigger", Database: row[0], Name: row[1], SQLMode: create[1], Create: create[2],
			Charset: create[3], Collation: create[4], DatabaseCollation: create[5]})
	}
	return out, nil
}

func readEvents(ctx context.Context, s *session) ([]snapshot.Object, error) {
	rows, err := s.rows(ctx, eventsSQL)
	if err != nil {
		return nil, fmt.Errorf("events: %w", err)
	}
	byName(rows)
	var out []snapshot.Object
	for _, row := range rows {
		// Event, sql_mode, time_zone, Create Event, character_set_client, collation_connection, Database Collation
		create, err := s.row(ctx, fmt.Sprintf(createEventSQL, ident(row[0])+"."+ident(row[1])))
		if err != nil {
			return nil, fmt.Errorf("event %s.%s: %w", row[0], row[1], err)
		}
		out = append(out, snapshot.Object{Kind: "event", Database: row[0], Name: row[1], SQLMode: create[1], TimeZone: create[2], Create: create[3],
			Charset: create[4], Collation: create[5], DatabaseCollation: create[6], Asleep: row[2] == "1"})
	}
	return out, nil
}

func byName(rows [][]string) {
	slices.SortFunc(rows, func(a, b []string) int { return cmp.Or(cmp.Compare(a[0], b[0]), cmp.Compare(a[1], b[1])) })
}
