package topology

import (
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"time"
)

// Seat is what a server is for in its chain. Seats are failoverd's own words;
// who copies from whom is said with MySQL's source and replica.
type Seat string

// The seats of a chain: master → candidate → slave, and master → dump.
const (
	Master    Seat = "master"
	Candidate Seat = "candidate"
	Slave     Seat = "slave"
	Dump      Seat = "dump"
)

// Standing says whether a server takes part in its chain.
type Standing string

const (
	// In means the server is in rotation.
	In Standing = "in"
	// Out means it left (it was the master that failed) and must prove itself before it comes back.
	Out Standing = "out"
	// Quarantined means its proof failed: it holds transactions the chain does not.
	Quarantined Standing = "quarantined"
	// Maintenance means that a person took it out of rotation, for a while or until further notice.
	Maintenance Standing = "maintenance"
)

// Server is one MySQL server of a chain.
type Server struct {
	Name     string   `json:"name" yaml:"name"`
	Host     string   `json:"host" yaml:"host"`
	Port     int      `json:"port" yaml:"port"`
	Zone     string   `json:"zone" yaml:"zone"`
	Seat     Seat     `json:"seat" yaml:"seat"`
	Standing Standing `json:"standing,omitempty" yaml:"-"`
	// Why says what made the server leave rotation; empty while it is in.
	Why string `json:"why,omitempty" yaml:"-"`
	// Until is when maintenance ends by itself; zero: when somebody ends it.
	Until time.Time `json:"until,omitzero" yaml:"-"`
	// UUID is the server's server_uuid as last seen, for the published file.
	UUID string `json:"uuid,omitempty" yaml:"-"`
	// Doubt are transactions that this server, should it hold them, has with another
	// content than its chain: their GTIDs were used anew while it could not be asked.
	Doubt GTIDSet `json:"doubt,omitzero" yaml:"-"`
	// CloneMark is the clone that it had received before its rebuild began, "none"
	// for none, empty while no rebuild is due.
	CloneMark string `json:"cloneMark,omitempty" yaml:"-"`
}

// Addr is host:port.
func (s Server) Addr() string { return net.JoinHostPort(s.Host, strconv.Itoa(s.Port)) }

// Mode says what failoverd may do to a product by itself.
type Mode string

const (
	// Observe only watches and says what it would do. New products start here.
	Observe Mode = "observe"
	// Auto acts.
	Auto Mode = "auto"
)

// Durability is what an acknowledged commit means.
type Durability string

const (
	// SemiSync: an acknowledged commit is on the master and on at least one acker.
	SemiSync Durability = "semi-sync"
	// Async: an acknowledged commit may be on the master alone. Shown everywhere as unprotected.
	Async Durability = "async"
)

// RebuildMode says what becomes of a server whose data must be replaced by a copy of another's.
type RebuildMode string

const (
	// RebuildAuto replaces the data once its errant transactions are saved.
	RebuildAuto RebuildMode = "auto"
	// RebuildAsk waits for somebody to ask for it.
	RebuildAsk RebuildMode = "ask"
	// RebuildNever leaves it to people, and refuses to.
	RebuildNever RebuildMode = "never"
)

// Policy is what an operator may tune for one product.
type Policy struct {
	Durability Durability `json:"durability" yaml:"durability"`
	// Ackers are the seats whose servers acknowledge, Acks how many of them the
	// master waits for. When fewer can, it waits for those that there are, at least one.
	Ackers []Seat `json:"ackers,omitempty" yaml:"ackers"`
	Acks   int    `json:"acks,omitempty" yaml:"acks"`
	// Rebuild says what becomes of a server in quarantine.
	Rebuild RebuildMode `json:"rebuild,omitempty" yaml:"rebuild"`
	// WriteProbe is the time between two commits of each watcher to a heartbeat
	// row at the master; 0 means that nothing is written. Without it a master that
	// answers queries and commits nothing is not found out.
	WriteProbe Duration `json:"writeProbe,omitempty" yaml:"writeProbe"`
	// HangAfter is how long the write probes of a majority must go without a
	// commit, while nobody waits for an acknowledgement, to count as death.
	HangAfter Duration `json:"hangAfter,omitempty" yaml:"hangAfter"`
	// DeadAfter is how long the master must leave every probe unanswered before
	// silence counts as death. A freeze shorter than this moves nothing.
	DeadAfter Duration `json:"deadAfter" yaml:"deadAfter"`
	// LinkDeadAfter is how long a replica must have heard nothing, neither
	// transaction nor heartbeat, to be a witness of its source's death.
	LinkDeadAfter Duration `json:"linkDeadAfter" yaml:"linkDeadAfter"`
	// HoldDown is how long after a promotion a merely silent master is left alone.
	HoldDown Duration `json:"holdDown" yaml:"holdDown"`
	// ProbeEvery is the time between two pings of a server.
	ProbeEvery Duration `json:"probeEvery" yaml:"probeEvery"`
}

