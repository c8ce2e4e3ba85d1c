package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/hashicorp/go-hclog"
	"github.com/spf13/cobra"

	"github.com/failoverd/failoverd/internal/api"
	"github.com/failoverd/failoverd/internal/cluster"
	"github.com/failoverd/failoverd/internal/config"
	"github.com/failoverd/failoverd/internal/errant"
	"github.com/failoverd/failoverd/internal/mysql"
	"github.com/failoverd/failoverd/internal/object"
	"github.com/failoverd/failoverd/internal/pki"
	"github.com/failoverd/failoverd/internal/promote"
	"github.com/failoverd/failoverd/internal/publish"
	"github.com/failoverd/failoverd/internal/s3"
	"github.com/failoverd/failoverd/internal/topology"
	"github.com/failoverd/failoverd/internal/watcher"
)

func newServeCommand() *cobra.Command {
	var path string
	var bootstrap, checkOnly bool
	cmd := &cobra.Command{
		Use:   "serve --config FILE",
		Short: "Run a watcher",
		Long: `Run one watcher of the trio: it probes every server, shares what it sees with
the others, and while it is the leader, promotes, rewires and publishes.

The very first start of an installation needs --bootstrap on every watcher; they
may be started in any order. Leave it out afterwards: a watcher that lost its
disk then joins the others instead of founding a second cluster.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := config.Load(path)
			if err != nil {
				return usageError(err)
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			parts, err := prepare(ctx, cfg)
			if err != nil {
				return err
			}
			if checkOnly {
				fmt.Fprintln(cmd.OutOrStdout(), "configuration is good")
				return nil
			}
			return serve(ctx, cfg, parts, bootstrap)
		},
	}
	cmd.Flags().StringVarP(&path, "config", "c", "/etc/failoverd/watcher.yaml", "configuration `file`")
	cmd.Flags().BoolVar(&bootstrap, "bootstrap", false, "found the cluster: for the first start of an installation only")
	cmd.Flags().BoolVar(&checkOnly, "check", false, "check the configuration, keys and secrets, then exit")
	return cmd
}

// parts is everything that a configuration names, read and ready.
type parts struct {
	log                  hclog.Logger
	serverTLS, clientTLS *tls.Config
	key                  publish.PrivateKey
	trust                publish.Trust
	store                object.Store
	credentials          mysql.Credentials
	clone                config.Clone
}

// prepare reads keys and secrets, so that what is missing is said before anything starts.
func prepare(ctx context.Context, cfg config.Config) (*parts, error) {
	p := &parts{}
	level := hclog.LevelFromString(cfg.Log.Level)
	if cfg.Log.Level != "" && level == hclog.NoLevel {
		return nil, usageError(fmt.Errorf("log.level %q is not debug, info, warn or error", cfg.Log.Level))
	}
	p.log = hclog.New(&hclog.LoggerOptions{Name: "failoverd", Level: level, JSONFormat: cfg.Log.JSON, Output: os.Stderr,
		TimeFormat: "2006-01-02T15:04:05.000Z07:00", TimeFn: func() time.Time { return time.Now().UTC() }})
	var err error
	if p.serverTLS, p.clientTLS, err = pki.LoadTLS(cfg.TLS.CA, cfg.TLS.Cert, cfg.TLS.Key); err != nil {
		return nil, err
	}
	if err := p.readKeys(cfg.Signing); err != nil {
		return nil, err
	}
	if err := p.readAccounts(cfg.MySQL); err != nil {
		return nil, err
	}
	if err := p.openStore(ctx, cfg); err != nil {
		return nil, err
	}
	return p, nil
}

func (p *parts) readKeys(s config.Signing) error {
	pem, err := os.ReadFile(s.Key)
	if err != nil {
		return fmt.Errorf("signing.key: %w; \"failoverd key generate\" makes one", err)
	}
	if p.key, err = publish.ParsePrivateKey(pem); err != nil {
		return fmt.Errorf("signing.key %s: %w", s.Key, err)
	}
	p.trust = publish.Trust{p.key.Public()}
	for _, path := range s.Trust {
		pem, err := os.ReadFile(path)
		if err != nil {
			return fmt.Errorf("signing.trust: %w", err)
		}
		keys, err := publish.ParsePublicKeys(pem)
		if err != nil {
			return fmt.Errorf("signing.trust %s: %w", path, err)
		}
		p.trust = append(p.trust, keys...)
	}
	return nil
}

func (p *parts) readAccounts(m config.MySQL) error {
	for _, account := range []struct {
		name string
		from config.Account
		to   *mysql.Account
	}{{"probe", m.Probe, &p.credentials.Probe}, {"control", m.Control, &p.credentials.Control}, {"replication", m.Replication, &p.credentials.Replication.Account}} {
		password, err := account.from.Password.Read()
		if err != nil {
			return fmt.Errorf("mysql.%s.password: %w", account.name, err)
		}
		*account.to = mysql.Account{User: account.from.User, Password: password}
	}
	p.clone = m.Clone
	p.credentials.Replication.TLS, p.credentials.Replication.CA = m.ReplicationTLS, m.CA
	if m.CA == "" {
		return nil
	}
	var err error
	p.credentials.TLS, err = caOnly(m.CA)
	return err
}

// openStore opens the store and tests that its conditional writes hold. A store
// that is away stops nothing; one that would overwrite does.
func (p *parts) openStore(ctx context.Context, cfg config.Config) error {
	var options s3.Options
	for _, secret := range []struct {
		from config.Secret
		to   *string
	}{{cfg.S3.AccessKey, &options.AccessKeyID}, {cfg.S3.SecretKey, &options.SecretAccessKey}} {
		value, err := secret.from.Read()
		if err != nil {
			return fmt.Errorf("s3: %w", err)
		}
		*secret.to = value
	}
	var err error
	if p.store, err = s3.Open(ctx, cfg.Store, options); err != nil {
		return fmt.Errorf("store: %w", err)
	}
	test, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	switch err := s3.SelfTest(test, p.store, "selftest/"+cfg.ID); {
	case errors.Is(err, s3.ErrUnsafe):
		return fmt.Errorf("store: %w", err)
	case err != nil:
		p.log.Warn("object store not tested, it will be used when it answers", "error", err)
	}
	return nil
}

// serve runs the watcher until ctx ends. When a part of it hangs, it does not return: the watchdog ends the process.
func serve(ctx context.Context, cfg config.Config, p *parts, bootstrap bool) error {
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	peers := newPeers(cfg, p.clientTLS)
	w := watcher.New(watcher.Config{
		ID: cfg.ID, Logger: p.log, Trust: p.trust, Peers: peers,
		Dial: func(s topology.Server) watcher.Probe { return must(mysql.NewProbe(p.server(s, p.credentials.Probe))) },
		Open: func(s topology.Server, admit func(context.Context) error) promote.Server {
			control := p.server(s, p.credentials.Control)
			control.Admit = admit
			return must(mysql.Open(control))
		},
		Save: p.save,
		NewPublisher: func(announce func(context.Context, *publish.Head) error) watcher.Publisher {
			return publish.NewPublisher(p.store, p.key, publish.Options{Trust: p.trust, Announce: announce})
		},
	})
	dog := newWatchdog(p.log, w.Stalled)
	node, err := cluster.Open(cluster.Config{
		ID: cfg.ID, Bind: cfg.Raft.Bind, Advertise: cfg.Raft.Advertise, Dir: cfg.Data,
		ServerTLS: p.serverTLS, ClientTLS: p.clientTLS, Bootstrap: bootstrap, Peers: founders(cfg), Logger: p.log,
		OnStuck: dog.end,
	}, w.Machine())
	if err != nil {
		return err
	}
	peers.node = node
	dog.before(node.LetGo)
	watched, unwatch := context.WithCancel(context.Background()) // to the very end
	defer unwatch()
	go dog.run(watched)
	defer dog.limit(ctx)()
	b := &backend{Watcher: w, cfg: cfg, node: node, peers: peers, parts: p}
	server, listener, err := listen(cfg, p, api.NewHandler(b, api.Options{Logger: p.log.Named("api"), Feed: w.Feed()}))
	if err != nil {
		return errors.Join(err, node.Close())
	}
	dog.before(func() { _ = server.Close() })
	go func() {
		if err := server.ServeTLS(listener, "", ""); !errors.Is(err, http.ErrServerClosed) {
			fail(fmt.Errorf("api: %w", err))
		}
	}()
	p.log.Info("watcher started", "id", cfg.ID, "version", buildVersion(), "raft", cfg.Raft.Advertise, "api", cfg.API.Advertise, "store", cfg.Store)
	_, _ = daemon.SdNotify(false, daemon.SdNotifyReady) // without systemd it does nothing
	w.Run(ctx, voters{node})
	_, _ = daemon.SdNotify(false, daemon.SdNotifyStopping)
	shutdown, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	closed := errors.Join(node.Close(), ignore(server.Shutdown(shutdown), context.DeadlineExceeded))
	_ = server.Close() // long polls that outlast the shutdown
	p.log.Info("watcher stopped", "id", cfg.ID)
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
		return errors.Join(cause, closed)
	}
	return closed
}

func listen(cfg config.Config, p *parts, handler http.Handler) (*http.Server, net.Listener, error) {
	listener, err := net.Listen("tcp", cfg.API.Bind)
	if err != nil {
		return nil, nil, fmt.Errorf("api.bind: %w", err)
	}
	server, err := api.NewServer(cfg.API.Bind, handler, p.serverTLS.Clone(), p.log.Named("api"))
	if err != nil {
		return nil, nil, errors.Join(err, listener.Close())
	}
	return server, listener, nil
}

func (p *parts) server(s topology.Server, account mysql.Account) mysql.Config {
	return mysql.Config{Addr: s.Addr(), Account: account, TLS: p.credentials.TLS, Replication: p.credentials.Replication,
		CloneDataRate: p.clone.DataRate, CloneNetworkRate: p.clone.NetworkRate}
}

// save is a watcher.SaveFunc. It has sessions of its own, so that a new leader ends them like any other of this one;
// they only read, so that nobody has to confirm them.
func (p *parts) save(ctx context.Context, product string, epoch uint64, s topology.Server, set topology.GTIDSet) (string, error) {
	source, err := mysql.Open(p.server(s, p.credentials.Control))
	if err != nil {
		return "", err
	}
	defer source.Close()
	return errant.Save(ctx, source, p.store, errant.Request{Product: product, Server: s.Name, Epoch: epoch, Set: set})
}

func founders(cfg config.Config) []cluster.Peer {
	var out []cluster.Peer
	for _, w := range cfg.Watchers {
		out = append(out, cluster.Peer{ID: w.ID, Addr: w.Raft, Voter: true})
	}
	return out
}

// voters adds to the node what the watcher asks of it.
type voters struct{ *cluster.Node }

// Voters implements watcher.Node.
func (v voters) Voters() int {
	n := 0
	for _, p := range v.Peers() {
		if p.Voter {
			n++
		}
	}
	return n
}

// must is for configurations that were checked before: an address of the
// inventory, an account of the file.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func ignore(err, which error) error {
	if errors.Is(err, which) {
		return nil
	}
	return err
}
