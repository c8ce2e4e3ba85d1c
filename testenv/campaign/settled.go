package campaign

import (
	"errors"
	"fmt"
	"strings"

	"github.com/failoverd/failoverd/internal/api"
	"github.com/failoverd/failoverd/internal/topology"
)

// settled says in what state a chain came to rest, or why it has not: whole, with every server in rotation again.
func settled(p api.Product) (string, error) {
	for _, server := range p.Servers {
		if server.Standing != topology.In {
			return "", fmt.Errorf("%s is %s: %s", server.Name, server.Standing, server.Why)
		}
	}
	why := strings.TrimSpace(fmt.Sprintf("%s: %s %s", p.Verdict.Rule, p.Verdict.Why, p.Waiting))
	switch {
	case p.Open != nil:
		return "", fmt.Errorf("a plan of kind %s is open; %s", p.Open.Plan.Kind, why)
	case !p.Protected:
		return "", fmt.Errorf("not protected: %s; %s", p.ProtectedWhy, why)
	case p.Verdict.Rule != "healthy":
		return "", errors.New(why)
	}
	return "healthy", nil
}
