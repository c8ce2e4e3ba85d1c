package mysql

import (
	"fmt"

	"github.com/failoverd/failoverd/internal/topology"
)

// chainFindings judges what the servers of a chain are to each other. Servers
// without facts are left out.
func chainFindings(chain topology.Chain, facts map[string]topology.Facts) []Finding {
	var out []Finding
	ids, uuids := map[string]string{}, map[string]string{}
	for _, s := range chain.Servers {
		f, known := facts[s.Name]
		if !known {
			continue
		}
		out = append(out, distinct("distinct-server-id", s.Name, fmt.Sprint(f.ServerID), ids,
			"a replica ignores what carries its own server id", "SET PERSIST server_id = <another number>")...)
		out = append(out, distinct("distinct-server-uuid", s.Name, f.UUID, uuids,
			"GTIDs name the server by its UUID", "stop mysqld, delete auto.cnf from its data directory, start it")...)
		out = append(out, follows(chain, facts, s, f))
		out = append(out, closed(s, f))
		out = append(out, schedules(chain, facts, s, f)...)
		if errant, ok := errantFinding(chain, facts, s, f); ok {
			out = append(out, errant)
		}
	}
	return out
}

func distinct(requirement, server, value string, seen map[string]string, why, mend string) []Finding {
	first, taken := seen[value]
	if !taken {
		seen[value] = server
		return nil
	}
	return []Finding{{requirement, server, Fail, value + ", as " + first, why, mend}}
}

// follows checks that the server replicates from where its seat says.
func follows(chain topology.Chain, facts map[string]topology.Facts, s topology.Server, f topology.Facts) Finding {
	out := Finding{Requirement: "source", Server: s.Name, Level: OK, Why: "the seats say who replicates from whom"}
	want, hasSource := chain.Server(chain.SourceOf(s.Name))
	switch {
	case !hasSource && f.Link == nil:
		out.Found = "no source, as the master should be"
	case !hasSource:
		out.Level, out.Found = Fail, "the master replicates from "+f.Link.SourceAddr
		out.Mend = "STOP REPLICA; RESET REPLICA ALL, if this is the master; else correct the seats"
	case f.Link == nil:
		out.Level, out.Found = Fail, "no source, should be "+want.Name
		out.Mend = "failoverd mends this: CHANGE REPLICATION SOURCE TO SOURCE_HOST = " + quote(want.Host) + " …"
	case f.Link.SourceAddr == want.Addr(), f.Link.SourceUUID != "" && f.Link.SourceUUID == facts[want.Name].UUID:
		out.Found = want.Name
	default:
		out.Level, out.Found = Warn, f.Link.SourceAddr+", should be "+want.Name
		out.Mend = "failoverd mends this in auto mode; else correct the seats"
	}
	return out
}

// closed checks that only the master takes writes.
func closed(s topology.Server, f topology.Facts) Finding {
	out := Finding{Requirement: "closed", Server: s.Name, Level: OK, Found: "closed",
		Why: "a write anywhere but on the master is lost for the chain"}
	switch {
	case s.Seat == topology.Master:
		out.Found = fmt.Sprintf("master, open: %t", f.Open())
	case f.Open():
		out.Level, out.Found, out.Mend = Fail, "open for writes", "SET GLOBAL super_read_only = ON"
	}
	return out
}

// schedules checks that the events that run on the master would run here too.
func schedules(chain topology.Chain, facts map[string]topology.Facts, s topology.Server, f topology.Facts) []Finding {
	master, known := facts[chain.Master()]
	if !known || s.Name == chain.Master() {
		return nil
	}
	here, there := f.Settings["event_scheduler"], master.Settings["event_scheduler"]
	out := Finding{Requirement: "event-scheduler", Server: s.Name, Level: OK, Found: here,
		Why: "scheduled events that run on the master must run here after a promotion"}
	if there == "ON" && here != "ON" {
		out.Level, out.Found = Warn, here+", ON at the master"
		out.Mend = "SET PERSIST event_scheduler = ON"
		if here == "DISABLED" {
			out.Mend = "my.cnf: event_scheduler = ON, then restart"
		}
	}
	return []Finding{out}
}

// errantFinding names what a server executed and the master did not. What the
// master itself committed is left out: a replica that is read after the master
// may have later commits, and one that waits for its acknowledgement is not in
// the master's executed set yet.
func errantFinding(chain topology.Chain, facts map[string]topology.Facts, s topology.Server, f topology.Facts) (Finding, bool) {
	master, known := facts[chain.Master()]
	if !known || s.Name == chain.Master() {
		return Finding{}, false
	}
	out := Finding{Requirement: "errant", Server: s.Name, Level: OK, Found: "none",
		Why: "a server with transactions of its own must not be promoted, nor feed others"}
	if errant := f.Executed.Minus(master.Executed).WithoutServer(master.UUID); !errant.Empty() {
		out.Level, out.Found = Fail, errant.String()
		out.Mend = "save them (mysqlbinlog --include-gtids), then rebuild the server with CLONE INSTANCE"
	}
	return out, true
}
