// Package mysql is failoverd's adapter for MySQL servers: the primitives of
// promotion (Server), the watchers' probe (Probe), and what a server must be
// like to take part (Examine, Discover, Grants). All SQL is in sql.go.
package mysql

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"

	driver "github.com/go-sql-driver/mysql"
)

// Account is a MySQL account with its password.
type Account struct {
	User     string
	Password string
}

// String leaves the password out, so that an account may be printed.
func (a Account) String() string { return a.User }

// GoString does the same for %#v.
func (a Account) GoString() string { return "Account(" + a.User + ")" }

// Replication is how replicas log in to their source.
type Replication struct {
	Account Account
	// TLS makes the link refuse plain text. Without it the link uses what the
	// server's defaults give (since 8.4 TLS without verification).
	TLS bool
	// CA is the path, on the replica, of the authority that signed the sources'
	// certificates; with it the source's name is verified too. It implies TLS.
	CA string
}

// Config says how to reach one server.
type Config struct {
	// Addr is host:port.
	Addr string
	// Account logs in: the control account for Open, the probe account for NewProbe.
	Account Account
	// TLS is nil for plain text; passwords are then sent RSA-encrypted.
	TLS *tls.Config
	// Replication is what Follow gives to replicas; only Open needs it.
	Replication Replication
	// Timeout bounds each call of Server, 2 s when zero; calls that wait for
	// replication threads take up to twice that.
	Timeout time.Duration
	// LookTimeout bounds Look, 1 s when zero.
	LookTimeout time.Duration
	// Admit is asked for every new session of Open, between the login and the first
	// order, and refuses the session with an error. A leader that was stopped loses
	// its sessions to the next leader, and the pool connects anew by itself: without
	// being asked it would carry on with what it had begun. nil admits all.
	Admit func(context.Context) error
	// CloneDataRate and CloneNetworkRate bound what Clone reads at its donor and what
	// goes over the network, MiB/s; 0 is no bound.
	CloneDataRate    int
	CloneNetworkRate int
}

// connectTimeout bounds the TCP connect; the handshake has the call's deadline.
const connectTimeout = time.Second

func (c Config) withDefaults() (Config, error) {
	if _, _, err := net.SplitHostPort(c.Addr); err != nil {
		return c, fmt.Errorf("server address %q is not host:port", c.Addr)
	}
	if c.Account.User == "" {
		return c, errors.New("server " + c.Addr + ": no account given")
	}
	if c.Timeout == 0 {
		c.Timeout = 2 * time.Second
	}
	if c.LookTimeout == 0 {
		c.LookTimeout = time.Second
	}
	return c, nil
}

// driverConfig is the driver's configuration for c. The session settings keep a
// statement from waiting for a lock for a year, and a query from outliving the
// watcher that gave up on it.
func (c Config) driverConfig() *driver.Config {
	d := driver.NewConfig()
	d.Net, d.Addr = "tcp", c.Addr
	d.User, d.Passwd = c.Account.User, c.Account.Password
	d.TLS = c.TLS
	d.Timeout = connectTimeout
	d.Logger = &driver.NopLogger{}
	d.InterpolateParams = true
	d.ConnectionAttributes = "program_name:failoverd"
	d.Params = map[string]string{
		"lock_wait_timeout":  "1",
		"max_execution_time": "2000",
		"time_zone":          "'+00:00'",
		"sql_mode":           "''",
	}
	return d
}
