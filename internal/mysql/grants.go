package mysql

import (
	"context"
	"crypto/tls"
	"strings"
)

// Credentials are the accounts that failoverd uses on every server of a chain.
type Credentials struct {
	Probe       Account
	Control     Account
	Replication Replication
	// TLS is nil for plain text.
	TLS *tls.Config
}

// Grants are the statements that create the three accounts with the least
// privileges that suffice, for every host. They hold the passwords: run them as
// root on the master, or on each server without the binary log, and print them
// only with placeholder passwords.
func Grants(c Credentials) []string {
	var out []string
	for _, a := range []Account{c.Probe, c.Control, c.Replication.Account} {
		out = append(out, "CREATE USER IF NOT EXISTS "+grantee(a)+" IDENTIFIED BY "+quote(a.Password))
	}
	for _, a := range []Account{c.Probe, c.Control} {
		// Not by table: those of clone cannot be granted where its plugin is missing (error
		// 1146, which would stop a replica that the statement came to).
		out = append(out, "GRANT SELECT ON performance_schema.* TO "+grantee(a))
	}
	return append(out,
		"GRANT "+strings.Join(probePrivileges, ", ")+" ON *.* TO "+grantee(c.Probe),
		"GRANT "+strings.Join(controlPrivileges[:len(controlPrivileges)-len(definerPrivileges)], ", ")+" ON *.* TO "+grantee(c.Control),
		"GRANT "+strings.Join(definerPrivileges, ", ")+" ON *.* TO "+grantee(c.Control),
		"GRANT "+strings.Join(replicationPrivileges, ", ")+" ON *.* TO "+grantee(c.Replication.Account))
}

func grantee(a Account) string { return quote(a.User) + "@'%'" }

// quote makes a string literal for the default sql_mode.
func quote(text string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, "'", "''").Replace(text) + "'"
}

// MissingGrants logs in with the configured account and returns the statements that
// give it what it lacks of the privileges on *.*, none when it lacks nothing.
func MissingGrants(ctx context.Context, cfg Config, privileges []string) ([]string, error) {
	lines, err := grantLines(ctx, cfg)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, m := range missingGrants(lines, privileges, nil) {
		out = append(out, "GRANT "+m+" TO "+grantee(cfg.Account))
	}
	return out, nil
}

// missingGrants are the privileges of need that SHOW GRANTS does not list, in
// the form of a GRANT's first part. Privileges that come by role are not seen.
func missingGrants(lines []string, global, tables []string) []string {
	held, tableHeld := map[string]bool{}, map[string]bool{}
	for _, line := range lines {
		privileges, rest, ok := strings.Cut(strings.TrimPrefix(line, "GRANT "), " ON ")
		if !ok {
			continue // a role
		}
		on, _, _ := strings.Cut(rest, " TO ")
		on = strings.ReplaceAll(on, "`", "")
		for _, p := range strings.Split(privileges, ",") { // dynamic privileges come without blanks
			p = strings.TrimSpace(p)
			switch {
			case on == "*.*":
				held[p] = true
			case p == "SELECT" || p == "ALL PRIVILEGES":
				tableHeld[on] = true
			}
		}
	}
	if held["SET_USER_ID"] { // as it was before 8.2
		held["SET_ANY_DEFINER"], held["ALLOW_NONEXISTENT_DEFINER"] = true, true
	}
	all := held["ALL PRIVILEGES"]
	var missing []string
	for _, p := range global {
		if !held[p] && !all {
			missing = append(missing, p+" ON *.*")
		}
	}
	for _, t := range tables {
		name := "performance_schema." + t
		if !all && !held["SELECT"] && !tableHeld["performance_schema.*"] && !tableHeld[name] {
			missing = append(missing, "SELECT ON "+name)
		}
	}
	return missing
}
