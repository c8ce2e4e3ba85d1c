package testenv

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strconv"
)

// Network is how the servers of a chain are joined.
type Network string

const (
	// Loopback gives each server a loopback address of its own, where mysqld itself listens. Viewers that dial
	// through Chain.Addr or Chain.Dialer can be cut off and delayed; the links between servers cannot.
	Loopback Network = ""
	// Proxied puts a proxy at each server's address and mysqld behind it, so that every link can be cut and
	// delayed, replication included. The proxy knows who dials by the process that owns the connection.
	Proxied Network = "proxied"
	// Netns puts each server and each viewer into a network namespace of its own. It needs root, ip(8) and
	// iptables or nft; cuts then drop packets for real, whoever dials.
	Netns Network = "netns"
)

// Clients is the name of a viewer: whoever connects and is nobody else.
const Clients = "clients"

// ErrNotCuttable is returned for a link that the chain's Network cannot touch.
var ErrNotCuttable = errors.New("this network cannot touch the link between two servers; use Proxied or Netns")

// place gives every server its addresses.
func (c *Chain) place(ctx context.Context) error {
	switch c.network {
	case Loopback, Proxied:
		return c.placeOnLoopback()
	case Netns:
		return c.placeInNamespaces(ctx)
	}
	return fmt.Errorf("unknown network %q", c.network)
}

func (c *Chain) placeOnLoopback() error {
	if c.network == Proxied && runtime.GOOS != "linux" {
		return errors.New("the Proxied network needs Linux to know who connects")
	}
	hosts, port, err := freeHosts(len(c.Servers))
	if err != nil {
		return err
	}
	c.links = newLinks(c.serverPIDs)
	for i, s := range c.Servers {
		s.Host, s.Port = hosts[i], port[i]
		s.config.bind, s.config.port = s.Host, s.Port
		s.config.reportHost, s.config.reportPort = s.Host, s.Port
		if c.network == Proxied {
			if s.config.port, err = freePort(s.Host); err != nil {
				return err
			}
			backend := net.JoinHostPort(s.Host, strconv.Itoa(s.config.port))
			if err := c.links.front(s.Name, s.Addr(), backend); err != nil {
				return err
			}
			c.links.target(s.Name, backend)
			continue
		}
		c.links.target(s.Name, s.Addr())
	}
	return nil
}

// freeHosts picks loopback addresses that nobody listens on, all with the same port: MySQL's own if it is free.
// Only Linux answers on all of 127/8 without being told; elsewhere the ports differ instead.
func freeHosts(n int) (hosts []string, ports []int, err error) {
	if runtime.GOOS != "linux" {
		for range n {
			port, err := freePort("127.0.0.1")
			if err != nil {
				return nil, nil, err
			}
			hosts, ports = append(hosts, "127.0.0.1"), append(ports, port)
		}
		return hosts, ports, nil
	}
	for attempt := range 50 {
		port := 3306
		if attempt > 10 {
			port = 20000 + rand.IntN(10000)
		}
		block := fmt.Sprintf("127.%d.%d.", 16+rand.IntN(200), rand.IntN(256))
		hosts, ports = nil, nil
		for i := range n {
			host := block + strconv.Itoa(i+1)
			if !free(host, port) {
				break
			}
			hosts, ports = append(hosts, host), append(ports, port)
		}
		if len(hosts) == n {
			return hosts, ports, nil
		}
	}
	return nil, nil, fmt.Errorf("no %d free loopback addresses", n)
}

func free(host string, port int) bool {
	l, err := net.Listen("tcp4", net.JoinHostPort(host, strconv.Itoa(port)))
	if err != nil {
		return false
	}
	return l.Close() == nil
}

func freePort(host string) (int, error) {
	l, err := net.Listen("tcp4", net.JoinHostPort(host, "0"))
	if err != nil {
		return 0, err
	}
	return l.Addr().(*net.TCPAddr).Port, l.Close()
}

// Addr is the address by which viewer from reaches to, a server or anything that was Served. Every viewer gets
// an address of its own, which Cut and Delay know it by. A server reaches another by its inventory address.
func (c *Chain) Addr(from, to string) (string, error) {
	s := c.Server(to)
	if c.network == Netns || (s != nil && c.Server(from) != nil) {
		if s == nil {
			return "", fmt.Errorf("no server %q", to)
		}
		return s.Addr(), nil
	}
	return c.links.addr(from, to)
}

// Serve makes another TCP service, a watcher's or S3, a target for Addr under a name.
func (c *Chain) Serve(name, addr string) {
	if c.links != nil {
		c.links.target(name, addr)
	}
}

// Identify tells a Proxied chain that connections of another process are those of a viewer.
func (c *Chain) Identify(name string, pid int) {
	if c.links != nil {
		c.links.identify(name, pid)
	}
}

// Dialer dials as a viewer: from its namespace, or, when the address is that of a server of the chain, over the
// viewer's own link.
func (c *Chain) Dialer(from string) DialFunc {
	var d net.Dialer
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		if c.network == Netns {
			return c.spaces.dial(ctx, from, network, addr)
		}
		for _, s := range c.Servers {
			if s.Addr() != addr {
				continue
			}
			own, err := c.Addr(from, s.Name)
			if err != nil {
				return nil, err
			}
			return d.DialContext(ctx, network, own)
		}
		return d.DialContext(ctx, network, addr)
	}
}

// serverPIDs names the processes that are servers.
func (c *Chain) serverPIDs() map[int]string {
	names := map[int]string{}
	for _, s := range c.Servers {
		if pid := s.PID(); pid != 0 {
			names[pid] = s.Name
		}
	}
	return names
}

// Enter runs f as a viewer or server of a Netns chain: sockets made by f itself, such as listeners, belong to
// that host. Elsewhere it just runs f. Processes started by f must not rely on a parent-death signal.
func (c *Chain) Enter(ctx context.Context, name string, f func() error) error {
	if c.network != Netns {
		return f()
	}
	return c.spaces.within(ctx, name, f)
}

// HostOf is the address of a server or viewer as a host: 127.0.0.1 for a viewer outside the Netns network.
func (c *Chain) HostOf(ctx context.Context, name string) (string, error) {
	if c.network == Netns {
		return c.spaces.host(ctx, name)
	}
	if s := c.Server(name); s != nil {
		return s.Host, nil
	}
	return "127.0.0.1", nil
}

// Machine is the address at which this program itself is reached by servers and viewers; nothing cuts it off.
func (c *Chain) Machine() string {
	if c.network == Netns {
		return c.spaces.gateway()
	}
	return "127.0.0.1"
}

// NetnsWorks says whether this machine can make a Netns chain; the error says why not.
func NetnsWorks() error {
	if os.Getuid() != 0 || runtime.GOOS != "linux" {
		return errors.New("network namespaces need root on Linux")
	}
	if _, err := exec.LookPath("ip"); err != nil {
		return err
	}
	if out, err := exec.Command("unshare", "--net", "true").CombinedOutput(); err != nil {
		return fmt.Errorf("network namespaces: %w: %s", err, lastLines(string(out), 1))
	}
	_, nft := exec.LookPath("nft")
	_, iptables := exec.LookPath("iptables-restore")
	if nft != nil && iptables != nil {
		return errors.Join(nft, iptables)
	}
	return nil
}

// Namespace is the name under which ip netns exec finds the host of a server or viewer, which is made if need
// be. It is "" outside the Netns network.
func (c *Chain) Namespace(ctx context.Context, name string) (string, error) {
	if c.network != Netns {
		return "", nil
	}
	return c.spaces.namespace(ctx, name)
}
