package dump

import (
	"context"
	"slices"
	"strings"

	"github.com/failoverd/failoverd/internal/mysql"
)

// privileges is the least with which everything of a server can be read at one point:
// rows and accounts; definitions; stopping and starting the applier; locking
// definitions, and at a server that takes writes these; and the binary log.
const privileges = "SELECT, SHOW VIEW, TRIGGER, EVENT, PROCESS, RELOAD, LOCK TABLES, REPLICATION CLIENT, REPLICATION SLAVE"

const dynamicPrivileges = "SHOW_ROUTINE, BACKUP_ADMIN, REPLICATION_SLAVE_ADMIN, XA_RECOVER_ADMIN"

// Grants are the statements that make the account that New logs in with. They hold the
// password. The account reads the hashes of all passwords: guard it like root's.
func Grants(a mysql.Account) []string {
	who := account(a.User, "%")
	return []string{
		"CREATE USER IF NOT EXISTS " + who + " IDENTIFIED BY " + literal(a.Password),
		"GRANT " + privileges + " ON *.* TO " + who,
		"GRANT " + dynamicPrivileges + " ON *.* TO " + who,
	}
}

// MissingGrants logs in with the configured account and returns the statements that
// give it what it lacks, none when it lacks nothing.
func MissingGrants(ctx context.Context, cfg mysql.Config) ([]string, error) {
	return mysql.MissingGrants(ctx, cfg, slices.Concat(strings.Split(privileges, ", "), strings.Split(dynamicPrivileges, ", ")))
}
