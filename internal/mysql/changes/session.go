package changes

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	driver "github.com/go-sql-driver/mysql"

	"github.com/failoverd/failoverd/internal/mysql"
)

// connectTimeout bounds the TCP connect.
const connectTimeout = 5 * time.Second

// open returns sessions of the server's account for statements that may take long.
func open(c mysql.Config) (*sql.DB, error) {
	d := driver.NewConfig()
	d.Net, d.Addr, d.User, d.Passwd, d.TLS = "tcp", c.Addr, c.Account.User, c.Account.Password, c.TLS
	d.Timeout = connectTimeout
	d.Logger = &driver.NopLogger{}
	d.InterpolateParams = true
	d.ConnectionAttributes = "program_name:failoverd"
	connector, err := driver.NewConnector(d)
	if err != nil {
		return nil, err
	}
	return sql.OpenDB(connector), nil
}

// variableOf is a global variable of the server, empty when it has none of that name.
func variableOf(ctx context.Context, db *sql.DB, name string) (string, error) {
	var value string
	err := db.QueryRowContext(ctx, variableSQL, name).Scan(&value)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("server variable %s: %w", name, err)
	}
	return value, nil
}

// nativeForeignKeys says whether the storage engine itself enforces foreign keys
// at this server, so that nobody logs what they change. Since 9.6 the SQL layer
// does, unless this is ON; what an older server did its transactions tell.
func (r *Reader) nativeForeignKeys(ctx context.Context) (bool, error) {
	db, err := open(r.config)
	if err != nil {
		return false, err
	}
	defer db.Close()
	value, err := variableOf(ctx, db, "innodb_native_foreign_keys")
	return value == "ON", err
}
