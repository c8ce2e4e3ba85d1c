package dump

import (
	"cmp"
	"context"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/failoverd/failoverd/internal/snapshot"
)

// settings are the variables on which the meaning of definitions depends, or whether
// another server can hold them.
var settings = []string{
	"character_set_server", "collation_server", "default_collation_for_utf8mb4", "lower_case_table_names", "sql_mode",
	"explicit_defaults_for_timestamp", "default_storage_engine", "innodb_page_size", "innodb_default_row_format", "innodb_strict_mode",
	"partial_revokes", "mandatory_roles", "activate_all_roles_on_login", "authentication_policy", "sql_generate_invisible_primary_key",
	"log_bin_trust_function_creators", "max_allowed_packet", "innodb_ft_min_token_size", "innodb_ft_max_token_size", "ngram_token_size",
	"ft_min_word_len", "ft_max_word_len", "block_encryption_mode", "time_zone", "system_time_zone", "event_scheduler", "version",
}

// readSchema reads everything but the rows. What no table's definition holds comes
// first, while definitions are locked; that lock is let go as soon as it can be, for
// the applier waits for it with whatever it has to define.
func (p *point) readSchema(ctx context.Context) error {
	s := p.control
	tables, err := listTables(ctx, s)
	if err != nil {
		return err
	}
	for _, t := range tables {
		if !p.held.holds(t) {
			return fmt.Errorf("table %s (%s) is new: %w", t.ID(), t.Engine, errMoved)
		}
	}
	if err := holdDefinitions(ctx, p.sessions(), tables); err != nil {
		return err
	}
	if p.schema.Settings, err = readSettings(ctx, s); err != nil {
		return err
	}
	if p.schema.Databases, err = readDatabases(ctx, s); err != nil {
		return err
	}
	if p.schema.Objects, err = readObjects(ctx, s); err != nil {
		return err
	}
	if p.schema.Accounts, err = readAccounts(ctx, s); err != nil {
		return err
	}
	if err := s.exec(ctx, unlockInstanceSQL); err != nil {
		return err
	}
	p.schema.Tables = tables
	return describeTables(ctx, p.seeker, tables)
}

func readSettings(ctx context.Context, s *session) (map[string]string, error) {
	var names []string
	for _, name := range settings {
		names = append(names, literal(name))
	}
	rows, err := s.rows(ctx, fmt.Sprintf(settingsSQL, strings.Join(names, ", ")))
	if err != nil {
		return nil, fmt.Errorf("settings: %w", err)
	}
	out := map[string]string{}
	for _, row := range rows {
		out[row[0]] = row[1]
	}
	return out, nil
}

func readDatabases(ctx context.Context, s *session) ([]snapshot.Database, error) {
	rows, err := s.rows(ctx, databasesSQL)
	if err != nil {
		return nil, fmt.Errorf("databases: %w", err)
	}
	var out []snapshot.Database
	for _, row := range rows {
		create, err := s.row(ctx, fmt.Sprintf(createDatabaseSQL, ident(row[0])))
		if err != nil {
			return nil, fmt.Errorf("database %s: %w", row[0], err)
		}
		out = append(out, snapshot.Database{Name: row[0], Create: create[1]})
	}
	slices.SortFunc(out, func(a, b snapshot.Database) int { return cmp.Compare(a.Name, b.Name) })
	return out, nil
}

// readSizes says about how large each table is, bytes.
func readSizes(ctx context.Context, s *session) (map[snapshot.TableID]int64, error) {
	rows, err := s.rows(ctx, sizesSQL)
	if err != nil {
		return nil, fmt.Errorf("sizes of tables: %w", err)
	}
	sizes := map[snapshot.TableID]int64{}
	for _, row := range rows {
		size, err := strconv.ParseInt(cmp.Or(row[2], "0"), 10, 64)
		if err != nil {
			return nil, fmt.Errorf("size of table %s.%s: %w", row[0], row[1], err)
		}
		sizes[snapshot.TableID{Database: row[0], Name: row[1]}] = size
	}
	return sizes, nil
}

// listTables returns all tables by name, with nothing of them but their engine.
func listTables(ctx context.Context, s *session) ([]snapshot.Table, error) {
	rows, err := s.rows(ctx, tablesSQL)
	if err != nil {
		return nil, fmt.Errorf("tables: %w", err)
	}
	var out []snapshot.Table
	for _, row := range rows {
		out = append(out, snapshot.Table{Database: row[0], Name: row[1], Engine: row[2]})
	}
	slices.SortFunc(out, func(a, b snapshot.Table) int {
		return cmp.Or(cmp.Compare(a.Database, b.Database), cmp.Compare(a.Name, b.Name))
	})
	return out, nil
}

