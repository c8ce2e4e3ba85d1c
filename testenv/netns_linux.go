package testenv

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// namespaces is a network made of network namespaces: one per host, all on a bridge that has a namespace to
// itself, out of reach of the machine's own firewall. The machine is host 254 of the subnet.
type namespaces struct {
	id     string // starts every name
	subnet string // such as "10.201.7."
	unlock func()

	mu    sync.Mutex
	hosts map[string]string        // name → address
	rules map[string]map[pair]rule // name → what its firewall does to packets that come in
}

type rule string

const (
	dropped  rule = "drop"
	rejected rule = "reject with tcp reset"
)

// netnsLock is the file a chain holds locked while its namespaces live.
const netnsLock = "failoverd-netns-*.lock"

func (c *Chain) placeInNamespaces(ctx context.Context) error {
	if os.Getuid() != 0 {
		return errors.New("network namespaces need root")
	}
	sweepNamespaces(ctx)
	n := &namespaces{id: fmt.Sprintf("fd%06x", rand.IntN(1<<24)), hosts: map[string]string{},
		subnet: fmt.Sprintf("10.%d.%d.", 128+rand.IntN(128), rand.IntN(256)), rules: map[string]map[pair]rule{}}
	lock := filepath.Join(os.TempDir(), strings.Replace(netnsLock, "*", n.id, 1))
	unlock, err := lockFile(ctx, lock, nil)
	if err != nil {
		return err
	}
	n.unlock = func() { os.Remove(lock); unlock() }
	c.spaces = n
	if err := n.ip(ctx, "", "netns add ID-hub", "link add ID type veth peer name outside netns ID-hub",
		"addr add NET254/24 dev ID", "link set ID up",
		"-n ID-hub link add name bridge0 type bridge", "-n ID-hub link set bridge0 up",
		"-n ID-hub link set outside master bridge0", "-n ID-hub link set outside up"); err != nil {
		return err
	}
	for _, s := range c.Servers {
		if s.Host, err = n.host(ctx, s.Name); err != nil {
			return err
		}
		s.Port = 3306
		s.config.bind, s.config.port = s.Host, s.Port
		s.config.reportHost, s.config.reportPort = s.Host, s.Port
		s.enter = func() error { return n.enter(s.Name) }
	}
	return nil
}

// ip runs ip(8) commands in which ID, NET, HOST and # stand for the chain's id and subnet and a host's name and
// number.
func (n *namespaces) ip(ctx context.Context, host string, commands ...string) error {
	fill := strings.NewReplacer("ID", n.id, "NET", n.subnet, "HOST", host, "#", fmt.Sprint(len(n.hosts)+1))
	for _, command := range commands {
		command = fill.Replace(command)
		out, err := exec.CommandContext(ctx, "ip", strings.Fields(command)...).CombinedOutput()
		if err != nil {
			return fmt.Errorf("ip %s: %w: %s", command, err, lastLines(string(out), 2))
		}
	}
	return nil
}

// host returns the address of a host and makes its namespace when first asked for.
func (n *namespaces) host(ctx context.Context, name string) (string, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if addr, ok := n.hosts[name]; ok {
		return addr, nil
	}
	if len(n.hosts) >= 250 {
		return "", errors.New("no address left for another host")
	}
	if err := n.ip(ctx, name, "netns add ID-HOST", "link add v# netns ID-hub type veth peer name eth0 netns ID-HOST",
		"-n ID-hub link set v# master bridge0", "-n ID-hub link set v# up", "-n ID-HOST addr add NET#/24 dev eth0",
		"-n ID-HOST link set eth0 up", "-n ID-HOST link set lo up"); err != nil {
		return "", err
	}
	addr := n.subnet + fmt.Sprint(len(n.hosts)+1)
	n.hosts[name] = addr
	return addr, nil
}

// gateway is the machine itself, as the hosts see it.
func (n *namespaces) gateway() string { return n.subnet + "254" }

// enter moves the calling thread into a host's namespace. The goroutine must be locked to the thread and must end
// locked, for the thread is of no use to others afterwards.
func (n *namespaces) enter(name string) error {
	file, err := os.Open("/run/netns/" + n.id + "-" + name)
	if err != nil {
		return err
	}
	defer file.Close()
	if err := unix.Setns(int(file.Fd()), unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("enter namespace of %s: %w", name, err)
	}
	return nil
}

