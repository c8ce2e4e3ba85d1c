package mysql

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	mysqldriver "github.com/go-sql-driver/mysql"
)

// greetingPatience is how long one handshake may take. A frozen server completes
// TCP connects and greets nobody; were each ping to give up its own handshake, the
// server would find hundreds of broken ones when it thaws and block our host
// (max_connect_errors, 100 by default). So a handshake outlives the ping that
// began it, and the next ping waits for the same one.
const greetingPatience = 3 * time.Second

// greeting is a connection on its way.
type greeting struct {
	connected chan struct{} // closed when TCP is connected
	done      chan struct{} // closed when conn and err are set
	abandon   func()        // gives up, and closes the connection if it came after all
	conn      driver.Conn
	err       error
}

// greet begins a connection. The TCP connect is bounded by ctx, so that each ping
// sends a packet of its own; the handshake is not.
func (p *Probe) greet(ctx context.Context) *greeting {
	own, cancel := context.WithTimeout(context.WithoutCancel(ctx), greetingPatience)
	g := &greeting{connected: make(chan struct{}), done: make(chan struct{})}
	var once sync.Once
	g.abandon = func() {
		once.Do(func() {
			cancel()
			go func() {
				<-g.done
				if g.conn != nil {
					g.conn.Close()
				}
			}()
		})
	}
	var socket *tracedConn
	cfg := p.cfg.driverConfig()
	cfg.DialFunc = func(dial context.Context, network, addr string) (net.Conn, error) {
		dial, stop := context.WithCancelCause(dial)
		defer stop(nil)
		defer context.AfterFunc(ctx, func() { stop(ctx.Err()) })()
		conn, err := (&net.Dialer{}).DialContext(dial, network, addr)
		if err != nil {
			return nil, err
		}
		tcp, ok := conn.(*net.TCPConn)
		if !ok {
			conn.Close()
			return nil, fmt.Errorf("a %s connection is not TCP", network)
		}
		close(g.connected)
		socket = &tracedConn{TCPConn: tcp}
		return socket, nil
	}
	go func() {
		defer close(g.done)
		defer cancel()
		connector, err := mysqldriver.NewConnector(cfg)
		if err != nil {
			g.err = err
			return
		}
		g.conn, g.err = connector.Connect(own)
		if g.err != nil && socket != nil && socket.failure != nil && own.Err() == nil && serverNumber(g.err) == 0 {
			g.err = errors.Join(g.err, socket.failure)
		}
	}()
	return g
}

// tracedConn remembers the network's own error, which the driver replaces with
// its "invalid connection". It embeds the TCP connection so that the driver still
// reaches the socket for its liveness check.
type tracedConn struct {
	*net.TCPConn
	failure error
}

// Read implements net.Conn.
func (c *tracedConn) Read(b []byte) (int, error) {
	n, err := c.TCPConn.Read(b)
	if err != nil && c.failure == nil {
		c.failure = err
	}
	return n, err
}
