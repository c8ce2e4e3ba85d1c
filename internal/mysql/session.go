package mysql

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"sync"

	mysqldriver "github.com/go-sql-driver/mysql"
)

// sessions is a small pool of connections to one server that knows the server's
// id of each, so that a statement can be killed from another connection and one's
// own sessions can be told from a stranger's.
type sessions struct {
	db        *sql.DB
	connector driver.Connector
	admit     func(context.Context) error // nil admits every session

	mu  sync.Mutex
	own map[uint64]bool
}

func openSessions(cfg Config, most int) (*sessions, error) {
	connector, err := mysqldriver.NewConnector(cfg.driverConfig())
	if err != nil {
		return nil, fmt.Errorf("server %s: %w", cfg.Addr, err)
	}
	p := &sessions{connector: connector, admit: cfg.Admit, own: map[uint64]bool{}}
	p.db = sql.OpenDB(p)
	p.db.SetMaxOpenConns(most)
	p.db.SetMaxIdleConns(most)
	return p, nil
}

// Connect implements driver.Connector: it adds the session's id to the connection.
func (p *sessions) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := p.connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	full, ok := conn.(wire)
	if !ok {
		conn.Close()
		return nil, errors.New("the MySQL driver's connection lacks a method")
	}
	if p.admit != nil {
		// Now, not before: the next leader ends what is logged in when it begins, so
		// whoever still leads after its login is sure to be ended by the next.
		if err := p.admit(ctx); err != nil {
			conn.Close()
			return nil, fmt.Errorf("the new session is not used: %w", err)
		}
	}
	id, err := sessionID(ctx, full)
	if err != nil {
		conn.Close()
		return nil, err
	}
	p.mu.Lock()
	p.own[id] = true
	p.mu.Unlock()
	return &session{wire: full, id: id, forget: func() {
		p.mu.Lock()
		delete(p.own, id)
		p.mu.Unlock()
	}}, nil
}

// Driver implements driver.Connector.
func (p *sessions) Driver() driver.Driver { return p.connector.Driver() }

func (p *sessions) owns(id uint64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.own[id]
}

// wire is everything that database/sql may ask of the driver's connection; the
// whole list is forwarded so that wrapping changes nothing.
type wire interface {
	driver.Conn
	driver.ConnBeginTx
	driver.ConnPrepareContext
	driver.ExecerContext
	driver.QueryerContext
	driver.Pinger
	driver.SessionResetter
	driver.Validator
	driver.NamedValueChecker
}

type session struct {
	wire
	id     uint64
	forget func()
}

// Close ends the session. A statement that was running goes on at the server.
func (s *session) Close() error {
	s.forget()
	return s.wire.Close()
}

func sessionID(ctx context.Context, conn wire) (uint64, error) {
	rows, err := conn.QueryContext(ctx, sessionIDSQL, nil)
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	row := make([]driver.Value, 1)
	if err := rows.Next(row); err != nil {
		return 0, err
	}
	switch id := row[0].(type) {
	case uint64:
		return id, nil
	case int64:
		return uint64(id), nil
	case []byte:
		var n uint64
		_, err := fmt.Sscan(string(id), &n)
		return n, err
	}
	return 0, fmt.Errorf("connection id has type %T", row[0])
}

// idOf is the server's id of a connection taken from the pool.
func idOf(conn *sql.Conn) (id uint64) {
	// Raw fails only for a connection that is closed already: then there is no id.
	_ = conn.Raw(func(c any) error {
		id = c.(*session).id
		return nil
	})
	return id
}
