package scratch

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/failoverd/failoverd/internal/mysql"
	"github.com/failoverd/failoverd/internal/topology"
)

// look is what is seen of a link.
type look struct {
	receiver, applier           string
	receiverError, applierError string
	heartbeats                  int64  // of the link, MySQL's own
	written                     string // the newest row of failoverd.heartbeat
	executed                    topology.GTIDSet
}

// Join replicates from a server by auto-position, with GTIDs of the restored copy as
// the beginning, until something arrives that the copy does not hold, and says what:
// a younger row of failoverd.heartbeat where write probes are on, else a younger
// transaction, else, of a source at which nothing happens, the link's own heartbeat
// with both threads running. The error is the server's own, or says what did not come
// within the bound of ctx.
func (s *Server) Join(ctx context.Context, addr string, as mysql.Replication) (seen string, err error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return "", fmt.Errorf("source %q is not host:port", addr)
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		return "", fmt.Errorf("source %q is not host:port", addr)
	}
	var probes int
	if err := s.db.QueryRowContext(ctx, heartbeatThereSQL).Scan(&probes); err != nil {
		return "", err
	}
	before, err := s.look(ctx, probes > 0, false)
	if err != nil {
		return "", err
	}
	args := []any{host, number, as.Account.User, as.Account.Password}
	security := ""
	switch {
	case as.CA != "":
		security, args = changeSourceTLSCA, append(args, as.CA)
	case as.TLS:
		security = changeSourceTLS
	}
	if _, err := s.db.ExecContext(ctx, fmt.Sprintf(changeSourceSQL, security), args...); err != nil {
		return "", fmt.Errorf("follow %s: %w", addr, err)
	}
	if _, err := s.db.ExecContext(ctx, startReplicaSQL); err != nil {
		return "", fmt.Errorf("follow %s: %w", addr, err)
	}
	began := time.Now()
	for {
		now, err := s.look(ctx, probes > 0, true)
		if err != nil {
			return "", err
		}
		seen, err := judge(before, now, time.Since(began))
		if err != nil {
			return "", fmt.Errorf("replication from %s: %w", addr, err)
		}
		if seen != "" {
			return seen, nil
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return "", fmt.Errorf("nothing came by replication from %s (receiver %s %s, applier %s): %w",
				addr, now.receiver, now.receiverError, now.applier, context.Cause(ctx))
		}
	}
}

// patience is how long something better is waited for when a link is well: a row or a
// transaction proves more than a heartbeat of a link.
const patience = 5 * time.Second

// judge says what of a link proves that it works, nothing if nothing does yet.
func judge(before, now look, waited time.Duration) (seen string, err error) {
	switch {
	case now.applierError != "":
		return "", fmt.Errorf("the applier stopped: %s", now.applierError)
	case now.receiver == "OFF" && now.receiverError != "":
		return "", fmt.Errorf("the receiver stopped: %s", now.receiverError)
	case now.receiver != "ON" || now.applier != "ON":
		return "", nil
	case now.written > before.written:
		return "row of failoverd.heartbeat of " + now.written, nil
	case waited < patience:
		return "", nil
	case !before.executed.Contains(now.executed):
		return "transactions " + now.executed.Minus(before.executed).String(), nil
	case now.heartbeats > 0:
		return "heartbeat of the link, no transaction", nil
	}
	return "", nil
}

func (s *Server) look(ctx context.Context, probes, linked bool) (l look, err error) {
	var executed string
	if err := s.db.QueryRowContext(ctx, executedSQL).Scan(&executed); err != nil {
		return l, err
	}
	if l.executed, err = topology.ParseGTIDSet(executed); err != nil {
		return l, err
	}
	if probes {
		if err := s.db.QueryRowContext(ctx, heartbeatSQL).Scan(&l.written); err != nil {
			return l, err
		}
	}
	if !linked {
		return l, nil
	}
	err = s.db.QueryRowContext(ctx, linkSQL).Scan(&l.receiver, &l.applier, &l.receiverError, &l.applierError, &l.heartbeats)
	return l, err
}
