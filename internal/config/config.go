// Package config reads the configuration file of a watcher: strict YAML, in which
// an unknown key, a wrong type or a missing secret is an error that shows the line.
package config

import (
	"errors"
	"fmt"
	"net"
	"net/url"
)

// Config is the file. Relative paths in it are relative to its directory.
type Config struct {
	// ID names this watcher; it must be one of Watchers on the first start.
	ID string `yaml:"id"`
	// Data is the directory of the raft log, this watcher's alone.
	Data string `yaml:"data"`
	Raft Raft   `yaml:"raft"`
	API  API    `yaml:"api"`
	// Watchers are the members as they were founded, the same list everywhere.
	Watchers []Watcher `yaml:"watchers"`
	TLS      TLS       `yaml:"tls"`
	MySQL    MySQL     `yaml:"mysql"`
	// Store is where the published file goes: s3://BUCKET/PREFIX?region=…&endpoint=… or file:///DIR.
	Store   string  `yaml:"store"`
	S3      S3      `yaml:"s3"`
	Signing Signing `yaml:"signing"`
	Log     Log     `yaml:"log"`
}

// Raft is where the watchers speak to each other.
type Raft struct {
	Bind      string `yaml:"bind"`      // host:port
	Advertise string `yaml:"advertise"` // host:port, Bind when empty
}

// API is where operators, followers and the other watchers' views come in.
type API struct {
	Bind      string `yaml:"bind"`      // host:port
	Advertise string `yaml:"advertise"` // https://host:port
}

// Watcher is one founding member.
type Watcher struct {
	ID   string `yaml:"id"`
	Raft string `yaml:"raft"` // host:port
	API  string `yaml:"api"`  // https://host:port
}

// TLS are the files that `failoverd tls ca` and `failoverd tls cert` make.
type TLS struct {
	CA   string `yaml:"ca"`
	Cert string `yaml:"cert"`
	Key  string `yaml:"key"`
}

// MySQL are the accounts for the servers; `failoverd grants` prints how to create them.
type MySQL struct {
	Probe       Account `yaml:"probe"`
	Control     Account `yaml:"control"`
	Replication Account `yaml:"replication"`
	// CA makes connections to the servers use TLS and verify it; without it they
	// are plain and passwords travel RSA-encrypted.
	CA string `yaml:"ca"`
	// ReplicationTLS makes replicas use TLS to their source.
	ReplicationTLS bool  `yaml:"replicationTLS"`
	Clone          Clone `yaml:"clone"`
}

// Clone bounds what the rebuild of a server takes from its donor, MiB/s; 0 is no bound.
type Clone struct {
	DataRate    int `yaml:"dataRate"`    // read from disk
	NetworkRate int `yaml:"networkRate"` // sent
}

// maxCloneRate is the most that MySQL takes (manual, "clone_max_data_bandwidth"), MiB/s.
const maxCloneRate = 1 << 20

// Account is a MySQL account.
type Account struct {
	User     string `yaml:"user"`
	Password Secret `yaml:"password"`
}

// S3 are the credentials for the store; when empty, the SDK's own chain is used.
type S3 struct {
	AccessKey Secret `yaml:"accessKey"`
	SecretKey Secret `yaml:"secretKey"`
}

// Signing are the keys of the published file.
type Signing struct {
	// Key is the PEM file with the private key, the same on every watcher.
	Key string `yaml:"key"`
	// Trust are PEM files with further public keys, while keys are rotated.
	Trust []string `yaml:"trust"`
}

// Log is how to log.
type Log struct {
	Level string `yaml:"level"` // debug, info, warn or error; info when empty
	JSON  bool   `yaml:"json"`
}

// Load reads and checks the file. Its error shows the line at fault.
func Load(path string) (Config, error) {
	var c Config
	if err := load(path, &c); err != nil {
		return Config{}, err
	}
	return c, nil
}

func (c *Config) paths() []*string {
	paths := []*string{&c.Data, &c.TLS.CA, &c.TLS.Cert, &c.TLS.Key, &c.MySQL.CA, &c.Signing.Key,
		&c.MySQL.Probe.Password.File, &c.MySQL.Control.Password.File, &c.MySQL.Replication.Password.File, &c.S3.AccessKey.File, &c.S3.SecretKey.File}
	for i := range c.Signing.Trust {
		paths = append(paths, &c.Signing.Trust[i])
	}
	return paths
}

