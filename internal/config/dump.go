package config

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"regexp"
	"strings"
	"time"
)

// Dump is the configuration file of a dump service. Relative paths in it are
// relative to its directory.
type Dump struct {
	Product string     `yaml:"product"`
	Server  DumpServer `yaml:"server"`
	MySQL   DumpMySQL  `yaml:"mysql"`
	// Watchers are asked for orders. Without any, snapshots are taken by the clock alone.
	Watchers DumpWatchers `yaml:"watchers"`
	// Stores are where copies go, the preferred one first.
	Stores     []DumpStore `yaml:"stores"`
	Encryption Encryption  `yaml:"encryption"`
	// Every is how often a snapshot is due, on the wall clock.
	Every time.Duration `yaml:"every"`
	// Workers are the sessions that read side by side.
	Workers int `yaml:"workers"`
	// BytesPerSecond bounds what is read from the server; 0 is no bound.
	BytesPerSecond int64     `yaml:"bytesPerSecond"`
	Retention      Retention `yaml:"retention"`
	Ship           Ship      `yaml:"ship"`
	Drill          Drill     `yaml:"drill"`
	Scrub          Scrub     `yaml:"scrub"`
	Log            Log       `yaml:"log"`
}

// DumpServer is the server that is copied.
type DumpServer struct {
	Name string `yaml:"name"` // as in the inventory
	Addr string `yaml:"addr"` // host:port
}

// DumpMySQL is the account for it; `failoverd grants --dump` prints how to create it.
type DumpMySQL struct {
	User     string `yaml:"user"`
	Password Secret `yaml:"password"`
	// CA makes the connection use TLS and verify it.
	CA string `yaml:"ca"`
}

// DumpWatchers are where the watchers' APIs are, and the certificate to show them.
type DumpWatchers struct {
	Endpoints []string `yaml:"endpoints"` // https://host:port
	TLS       TLS      `yaml:"tls"`
}

// DumpStore is one place for copies.
type DumpStore struct {
	Name string `yaml:"name"`
	// URL is s3://BUCKET/PREFIX?region=…&endpoint=… or file:///DIR.
	URL string `yaml:"url"`
	S3  S3     `yaml:"s3"`
	// ObjectLock keeps everybody, this service included, from removing what was stored.
	ObjectLock ObjectLock `yaml:"objectLock"`
}

// ObjectLock is the retention of S3's object lock that snapshots, their data and the
// binary log get. The bucket needs versions and object lock, and a lifecycle rule that
// removes noncurrent versions: what retention sweeps away stays until its days are over.
type ObjectLock struct {
	// Mode is "compliance", which nobody can lift, or "governance", which a special
	// permission lifts; nothing is locked when it is empty.
	Mode string `yaml:"mode"`
	Days int    `yaml:"days"`
}

// Encryption is by age (age-encryption.org); without recipients nothing is encrypted.
type Encryption struct {
	// Recipients are public keys, "age1…".
	Recipients []string `yaml:"recipients"`
	// Identity is a file with a private key. Without it on this machine nothing that was
	// stored can be read here: every snapshot is a full one and there are no drills.
	Identity string `yaml:"identity"`
}

// Retention says how long snapshots are kept: all of them, then the first of each hour,
// then the first of each day.
type Retention struct {
	All    time.Duration `yaml:"all"`
	Hourly time.Duration `yaml:"hourly"`
	Daily  time.Duration `yaml:"daily"`
}

// Ship says when a segment of the binary log is closed and stored.
type Ship struct {
	// Every is the longest that a transaction waits; a negative one ships nothing.
	Every time.Duration `yaml:"every"`
	Bytes int64         `yaml:"bytes"`
}

// Drill says how often a restore is rehearsed, and with what.
type Drill struct {
	Every time.Duration `yaml:"every"` // 0: only when somebody asks
	// Mysqld is the program that is started for it, the one on PATH when empty.
	Mysqld string `yaml:"mysqld"`
	// Dir is where its data goes meanwhile: a whole copy of the database.
	Dir string `yaml:"dir"`
}

// Scrub says how often everything is read anew and held against what is stored.
type Scrub struct {
	Every time.Duration `yaml:"every"` // 0: never
}

// The defaults of a dump service.
const (
	DefaultEvery     = 15 * time.Minute
	DefaultWorkers   = 2
	DefaultShipEvery = 5 * time.Second
	DefaultShipBytes = 16 << 20
	DefaultScrub     = 24 * time.Hour
)

// minEvery bounds how often snapshots may be taken.
const minEvery = 10 * time.Second

// LoadDump reads and checks the file. Its error shows the line at fault.
func LoadDump(path string) (Dump, error) {
	c := defaultDump()
	if err := load(path, &c); err != nil {
		return Dump{}, err
	}
	return c, nil
}

// defaultDump is what holds where the file says nothing.
func defaultDump() Dump {
	return Dump{Every: DefaultEvery, Workers: DefaultWorkers, Ship: Ship{Every: DefaultShipEvery, Bytes: DefaultShipBytes}, Scrub: Scrub{Every: DefaultScrub},
		Retention: Retention{All: 24 * time.Hour, Hourly: 7 * 24 * time.Hour, Daily: 30 * 24 * time.Hour}}
}

func (c *Dump) paths() []*string {
	paths := []*string{&c.MySQL.Password.File, &c.MySQL.CA, &c.Watchers.TLS.CA, &c.Watchers.TLS.Cert, &c.Watchers.TLS.Key, &c.Encryption.Identity, &c.Drill.Dir}
	if strings.Contains(c.Drill.Mysqld, "/") {
		paths = append(paths, &c.Drill.Mysqld)
	}
	for i := range c.Stores {
		paths = append(paths, &c.Stores[i].S3.AccessKey.File, &c.Stores[i].S3.SecretKey.File)
	}
	return paths
}

