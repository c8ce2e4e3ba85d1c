package testenv

import (
	"net"
	"sync"
	"time"
)

// path is one direction between two hosts.
type path struct {
	mu    sync.Mutex
	gate  chan struct{} // closed while bytes pass
	delay time.Duration
}

func newPath() *path {
	p := &path{gate: make(chan struct{})}
	close(p.gate)
	return p
}

func (p *path) block() {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.gate:
		p.gate = make(chan struct{})
	default:
	}
}

func (p *path) open() {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.gate:
	default:
		close(p.gate)
	}
}

func (p *path) setDelay(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delay = d
}

func (p *path) state() (gate chan struct{}, delay time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.gate, p.delay
}

// pass waits until the path is open; false means that done was closed first.
func (p *path) pass(done <-chan struct{}) bool {
	gate, _ := p.state()
	select {
	case <-gate:
		return true
	case <-done:
		return false
	}
}

// flow is one proxied connection.
type flow struct {
	pair   pair
	client *net.TCPConn
	done   chan struct{} // closed when the flow is given up

	mu     sync.Mutex
	server *net.TCPConn
	over   bool
}

func (f *flow) connect(server *net.TCPConn) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.over {
		server.Close()
		return false
	}
	f.server = server
	return true
}

// abort resets both ends. A flow that ended well has shut both down before, and then nobody notices.
func (f *flow) abort() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.over {
		return
	}
	f.over = true
	close(f.done)
	for _, c := range []*net.TCPConn{f.client, f.server} {
		if c != nil {
			_ = c.SetLinger(0)
			c.Close()
		}
	}
}

// carry moves bytes both ways until both have ended or one fails.
func (f *flow) carry(there, back *path) {
	var both sync.WaitGroup
	both.Go(func() { f.pump(f.server, f.client, there) })
	both.Go(func() { f.pump(f.client, f.server, back) })
	both.Wait()
}

// parcel is what one read brought and when it is due at the other end. No bytes mean the end of the stream.
type parcel struct {
	bytes []byte
	due   time.Time
}

// pump moves bytes one way. Reading and writing are apart so that a delay does not become a limit on throughput;
// the room between them is bounded, so that a stalled path stalls the sender.
func (f *flow) pump(to, from *net.TCPConn, way *path) {
	parcels := make(chan parcel, 64)
	var reading sync.WaitGroup
	reading.Go(func() {
		defer close(parcels)
		buffer := make([]byte, 32<<10)
		for {
			n, err := from.Read(buffer)
			_, delay := way.state()
			p := parcel{bytes: append([]byte(nil), buffer[:n]...), due: time.Now().Add(delay)}
			if n > 0 || err != nil {
				select {
				case parcels <- p:
				case <-f.done:
					return
				}
			}
			if err != nil {
				return
			}
		}
	})
	defer reading.Wait()
	for p := range parcels {
		if !f.deliver(to, p, way) {
			f.abort()
			return
		}
	}
	// The stream ended: so does the other end's, and only that direction of it.
	if !way.pass(f.done) || to.CloseWrite() != nil {
		f.abort()
	}
}

func (f *flow) deliver(to *net.TCPConn, p parcel, way *path) bool {
	if wait := time.Until(p.due); wait > 0 {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-f.done:
			return false
		}
	}
	if !way.pass(f.done) {
		return false
	}
	_, err := to.Write(p.bytes)
	return err == nil
}
