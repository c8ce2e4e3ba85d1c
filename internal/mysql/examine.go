package mysql

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"sync"

	mysqldriver "github.com/go-sql-driver/mysql"

	"github.com/failoverd/failoverd/internal/topology"
)

// Examination is what one server was found to be.
type Examination struct {
	Server topology.Server
	// Facts are nil when no account could log in.
	Facts    *topology.Facts
	Findings []Finding
	gathered examined
}

// Examine checks one server against every requirement, with the probe and the
// control account. It changes nothing. A server that cannot be reached, or an
// account that cannot log in, is a finding. What a server must be may depend on
// its chain, which ExamineChain knows.
func Examine(ctx context.Context, server topology.Server, c Credentials) Examination {
	return examine(ctx, alone(server), c)
}

func examine(ctx context.Context, at position, c Credentials) Examination {
	server := at.server
	x := Examination{Server: server}
	version, contact, err := versionOf(ctx, server, c)
	if version == "" {
		x.add(reachable(server, contact, err))
		return x
	}
	if !versionSupported(version) {
		x.add(Finding{"version", server.Name, Fail, version, "semi-sync and replication statements need MySQL 8.0.26 or later; MariaDB is another product",
			"install MySQL 8.4 or later"})
		return x
	}
	x.add(Finding{Requirement: "version", Server: server.Name, Level: OK, Found: version})
	probe := x.account(ctx, c, "probe-account", c.Probe, nil)
	control := x.account(ctx, c, "control-account", c.Control, controlPrivileges)
	x.replicationAccount(ctx, c)
	if !probe && !control {
		return x
	}
	account := c.Control
	if !control {
		account = c.Probe
	}
	e, err := gather(ctx, at, c, account)
	if err != nil {
		x.add(Finding{"facts", server.Name, Fail, err.Error(), "without facts nothing can be decided", "grant the accounts' privileges, then examine again"})
		return x
	}
	x.Facts, x.gathered = &e.facts, e
	x.Findings = append(x.Findings, judge(server.Name, e)...)
	return x
}

func (x *Examination) add(f Finding) { x.Findings = append(x.Findings, f) }

// versionOf asks with whatever account can log in, on a session without our
// settings, since MariaDB does not know them all.
func versionOf(ctx context.Context, server topology.Server, c Credentials) (version string, contact topology.Contact, err error) {
	for _, account := range []Account{c.Control, c.Probe} {
		cfg, wrong := Config{Addr: server.Addr(), Account: account, TLS: c.TLS}.withDefaults()
		if wrong != nil {
			err, contact = wrong, topology.Unclear
			continue
		}
		version, err = plainVersion(ctx, cfg)
		if contact = contactOf(err); contact != topology.Denied && contact != topology.Offline {
			break
		}
	}
	return version, contact, err
}

func plainVersion(ctx context.Context, cfg Config) (version string, err error) {
	ctx, cancel := context.WithTimeout(ctx, cfg.Timeout)
	defer cancel()
	plain := cfg.driverConfig()
	plain.Params = nil
	connector, err := mysqldriver.NewConnector(plain)
	if err != nil {
		return "", err
	}
	db := sql.OpenDB(connector)
	defer db.Close()
	return version, db.QueryRowContext(ctx, versionSQL).Scan(&version)
}

// reachable is the finding for a server of which nothing could be learnt.
func reachable(server topology.Server, contact topology.Contact, err error) Finding {
	f := Finding{"reachable", server.Name, Fail, fmt.Sprintf("%s: %v", contact, err), "failoverd can only look after servers that it reaches", ""}
	switch contact {
	case topology.Refused:
		f.Mend = "start mysqld on " + server.Addr() + ", or correct the address; my.cnf: bind_address must cover it"
	case topology.Silent:
		f.Mend = "open the way to " + server.Addr() + " (firewall, security group, route), or see whether the server hangs"
	case topology.Busy:
		f.Mend = "SET PERSIST max_connections = <more>"
	case topology.Denied:
		f.Requirement, f.Mend = "accounts", "correct the accounts' passwords in the configuration, or create the accounts: failoverd prints the statements"
	case topology.Offline:
		f.Mend = "SET GLOBAL offline_mode = OFF, once it is closed: a fence may not have been finished"
	default:
		f.Mend = "check the host name, and that both sides agree on TLS"
	}
	return f
}

// account checks that an account can log in and has its privileges.
func (x *Examination) account(ctx context.Context, c Credentials, name string, a Account, privileges []string) bool {
	why := "watchers observe with the probe account and promote with the control account"
	lines, err := grantLines(ctx, Config{Addr: x.Server.Addr(), Account: a, TLS: c.TLS})
	if err != nil {
		x.add(Finding{name, x.Server.Name, Fail, err.Error(), why, "ALTER USER " + grantee(a) + " IDENTIFIED BY '<the configured password>' ACCOUNT UNLOCK, or CREATE USER it first"})
		return false
	}
	missing := missingGrants(lines, privileges, replicationTables)
	if len(missing) == 0 {
		x.add(Finding{name, x.Server.Name, OK, "has its privileges", why, ""})
		return true
	}
	var mend []string
	for _, m := range missing {
		if strings.HasPrefix(m, "SELECT ON performance_schema.") {
			m = "SELECT ON performance_schema.*" // as Grants has it
		}
		if grant := "GRANT " + m + " TO " + grantee(a); !slices.Contains(mend, grant) {
			mend = append(mend, grant)
		}
	}
	x.add(Finding{name, x.Server.Name, Fail, "lacks " + strings.Join(missing, ", "), why, strings.Join(mend, "; ")})
	return len(missing) == 0
}

