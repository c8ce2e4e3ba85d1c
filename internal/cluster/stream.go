package cluster

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"

	"github.com/failoverd/failoverd/internal/pki"
)

// handshakeLimit bounds how long a caller may take to prove who it is.
const handshakeLimit = 5 * time.Second

var (
	errCut    = errors.New("this watcher has cut itself off")
	errClosed = errors.New("the Raft listener is closed")
)

// stream carries raft's connections over mutual TLS between watchers. It knows every connection, so that it can
// cut all of them at once: raft goes on sending heartbeats from its own goroutines while its main loop waits
// for a hanging disk, and a leader like that would be kept in office by them for ever.
type stream struct {
	listener       net.Listener
	advertise      address
	server, client *tls.Config
	log            hclog.Logger
	ready          chan net.Conn // handshake done, caller is a watcher

	mu      sync.Mutex
	conns   map[net.Conn]struct{}
	isCut   bool
	contact map[string]time.Time // peer address → when it last answered us

	closeOnce sync.Once
	closed    chan struct{}
	workers   sync.WaitGroup
}

// address is a host:port that may hold a name: the peers resolve it whenever they dial.
type address string

func (address) Network() string  { return "tcp" }
func (a address) String() string { return string(a) }

func listen(cfg Config, log hclog.Logger) (*stream, error) {
	l := cfg.testing.listener
	if l == nil {
		var err error
		if l, err = net.Listen("tcp", cfg.Bind); err != nil {
			return nil, fmt.Errorf("listen for watchers on %q: %w", cfg.Bind, err)
		}
	}
	advertise := cfg.Advertise
	if advertise == "" {
		advertise = l.Addr().String()
		if a, ok := l.Addr().(*net.TCPAddr); ok && a.IP.IsUnspecified() {
			return nil, errors.Join(
				fmt.Errorf("the other watchers cannot dial %s: set the address under which they reach this one", advertise),
				l.Close())
		}
	}
	s := &stream{
		listener:  l,
		advertise: address(advertise),
		server:    pki.RequireRole(cfg.ServerTLS, pki.RoleWatcher),
		client:    pki.RequireRole(cfg.ClientTLS, pki.RoleWatcher),
		log:       log,
		ready:     make(chan net.Conn),
		conns:     map[net.Conn]struct{}{},
		contact:   map[string]time.Time{},
		closed:    make(chan struct{}),
	}
	s.workers.Go(s.welcome)
	return s, nil
}

// welcome lets each caller prove itself in a goroutine of its own: one that says nothing must not keep the
// others waiting.
func (s *stream) welcome() {
	for {
		raw, err := s.listener.Accept()
		if err != nil {
			select {
			case <-s.closed:
				return
			case <-time.After(50 * time.Millisecond): // out of file descriptors, most likely
				s.log.Error("watcher connection not accepted", "error", err)
				continue
			}
		}
		s.workers.Go(func() { s.admit(raw) })
	}
}

func (s *stream) admit(raw net.Conn) {
	conn := tls.Server(raw, s.server)
	if !s.track(conn) {
		raw.Close()
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), handshakeLimit)
	defer cancel()
	if err := conn.HandshakeContext(ctx); err != nil {
		s.release(conn)
		// A port check that says nothing is no news, and neither is what our own cut ended.
		if !s.down() && !errors.Is(err, io.EOF) {
			s.log.Warn("watcher connection refused", "from", raw.RemoteAddr().String(), "error", err)
		}
		return
	}
	select {
	case s.ready <- &peerConn{Conn: conn, stream: s}:
	case <-s.closed:
		s.release(conn)
	}
}

// Accept implements net.Listener.
func (s *stream) Accept() (net.Conn, error) {
	select {
	case conn := <-s.ready:
		return conn, nil
	case <-s.closed:
		return nil, errClosed
	}
}

// Dial implements raft.StreamLayer. The certificate at the other end must be a watcher's and name the host.
func (s *stream) Dial(to raft.ServerAddress, timeout time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	return s.dial(ctx, string(to))
}

func (s *stream) dial(ctx context.Context, to string) (net.Conn, error) {
	if s.down() {
		return nil, errCut
	}
	dialer := tls.Dialer{NetDialer: &net.Dialer{}, Config: s.client}
	conn, err := dialer.DialContext(ctx, "tcp", to)
	if err != nil {
		return nil, fmt.Errorf("dial watcher %s: %w", to, err)
	}
	if !s.track(conn) {
		conn.Close()
		return nil, errCut
	}
	return &peerConn{Conn: conn, stream: s, dialled: to}, nil
}

// Close implements net.Listener. It ends every connection as well, which raft's own transport does not.
func (s *stream) Close() error {
	var err error
	s.closeOnce.Do(func() {
		close(s.closed)
		err = s.listener.Close()
		s.cut()
		s.workers.Wait()
	})
	return err
}

// Addr implements net.Listener: the address that the peers are told.
func (s *stream) Addr() net.Addr { return s.advertise }

// cut ends every connection and lets none begin until mend.
func (s *stream) cut() {
	s.mu.Lock()
	s.isCut = true
	conns := s.conns
	s.conns = map[net.Conn]struct{}{}
	s.mu.Unlock()
	for conn := range conns {
		closeNow(conn)
	}
}

func (s *stream) mend() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.isCut = false
}

func (s *stream) down() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.isCut
}

// lastContact returns when the peer at an address last sent us anything on a connection that we began; zero
// when it never did.
func (s *stream) lastContact(addr string) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.contact[addr]
}

func (s *stream) track(conn net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.isCut {
		return false
	}
	s.conns[conn] = struct{}{}
	return true
}

func (s *stream) release(conn net.Conn) {
	s.mu.Lock()
	delete(s.conns, conn)
	s.mu.Unlock()
	closeNow(conn)
}

// closeNow closes the socket below TLS: TLS's own goodbye may wait up to 5 s for a peer that does not read.
func closeNow(conn net.Conn) {
	if t, ok := conn.(*tls.Conn); ok {
		conn = t.NetConn()
	}
	conn.Close()
}

// peerConn is a connection that the stream knows.
type peerConn struct {
	net.Conn
	stream  *stream
	dialled string // "" when the peer called us
}

func (c *peerConn) Read(p []byte) (int, error) {
	k, err := c.Conn.Read(p)
	if k > 0 && c.dialled != "" {
		c.stream.mu.Lock()
		c.stream.contact[c.dialled] = time.Now()
		c.stream.mu.Unlock()
	}
	return k, err
}

func (c *peerConn) Close() error {
	c.stream.release(c.Conn)
	return nil
}
