// Package stage is a whole deployment on one machine, all of it real: a chain of
// MySQL servers, three watchers, an S3 service, and web servers that follow the
// published file and write. Tests, the demo and benchmarks use it alike.
package stage

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/failoverd/failoverd/internal/api"
	"github.com/failoverd/failoverd/internal/journal"
	"github.com/failoverd/failoverd/internal/mysql"
	"github.com/failoverd/failoverd/internal/pki"
	"github.com/failoverd/failoverd/internal/promote"
	"github.com/failoverd/failoverd/internal/publish"
	"github.com/failoverd/failoverd/internal/topology"
	"github.com/failoverd/failoverd/testenv"
)

// Options say what to set up. The zero value of everything but Binary is a chain
// of four, three watchers, S3 and two web servers, in auto mode.
type Options struct {
	// Binary is the failoverd program that the watchers run.
	Binary string
	Chain  testenv.Options
	// Watchers is how many there are, 3 when zero.
	Watchers int
	// Webs is how many web servers write, 2 when zero, none when negative.
	Webs int
	// Observe leaves the product in observe mode.
	Observe bool
	// NoInventory leaves the journal empty, for tests that adopt the chain.
	NoInventory bool
	// Policy are lines for the inventory, such as "deadAfter: 2s".
	Policy []string
	// Disks gives every server and watcher a disk that can be full or stand still.
	Disks bool
	// Heartbeats makes the table that a policy with "writeProbe" needs.
	Heartbeats bool
	// Copies is where the dump service's store "s3" is, instead of the stage's own S3, and the caller's to close.
	Copies *testenv.StrictS3
	// Dir holds everything; a new temporary directory that Close removes when empty.
	Dir      string
	Progress func(string)
}

// Stage is a running deployment.
type Stage struct {
	Dir      string
	Product  string
	Chain    *testenv.Chain
	S3       *testenv.S3
	Watchers []*Watcher
	Webs     []*Web
	// Followers are those that StartFollower started.
	Followers []*Follower
	// Dump is the dump service, nil unless StartDump started one.
	Dump *Dump
	// Client speaks to the watchers as an operator.
	Client *api.Client
	// Flags are what the CLI needs to reach the watchers.
	Flags []string
	// Trust are the keys of the published file.
	Trust publish.Trust

	options Options
	keep    bool
}

// Watcher is one watcher process.
type Watcher struct {
	*testenv.Program
	API  string // base URL
	Raft string // host:port
	// Client asks this watcher alone.
	Client *api.Client
	// Disk holds its data, nil unless Options.Disks.
	Disk *testenv.Disk

	data string
}

