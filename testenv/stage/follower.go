package stage

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/failoverd/failoverd/testenv"
)

// Follower is `failoverd follow` on a host of its own, rendering the product's writer for somebody in this process.
type Follower struct {
	*testenv.Program
	// Host is the viewer that it is.
	Host string
	path string
}

// Target is what a Follower renders: where to write, as of which epoch of the product and version of the document.
type Target struct {
	Host    string `json:"host"`
	Port    int    `json:"port"`
	Epoch   uint64 `json:"epoch"`
	Version uint64 `json:"version"`
}

const followerTemplate = `{{with product %q}}{"host": {{json .Writer.Host}}, "port": {{.Writer.Port}}, "epoch": {{.Epoch}}, "version": {{$.Version}}}{{end}}
`

// StartFollower starts a follower as the viewer of that name.
func (s *Stage) StartFollower(ctx context.Context, name string) (*Follower, error) {
	config, err := s.followConfig(name, fmt.Sprintf(followerTemplate, s.Product), "true")
	if err != nil {
		return nil, err
	}
	f := &Follower{Host: name, path: filepath.Join(s.path(name), "db.json")}
	f.Program, err = s.Chain.StartProgram(ctx, name, name+"-follow", filepath.Join(s.path(name), "follow.log"), s.options.Binary, "follow", "--config", config)
	if err == nil {
		s.Followers = append(s.Followers, f)
	}
	return f, err
}

// Read is the newest that was rendered. The file is swapped, so it is never half of one.
func (f *Follower) Read() (Target, error) {
	data, err := os.ReadFile(f.path)
	if err != nil {
		return Target{}, err
	}
	var t Target
	return t, json.Unmarshal(data, &t)
}

// followConfig writes what a follower needs into a directory of the name, and returns its config file.
func (s *Stage) followConfig(name, template, reload string) (string, error) {
	// Followers read the store with the SDK's own credential chain.
	for name, value := range map[string]string{"AWS_ACCESS_KEY_ID": s.S3.AccessKey, "AWS_SECRET_ACCESS_KEY": s.S3.SecretKey} {
		if err := os.Setenv(name, value); err != nil {
			return "", err
		}
	}
	dir := s.path(name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	var endpoints []string
	for _, w := range s.Watchers {
		endpoints = append(endpoints, fmt.Sprintf("%q", w.API))
	}
	follow := fmt.Sprintf(`store: %q
endpoints: [%s]
publicKeys: [%q]
tls: {ca: %q, cert: %q, key: %q}
cacheDir: %q
targets:
  - template: %q
    path: %q
    reload: %s
`, s.StoreURL(), strings.Join(endpoints, ", "), s.path("publish.pub"), s.path("ca.pem"), s.path("follower.pem"), s.path("follower.key"),
		filepath.Join(dir, "cache"), filepath.Join(dir, "db.json.tmpl"), filepath.Join(dir, "db.json"), reload)
	for file, content := range map[string]string{"follow.yaml": follow, "db.json.tmpl": template} {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(content), 0o600); err != nil {
			return "", err
		}
	}
	return filepath.Join(dir, "follow.yaml"), nil
}
