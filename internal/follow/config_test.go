package follow_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/failoverd/failoverd/internal/follow"
)

const goodConfig = `# what a web server follows
store: s3://bucket/prefix?region=eu-central-1
endpoints:
  - https://w1:8443
  - https://w2:8443
publicKeys: [/etc/failoverd/publish.pub]
tls:
  ca: /etc/failoverd/ca.pem
cacheDir: /var/lib/failoverd
poll: 2s
targets:
  - template: /etc/failoverd/haproxy.tmpl
    path: /etc/haproxy/haproxy.cfg
    mode: 0640
    check: haproxy -c -f {}
    reload: systemctl reload haproxy
    timeout: 20s
  - template: /etc/failoverd/app.tmpl
    path: /etc/app.json
`

func load(t *testing.T, source string) (follow.Config, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "follow.yaml")
	require.NoError(t, os.WriteFile(path, []byte(source), 0o600))
	return follow.Load(path)
}

func TestLoad(t *testing.T) {
	cfg, err := load(t, goodConfig)
	require.NoError(t, err)
	assert.Equal(t, follow.Config{
		StoreURL: "s3://bucket/prefix?region=eu-central-1", Endpoints: []string{"https://w1:8443", "https://w2:8443"},
		PublicKeys: []string{"/etc/failoverd/publish.pub"}, TLS: follow.TLS{CA: "/etc/failoverd/ca.pem"},
		CacheDir: "/var/lib/failoverd", Poll: 2 * time.Second,
		Targets: []follow.Target{
			{
				Template: "/etc/failoverd/haproxy.tmpl", Path: "/etc/haproxy/haproxy.cfg", Mode: "0640",
				Check: "haproxy -c -f {}", Reload: "systemctl reload haproxy", Timeout: 20 * time.Second,
			},
			{Template: "/etc/failoverd/app.tmpl", Path: "/etc/app.json"},
		},
	}, cfg)
}

func TestLoadShowsTheLine(t *testing.T) {
	for name, c := range map[string]struct{ old, new, want string }{
		"an unknown field":    {"cacheDir:", "cachedir:", `[9:1] unknown field "cachedir"`},
		"an unknown subfield": {"    check:", "    chekc:", `[15:5] unknown field "chekc"`},
		"a wrong type":        {"poll: 2s", "poll: [2s]", "[10:"},
		"a bad duration":      {"timeout: 20s", "timeout: 20 parsecs", "20 parsecs"},
		"broken YAML":         {"tls:\n", "tls: {\n", "["},
		"a bad mode":          {"mode: 0640", "mode: rw-r--r--", "follow.yaml:14: targets[0].mode"},
		"a bad endpoint":      {"https://w2:8443", "w2:8443", "follow.yaml:5: endpoints[1]"},
		"no template":         {"template: /etc/failoverd/app.tmpl\n    ", "", "follow.yaml:18: targets[1].template: is missing"},
		"the same path twice": {"/etc/app.json", "/etc/haproxy/haproxy.cfg", "follow.yaml:19: targets[1].path"},
		"no cache directory":  {"cacheDir: /var/lib/failoverd\n", "", "cacheDir: targets need one"},
		"half a certificate":  {"  ca: /etc/failoverd/ca.pem", "  cert: /x", "follow.yaml:8: tls: cert and key"},
		"no keys":             {"publicKeys: [/etc/failoverd/publish.pub]\n", "", "publicKeys: no key is given"},
		"a negative timeout":  {"timeout: 20s", "timeout: -1s", "follow.yaml:17: targets[0].timeout"},
	} {
		t.Run(name, func(t *testing.T) {
			require.Contains(t, goodConfig, c.old)
			_, err := load(t, strings.Replace(goodConfig, c.old, c.new, 1))
			require.ErrorContains(t, err, "follow.yaml")
			assert.ErrorContains(t, err, c.want)
		})
	}
	for _, mode := range []string{"640", "0640", `"0640"`, "'640'"} {
		cfg, err := load(t, strings.Replace(goodConfig, "0640", mode, 1))
		require.NoError(t, err, mode)
		assert.Contains(t, []follow.Mode{"640", "0640"}, cfg.Targets[0].Mode)
	}
	_, err := load(t, "")
	assert.ErrorContains(t, err, "neither a store nor endpoints")
}