// replicationAccount tries the account from here. The account may be limited to
// the replicas' hosts, so a failure is a warning.
func (x *Examination) replicationAccount(ctx context.Context, c Credentials) {
	const why = "every server must be able to become the others' source"
	a := c.Replication.Account
	if a.User == "" {
		x.add(Finding{"replication-account", x.Server.Name, Fail, "none is configured", why, "name it in the configuration"})
		return
	}
	lines, err := grantLines(ctx, Config{Addr: x.Server.Addr(), Account: a, TLS: c.TLS})
	if err != nil {
		x.add(Finding{"replication-account", x.Server.Name, Warn, "from this host: " + err.Error(), why,
			"ALTER USER " + grantee(a) + " IDENTIFIED BY '<the configured password>', or ignore this if the account is limited to the replicas' hosts"})
		return
	}
	for _, m := range missingGrants(lines, replicationPrivileges, nil) {
		x.add(Finding{"replication-account", x.Server.Name, Fail, "lacks " + m, why, "GRANT " + m + " TO " + grantee(a)})
		return
	}
	x.add(Finding{"replication-account", x.Server.Name, OK, "logs in and may replicate", why, ""})
}

func grantLines(ctx context.Context, cfg Config) (lines []string, err error) {
	return lines, withConn(ctx, cfg, "log in as "+cfg.Account.User, func(ctx context.Context, conn *sql.Conn) error {
		rows, err := conn.QueryContext(ctx, grantsSQL)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var line string
			if err := rows.Scan(&line); err != nil {
				return err
			}
			lines = append(lines, line)
		}
		return rows.Err()
	})
}

// gather reads what the table of requirements needs.
func gather(ctx context.Context, at position, c Credentials, account Account) (examined, error) {
	e := examined{boot: map[string]bootValue{}, place: at, probe: Account{User: c.Probe.User}}
	cfg := Config{Addr: at.server.Addr(), Account: account, TLS: c.TLS}
	err := withConn(ctx, cfg, "examine", func(ctx context.Context, conn *sql.Conn) (err error) {
		if e.facts, err = lookAt(ctx, conn); err != nil {
			return err
		}
		if err := conn.QueryRowContext(ctx, channelsSQL).Scan(&e.channels); err != nil {
			return err
		}
		return e.readBoot(ctx, conn)
	})
	if err != nil || at.chain.Policy.WriteProbe == 0 {
		return e, err
	}
	cfg.Account = c.Probe
	e.heartbeat = withConn(ctx, cfg, "heartbeat", func(ctx context.Context, conn *sql.Conn) error {
		_, err := conn.ExecContext(ctx, mayBeatSQL, "doctor")
		if serverNumber(err) == errReadOnly { // which says nothing of the table
			var rows int
			return conn.QueryRowContext(ctx, heartbeatsSQL).Scan(&rows)
		}
		return err
	})
	return e, nil
}

func (e *examined) readBoot(ctx context.Context, conn *sql.Conn) error {
	rows, err := conn.QueryContext(ctx, bootSQL)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		var b bootValue
		var persisted sql.NullString
		if err := rows.Scan(&name, &b.source, &b.now, &persisted); err != nil {
			return err
		}
		b.persisted = persisted.String
		e.boot[name] = b
	}
	return rows.Err()
}

// withConn runs f on one short-lived session under the configured deadline.
func withConn(ctx context.Context, cfg Config, op string, f func(context.Context, *sql.Conn) error) error {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, cfg.Timeout)
	defer cancel()
	pool, err := openSessions(cfg, 1)
	if err != nil {
		return err
	}
	defer pool.db.Close()
	conn, err := pool.db.Conn(ctx)
	if err != nil {
		return failed(op, err)
	}
	defer conn.Close()
	return failed(op, f(ctx, conn))
}

// ExamineChain examines every server at once and then what they are to each
// other. The findings for the chain as a whole come last.
func ExamineChain(ctx context.Context, chain topology.Chain, c Credentials) []Finding {
	return chainFindingsOf(chain, examineAll(ctx, chain, c))
}

func examineAll(ctx context.Context, chain topology.Chain, c Credentials) []Examination {
	out := make([]Examination, len(chain.Servers))
	var all sync.WaitGroup
	for i, s := range chain.Servers {
		all.Go(func() { out[i] = examine(ctx, placeIn(chain, s), c) })
	}
	all.Wait()
	return out
}

func chainFindingsOf(chain topology.Chain, examinations []Examination) []Finding {
	var out []Finding
	facts := map[string]topology.Facts{}
	for _, x := range examinations {
		out = append(out, x.Findings...)
		if x.Facts != nil {
			facts[x.Server.Name] = *x.Facts
		}
	}
	return append(out, chainFindings(chain, facts)...)
}
