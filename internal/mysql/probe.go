package mysql

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"

	mysqldriver "github.com/go-sql-driver/mysql"

	"github.com/failoverd/failoverd/internal/topology"
)

// Probe asks one server, with the probe account, whether it lives and how it is.
// Ping, Look and Beat use separate connections, so that a slow Look or a write that
// hangs never makes a server look dead. They may be called from several goroutines.
type Probe struct {
	cfg      Config
	facts    *sessions
	ping     driver.Conn   // nil until connected; guarded by turn
	greeting *greeting     // a handshake that outlived the Ping that began it; guarded by turn
	turn     chan struct{} // holds one token
	heart    heart
	looks    *looks
	glance   glance
}

// NewProbe prepares a probe; it connects when it is first used.
func NewProbe(cfg Config) (*Probe, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	facts, err := openSessions(cfg, 1)
	if err != nil {
		return nil, err
	}
	p := &Probe{cfg: cfg, facts: facts, turn: make(chan struct{}, 1), heart: newHeart(), looks: newLooks()}
	p.turn <- struct{}{}
	return p, nil
}

// Close ends the probe's connections, once no call uses them any more.
func (p *Probe) Close() error {
	<-p.heart.turn
	p.heart.hangUp()
	p.heart.turn <- struct{}{}
	p.looks.end()
	<-p.turn
	defer func() { p.turn <- struct{}{} }()
	p.hangUp()
	if p.greeting != nil {
		p.greeting.abandon()
		p.greeting = nil
	}
	return p.facts.db.Close()
}

// Ping asks for a sign of life within ctx (LookTimeout when it has no deadline).
// A broken connection is made anew within the same call, so that the answer says
// what is there now. The error is nil only with Answered, and holds no secret.
func (p *Probe) Ping(ctx context.Context) (topology.Contact, error) {
	if _, bounded := ctx.Deadline(); !bounded {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, p.cfg.LookTimeout)
		defer cancel()
	}
	select {
	case <-p.turn:
	case <-ctx.Done():
		return contactOf(ctx.Err()), fmt.Errorf("ping: an earlier ping is still waiting: %w", ctx.Err())
	}
	defer func() { p.turn <- struct{}{} }()
	var err error
	for try := 0; try < 3; try++ {
		if err = p.ask(ctx); err == nil || !broken(err) {
			break
		}
	}
	if err == nil {
		return topology.Answered, nil
	}
	return contactOf(err), fmt.Errorf("ping: %w", err)
}

// ask sends one ping, on the standing connection or a new one.
func (p *Probe) ask(ctx context.Context) error {
	if p.ping == nil {
		conn, err := p.connect(ctx)
		if err != nil {
			return err
		}
		p.ping = conn
	}
	err := p.ping.(driver.Pinger).Ping(ctx)
	if err == nil {
		return nil
	}
	p.hangUp()
	p.looks.giveUp() // what it waits for will not come either
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if number := serverNumber(err); number != 0 || errors.Is(err, driver.ErrBadConn) {
		return fmt.Errorf("%w: %w", mysqldriver.ErrInvalidConn, err) // only a fresh connection tells
	}
	return err
}

func (p *Probe) hangUp() {
	if p.ping != nil {
		p.ping.Close()
		p.ping = nil
	}
}

// connect makes a connection, or goes on waiting for the handshake that an
// earlier Ping began.
func (p *Probe) connect(ctx context.Context) (driver.Conn, error) {
	if p.greeting == nil {
		p.greeting = p.greet(ctx)
	}
	g := p.greeting
	select {
	case <-g.done:
		p.greeting = nil
		return g.conn, g.err
	case <-ctx.Done():
	}
	select {
	case <-g.connected: // the kernel answered, the server has not greeted yet
	default:
		g.abandon()
		p.greeting = nil
	}
	return nil, ctx.Err()
}
