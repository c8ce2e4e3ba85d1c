package snapshot

// Schema is everything of a server but its rows: what a restore creates.
type Schema struct {
	// Settings are the server variables on which the meaning of the rest depends
	// (character_set_server, collation_server, lower_case_table_names, sql_mode, …).
	Settings  map[string]string `json:"settings"`
	Databases []Database        `json:"databases"`
	Tables    []Table           `json:"tables"`
	// Objects are views, routines, triggers and events, in the order of their kinds.
	Objects  []Object  `json:"objects"`
	Accounts []Account `json:"accounts"`
}

// Database is a database, "schema" in MySQL's words.
type Database struct {
	Name   string `json:"name"`
	Create string `json:"create"` // as SHOW CREATE DATABASE prints it
}

// Table is a base table.
type Table struct {
	Database string `json:"database"`
	Name     string `json:"name"`
	Engine   string `json:"engine"`
	Create   string `json:"create"` // as SHOW CREATE TABLE prints it, invisible keys and columns included
	// Columns are those whose values are stored: all but the generated ones, in order.
	Columns []Column `json:"columns"`
	// Key are the places in Columns of the primary key, or of a unique key without
	// NULLs; empty for a table without either.
	Key []int `json:"key,omitempty"`
	// KeyName is the name of that index.
	KeyName string `json:"keyName,omitempty"`
	// AutoIncrement is the next value, 0 without one: it is in no row.
	AutoIncrement uint64 `json:"autoIncrement,omitempty"`
}

// ID names the table within its server.
func (t Table) ID() TableID { return TableID{t.Database, t.Name} }

// Wires are the columns' types in the binary protocol.
func (t Table) Wires() []Wire {
	wires := make([]Wire, len(t.Columns))
	for i, c := range t.Columns {
		wires[i] = c.Wire
	}
	return wires
}

// Seekable says whether ranges of the key can be read: all its columns are whole numbers.
func (t Table) Seekable() bool {
	for _, i := range t.Key {
		if !t.Columns[i].Wire.Integer() || t.Columns[i].Kind != "" {
			return false
		}
	}
	return len(t.Key) > 0
}

// TableID names a table within its server.
type TableID struct {
	Database string `json:"database"`
	Name     string `json:"name"`
}

func (t TableID) String() string { return t.Database + "." + t.Name }

// Column is a column whose values are stored.
type Column struct {
	Name string `json:"name"`
	// Type is as information_schema.COLUMNS.COLUMN_TYPE has it.
	Type     string `json:"type"`
	Wire     Wire   `json:"wire"`
	Unsigned bool   `json:"unsigned,omitempty"`
	// Kind says what the values in a row stand for where the type does not: "enum"
	// and "set" are read as their numbers (LONGLONG unsigned), so that the error
	// value of an ENUM is told from an empty string; "json" is its text in utf8mb4;
	// "bit", "geometry" and "vector" are bytes. Empty for all others.
	Kind string `json:"kind,omitempty"`
	// Charset is that of a character column, empty for others.
	Charset string `json:"charset,omitempty"`
}

// Object is a view, routine, trigger or event.
type Object struct {
	Kind     string `json:"kind"` // view, function, procedure, trigger or event
	Database string `json:"database"`
	Name     string `json:"name"`
	// Create is the statement with its definer, in the bytes that the server keeps: those
	// of Charset, which the session that runs it has as its character_set_client.
	Create string `json:"create"`
	// What was in force when it was made: part of its meaning.
	SQLMode           string `json:"sqlMode,omitempty"`
	Charset           string `json:"charset,omitempty"`           // character_set_client
	Collation         string `json:"collation,omitempty"`         // collation_connection
	DatabaseCollation string `json:"databaseCollation,omitempty"` // of its database
	TimeZone          string `json:"timeZone,omitempty"`          // of an event
	// Asleep says of an event that it is disabled here because it came by replication, as
	// its Create says. A replica does not know whether it is enabled where it comes from.
	Asleep bool `json:"asleep,omitempty"`
}

// Account is a user or a role. Grants name others, so all accounts are created first.
type Account struct {
	User string `json:"user"`
	Host string `json:"host"`
	// Create is CREATE USER with the password's hash: a secret, see Manifest.
	Create string   `json:"create"`
	Grants []string `json:"grants"` // roles and PROXY included
	// DefaultRole is the statement that sets its default roles, empty without any.
	DefaultRole string `json:"defaultRole,omitempty"`
}
