package changes

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"net"
	"time"

	gomysql "github.com/go-mysql-org/go-mysql/mysql"
	"github.com/go-mysql-org/go-mysql/server"

	"github.com/failoverd/failoverd/internal/mysql"
	"github.com/failoverd/failoverd/internal/snapshot"
	"github.com/failoverd/failoverd/internal/topology"
)

var _ snapshot.Player = (*Player)(nil)

// Player brings a part of history into a restored server, which replicates it from
// this program: so MySQL itself applies what MySQL logged. The server must reach
// this machine, on which a port is open as long as that takes, for an account that exists as long.
type Player struct {
	config mysql.Config
}

// NewPlayer returns a Player into the server that config names. Its Account needs
// REPLICATION_SLAVE_ADMIN, SYSTEM_VARIABLES_ADMIN and RELOAD.
func NewPlayer(config mysql.Config) *Player { return &Player{config: config} }

// ErrNotAsLeft says that a server is not what a restore left, nor a replay that broke
// off: nothing was done to it.
var ErrNotAsLeft = errors.New("the server is not as the restore left it")

// Play implements snapshot.Player. The server may be closed (super_read_only). It
// must not be a replica, but of an earlier Play that was killed. In the end it is none,
// whether the play succeeded or not. What it has executed of h already is left out.
func (p *Player) Play(ctx context.Context, from topology.GTIDSet, h *snapshot.History) (err error) {
	db, err := open(p.config)
	if err != nil {
		return err
	}
	defer db.Close()
	var id uint32
	var version, executed string
	if err := db.QueryRowContext(ctx, serverSQL).Scan(&id, &version, &executed); err != nil {
		return fmt.Errorf("replay: %w", err)
	}
	have, err := topology.ParseGTIDSet(executed)
	if err != nil {
		return fmt.Errorf("replay: %w", err)
	}
	if more := have.Minus(from.Union(h.GTIDs)); !more.Empty() {
		return fmt.Errorf("replay: %w: it has executed more than is wanted: %s", ErrNotAsLeft, more)
	}
	if h.GTIDs.Empty() {
		return nil
	}
	var other string
	if err := db.QueryRowContext(ctx, otherSourcesSQL).Scan(&other); err == nil {
		return fmt.Errorf("replay: %w: it is a replica of %s", ErrNotAsLeft, other)
	} else if !errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("replay: %w", err)
	}
	host, err := hostSeenBy(ctx, p.config.Addr)
	if err != nil {
		return fmt.Errorf("replay: %w", err)
	}
	source, err := serve(ctx, host, version, h)
	if err != nil {
		return fmt.Errorf("replay: %w", err)
	}
	defer source.close()
	defer func() {
		cleaning, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanPatience)
		defer cancel()
		err = errors.Join(err, p.clean(cleaning, db, id))
	}()
	// A replica skips what came from its own number, as the log of the master that it replaces may say.
	// The number from before is set again in the end, but after a kill, when only a restart brings it back.
	for _, statement := range []string{stopReplicaSQL, forgetSourceSQL, fmt.Sprintf(setServerIDSQL, 1<<31+mathrand.Uint32N(1<<30))} {
		if _, err := db.ExecContext(ctx, statement); err != nil {
			return fmt.Errorf("replay: %w", err)
		}
	}
	if _, err := db.ExecContext(ctx, fmt.Sprintf(changeSourceSQL, source.port()), host, source.user, source.password); err != nil {
		return fmt.Errorf("replay: the server does not take this program as its source: %w", err)
	}
	if _, err := db.ExecContext(ctx, startReplicaSQL); err != nil {
		return fmt.Errorf("replay: %w", err)
	}
	return p.await(ctx, db, from.Union(h.GTIDs), source)
}

// cleanPatience bounds how long a server takes to forget its source.
const cleanPatience = 30 * time.Second

// await returns when the server has executed all, or its replication failed.
func (p *Player) await(ctx context.Context, db *sql.DB, all topology.GTIDSet, source *source) error {
	for {
		var late int
		if err := db.QueryRowContext(ctx, waitExecutedSQL, all.String()).Scan(&late); err != nil {
			return fmt.Errorf("replay: %w", err)
		}
		if late == 0 {
			return nil
		}
		if err := source.failure(); err != nil {
			return fmt.Errorf("replay: %w", err)
		}
		var number int
		var message string
		err := db.QueryRowContext(ctx, replicaErrorsSQL).Scan(&number, &message)
		if err == nil {
			return fmt.Errorf("replay: the server stopped: %s (error %d)", message, number)
		}
		if !errors.Is(err, sql.ErrNoRows) {
			return fmt.Errorf("replay: %w", err)
		}
	}
}

func (p *Player) clean(ctx context.Context, db *sql.DB, id uint32) error {
	var all []error
	for _, statement := range []string{stopReplicaSQL, forgetSourceSQL, fmt.Sprintf(setServerIDSQL, id)} {
		if _, err := db.ExecContext(ctx, statement); err != nil {
			all = append(all, fmt.Errorf("after the replay: %s: %w", statement, err))
		}
	}
	return errors.Join(all...)
}

// hostSeenBy is this machine's address on the way to addr.
func hostSeenBy(ctx context.Context, addr string) (string, error) {
	dialer := net.Dialer{Timeout: connectTimeout}
	conn, err := dialer.DialContext(ctx, "tcp", addr)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	host, _, err := net.SplitHostPort(conn.LocalAddr().String())
	return host, err
}

// serve listens on a free port of host.
func serve(ctx context.Context, host, version string, h *snapshot.History) (*source, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		return nil, err
	}
	var secret [12]byte
	_, _ = rand.Read(secret[:]) // never fails (documentation of crypto/rand)
	s := &source{listener: listener, history: h, user: snapshot.ReplayUser, password: hex.EncodeToString(secret[:]),
		config: server.NewServer(version, gomysql.DEFAULT_COLLATION_ID, gomysql.AUTH_CACHING_SHA2_PASSWORD, key, nil)}
	s.ctx, s.cancel = context.WithCancelCause(ctx)
	s.running.Go(s.accept)
	return s, nil
}