// New sets everything up and returns when the web servers write. On error
// nothing is left running.
func New(ctx context.Context, o Options) (*Stage, error) {
	if o.Progress == nil {
		o.Progress = func(string) {}
	}
	if o.Watchers == 0 {
		o.Watchers = 3
	}
	if o.Webs == 0 {
		o.Webs = 2
	}
	s := &Stage{options: o, Dir: o.Dir, keep: o.Dir != ""}
	if err := s.build(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (s *Stage) build(ctx context.Context) (err error) {
	if s.Dir == "" {
		if s.Dir, err = os.MkdirTemp("", "failoverd-stage-"); err != nil {
			return err
		}
	} else if err := os.MkdirAll(s.Dir, 0o755); err != nil {
		return err
	}
	chain := s.options.Chain
	chain.Progress = s.options.Progress
	chain.Disks = chain.Disks || s.options.Disks
	if s.Chain, err = testenv.NewChain(ctx, chain); err != nil {
		return err
	}
	s.Product = s.Chain.Product
	if err := use(ctx, s.Chain.Servers); err != nil {
		return err
	}
	if err := s.makeLedger(ctx); err != nil {
		return err
	}
	if s.options.Heartbeats {
		accounts := mysql.Credentials{Probe: mysql.Account{User: testenv.Accounts.Probe.User}}
		for _, statement := range mysql.HeartbeatTable(accounts) {
			if err := s.Chain.At(testenv.Master).Exec(ctx, statement); err != nil {
				return err
			}
		}
	}
	if s.S3, err = testenv.NewS3At(ctx, net.JoinHostPort(s.Chain.Machine(), "0")); err != nil {
		return err
	}
	s.options.Progress("starting the watchers")
	if err := s.makeKeys(); err != nil {
		return err
	}
	if err := s.startWatchers(ctx); err != nil {
		return err
	}
	if s.options.NoInventory {
		return nil
	}
	if err := s.Apply(ctx); err != nil {
		return err
	}
	if s.options.Observe {
		return nil
	}
	if err := s.Client.SetMode(ctx, s.Product, topology.Auto); err != nil {
		return err
	}
	if err := s.Await(ctx, "healthy chain", func(p api.Product) bool { return p.Verdict.Rule == "healthy" && p.Protected }); err != nil {
		return err
	}
	return s.startWebs(ctx)
}

// StoreURL is the store as watchers and followers name it.
func (s *Stage) StoreURL() string {
	return fmt.Sprintf("s3://%s/demo?region=%s&pathStyle=true&endpoint=%s", s.S3.Bucket, s.S3.Region, url.QueryEscape(s.S3.Endpoint))
}

func (s *Stage) path(parts ...string) string {
	return filepath.Join(append([]string{s.Dir}, parts...)...)
}

// makeKeys makes the authority, the operator's and followers' certificates, the
// signing key and the files with the secrets.
func (s *Stage) makeKeys() error {
	if err := pki.CreateCA(s.path("ca.pem"), s.path("ca.key")); err != nil {
		return err
	}
	for _, role := range []string{pki.RoleOperator, pki.RoleFollower} {
		if err := s.issue(role, role, "127.0.0.1"); err != nil {
			return err
		}
	}
	key, err := publish.GenerateKey()
	if err != nil {
		return err
	}
	s.Trust = publish.Trust{key.Public()}
	private, err := key.PEM()
	if err != nil {
		return err
	}
	public, err := key.Public().PEM()
	if err != nil {
		return err
	}
	for name, content := range map[string]string{
		"publish.key": string(private), "publish.pub": string(public),
		"probe.secret": testenv.Accounts.Probe.Password, "control.secret": testenv.Accounts.Control.Password,
		"replication.secret": testenv.Accounts.Replication.Password,
		"s3-access.secret":   s.S3.AccessKey, "s3-secret.secret": s.S3.SecretKey,
	} {
		if err := os.WriteFile(s.path(name), []byte(content), 0o600); err != nil {
			return err
		}
	}
	return nil
}

func (s *Stage) issue(name, role, host string) error {
	return pki.Issue(s.path("ca.pem"), s.path("ca.key"), s.path(name+".pem"), s.path(name+".key"),
		pki.Request{Name: name, Role: role, Hosts: []string{host, "localhost"}})
}

func (s *Stage) startWatchers(ctx context.Context) error {
	ports, err := freePorts(2 * s.options.Watchers)
	if err != nil {
		return err
	}
	var list, endpoints []string
	for i := range s.options.Watchers {
		id := fmt.Sprintf("w%d", i+1)
		host, err := s.Chain.HostOf(ctx, id)
		if err != nil {
			return err
		}
		w := &Watcher{Raft: fmt.Sprintf("%s:%d", host, ports[2*i]), API: fmt.Sprintf("https://%s:%d", host, ports[2*i+1]), data: "data-" + id}
		if s.options.Disks {
			if w.Disk, err = s.Chain.NewDisk(ctx, id); err != nil {
				return err
			}
			w.data = w.Disk.Dir
		}
		if err := s.issue(id, pki.RoleWatcher, host); err != nil {
			return err
		}
		s.Watchers = append(s.Watchers, w)
		list = append(list, fmt.Sprintf("  - {id: %s, raft: %s, api: %q}", id, w.Raft, w.API))
		endpoints = append(endpoints, w.API)
	}
	for i, w := range s.Watchers {
		id := fmt.Sprintf("w%d", i+1)
		if err := os.WriteFile(s.path(id+".yaml"), []byte(s.watcherConfig(id, w, list)), 0o600); err != nil {
			return err
		}
		if w.Program, err = s.Chain.StartProgram(ctx, id, id, s.path(id+".log"), s.options.Binary, "serve", "--config", s.path(id+".yaml"), "--bootstrap"); err != nil {
			return err
		}
	}
	_, operator, err := pki.LoadTLS(s.path("ca.pem"), s.path("operator.pem"), s.path("operator.key"))
	if err != nil {
		return err
	}
	if s.Client, err = api.NewClient(endpoints, operator); err != nil {
		return err
	}
	for _, w := range s.Watchers {
		if w.Client, err = api.NewClient([]string{w.API}, operator); err != nil {
			return err
		}
		w.Client.Patience = 0
	}
	s.Flags = []string{"--endpoints", strings.Join(endpoints, ","), "--ca", s.path("ca.pem"), "--cert", s.path("operator.pem"), "--key", s.path("operator.key")}
	return await(ctx, "a leading watcher", 20*time.Second, func(ctx context.Context) error {
		status, err := s.Client.Status(ctx, false)
		if err == nil && !status.Leads {
			err = errors.New("no leader yet")
		}
		return err
	})
}

func (s *Stage) watcherConfig(id string, w *Watcher, list []string) string {
	return fmt.Sprintf(`id: %[1]s
data: %[9]s
raft: {bind: %[2]s}
api: {bind: %[3]s}
watchers:
%[4]s
tls: {ca: ca.pem, cert: %[1]s.pem, key: %[1]s.key}
mysql:
  probe: {user: %[5]s, password: {file: probe.secret}}
  control: {user: %[6]s, password: {file: control.secret}}
  replication: {user: %[7]s, password: {file: replication.secret}}
store: %[8]q
s3: {accessKey: {file: s3-access.secret}, secretKey: {file: s3-secret.secret}}
signing: {key: publish.key}
`, id, w.Raft, strings.TrimPrefix(w.API, "https://"), strings.Join(list, "\n"),
		testenv.Accounts.Probe.User, testenv.Accounts.Control.User, testenv.Accounts.Replication.User, s.StoreURL(), w.data)
}

// Inventory is the products file of the chain as it was made.
func (s *Stage) Inventory() string {
	var b strings.Builder
	fmt.Fprintf(&b, "products:\n  %s:\n", s.Product)
	for _, line := range s.options.Policy {
		fmt.Fprintf(&b, "    %s\n", line)
	}
	b.WriteString("    servers:\n")
	for _, server := range s.Chain.Servers {
		fmt.Fprintf(&b, "      - {name: %s, host: %s, port: %d, zone: %s, seat: %s}\n", server.Name, server.Host, server.Port, server.Zone, server.Seat)
	}
	return b.String()
}

// Apply puts the inventory into the journal.
func (s *Stage) Apply(ctx context.Context) error {
	_, err := s.Client.Apply(ctx, api.InventoryRequest{Inventory: s.Inventory()})
	return err
}

// Status is the product as the leader sees it.
func (s *Stage) Status(ctx context.Context) (api.Product, error) {
	status, err := s.Client.Status(ctx, false)
	if err != nil {
		return api.Product{}, err
	}
	for _, p := range status.Products {
		if p.Name == s.Product {
			return p, nil
		}
	}
	return api.Product{}, fmt.Errorf("product %s is not there", s.Product)
}

// Await waits up to a minute until the product is as wanted.
func (s *Stage) Await(ctx context.Context, what string, wanted func(api.Product) bool) error {
	return await(ctx, what, time.Minute, func(ctx context.Context) error {
		p, err := s.Status(ctx)
		if err == nil && !wanted(p) {
			err = fmt.Errorf("%s: %s (%s)", p.Verdict.Rule, p.Verdict.Why, p.Waiting)
		}
		return err
	})
}

// Leader is the watcher that leads, nil when none is known to.
func (s *Stage) Leader(ctx context.Context) *Watcher {
	status, err := s.Client.Status(ctx, false)
	if err != nil {
		return nil
	}
	for _, w := range s.Watchers {
		if w.Name == status.Leader.ID {
			return w
		}
	}
	return nil
}

// Master is the server that the journal has as the master, nil when it cannot be asked.
func (s *Stage) Master(ctx context.Context) *testenv.Server { return s.InSeat(ctx, topology.Master) }

// InSeat is the server that the journal has in a seat, nil when it cannot be asked or there is none.
func (s *Stage) InSeat(ctx context.Context, seat topology.Seat) *testenv.Server {
	p, err := s.Status(ctx)
	if err != nil {
		return nil
	}
	for _, server := range p.Servers {
		if server.Seat == seat {
			return s.Chain.Server(server.Name)
		}
	}
	return nil
}

// Promotions are the finished promotions in the journal, oldest first.
func (s *Stage) Promotions(ctx context.Context) ([]journal.Entry, error) {
	return s.finished(ctx, promote.Failover, promote.Switchover)
}

// finished are the finished plans of these kinds in the journal, oldest first.
func (s *Stage) finished(ctx context.Context, kinds ...promote.Kind) ([]journal.Entry, error) {
	entries, err := s.Client.History(ctx, s.Product, 200)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(entries, func(e journal.Entry) bool {
		return e.Outcome != api.OutcomeDone || !slices.Contains(kinds, promote.Kind(e.What))
	}), nil
}

// Close ends everything and removes the directory, unless the caller chose it.
func (s *Stage) Close() error {
	for _, w := range s.Webs {
		w.close()
	}
	for _, w := range s.Watchers {
		if w.Disk != nil {
			_ = w.Disk.Thaw() // else it cannot be killed; Chain.Close reports it
		}
		if w.Program != nil {
			w.Kill()
		}
	}
	for _, f := range s.Followers {
		f.Kill()
	}
	if s.Dump != nil {
		s.Dump.Kill()
	}
	if s.S3 != nil {
		s.S3.Close()
	}
	var err error
	if s.Chain != nil {
		err = s.Chain.Close()
	}
	if !s.keep && s.Dir != "" {
		err = errors.Join(err, os.RemoveAll(s.Dir))
	}
	return err
}

// await tries until it succeeds, ctx ends or the patience does; then the error is
// the latest try's.
func await(ctx context.Context, what string, patience time.Duration, try func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var last error
	for {
		err := try(ctx)
		if err == nil {
			return nil
		}
		if ctx.Err() == nil || last == nil {
			last = err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s: %w", what, last)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// freePorts returns ports of 127.0.0.1 that were free a moment ago.
func freePorts(n int) ([]int, error) {
	var out []int
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close()
		out = append(out, l.Addr().(*net.TCPAddr).Port)
	}
	return out, nil
}
