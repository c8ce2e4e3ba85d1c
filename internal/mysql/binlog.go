package mysql

import (
	"context"
	"crypto/tls"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"strconv"
	"time"

	gomysql "github.com/go-mysql-org/go-mysql/mysql"
	"github.com/go-mysql-org/go-mysql/replication"

	"github.com/failoverd/failoverd/internal/errant"
	"github.com/failoverd/failoverd/internal/promote"
	"github.com/failoverd/failoverd/internal/topology"
)

var _ errant.Source = (*Server)(nil)

const (
	// binlogHeartbeat is how often the server says that it has nothing more to send.
	binlogHeartbeat = 250 * time.Millisecond
	// binlogSilence bounds the wait for any sign of the server, heartbeats included.
	binlogSilence = 10 * time.Second
)

// ReadBinlog implements errant.Source. It reads as a replica does, with the
// replication account, of a closed server too, but not of one in offline mode.
func (s *Server) ReadBinlog(ctx context.Context, without topology.GTIDSet, yield func(event []byte) (more bool, err error)) error {
	reading := s.cfg
	reading.Account = s.cfg.Replication.Account
	return reading.ReadBinlog(ctx, without, yield, func() (more bool, err error) { return false, nil })
}

// ReadBinlog gives every raw event of the server's binary log, but for the transactions
// in without, to yield, as a replica that logs in with the account of c would get it; it
// never acknowledges anything. A server id that is drawn from the upper half of
// all clashes with nobody, and an own UUID keeps the server from taking it for a
// replica that came back. The server leaves out what without names, so it sends no
// more than is asked for, and without checksums. It says nothing at the end of its
// log, but then sends heartbeats from the same position: each time idle is asked
// whether to go on waiting. Either may end the reading by more = false. The error
// wraps the server's refusal where the log no longer holds what without lacks; see IsPurged.
func (c Config) ReadBinlog(ctx context.Context, without topology.GTIDSet, yield func(event []byte) (more bool, err error), idle func() (more bool, err error)) error {
	const op = "read binary log"
	account := c.Account
	if account.User == "" {
		return fmt.Errorf("%s: no replication account is configured", op)
	}
	excluded, err := gomysql.ParseMysqlGTIDSet(without.String())
	if err != nil {
		return fmt.Errorf("%s: %w", op, err)
	}
	host, port, err := net.SplitHostPort(c.Addr)
	if err != nil {
		return fmt.Errorf("%s: %w", op, err)
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return fmt.Errorf("%s: port %q: %w", op, port, err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	syncer := replication.NewBinlogSyncer(replication.BinlogSyncerConfig{
		ServerID: 1<<31 + rand.Uint32N(1<<31), Flavor: gomysql.MySQLFlavor,
		Host: host, Port: uint16(number), User: account.User, Password: account.Password, TLSConfig: c.binlogTLS(host),
		Localhost:       "failoverd",
		Dialer:          dialerOf(ctx),
		RawModeEnabled:  true, // whoever reads it parses it
		HeartbeatPeriod: binlogHeartbeat, ReadTimeout: binlogSilence, DisableRetrySync: true,
		EventCacheCount: 1, // events may be large
		Logger:          slog.New(slog.DiscardHandler),
	})
	defer syncer.Close()
	stream, err := syncer.StartSyncGTID(excluded)
	if err != nil {
		return failed(op, binlogError(ctx, err), account.Password)
	}
	last := ""
	for {
		e, err := stream.GetEvent(ctx)
		if err != nil {
			return failed(op, binlogError(ctx, err), account.Password)
		}
		if t := e.Header.EventType; t == replication.HEARTBEAT_EVENT || t == replication.HEARTBEAT_LOG_EVENT_V2 {
			// One position twice: it waits for what is yet to be written.
			position := strconv.FormatUint(uint64(e.Header.LogPos), 10) + string(e.RawData[replication.EventHeaderSize:])
			if position == last {
				if more, err := idle(); err != nil || !more {
					return err
				}
			}
			last = position
			continue
		}
		last = ""
		if more, err := yield(e.RawData); err != nil || !more {
			return err
		}
	}
}

// IsPurged says whether an error of ReadBinlog means that the server no longer has, or
// never had, what was asked for: error 1236, ER_SOURCE_FATAL_ERROR_READING_BINLOG.
func IsPurged(err error) bool {
	var refusal *gomysql.MyError
	return errors.As(err, &refusal) && refusal.Code == gomysql.ER_MASTER_FATAL_ERROR_READING_BINLOG
}

// dialerOf makes connections that end with ctx, which the library does not take.
func dialerOf(ctx context.Context) func(context.Context, string, string) (net.Conn, error) {
	return func(dialing context.Context, network, addr string) (net.Conn, error) {
		dialer := net.Dialer{Timeout: connectTimeout}
		conn, err := dialer.DialContext(dialing, network, addr)
		if err == nil {
			context.AfterFunc(ctx, func() { conn.Close() })
		}
		return conn, err
	}
}

// binlogTLS is the TLS that the control session uses, with the server's name.
func (c Config) binlogTLS(host string) *tls.Config {
	if c.TLS == nil {
		return nil
	}
	verifying := c.TLS.Clone()
	if verifying.ServerName == "" {
		verifying.ServerName = host
	}
	return verifying
}

// binlogError makes the library's errors those of the rest of this package: what
// the server did not say itself is that no answer came.
func binlogError(ctx context.Context, err error) error {
	var refusal *gomysql.MyError
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.As(err, &refusal):
		return err
	}
	return fmt.Errorf("%w: %w", promote.ErrUnreachable, err)
}

// Columns implements errant.Source.
func (s *Server) Columns(ctx context.Context, schema, table string) (columns []errant.Column, err error) {
	err = s.read(ctx, "columns", s.cfg.LookTimeout, func(ctx context.Context, conn *sql.Conn) error {
		rows, err := conn.QueryContext(ctx, columnsSQL, schema, table)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var c errant.Column
			if err := rows.Scan(&c.Name, &c.Key, &c.Generated); err != nil {
				return err
			}
			columns = append(columns, c)
		}
		return rows.Err()
	})
	return columns, err
}
