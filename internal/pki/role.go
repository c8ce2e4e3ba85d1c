package pki

import (
	"crypto/tls"
	"fmt"
	"slices"
)

// The roles that a certificate can carry.
const (
	RoleWatcher  = "watcher"  // a member of the trio: may speak Raft and exchange views
	RoleOperator = "operator" // a person: may switch over, pause and change the inventory
	RoleFollower = "follower" // a web server: may only ask for the published config
	RoleDump     = "dump"     // the dump slave's agent: may report its snapshots
)

// Roles lists every role.
var Roles = []string{RoleWatcher, RoleOperator, RoleFollower, RoleDump}

func knownRole(role string) bool { return slices.Contains(Roles, role) }

// Role returns the role of the other end of a connection: "" when it showed no certificate that our authority
// signed, or one without exactly one known role. A nil state (a plaintext request) has no role either.
func Role(cs *tls.ConnectionState) string {
	// Only VerifiedChains proves anything: PeerCertificates is also filled when nothing was verified.
	if cs == nil || len(cs.VerifiedChains) == 0 || len(cs.VerifiedChains[0]) == 0 {
		return ""
	}
	units := cs.VerifiedChains[0][0].Subject.OrganizationalUnit
	if len(units) != 1 || !knownRole(units[0]) {
		return ""
	}
	return units[0]
}

// Subject returns the verified name of the other end, for logs and the audit trail; "" when there is none.
func Subject(cs *tls.ConnectionState) string {
	if Role(cs) == "" {
		return ""
	}
	return cs.VerifiedChains[0][0].Subject.CommonName
}

// RequireRole returns a copy of cfg whose handshake fails unless the other end has one of the roles. It works
// for both ends: a watcher asks it of those that call and of those that it calls.
func RequireRole(cfg *tls.Config, roles ...string) *tls.Config {
	restricted := cfg.Clone()
	before := cfg.VerifyConnection
	restricted.VerifyConnection = func(cs tls.ConnectionState) error {
		if before != nil {
			if err := before(cs); err != nil {
				return err
			}
		}
		if role := Role(&cs); !slices.Contains(roles, role) {
			return fmt.Errorf("certificate of %q has role %q, wanted one of %v", Subject(&cs), role, roles)
		}
		return nil
	}
	return restricted
}
