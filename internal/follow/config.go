package follow

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/parser"

	"github.com/failoverd/failoverd/internal/object"
	"github.com/failoverd/failoverd/internal/publish"
)

// Config is what to follow and what to make of it.
type Config struct {
	// StoreURL is where the published config is, as internal/s3 reads it. The
	// caller opens it and sets Store.
	StoreURL string `yaml:"store"`
	// Endpoints are the watchers' base URLs, https://host:port. All are
	// listened to at once.
	Endpoints []string `yaml:"endpoints"`
	// PublicKeys are PEM files with the keys whose documents count.
	PublicKeys []string `yaml:"publicKeys"`
	// TLS is for the endpoints.
	TLS TLS `yaml:"tls"`
	// CacheDir keeps the last good copy and the state file.
	CacheDir string `yaml:"cacheDir"`
	// Poll is how often the store is asked. Default 1s.
	Poll time.Duration `yaml:"poll"`
	// Targets are the files to keep up to date.
	Targets []Target `yaml:"targets"`

	// Store is the opened StoreURL; nil follows the endpoints only.
	Store object.Store `yaml:"-"`
	// Trust are keys in hand, besides those in PublicKeys.
	Trust publish.Trust `yaml:"-"`
	// OnChange is called with each new document, for users in this process.
	// Calls do not overlap, and documents that were overtaken are skipped.
	OnChange func(*publish.Document) `yaml:"-"`
	// Noop prints to Out what would change, as unified diffs, and changes nothing.
	Noop bool      `yaml:"-"`
	Out  io.Writer `yaml:"-"`
}

// TLS names PEM files. Empty ones mean the system's CAs, and no client
// certificate.
type TLS struct {
	CA   string `yaml:"ca"`
	Cert string `yaml:"cert"`
	Key  string `yaml:"key"`
}

// Target is one file to render. Check and Reload are run by /bin/sh; {} in them
// and $FAILOVERD_FILE stand for the file, which is the staged one for Check and
// the target for Reload.
type Target struct {
	Template string        `yaml:"template"` // a Go text/template file
	Path     string        `yaml:"path"`     // what it is rendered to
	Mode     Mode          `yaml:"mode"`     // octal; default: the present file's, or 0644
	Check    string        `yaml:"check"`    // must succeed before the swap; may be empty
	Reload   string        `yaml:"reload"`   // run after the swap; may be empty
	Timeout  time.Duration `yaml:"timeout"`  // of each of the two. Default 10s
}

// Mode is a file mode as it is written, in octal, with or without quotes. YAML
// itself would read 0640 as the number 416.
type Mode string

// UnmarshalYAML keeps the text as it is; Config's check judges it.
func (m *Mode) UnmarshalYAML(text []byte) error {
	*m = Mode(strings.Trim(strings.TrimSpace(string(text)), `"'`))
	return nil
}

const (
	defaultPoll    = time.Second
	defaultTimeout = 10 * time.Second
	defaultMode    = fs.FileMode(0o644)
)

// Load reads a config file. Unknown fields and wrong values are errors that show
// the line.
func Load(path string) (Config, error) {
	source, err := os.ReadFile(path)
	if err != nil {
		return Config{}, err
	}
	var cfg Config
	if err := yaml.UnmarshalWithOptions(source, &cfg, yaml.Strict()); err != nil && !errors.Is(err, io.EOF) {
		return Config{}, fmt.Errorf("%s: %s", path, yaml.FormatError(err, false, true))
	}
	if wrong := cfg.check(); wrong != nil {
		return Config{}, fmt.Errorf("%s:%d: %w", path, lineOf(source, wrong.place), wrong)
	}
	return cfg, nil
}

// misfit is a value that is wrong, and its place as a YAML path.
type misfit struct {
	place string
	why   string
}

func (m *misfit) Error() string { return m.place[len("$."):] + ": " + m.why }