// within runs f on a thread in a host's namespace.
func (n *namespaces) within(ctx context.Context, name string, f func() error) error {
	if _, err := n.host(ctx, name); err != nil {
		return err
	}
	result := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		if err := n.enter(name); err != nil {
			result <- err
			return
		}
		result <- f()
	}()
	return <-result
}

// dial makes the socket inside the namespace; a socket stays in the one it was made in.
func (n *namespaces) dial(ctx context.Context, from, _, addr string) (conn net.Conn, err error) {
	err = n.within(ctx, from, func() error {
		var err error
		conn, err = new(net.Dialer).DialContext(ctx, "tcp4", addr)
		return err
	})
	return conn, err
}

func (n *namespaces) namespace(ctx context.Context, name string) (string, error) {
	_, err := n.host(ctx, name)
	return n.id + "-" + name, err
}

func (n *namespaces) drop(from, to string) error  { return n.add(from, to, dropped) }
func (n *namespaces) reset(from, to string) error { return n.add(from, to, rejected) }

func (n *namespaces) add(from, to string, r rule) error {
	for _, name := range []string{from, to} {
		if _, err := n.host(context.Background(), name); err != nil {
			return err
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.rules[to] == nil {
		n.rules[to] = map[pair]rule{}
	}
	n.rules[to][pair{from, to}] = r
	return n.apply(to)
}

func (n *namespaces) heal(a, b string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.rules[a], pair{b, a})
	delete(n.rules[b], pair{a, b})
	return errors.Join(n.apply(a), n.apply(b))
}

func (n *namespaces) healAll() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	var failed error
	for name := range n.rules {
		clear(n.rules[name])
		failed = errors.Join(failed, n.apply(name))
	}
	return failed
}

// apply replaces a host's firewall in one go. The caller holds mu.
func (n *namespaces) apply(name string) error {
	if _, ok := n.rules[name]; !ok {
		return nil // never cut
	}
	tool, script := n.firewall(name)
	cmd := exec.Command("ip", append([]string{"netns", "exec", n.id + "-" + name}, tool...)...)
	cmd.Stdin = strings.NewReader(script)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("firewall of %s: %w: %s", name, err, lastLines(string(out), 3))
	}
	return nil
}

// firewall writes a host's rules for nft, or for iptables where there is no nft.
func (n *namespaces) firewall(name string) (tool []string, script string) {
	var b strings.Builder
	if _, err := exec.LookPath("nft"); err == nil {
		b.WriteString("table ip fd\ndelete table ip fd\ntable ip fd {\n chain in {\n  type filter hook input priority 0;\n")
		for link, r := range n.rules[name] {
			match := ""
			if r == rejected {
				match = " tcp flags & rst == 0" // the other side's resets must come through
			}
			fmt.Fprintf(&b, "  ip saddr %s%s %s\n", n.hosts[link.from], match, r)
		}
		b.WriteString(" }\n}\n")
		return []string{"nft", "-f", "-"}, b.String()
	}
	b.WriteString("*filter\n:INPUT ACCEPT [0:0]\n")
	for link, r := range n.rules[name] {
		what := "-j DROP"
		if r == rejected {
			what = "-p tcp ! --tcp-flags RST RST -j REJECT --reject-with tcp-reset"
		}
		fmt.Fprintf(&b, "-A INPUT -s %s %s\n", n.hosts[link.from], what)
	}
	b.WriteString("COMMIT\n")
	return []string{"iptables-restore"}, b.String()
}

func (n *namespaces) close() {
	removeNamespaces(n.id)
	n.unlock()
}

// removeNamespaces takes the interfaces in them away too.
func removeNamespaces(id string) {
	names, _ := filepath.Glob("/run/netns/" + id + "-*")
	for _, name := range names {
		_ = exec.Command("ip", "netns", "del", filepath.Base(name)).Run()
	}
}

// sweepNamespaces removes those of programs that were killed before they could.
func sweepNamespaces(ctx context.Context) {
	ended, cancel := context.WithCancel(ctx)
	cancel()
	before, after, _ := strings.Cut(netnsLock, "*")
	locks, _ := filepath.Glob(filepath.Join(os.TempDir(), netnsLock))
	for _, lock := range locks {
		if unlock, err := lockFile(ended, lock, nil); err == nil {
			removeNamespaces(strings.TrimSuffix(strings.TrimPrefix(filepath.Base(lock), before), after))
			os.Remove(lock)
			unlock()
		}
	}
}