// DefaultPolicy is the policy of a product that sets nothing.
func DefaultPolicy() Policy {
	return Policy{
		Durability:    SemiSync,
		Ackers:        []Seat{Candidate},
		Acks:          1,
		Rebuild:       RebuildAuto,
		HangAfter:     Duration(10 * time.Second),
		DeadAfter:     Duration(2500 * time.Millisecond),
		LinkDeadAfter: Duration(2 * time.Second),
		HoldDown:      Duration(5 * time.Minute),
		ProbeEvery:    Duration(250 * time.Millisecond),
	}
}

// Pause stops automatic action on one chain.
type Pause struct {
	Actor  string    `json:"actor"`
	Reason string    `json:"reason"`
	Until  time.Time `json:"until,omitzero"` // zero: until somebody resumes
}

// Promotion records the latest change of master.
type Promotion struct {
	Epoch uint64    `json:"epoch"`
	Kind  string    `json:"kind"` // failover or switchover
	From  string    `json:"from"`
	To    string    `json:"to"`
	At    time.Time `json:"at"`
}

// Chain is one product's servers and everything the watchers have agreed on
// about them. It is replicated in the journal and only ever replaced whole.
type Chain struct {
	Product string   `json:"product"`
	Servers []Server `json:"servers"`
	Policy  Policy   `json:"policy"`
	Mode    Mode     `json:"mode"`
	Pause   *Pause   `json:"pause,omitempty"`
	// Epoch counts the promotions of this chain, from 1.
	Epoch uint64 `json:"epoch"`
	// Ackers is the committed acker set: always a superset of the servers whose
	// receipt can really let the master acknowledge a commit.
	Ackers []string `json:"ackers"`
	// Acks is how many acknowledgements the master waits for at least, 0 for one.
	// It grows at the master first, and shrinks here first.
	Acks int `json:"acks,omitempty"`
	// Attached is the master while it may still have the link of the replica that it
	// was, and offer acknowledgements over it; empty once that is gone.
	Attached string `json:"attached,omitempty"`
	// Armed are servers that may offer acknowledgements although nothing here says so: a
	// promotion that was given up may have armed them ahead, or they left rotation and were
	// not disarmed first. Whoever is silent and among them may acknowledge for the next master.
	Armed []string `json:"armed,omitempty"`
	// HighWater is a set of transactions that the master had committed; a
	// server that lacks any of them is never promoted.
	HighWater GTIDSet `json:"highWater,omitzero"`
	// Retired are the errant transactions of servers whose data was replaced. A server
	// gives out the first GTID that it does not hold, so it would give these again.
	Retired GTIDSet `json:"retired,omitzero"`
	// Burning are those of Retired that the master takes out of use at the moment:
	// replicas receive them before the master shows them.
	Burning GTIDSet `json:"burning,omitzero"`
	// DisabledEvents are the scheduled events, as schema.name, that were switched
	// off by a person when the master was last looked at. The next master cannot
	// tell them from those that run: replication switches all of them off.
	DisabledEvents []string   `json:"disabledEvents,omitempty"`
	Last           *Promotion `json:"lastPromotion,omitempty"`
}

// Server returns the server of that name.
func (c Chain) Server(name string) (Server, bool) {
	for _, s := range c.Servers {
		if s.Name == name {
			return s, true
		}
	}
	return Server{}, false
}

// At returns the first server in that seat.
func (c Chain) At(seat Seat) (Server, bool) {
	for _, s := range c.Servers {
		if s.Seat == seat {
			return s, true
		}
	}
	return Server{}, false
}

