package campaign

import (
	"errors"
	"fmt"
	"strings"

	"github.com/failoverd/failoverd/internal/api"
	"github.com/failoverd/failoverd/internal/topology"
)

// toleratesQuarantine says whether a chain that is healthy but for quarantined servers has come to rest. It is to
// become false when failoverd rebuilds them by itself.
const toleratesQuarantine = true

// settled says in what state a chain came to rest, or why it has not.
func settled(p api.Product) (string, error) {
	var quarantined []string
	for _, server := range p.Servers {
		switch {
		case server.Standing == topology.In:
		case server.Standing == topology.Quarantined && toleratesQuarantine:
			quarantined = append(quarantined, fmt.Sprintf("%s is quarantined: %s", server.Name, server.Why))
		default:
			return "", fmt.Errorf("%s is %s: %s", server.Name, server.Standing, server.Why)
		}
	}
	why := strings.TrimSpace(fmt.Sprintf("%s: %s %s", p.Verdict.Rule, p.Verdict.Why, p.Waiting))
	switch {
	case p.Open != nil:
		return "", fmt.Errorf("a plan of kind %s is open; %s", p.Open.Plan.Kind, why)
	case !p.Protected:
		return "", fmt.Errorf("not protected: %s; %s", p.ProtectedWhy, why)
	case len(quarantined) == 0 && p.Verdict.Rule != "healthy":
		return "", errors.New(why)
	case len(quarantined) > 0:
		return "healthy but for " + strings.Join(quarantined, ", "), nil
	}
	return "healthy", nil
}