// storeName is what a store may be called: it is a metric's label and an argument.
var storeName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$`)

func (c *Dump) check() (place string, err error) {
	if place, err := missing([]need{
		{"$.product", c.Product, "the product's name, as in the inventory"},
		{"$.server.name", c.Server.Name, "the name of the server to copy, as in the inventory"},
		{"$.server.addr", c.Server.Addr, "host:port of the server to copy"},
		{"$.mysql.user", c.MySQL.User, "the dump account: \"failoverd grants --dump\" prints how to create it"},
	}); err != nil {
		return place, err
	}
	if _, _, err := net.SplitHostPort(c.Server.Addr); err != nil {
		return "$.server.addr", fmt.Errorf("%q is not host:port", c.Server.Addr)
	}
	if err := c.MySQL.Password.check(true); err != nil {
		return "$.mysql.password", err
	}
	for _, check := range []func() (string, error){c.checkWatchers, c.checkStores, c.checkTimes} {
		if place, err := check(); err != nil {
			return place, err
		}
	}
	return "", nil
}

func (c *Dump) checkWatchers() (place string, err error) {
	for i, endpoint := range c.Watchers.Endpoints {
		if u, err := url.Parse(endpoint); err != nil || u.Scheme != "https" || u.Host == "" {
			return fmt.Sprintf("$.watchers.endpoints[%d]", i), fmt.Errorf("%q is not https://host:port", endpoint)
		}
	}
	if len(c.Watchers.Endpoints) == 0 {
		return "", nil
	}
	return missing([]need{
		{"$.watchers.tls.ca", c.Watchers.TLS.CA, "the CA file of the watchers"},
		{"$.watchers.tls.cert", c.Watchers.TLS.Cert, "this service's certificate: \"failoverd tls cert --role dump\" makes one"},
		{"$.watchers.tls.key", c.Watchers.TLS.Key, "this service's key"},
	})
}

func (c *Dump) checkStores() (place string, err error) {
	if len(c.Stores) == 0 {
		return "$.stores", errors.New("missing: at least one {name: NAME, url: s3://BUCKET/PREFIX or file:///DIR}")
	}
	seen := map[string]bool{}
	for i, s := range c.Stores {
		at := fmt.Sprintf("$.stores[%d]", i)
		switch {
		case !storeName.MatchString(s.Name):
			return at, fmt.Errorf("a store needs a name of letters, digits, dots, - and _, not %q", s.Name)
		case seen[s.Name]:
			return at + ".name", fmt.Errorf("two stores have the name %q", s.Name)
		case s.URL == "":
			return at, fmt.Errorf("store %s needs a url: s3://BUCKET/PREFIX or file:///DIR", s.Name)
		}
		seen[s.Name] = true
		for _, secret := range []struct {
			name string
			Secret
		}{{"accessKey", s.S3.AccessKey}, {"secretKey", s.S3.SecretKey}} {
			if err := secret.check(false); err != nil {
				return at + ".s3." + secret.name, err
			}
		}
		if place, err := s.ObjectLock.check(s.URL); err != nil {
			return at + ".objectLock" + place, err
		}
	}
	for i, r := range c.Encryption.Recipients {
		if !strings.HasPrefix(r, "age1") {
			return fmt.Sprintf("$.encryption.recipients[%d]", i), fmt.Errorf("%q is not a public key of age, which begins with age1", r)
		}
	}
	return "", nil
}

// maxLockDays is a century: more is a slip that nobody could take back.
const maxLockDays = 36500

func (l ObjectLock) check(url string) (place string, err error) {
	switch {
	case l == ObjectLock{}:
		return "", nil
	case !strings.HasPrefix(url, "s3:"):
		return "", errors.New("only a store in S3 has it, not a directory")
	case l.Mode == "":
		return "", errors.New("mode is missing: compliance or governance")
	case l.Mode != "compliance" && l.Mode != "governance":
		return ".mode", fmt.Errorf("%q is neither compliance nor governance", l.Mode)
	case l.Days < 1 || l.Days > maxLockDays:
		return "", fmt.Errorf("days is %d: want 1 to %d", l.Days, maxLockDays)
	}
	return "", nil
}

func (c *Dump) checkTimes() (place string, err error) {
	for _, least := range []struct {
		place        string
		value, least time.Duration
	}{
		{"$.every", c.Every, minEvery}, {"$.retention.all", c.Retention.All, 0}, {"$.retention.hourly", c.Retention.Hourly, 0}, {"$.retention.daily", c.Retention.Daily, 0},
		{"$.drill.every", c.Drill.Every, 0}, {"$.scrub.every", c.Scrub.Every, 0},
	} {
		if least.value < least.least {
			return least.place, fmt.Errorf("%s is too short, the least is %s", least.value, least.least)
		}
	}
	switch {
	case c.Workers < 1 || c.Workers > 64:
		return "$.workers", fmt.Errorf("%d is not a number of sessions from 1 to 64", c.Workers)
	case c.BytesPerSecond < 0:
		return "$.bytesPerSecond", fmt.Errorf("%d is less than nothing; 0 is no bound", c.BytesPerSecond)
	case c.Ship.Bytes < 1<<16 || c.Ship.Bytes > 256<<20:
		return "$.ship.bytes", fmt.Errorf("%d bytes is not a size of a segment: from 65536 to 268435456", c.Ship.Bytes)
	case c.Ship.Every == 0:
		return "$.ship.every", errors.New("0 would be a segment for each transaction; a negative time ships nothing")
	case c.Drill.Every > 0 && c.Drill.Dir == "":
		return "$.drill.dir", errors.New("missing: a directory with room for a whole copy of the database")
	}
	return "", nil
}