// Master returns the name of the master, empty in a chain without one.
func (c Chain) Master() string {
	s, _ := c.At(Master)
	return s.Name
}

// IsAcker says whether the named server is in the committed acker set.
func (c Chain) IsAcker(name string) bool {
	for _, acker := range c.Ackers {
		if acker == name {
			return true
		}
	}
	return false
}

// AcksNeeded is how many acknowledgements the master waits for, 0 without semi-sync.
func (c Chain) AcksNeeded() int {
	if c.Policy.Durability != SemiSync {
		return 0
	}
	return max(c.Acks, 1)
}

// NextAcker is the server that will acknowledge for the candidate once that is
// master: a slave in rotation, if possible of another zone. It is armed ahead of
// time, so that a promotion need not wait for it. Empty when there is none.
func (c Chain) NextAcker() string {
	candidate, _ := c.At(Candidate)
	next, _ := c.second(candidate)
	return next.Name
}

// SourceOf is the server that the named one should replicate from; empty for the
// master. Slaves follow the candidate while it is in rotation, else the master,
// and always the master where the policy wants them to acknowledge or while they do.
func (c Chain) SourceOf(name string) string {
	server, ok := c.Server(name)
	if !ok || server.Seat == Master {
		return ""
	}
	candidate, ok := c.At(Candidate)
	if ok && server.Seat == Slave && candidate.Standing == In && !c.Policy.WantsAcker(Slave) && !c.IsAcker(name) {
		return candidate.Name
	}
	return c.Master()
}

// MayAckUnder says whether the named server should offer acknowledgements while
// it follows source: the committed ackers, and the next acker as long as it does
// not follow the master itself.
func (c Chain) MayAckUnder(name, source string) bool {
	if c.Policy.Durability != SemiSync {
		return false
	}
	return c.IsAcker(name) || (name == c.NextAcker() && source != c.Master())
}

// Promoted returns the chain as it is after target became master: the slaves
// move up, the old master goes to the tail, out of rotation when it failed.
func (c Chain) Promoted(target string, oldMaster Standing, why string) Chain {
	out := c
	out.Servers = nil
	var tail Server
	candidateTaken := false
	for _, s := range c.Servers {
		switch {
		case s.Name == target:
			s.Seat = Master
		case s.Seat == Master:
			s.Seat, s.Standing, s.Why = Slave, oldMaster, why
			tail = s
			continue
		case s.Seat == Dump:
		case s.Seat == Candidate: // target was not the candidate
			candidateTaken = true
		}
		out.Servers = append(out.Servers, s)
	}
	if !candidateTaken {
		master, _ := out.Server(target)
		second, found := out.second(master)
		for i, s := range out.Servers {
			if found && s.Name == second.Name {
				out.Servers[i].Seat, candidateTaken = Candidate, true
			}
		}
	}
	if tail.Name != "" {
		if !candidateTaken {
			tail.Seat = Candidate
		}
		out.Servers = append(out.Servers, tail)
	}
	out.Epoch++
	return out
}

