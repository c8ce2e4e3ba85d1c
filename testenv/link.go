package testenv

import (
	"fmt"
	"maps"
	"net"
	"slices"
	"sync"
	"time"
)

// links is a network made of TCP proxies. Faults belong to paths: a path is one direction between two hosts.
type links struct {
	servers func() map[int]string // pid → name of every running server
	work    sync.WaitGroup

	mu        sync.Mutex
	targets   map[string]string // name → where it really listens
	viewers   map[int]string    // pid → name
	entries   map[pair]string   // (from, to) → address of that viewer's listener
	paths     map[pair]*path
	refused   map[pair]bool
	flows     map[*flow]struct{}
	listeners []net.Listener
	closed    bool
}

type pair struct{ from, to string }

func newLinks(servers func() map[int]string) *links {
	return &links{servers: servers, targets: map[string]string{}, viewers: map[int]string{},
		entries: map[pair]string{}, paths: map[pair]*path{}, refused: map[pair]bool{}, flows: map[*flow]struct{}{}}
}

// target says where a name really listens.
func (l *links) target(name, addr string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.targets[name] = addr
}

func (l *links) identify(name string, pid int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.viewers[pid] = name
}

// addr returns the address of the listener for one pair, made when first asked for.
func (l *links) addr(from, to string) (string, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if addr, ok := l.entries[pair{from, to}]; ok {
		return addr, nil
	}
	if _, ok := l.targets[to]; !ok {
		return "", fmt.Errorf("nothing called %q is served", to)
	}
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	addr := listener.Addr().String()
	l.entries[pair{from, to}] = addr
	l.serve(listener, to, func(net.Conn) string { return from })
	return addr, nil
}

// front listens at a server's inventory address for everybody and finds out who each caller is.
func (l *links) front(name, addr, backend string) error {
	listener, err := net.Listen("tcp4", addr)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.serve(listener, name, l.caller)
	return nil
}

// caller names who made a connection: a server, an identified process, else the clients. "" means that it cannot be
// told: to guess would let bytes through a cut.
func (l *links) caller(c net.Conn) string {
	names := l.servers()
	l.mu.Lock()
	maps.Copy(names, l.viewers)
	l.mu.Unlock()
	pid, known := ownerOf(c, slices.Collect(maps.Keys(names)))
	if !known {
		return ""
	}
	if name, ok := names[pid]; ok {
		return name
	}
	return Clients
}

// serve accepts until the links are closed. The caller holds mu.
func (l *links) serve(listener net.Listener, to string, who func(net.Conn) string) {
	if l.closed {
		listener.Close()
		return
	}
	l.listeners = append(l.listeners, listener)
	l.work.Go(func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			l.work.Go(func() { l.carry(c.(*net.TCPConn), who(c), to) })
		}
	})
}

// carry brings one connection to its target, once a packet could get there and back.
func (l *links) carry(client *net.TCPConn, from, to string) {
	there, back := l.path(from, to), l.path(to, from)
	f := &flow{pair: pair{from, to}, client: client, done: make(chan struct{})}
	if !l.admit(f) {
		f.abort()
		return
	}
	defer l.forget(f)
	if !there.pass(f.done) || !back.pass(f.done) {
		return
	}
	l.mu.Lock()
	backend := l.targets[to]
	l.mu.Unlock()
	c, err := net.DialTimeout("tcp4", backend, 10*time.Second)
	if err != nil {
		f.abort() // a reset is as near to "connection refused" as a proxy can come
		return
	}
	if !f.connect(c.(*net.TCPConn)) {
		return
	}
	f.carry(there, back)
}

// admit registers a flow unless nobody knows whose it is, its pair is reset or all is over.
func (l *links) admit(f *flow) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if f.pair.from == "" || l.closed || l.refused[f.pair] {
		return false
	}
	l.flows[f] = struct{}{}
	return true
}

func (l *links) forget(f *flow) {
	f.abort()
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.flows, f)
}

func (l *links) path(from, to string) *path {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.paths[pair{from, to}]
	if p == nil {
		p = newPath()
		l.paths[pair{from, to}] = p
	}
	return p
}

func (l *links) block(from, to string) { l.path(from, to).block() }

func (l *links) delay(a, b string, d time.Duration) {
	l.path(a, b).setDelay(d)
	l.path(b, a).setDelay(d)
}

func (l *links) reset(a, b string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.refused[pair{a, b}], l.refused[pair{b, a}] = true, true
	for f := range l.flows {
		if l.refused[f.pair] {
			f.abort()
		}
	}
}

func (l *links) heal(a, b string) {
	l.path(a, b).open()
	l.path(b, a).open()
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.refused, pair{a, b})
	delete(l.refused, pair{b, a})
}

func (l *links) healAll() {
	l.mu.Lock()
	defer l.mu.Unlock()
	clear(l.refused)
	for _, p := range l.paths {
		p.open()
		p.setDelay(0)
	}
}

// close ends every listener and connection and waits for their goroutines.
func (l *links) close() {
	l.mu.Lock()
	l.closed = true
	for _, listener := range l.listeners {
		listener.Close()
	}
	for f := range l.flows {
		f.abort()
	}
	l.mu.Unlock()
	l.work.Wait()
}
