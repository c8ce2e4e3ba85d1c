package dump

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/failoverd/failoverd/internal/snapshot"
)

func TestSchemaOfTheHorrors(t *testing.T) {
	_, slave := servers(t)
	p, schema := open(t, slave, 1)
	columns := func(table snapshot.Table) (names []string) {
		for _, c := range table.Columns {
			names = append(names, c.Name)
		}
		return names
	}
	t.Run("columns", func(t *testing.T) {
		assert.Equal(t, []string{"id", "seen", "hidden", "hidden_text"}, columns(tableOf(t, schema, "horrors", "invisible")))
		assert.Equal(t, []string{"a", "b", "c", "id"}, columns(tableOf(t, schema, "horrors", "generated_columns")), "what is generated is not stored")
		hidden := tableOf(t, schema, "horrors", "hidden_key")
		assert.Equal(t, []string{"my_row_id", "a", "b"}, columns(hidden))
		assert.Contains(t, hidden.Create, "`my_row_id` bigint unsigned NOT NULL AUTO_INCREMENT /*!80023 INVISIBLE */")
		assert.True(t, hidden.Seekable())
	})
	t.Run("keys", func(t *testing.T) {
		for name, want := range map[string][]int{
			"wide_key": {0, 1, 2}, "unique_only": {3, 2}, "no_key": nil, "null_unique": nil, "only_generated_key": nil, "text_key": {0}, "enum_key": {0, 1},
		} {
			assert.Equal(t, want, tableOf(t, schema, "horrors", name).Key, name)
		}
		assert.Equal(t, "od`d", tableOf(t, schema, "horrors", "unique_only").KeyName)
		assert.False(t, tableOf(t, schema, "horrors", "enum_key").Seekable())
	})
	t.Run("next values", func(t *testing.T) {
		assert.EqualValues(t, 77, tableOf(t, schema, "horrors", "counted_empty").AutoIncrement)
		assert.EqualValues(t, 5001, tableOf(t, schema, "horrors", "counted").AutoIncrement)
		assert.Zero(t, tableOf(t, schema, "horrors", "options_").AutoIncrement, "a comment is not the table's")
	})
	t.Run("rows of others", func(t *testing.T) {
		for _, name := range []string{"merged", "black_hole"} {
			ranges, err := p.Ranges(t.Context(), tableOf(t, schema, "horrors", name), 1)
			require.NoError(t, err)
			assert.Empty(t, ranges, name)
		}
	})
	object := func(kind, name string) snapshot.Object {
		i := slices.IndexFunc(schema.Objects, func(o snapshot.Object) bool { return o.Kind == kind && o.Name == name })
		require.GreaterOrEqual(t, i, 0, "%s %s", kind, name)
		return schema.Objects[i]
	}
	t.Run("objects", func(t *testing.T) {
		latin := object("procedure", "in_latin1")
		assert.Equal(t, "latin1", latin.Charset)
		assert.Equal(t, "latin1_general_cs", latin.Collation)
		assert.Contains(t, latin.Create, "'\xc3\xbc'", "the bytes are those that the client sent, which mean two letters in latin1")
		assert.Contains(t, object("procedure", "raw_bytes").Create, "_binary'ÿþ'")
		assert.Equal(t, "latin1_german2_ci", object("procedure", "of_latin_database").DatabaseCollation)
		assert.Contains(t, object("function", "in_ansi").SQLMode, "NO_BACKSLASH_ESCAPES")
		assert.Contains(t, object("view", "a_top").Create, "DEFINER=`nobody`@`nowhere` SQL SECURITY INVOKER")
		object("view", "broken")
		daily := object("event", "daily")
		assert.True(t, daily.Asleep)
		assert.Equal(t, "+05:30", daily.TimeZone)
		assert.True(t, object("event", "off").Asleep, "a replica keeps an event from running whether it is enabled or not")
		var triggers []string
		for _, o := range schema.Objects {
			if o.Kind == "trigger" && o.Name != "after_delete" {
				triggers = append(triggers, o.Name)
			}
		}
		assert.Equal(t, []string{"z_first", "m_between", "a_second"}, triggers, "in the order in which they fire")
	})
	t.Run("accounts", func(t *testing.T) {
		grants := map[string]string{}
		var fred snapshot.Account
		for _, a := range schema.Accounts {
			grants[a.User] = strings.Join(a.Grants, "\n")
			if a.User == "fred" {
				fred = a
			}
			assert.NotContains(t, a.Create, " DEFAULT ROLE ")
			assert.NotContains(t, a.User, "mysql.")
		}
		assert.Equal(t, "SET DEFAULT ROLE 'o''dd role'@'%', 'reader'@'%' TO 'fred'@'%'", fred.DefaultRole)
		assert.Regexp(t, "^CREATE USER `fred`@`%` IDENTIFIED WITH 'caching_sha2_password' AS 0x[0-9A-F]+ REQUIRE SSL WITH MAX_QUERIES_PER_HOUR 100 PASSWORD EXPIRE INTERVAL 90 DAY", fred.Create)
		assert.Contains(t, grants["fred"], "GRANT `o'dd role`@`%`,`reader`@`%`,`writer`@`%` TO `fred`@`%`")
		assert.Contains(t, grants["no_password"], "REVOKE INSERT ON `horrors`.* FROM `no_password`@`%`")
		assert.Contains(t, grants["no_password"], "GRANT PROXY ON `fred`@`%` TO `no_password`@`%` WITH GRANT OPTION")
		assert.Contains(t, grants, "")
	})
	assert.Equal(t, "0", schema.Settings["lower_case_table_names"])
	assert.Equal(t, "ON", schema.Settings["partial_revokes"])
}

func TestDefaultRoleIsTakenOut(t *testing.T) {
	for was, want := range map[string]string{
		"CREATE USER `f`@`%` IDENTIFIED WITH 'x' AS 0xAB DEFAULT ROLE `a`@`%`,`b``c`@`h` REQUIRE NONE PASSWORD EXPIRE": "CREATE USER `f`@`%` IDENTIFIED WITH 'x' AS 0xAB REQUIRE NONE PASSWORD EXPIRE",
		"CREATE USER `x DEFAULT ROLE `@`%` IDENTIFIED WITH 'x' DEFAULT ROLE `a`@`%` REQUIRE NONE":                      "CREATE USER `x DEFAULT ROLE `@`%` IDENTIFIED WITH 'x' REQUIRE NONE",
	} {
		assert.Equal(t, want, withoutDefaultRole(was))
	}
}