func (c *Config) check() *misfit {
	if c.StoreURL == "" && c.Store == nil && len(c.Endpoints) == 0 {
		return &misfit{"$.store", "neither a store nor endpoints are given"}
	}
	if len(c.PublicKeys) == 0 && len(c.Trust) == 0 {
		return &misfit{"$.publicKeys", "no key is given, so no document would count"}
	}
	for i, endpoint := range c.Endpoints {
		u, err := url.Parse(endpoint)
		if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil || u.RawQuery != "" {
			return &misfit{fmt.Sprintf("$.endpoints[%d]", i), "want https://host:port"}
		}
	}
	if (c.TLS.Cert == "") != (c.TLS.Key == "") {
		return &misfit{"$.tls", "cert and key go together"}
	}
	if c.Poll < 0 {
		return &misfit{"$.poll", "is negative"}
	}
	if len(c.Targets) > 0 && c.CacheDir == "" {
		return &misfit{"$.cacheDir", "targets need one"}
	}
	paths := map[string]bool{}
	for i, t := range c.Targets {
		if field, why := t.check(); field != "" {
			return &misfit{fmt.Sprintf("$.targets[%d].%s", i, field), why}
		}
		if paths[t.Path] {
			return &misfit{fmt.Sprintf("$.targets[%d].path", i), "is another target's too"}
		}
		paths[t.Path] = true
	}
	return nil
}

func (t Target) check() (field, why string) {
	if t.Template == "" {
		return "template", "is missing"
	}
	if t.Path == "" {
		return "path", "is missing"
	}
	if t.Timeout < 0 {
		return "timeout", "is negative"
	}
	if _, err := t.mode(); err != nil {
		return "mode", err.Error()
	}
	return "", ""
}

// mode returns 0 when none is given.
func (t Target) mode() (fs.FileMode, error) {
	if t.Mode == "" {
		return 0, nil
	}
	mode, err := strconv.ParseUint(string(t.Mode), 8, 32)
	if err != nil || mode == 0 || mode > 0o777 {
		return 0, fmt.Errorf("%q is not an octal mode such as 0640", t.Mode)
	}
	return fs.FileMode(mode), nil
}

// lineOf finds the line of a YAML path, or of its nearest parent that is there.
func lineOf(source []byte, place string) int {
	file, err := parser.ParseBytes(source, 0)
	if err != nil {
		return 1
	}
	for place != "$" {
		if path, err := yaml.PathString(place); err == nil {
			if node, err := path.FilterFile(file); err == nil && node != nil {
				return node.GetToken().Position.Line
			}
		}
		cut := len(place) - 1
		for cut > 1 && place[cut] != '.' && place[cut] != '[' {
			cut--
		}
		place = place[:cut]
	}
	return 1
}

// trust reads the keys anew, so that a restart picks up a rotation.
func (c *Config) trust() (publish.Trust, error) {
	trust := c.Trust
	for _, path := range c.PublicKeys {
		source, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("public key: %w", err)
		}
		keys, err := publish.ParsePublicKeys(source)
		if err != nil {
			return nil, fmt.Errorf("public key %s: %w", path, err)
		}
		trust = append(trust[:len(trust):len(trust)], keys...)
	}
	return trust, nil
}

func (t TLS) config() (*tls.Config, error) {
	cfg := &tls.Config{MinVersion: tls.VersionTLS12}
	if t.CA != "" {
		source, err := os.ReadFile(t.CA)
		if err != nil {
			return nil, fmt.Errorf("tls.ca: %w", err)
		}
		cfg.RootCAs = x509.NewCertPool()
		if !cfg.RootCAs.AppendCertsFromPEM(source) {
			return nil, fmt.Errorf("tls.ca: no certificate in %s", t.CA)
		}
	}
	if t.Cert == "" {
		return cfg, nil
	}
	load := func() (*tls.Certificate, error) {
		cert, err := tls.LoadX509KeyPair(t.Cert, t.Key)
		if err != nil {
			return nil, fmt.Errorf("tls.cert: %w", err)
		}
		return &cert, nil
	}
	if _, err := load(); err != nil {
		return nil, err
	}
	// Read at each handshake, so that a renewed certificate needs no restart.
	cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return load() }
	return cfg, nil
}
