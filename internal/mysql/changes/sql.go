package changes

// Every statement that this package sends, with what it needs.
const (
	// Since 5.7; SELECT on performance_schema, which everybody has for this table.
	variableSQL = `SELECT VARIABLE_VALUE FROM performance_schema.global_variables WHERE VARIABLE_NAME = ?`
)
