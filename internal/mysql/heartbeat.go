package mysql

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"maps"
	"time"

	mysqldriver "github.com/go-sql-driver/mysql"
)

// HeartbeatTable are the statements that make the table of the write probes, and
// let the probe account write it: run them as root on the master, whence they
// replicate. They may be repeated.
func HeartbeatTable(c Credentials) []string {
	return append(append([]string{}, createHeartbeatSQL...), "GRANT "+heartbeatPrivileges+" ON "+heartbeatTable+" TO "+grantee(c.Probe))
}

// heart is the session of one probe's heartbeats. It is apart from the others, for
// a write may hang for as long as it likes.
type heart struct {
	turn chan struct{} // holds one token
	conn wire          // nil until connected; guarded by turn
	// doubtful says that an earlier session was lost with a write on it. What became
	// of that is not known: it may still be at the server and hold the row.
	doubtful bool
}

func newHeart() heart {
	h := heart{turn: make(chan struct{}, 1)}
	h.turn <- struct{}{}
	return h
}

// Beat commits this watcher's row of the heartbeat table. It waits for as long as
// ctx allows, and for an earlier Beat to end. answered says that the server said
// anything: that the row is committed when err is nil, else why it will not be
// (closed for writes, the table is missing or locked), which no dead or hanging
// server does. It is false when ctx ended or the connection was lost first.
func (p *Probe) Beat(ctx context.Context, watcher string) (answered bool, err error) {
	select {
	case <-p.heart.turn:
	case <-ctx.Done():
		return false, fmt.Errorf("heartbeat: an earlier one is still waiting: %w", ctx.Err())
	}
	defer func() { p.heart.turn <- struct{}{} }()
	// A session that was ended meanwhile says nothing of the server: a new one does.
	for try := 0; try < 2; try++ {
		if err = p.beat(ctx, watcher); err == nil || serverNumber(err) != 0 || ctx.Err() != nil {
			break
		}
	}
	if err == nil {
		p.heart.doubtful = false
		return true, nil
	}
	// A row that is locked is so by our own lost write, which then still hangs.
	hangs := serverNumber(err) == errLockWait && p.heart.doubtful
	return serverNumber(err) != 0 && !hangs, fmt.Errorf("heartbeat: %w", err)
}

// beat sends one write, on the standing session or a new one.
func (p *Probe) beat(ctx context.Context, watcher string) error {
	h := &p.heart
	if h.conn == nil {
		conn, err := p.heartSession(ctx)
		if err != nil {
			return err
		}
		h.conn = conn
	}
	if err := h.conn.ResetSession(ctx); err != nil { // makes the driver look whether it still stands
		h.hangUp()
		return err
	}
	_, err := h.conn.ExecContext(ctx, beatSQL, []driver.NamedValue{{Ordinal: 1, Value: watcher}})
	if err != nil && serverNumber(err) == 0 {
		h.doubtful = h.doubtful || !errors.Is(err, driver.ErrBadConn) // which says that nothing was sent
		h.hangUp()
	}
	return err
}

func (p *Probe) heartSession(ctx context.Context) (wire, error) {
	ctx, cancel := context.WithTimeout(ctx, greetingPatience)
	defer cancel()
	cfg := p.cfg.driverConfig()
	cfg.Params = maps.Clone(cfg.Params)
	cfg.Params["autocommit"] = "1"
	cfg.Params["innodb_lock_wait_timeout"] = "1"
	connector, err := mysqldriver.NewConnector(cfg)
	if err != nil {
		return nil, err
	}
	conn, err := connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	full, ok := conn.(wire)
	if !ok {
		conn.Close()
		return nil, errors.New("the MySQL driver's connection lacks a method")
	}
	return full, nil
}

func (h *heart) hangUp() {
	if h.conn != nil {
		h.conn.Close()
		h.conn = nil
	}
}

// Lag is how old the newest heartbeat is that arrived at this server, by the clocks
// of this server and the master: for people to read, and to decide nothing by.
// Any error, such as that there is no heartbeat, means that it is not known.
func (p *Probe) Lag(ctx context.Context) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, p.cfg.LookTimeout)
	defer cancel()
	conn, err := p.facts.db.Conn(ctx)
	if err != nil {
		return 0, failed("heartbeat lag", err)
	}
	defer conn.Close()
	var age int64
	if err := conn.QueryRowContext(ctx, lagSQL).Scan(&age); err != nil {
		return 0, failed("heartbeat lag", err)
	}
	return time.Duration(max(age, 0)) * time.Microsecond, nil
}
