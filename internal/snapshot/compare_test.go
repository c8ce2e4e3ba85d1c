package snapshot

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestCompareSchemas(t *testing.T) {
	schema := func() Schema {
		return Schema{
			Databases: []Database{{"d", "CREATE DATABASE d"}},
			Tables:    []Table{{Database: "d", Name: "t", Create: "CREATE TABLE t"}},
			Objects: []Object{
				{Kind: "event", Database: "d", Name: "e", Create: "CREATE EVENT e ON SCHEDULE EVERY 1 DAY DISABLE ON REPLICA DO x", Asleep: true},
				{Kind: "view", Database: "d", Name: "v", Create: "CREATE VIEW v", Charset: "latin1"},
			},
			Accounts: []Account{{User: "u", Host: "%", Create: "CREATE USER u IDENTIFIED BY 'hash'", Grants: []string{"GRANT a", "GRANT b"}}},
		}
	}
	for name, c := range map[string]struct {
		change func(*Schema)
		want   []string
	}{
		"the same":                       {func(*Schema) {}, nil},
		"the order of grants":            {func(s *Schema) { s.Accounts[0].Grants = []string{"GRANT b", "GRANT a"} }, nil},
		"an event that was awakened":     {func(s *Schema) { s.Objects[0].Create = "CREATE EVENT e ON SCHEDULE EVERY 1 DAY ENABLE DO x" }, nil},
		"an event that does another":     {func(s *Schema) { s.Objects[0].Create = "CREATE EVENT e ON SCHEDULE EVERY 1 DAY ENABLE DO y" }, []string{"event d.e differs"}},
		"settings are the server's own":  {func(s *Schema) { s.Settings = map[string]string{"port": "1"} }, nil},
		"a database less":                {func(s *Schema) { s.Databases = nil }, []string{"database d is missing"}},
		"a table":                        {func(s *Schema) { s.Tables[0].Create = "CREATE TABLE other" }, []string{`table d.t differs: "CREATE TABLE other", should be "CREATE TABLE t"`}},
		"a counter":                      {func(s *Schema) { s.Tables[0].AutoIncrement = 7 }, []string{"table d.t differs"}},
		"a charset":                      {func(s *Schema) { s.Objects[1].Charset = "utf8mb4" }, []string{"view d.v differs"}},
		"a grant less":                   {func(s *Schema) { s.Accounts[0].Grants = s.Accounts[0].Grants[:1] }, []string{`account u@% differs: "GRANT b" is missing`}},
		"a grant more":                   {func(s *Schema) { s.Accounts[0].Grants = append(s.Accounts[0].Grants, "GRANT c") }, []string{`"GRANT c" is too much`}},
		"an account more":                {func(s *Schema) { s.Accounts = append(s.Accounts, Account{User: "x", Host: "%"}) }, []string{"account x@% is not of the snapshot"}},
		"the drill's own account":        {func(s *Schema) { s.Accounts = append(s.Accounts, Account{User: "drill", Host: "h"}) }, nil},
		"a password, which is not shown": {func(s *Schema) { s.Accounts[0].Create = "CREATE USER u IDENTIFIED BY 'other'" }, []string{"account u@% differs: \"CREATE USER with the fingerprint"}},
	} {
		t.Run(name, func(t *testing.T) {
			have := schema()
			c.change(&have)
			got := CompareSchemas(schema(), have, "drill@h")
			assert.Len(t, got, len(c.want), got)
			for i := range min(len(got), len(c.want)) {
				assert.Contains(t, got[i], c.want[i])
			}
			assert.NotContains(t, strings.Join(got, ""), "hash")
		})
	}
}
