package mysql

import (
	"context"
	"database/sql"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/failoverd/failoverd/internal/topology"
)

// discoverMost bounds a walk through servers that report nonsense.
const discoverMost = 50

// Discover finds the chain that the server at addr belongs to: up its links to the
// source, and down to all replicas. The servers of the chain have proposed seats;
// product, policy and zones are the caller's. The findings name what is odd about
// the chain and everything Examine says of its servers. The error is not nil only
// when nothing could be learnt of the first server.
func Discover(ctx context.Context, addr string, c Credentials) (topology.Chain, []Finding, error) {
	w := walk{credentials: c, seen: map[string]bool{}}
	if err := w.visit(ctx, addr, ""); err != nil {
		return topology.Chain{}, nil, err
	}
	for len(w.queue) > 0 && len(w.stops) < discoverMost {
		next := w.queue[0]
		w.queue = w.queue[1:]
		if err := w.visit(ctx, next.addr, next.uuid); err != nil && !next.guess {
			w.findings = append(w.findings, Finding{"reachable", next.addr, Fail, err.Error(),
				"it belongs to the chain: " + next.why, "open the way to it, or create the accounts there"})
		}
	}
	chain, findings := seatsOf(w.stops)
	findings = append(w.missing(), findings...)
	findings = append(w.findings, findings...)
	return chain, append(findings, ExamineChain(ctx, chain, c)...), nil
}

// stop is one server that the walk came by.
type stop struct {
	addr  string
	facts topology.Facts
}

// lead is an address to visit. A guess may be wrong, and has the UUID to expect.
type lead struct {
	addr, uuid, why string
	guess           bool
}

type walk struct {
	credentials Credentials
	queue       []lead
	seen        map[string]bool // addresses
	stops       []stop
	findings    []Finding
	nameless    []lead // replicas that report no address; addr is their source's
}

// visit looks at one server and queues its neighbours. A server already met by
// another address is left alone, and so is one that has not the expected UUID.
func (w *walk) visit(ctx context.Context, addr, uuid string) error {
	if w.seen[addr] {
		return nil
	}
	w.seen[addr] = true
	control := Config{Addr: addr, Account: w.credentials.Control, TLS: w.credentials.TLS}
	var facts topology.Facts
	err := withConn(ctx, control, "discover "+addr, func(ctx context.Context, conn *sql.Conn) (err error) {
		facts, err = lookAt(ctx, conn)
		return err
	})
	if err != nil {
		return err
	}
	if w.met(facts.UUID) || uuid != "" && uuid != facts.UUID {
		return nil
	}
	w.stops = append(w.stops, stop{addr, facts})
	if facts.Link != nil {
		w.queue = append(w.queue, lead{addr: facts.Link.SourceAddr, why: "the source of " + addr})
	}
	replicas, peers, err := w.replicasOf(ctx, addr)
	if err != nil {
		w.findings = append(w.findings, Finding{"replicas", addr, Warn, err.Error(),
			"replicas are found with the replication account", "GRANT REPLICATION SLAVE ON *.* TO " + grantee(w.credentials.Replication.Account)})
		return nil
	}
	for _, r := range replicas {
		if r.host != "" {
			w.queue = append(w.queue, lead{addr: net.JoinHostPort(r.host, r.port), why: "a replica of " + addr})
			continue
		}
		w.nameless = append(w.nameless, lead{addr: addr, uuid: r.uuid})
		for _, host := range peers {
			w.queue = append(w.queue, lead{addr: net.JoinHostPort(host, r.port), uuid: r.uuid, guess: true})
		}
	}
	return nil
}

func (w *walk) met(uuid string) bool {
	return slices.ContainsFunc(w.stops, func(s stop) bool { return s.facts.UUID == uuid })
}

// missing names the replicas that report no address and were not found otherwise.
func (w *walk) missing() []Finding {
	var out []Finding
	for _, n := range w.nameless {
		if !w.met(n.uuid) {
			out = append(out, Finding{"report-host", n.uuid, Fail, "a replica of " + n.addr + " that reports no address and was not found",
				"a source tells its replicas' addresses only if they report them", "my.cnf on that server: report_host = <its name>, then restart"})
		}
	}
	return out
}

type replicaRow struct{ host, port, uuid string }

// replicasOf lists a server's replicas and the hosts of its dump threads.
func (w *walk) replicasOf(ctx context.Context, addr string) (replicas []replicaRow, peers []string, err error) {
	cfg := Config{Addr: addr, Account: w.credentials.Replication.Account, TLS: w.credentials.TLS}
	err = withConn(ctx, cfg, "list replicas of "+addr, func(ctx context.Context, conn *sql.Conn) error {
		rows, err := conn.QueryContext(ctx, replicasSQL)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var id, port, source int64
			var host, uuid string
			if err := rows.Scan(&id, &host, &port, &source, &uuid); err != nil {
				return err
			}
			replicas = append(replicas, replicaRow{host, strconv.FormatInt(port, 10), uuid})
		}
		if err := rows.Err(); err != nil {
			return err
		}
		peers, err = peerHosts(ctx, conn)
		return err
	})
	return replicas, peers, err
}

func peerHosts(ctx context.Context, conn *sql.Conn) ([]string, error) {
	rows, err := conn.QueryContext(ctx, dumpThreadsSQL)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var hosts []string
	for rows.Next() {
		var peer string
		if err := rows.Scan(&peer); err != nil {
			return nil, err
		}
		host := peer
		if i := strings.LastIndexByte(peer, ':'); i > 0 {
			host = strings.Trim(peer[:i], "[]")
		}
		if !slices.Contains(hosts, host) {
			hosts = append(hosts, host)
		}
	}
	return hosts, rows.Err()
}

// nameOf proposes a name: the host, with the port where hosts repeat.
func nameOf(addr string, hosts map[string]int) (name, host string, port int) {
	host, portText, _ := net.SplitHostPort(addr)
	port, _ = strconv.Atoi(portText)
	if hosts[host] > 1 {
		return fmt.Sprintf("%s-%d", host, port), host, port
	}
	return host, host, port
}