func (c *Config) check() (place string, err error) {
	if place, err := missing([]need{
		{"$.id", c.ID, "a name for this watcher, such as w1"},
		{"$.data", c.Data, "a directory for the raft log"},
		{"$.raft.bind", c.Raft.Bind, "host:port to listen on for the other watchers"},
		{"$.api.bind", c.API.Bind, "host:port to listen on for operators and followers"},
		{"$.tls.ca", c.TLS.CA, "the CA file: \"failoverd tls ca\" makes one"},
		{"$.tls.cert", c.TLS.Cert, "this watcher's certificate: \"failoverd tls cert --role watcher\" makes one"},
		{"$.tls.key", c.TLS.Key, "this watcher's key"},
		{"$.store", c.Store, "s3://BUCKET/PREFIX or file:///DIR for the published file"},
		{"$.signing.key", c.Signing.Key, "the private key of the published file: \"failoverd key generate\" makes one"},
		{"$.mysql.probe.user", c.MySQL.Probe.User, "the probe account: \"failoverd grants\" prints how to create it"},
		{"$.mysql.control.user", c.MySQL.Control.User, "the control account: \"failoverd grants\" prints how to create it"},
		{"$.mysql.replication.user", c.MySQL.Replication.User, "the replication account"},
	}); err != nil {
		return place, err
	}
	if c.Raft.Advertise == "" {
		c.Raft.Advertise = c.Raft.Bind
	}
	for _, addr := range []struct{ place, value string }{{"$.raft.bind", c.Raft.Bind}, {"$.raft.advertise", c.Raft.Advertise}, {"$.api.bind", c.API.Bind}} {
		if _, _, err := net.SplitHostPort(addr.value); err != nil {
			return addr.place, fmt.Errorf("%q is not host:port", addr.value)
		}
	}
	for _, secret := range []struct {
		place string
		Secret
	}{{"$.mysql.probe.password", c.MySQL.Probe.Password}, {"$.mysql.control.password", c.MySQL.Control.Password}, {"$.mysql.replication.password", c.MySQL.Replication.Password}} {
		if err := secret.check(true); err != nil {
			return secret.place, err
		}
	}
	for _, secret := range []struct {
		place string
		Secret
	}{{"$.s3.accessKey", c.S3.AccessKey}, {"$.s3.secretKey", c.S3.SecretKey}} {
		if err := secret.check(false); err != nil {
			return secret.place, err
		}
	}
	for _, rate := range []struct {
		place string
		value int
	}{{"$.mysql.clone.dataRate", c.MySQL.Clone.DataRate}, {"$.mysql.clone.networkRate", c.MySQL.Clone.NetworkRate}} {
		if rate.value < 0 || rate.value > maxCloneRate {
			return rate.place, fmt.Errorf("%d is not a rate: 1 to %d MiB/s, or 0 for no bound", rate.value, maxCloneRate)
		}
	}
	return c.checkWatchers()
}

func (c *Config) checkWatchers() (place string, err error) {
	seen := map[string]bool{}
	own := false
	for i, w := range c.Watchers {
		at := fmt.Sprintf("$.watchers[%d]", i)
		switch api, apiErr := url.Parse(w.API); {
		case w.ID == "":
			return at, errors.New("a watcher needs an id")
		case seen[w.ID]:
			return at + ".id", fmt.Errorf("two watchers have the id %q", w.ID)
		case w.Raft == "":
			return at, fmt.Errorf("watcher %s needs raft: host:port", w.ID)
		case apiErr != nil || api.Scheme != "https" || api.Host == "":
			return at, fmt.Errorf("watcher %s: api %q is not https://host:port", w.ID, w.API)
		}
		seen[w.ID] = true
		if w.ID == c.ID {
			own = true
			if c.API.Advertise == "" {
				c.API.Advertise = w.API
			}
			if w.Raft != c.Raft.Advertise {
				return at + ".raft", fmt.Errorf("watcher %s is this one, but raft.advertise is %s", w.ID, c.Raft.Advertise)
			}
		}
	}
	switch {
	case len(c.Watchers) == 0:
		return "$.watchers", errors.New("missing: the list of watchers")
	case !own && c.API.Advertise == "":
		return "$.api.advertise", errors.New("missing: https://host:port, for this watcher is not in the list of watchers")
	}
	return "", nil
}
