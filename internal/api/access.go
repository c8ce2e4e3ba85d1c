package api

import (
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/failoverd/failoverd/internal/pki"
)

// access is who may use a route.
type access struct {
	roles []string // nil: any role
}

var (
	anybody  = access{}
	readers  = access{[]string{pki.RoleOperator, pki.RoleWatcher, pki.RoleFollower, pki.RoleDump}}
	people   = access{[]string{pki.RoleOperator, pki.RoleWatcher}}
	peers    = access{[]string{pki.RoleWatcher}}
	dumpers  = access{[]string{pki.RoleDump}}
	drillers = access{[]string{pki.RoleDump, pki.RoleOperator, pki.RoleWatcher}} // a person may drill, too
)

// ActorHeader says who asks, where there is no certificate that could.
const ActorHeader = "X-Failoverd-Actor"

// guard lets in who may. Over TLS that is up to the certificate's role. Plain
// text proves nothing, so it is taken from this machine only: the listener's own
// address must be a loopback one, and so must the name that was asked for, for a
// foreign page in a local browser can have its own name point here.
func (h *handler) guard(who access, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.TLS == nil {
			local, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
			if local == nil || !isLoopback(local.String()) || !isLoopback(r.Host) {
				h.forbid(w, r, "plain text is for loopback addresses only", "use https:// with a certificate that \"failoverd tls cert\" made")
				return
			}
			next.ServeHTTP(w, r)
			return
		}
		role := pki.Role(r.TLS)
		if who.roles == nil || slices.Contains(who.roles, role) {
			next.ServeHTTP(w, r)
			return
		}
		if role == "" {
			h.forbid(w, r, "no certificate was shown", "give --cert and --key")
			return
		}
		h.forbid(w, r, "the role "+role+" may not do this", "it takes the role "+strings.Join(who.roles, " or ")+": \"failoverd tls cert --role\"")
	})
}

func (h *handler) forbid(w http.ResponseWriter, r *http.Request, why, help string) {
	h.logger.Warn("request forbidden", "actor", actor(r), "role", pki.Role(r.TLS), "method", r.Method, "path", r.URL.Path, "from", r.RemoteAddr, "why", why)
	writeError(w, &Error{Code: Forbidden, Message: why, Help: help})
}

// actor is who asks, for the journal.
func actor(r *http.Request) string {
	if r.TLS != nil {
		return pki.Subject(r.TLS)
	}
	name := strings.Map(func(c rune) rune {
		if c < ' ' || c == 0x7f {
			return -1
		}
		return c
	}, r.Header.Get(ActorHeader))
	if len(name) > 128 {
		name = strings.ToValidUTF8(name[:128], "")
	}
	if name == "" {
		return "local"
	}
	return name
}

// isLoopback takes host, host:port and [v6]:port.
func isLoopback(hostPort string) bool {
	host, _, err := net.SplitHostPort(hostPort)
	if err != nil {
		host = strings.Trim(hostPort, "[]")
	}
	addr, err := netip.ParseAddr(host)
	if err != nil {
		return strings.EqualFold(host, "localhost")
	}
	return addr.Unmap().IsLoopback()
}