// Validate names the first thing wrong with the chain's inventory.
func (c Chain) Validate() error {
	seats, names, addrs := map[Seat]int{}, map[string]bool{}, map[string]string{}
	if !isName(c.Product) {
		return fmt.Errorf("product %q: a product needs a name of letters, digits, dots, dashes and underscores", c.Product)
	}
	for i, s := range c.Servers {
		switch {
		case s.Name == "":
			return fmt.Errorf("product %s: server %d has no name", c.Product, i+1)
		case !isName(s.Name):
			return fmt.Errorf("product %s: server name %q has other characters than letters, digits, dots, dashes and underscores", c.Product, s.Name)
		case s.Zone != "" && !isName(s.Zone):
			return fmt.Errorf("product %s: server %s: zone %q has other characters than letters, digits, dots, dashes and underscores", c.Product, s.Name, s.Zone)
		case names[s.Name]:
			return fmt.Errorf("product %s: two servers are named %s", c.Product, s.Name)
		case s.Host == "":
			return fmt.Errorf("product %s: server %s has no host", c.Product, s.Name)
		case !isHost(s.Host):
			return fmt.Errorf("product %s: server %s: host %q is neither a host name nor an address", c.Product, s.Name, s.Host)
		case s.Port < 1 || s.Port > 65535:
			return fmt.Errorf("product %s: server %s: port %d is not between 1 and 65535", c.Product, s.Name, s.Port)
		case addrs[s.Addr()] != "":
			return fmt.Errorf("product %s: servers %s and %s have the same address %s", c.Product, addrs[s.Addr()], s.Name, s.Addr())
		case s.Seat != Master && s.Seat != Candidate && s.Seat != Slave && s.Seat != Dump:
			return fmt.Errorf("product %s: server %s: seat %q is not master, candidate, slave or dump", c.Product, s.Name, s.Seat)
		}
		names[s.Name], addrs[s.Addr()] = true, s.Name
		seats[s.Seat]++
	}
	switch {
	case seats[Master] != 1:
		return fmt.Errorf("product %s: has %d masters, needs exactly one", c.Product, seats[Master])
	case seats[Candidate] != 1:
		return fmt.Errorf("product %s: has %d candidates, needs exactly one", c.Product, seats[Candidate])
	case seats[Dump] > 1:
		return fmt.Errorf("product %s: has %d dump slaves, at most one", c.Product, seats[Dump])
	}
	acking := 0
	for _, s := range c.Servers {
		if c.Policy.WantsAcker(s.Seat) {
			acking++
		}
	}
	if c.Policy.Acks > acking {
		return fmt.Errorf("product %s: acks %d, but only %d servers are in the seats that acknowledge (ackers)", c.Product, c.Policy.Acks, acking)
	}
	return c.Policy.validate(c.Product)
}

var name = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,100}$`)

// isName is narrow on purpose: names end up in the published file, in metrics
// and in commands, and what is valid here must be valid in all of them.
func isName(s string) bool { return name.MatchString(s) }

func isHost(s string) bool {
	if _, err := netip.ParseAddr(s); err == nil {
		return true
	}
	return isName(s) && s[0] != '-' && s[0] != '.' && s[len(s)-1] != '-'
}

func (p Policy) validate(product string) error {
	switch {
	case p.Durability != SemiSync && p.Durability != Async:
		return fmt.Errorf("product %s: durability %q is not semi-sync or async", product, p.Durability)
	case p.ProbeEvery < Duration(20*time.Millisecond):
		return fmt.Errorf("product %s: probeEvery %s is below 20ms", product, p.ProbeEvery)
	case p.DeadAfter < 2*p.ProbeEvery:
		return fmt.Errorf("product %s: deadAfter %s is below two probes (%s)", product, p.DeadAfter, 2*p.ProbeEvery)
	case p.LinkDeadAfter < Duration(time.Second):
		return fmt.Errorf("product %s: linkDeadAfter %s is below 1s, two heartbeats", product, p.LinkDeadAfter)
	case p.HoldDown < 0:
		return fmt.Errorf("product %s: holdDown %s is negative", product, p.HoldDown)
	case p.Acks < 0:
		return fmt.Errorf("product %s: acks %d is negative", product, p.Acks)
	case p.Rebuild != "" && p.Rebuild != RebuildAuto && p.Rebuild != RebuildAsk && p.Rebuild != RebuildNever:
		return fmt.Errorf("product %s: rebuild %q is not auto, ask or never", product, p.Rebuild)
	case p.WriteProbe != 0 && p.WriteProbe < Duration(100*time.Millisecond):
		return fmt.Errorf("product %s: writeProbe %s is below 100ms", product, p.WriteProbe)
	case p.WriteProbe > 0 && p.HangAfter < max(3*p.WriteProbe, Duration(2*time.Second)):
		return fmt.Errorf("product %s: hangAfter %s is below three write probes and 2s", product, p.HangAfter)
	}
	for i, seat := range p.Ackers {
		switch {
		case seat != Candidate && seat != Slave && seat != Dump:
			return fmt.Errorf("product %s: ackers has %q, which is not candidate, slave or dump", product, seat)
		case slices.Contains(p.Ackers[:i], seat):
			return fmt.Errorf("product %s: ackers names %s twice", product, seat)
		}
	}
	if len(p.Ackers) > 0 && !slices.Contains(p.Ackers, Candidate) {
		return fmt.Errorf("product %s: ackers leaves out the candidate, who is to be promoted", product)
	}
	return nil
}