// describeTables fills in the rest of what is known of each table.
func describeTables(ctx context.Context, s *session, tables []snapshot.Table) error {
	place := map[snapshot.TableID]int{}
	for i, t := range tables {
		place[t.ID()] = i
	}
	columns, err := s.rows(ctx, columnsSQL)
	if err != nil {
		return fmt.Errorf("columns: %w", err)
	}
	for _, row := range columns {
		i, known := place[snapshot.TableID{Database: row[0], Name: row[1]}]
		if !known || row[6] == "1" {
			continue // a view's, or generated
		}
		c, err := columnOf(row[2], row[3], row[4], row[5])
		if err != nil {
			return fmt.Errorf("table %s: %w", tables[i].ID(), err)
		}
		tables[i].Columns = append(tables[i].Columns, c)
	}
	parts, err := s.rows(ctx, keysSQL)
	if err != nil {
		return fmt.Errorf("keys: %w", err)
	}
	keys := make([]map[string][]int, len(tables)) // the places of a key's columns, nil for one that is not fit
	for _, row := range parts {
		i, known := place[snapshot.TableID{Database: row[0], Name: row[1]}]
		if !known {
			continue
		}
		if keys[i] == nil {
			keys[i] = map[string][]int{}
		}
		have, seen := keys[i][row[2]]
		at := slices.IndexFunc(tables[i].Columns, func(c snapshot.Column) bool { return c.Name == row[3] })
		if row[4] != "1" || at < 0 || seen && have == nil {
			keys[i][row[2]] = nil
			continue
		}
		keys[i][row[2]] = append(have, at)
	}
	for i := range tables {
		t := &tables[i]
		create, err := s.row(ctx, fmt.Sprintf(createTableSQL, name(t.ID())))
		if err != nil {
			return fmt.Errorf("table %s: %w", t.ID(), err)
		}
		t.Create = create[1]
		t.KeyName, t.Key = chooseKey(t.Create, keys[i])
		t.AutoIncrement = autoIncrementOf(t.Create)
	}
	return nil
}

var (
	// Names and comments have no line breaks in SHOW CREATE TABLE that begin like these:
	// it writes those of comments as \n, and a name's would be within backquotes.
	uniqueLine    = regexp.MustCompile("(?m)^  UNIQUE KEY `((?:[^`]|``)*)` ")
	autoIncrement = regexp.MustCompile(`(?m)^\)(?: /\*!50100 TABLESPACE .*? \*/)? ENGINE=\S+ AUTO_INCREMENT=(\d+)`)
)

// chooseKey returns the primary key, or else the first unique key that is fit: it is
// the one by which InnoDB keeps the rows ("Clustered and Secondary Indexes").
func chooseKey(create string, keys map[string][]int) (string, []int) {
	if places := keys["PRIMARY"]; places != nil {
		return "PRIMARY", places
	}
	for _, match := range uniqueLine.FindAllStringSubmatch(create, -1) {
		name := strings.ReplaceAll(match[1], "``", "`")
		if places := keys[name]; places != nil {
			return name, places
		}
	}
	return "", nil
}

func autoIncrementOf(create string) uint64 {
	match := autoIncrement.FindStringSubmatch(create)
	if match == nil {
		return 0
	}
	next, err := strconv.ParseUint(match[1], 10, 64)
	if err != nil {
		return 0 // the pattern is of digits, and the server's counter fits
	}
	return next
}

// wires are the types in the binary protocol by DATA_TYPE.
var wires = map[string]snapshot.Wire{
	"tinyint": snapshot.WireTiny, "smallint": snapshot.WireShort, "mediumint": snapshot.WireInt24, "int": snapshot.WireLong, "bigint": snapshot.WireLongLong,
	"float": snapshot.WireFloat, "double": snapshot.WireDouble, "decimal": 246, "year": snapshot.WireYear,
	"date": snapshot.WireDate, "time": snapshot.WireTime, "datetime": snapshot.WireDatetime, "timestamp": snapshot.WireTimestamp,
	"char": 254, "varchar": 253, "binary": 254, "varbinary": 253,
	"tinytext": 252, "text": 252, "mediumtext": 252, "longtext": 252, "tinyblob": 252, "blob": 252, "mediumblob": 252, "longblob": 252,
	"enum": snapshot.WireLongLong, "set": snapshot.WireLongLong, "bit": 16, "json": 245, "vector": 242,
	"geometry": 255, "point": 255, "linestring": 255, "polygon": 255, "multipoint": 255, "multilinestring": 255, "multipolygon": 255, "geomcollection": 255, "geometrycollection": 255,
}

func columnOf(name, dataType, columnType, charset string) (snapshot.Column, error) {
	wire, known := wires[dataType]
	if !known {
		return snapshot.Column{}, fmt.Errorf("column %s has the type %s, which is not known here", name, columnType)
	}
	c := snapshot.Column{Name: name, Type: columnType, Wire: wire, Charset: charset}
	switch dataType {
	case "enum", "set":
		c.Kind, c.Unsigned = dataType, true
	case "json", "bit", "vector":
		c.Kind = dataType
	case "year":
		c.Unsigned = true
	case "tinyint", "smallint", "mediumint", "int", "bigint", "float", "double", "decimal":
		c.Unsigned = strings.Contains(columnType, " unsigned")
	}
	if wire == 255 {
		c.Kind = "geometry"
	}
	return c, nil
}
