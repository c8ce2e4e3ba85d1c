package mysql

import (
	"context"
	"strings"
)

// DumpGrants are the statements that create the account of a dump service, with the
// least privileges that suffice to copy a server whole and to ship its binary log.
// It can read everything, password hashes included, and write nothing. They hold the
// password, see Grants.
func DumpGrants(a Account) []string {
	return []string{
		"CREATE USER IF NOT EXISTS " + grantee(a) + " IDENTIFIED BY " + quote(a.Password),
		"GRANT " + strings.Join(dumpPrivileges, ", ") + " ON *.* TO " + grantee(a),
	}
}

// MissingDumpGrants logs in with the configured account and returns the statements
// that give it what it lacks, none when it lacks nothing.
func MissingDumpGrants(ctx context.Context, cfg Config) ([]string, error) {
	lines, err := grantLines(ctx, cfg)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, m := range missingGrants(lines, dumpPrivileges, nil) {
		out = append(out, "GRANT "+m+" TO "+grantee(cfg.Account))
	}
	return out, nil
}
