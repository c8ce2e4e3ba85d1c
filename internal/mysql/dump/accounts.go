package dump

import (
	"context"
	"fmt"
	"regexp"
	"strings"

	"github.com/failoverd/failoverd/internal/snapshot"
)

// readAccounts reads users and roles with their passwords' hashes.
func readAccounts(ctx context.Context, s *session) ([]snapshot.Account, error) {
	rows, err := s.rows(ctx, accountsSQL)
	if err != nil {
		return nil, fmt.Errorf("accounts: %w", err)
	}
	byName(rows)
	roles, err := s.rows(ctx, defaultRolesSQL)
	if err != nil {
		return nil, fmt.Errorf("default roles: %w", err)
	}
	defaults := map[[2]string][]string{}
	for _, row := range roles {
		who := [2]string{row[0], row[1]}
		defaults[who] = append(defaults[who], account(row[2], row[3]))
	}
	var out []snapshot.Account
	for _, row := range rows {
		who := account(row[0], row[1])
		a := snapshot.Account{User: row[0], Host: row[1]}
		create, err := s.row(ctx, fmt.Sprintf(createUserSQL, who))
		if err != nil {
			return nil, fmt.Errorf("account %s: %w", who, err)
		}
		a.Create = create[0]
		if own := defaults[[2]string{row[0], row[1]}]; len(own) > 0 {
			a.Create = withoutDefaultRole(a.Create)
			a.DefaultRole = "SET DEFAULT ROLE " + strings.Join(own, ", ") + " TO " + who
		}
		grants, err := s.rows(ctx, fmt.Sprintf(showGrantsSQL, who))
		if err != nil {
			return nil, fmt.Errorf("grants of %s: %w", who, err)
		}
		for _, grant := range grants {
			a.Grants = append(a.Grants, grant[0])
		}
		out = append(out, a)
	}
	return out, nil
}

// account is an account's name as statements have it.
func account(user, host string) string { return literal(user) + "@" + literal(host) }

var defaultRole = regexp.MustCompile("^(CREATE USER `(?:[^`]|``)*`@`(?:[^`]|``)*` .*?) DEFAULT ROLE (?:`(?:[^`]|``)*`@`(?:[^`]|``)*`,?)+( REQUIRE )")

// withoutDefaultRole takes out of CREATE USER what asks for roles, which may be made
// only later.
func withoutDefaultRole(create string) string { return defaultRole.ReplaceAllString(create, "$1$2") }
