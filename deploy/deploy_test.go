package deploy

import (
	"bufio"
	"context"
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/hashicorp/go-hclog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/failoverd/failoverd/internal/cluster"
	"github.com/failoverd/failoverd/internal/config"
	"github.com/failoverd/failoverd/internal/follow"
	"github.com/failoverd/failoverd/internal/inventory"
	"github.com/failoverd/failoverd/internal/mysql"
	"github.com/failoverd/failoverd/internal/object"
	"github.com/failoverd/failoverd/internal/publish"
	"github.com/failoverd/failoverd/internal/topology"
	"github.com/failoverd/failoverd/testenv"
)

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	require.NoError(t, err)
	return string(text)
}

func TestWatcherExampleIsGood(t *testing.T) {
	c, err := config.Load("watcher.yaml")
	require.NoError(t, err)
	assert.Len(t, c.Watchers, 3)
}

func TestDumpExampleIsGood(t *testing.T) {
	c, err := config.LoadDump("dump.yaml")
	require.NoError(t, err)
	assert.Equal(t, config.DefaultEvery, c.Every, "what the example says is the default")
	assert.Equal(t, config.DefaultWorkers, c.Workers)
	assert.Equal(t, config.Ship{Every: config.DefaultShipEvery, Bytes: config.DefaultShipBytes}, c.Ship)
	assert.Equal(t, config.DefaultScrub, c.Scrub.Every)
	locked := filepath.Join(t.TempDir(), "dump.yaml")
	require.NoError(t, os.WriteFile(locked, []byte(strings.Replace(read(t, "dump.yaml"), "# objectLock:", "objectLock:", 1)), 0o600))
	with, err := config.LoadDump(locked)
	require.NoError(t, err, "the comment is good as well")
	assert.Equal(t, config.ObjectLock{Mode: "compliance", Days: 30}, with.Stores[0].ObjectLock)
	unit := read(t, "failoverd-dump.service")
	secrets := []config.Secret{c.MySQL.Password}
	for _, s := range c.Stores {
		if s.S3.AccessKey.Given() {
			secrets = append(secrets, s.S3.AccessKey, s.S3.SecretKey)
		}
	}
	for _, s := range secrets {
		require.NotEmpty(t, s.Credential)
		assert.Contains(t, unit, "\nLoadCredential="+s.Credential+":")
	}
	state := regexp.MustCompile(`(?m)^StateDirectory=(.+)$`).FindStringSubmatch(unit)
	require.NotNil(t, state)
	for _, dir := range []string{c.Drill.Dir, strings.TrimPrefix(c.Stores[1].URL, "file://")} {
		assert.Equal(t, "/var/lib/"+state[1], filepath.Dir(dir), "what is written is in the state directory")
	}
	products, err := inventory.Parse("products.yaml", []byte(read(t, "products.yaml")))
	require.NoError(t, err)
	shop := products[slices.IndexFunc(products, func(p topology.Chain) bool { return p.Product == c.Product })]
	server, known := shop.Server(c.Server.Name)
	require.True(t, known)
	assert.Equal(t, topology.Dump, server.Seat)
	watcher, err := config.Load("watcher.yaml")
	require.NoError(t, err)
	for i, w := range watcher.Watchers {
		assert.Equal(t, w.API, c.Watchers.Endpoints[i])
	}
}

func TestUnitGivesEveryCredentialThatTheWatcherReads(t *testing.T) {
	c, err := config.Load("watcher.yaml")
	require.NoError(t, err)
	unit := read(t, "failoverd-watcher.service")
	for _, s := range []config.Secret{c.MySQL.Probe.Password, c.MySQL.Control.Password, c.MySQL.Replication.Password, c.S3.AccessKey, c.S3.SecretKey} {
		require.NotEmpty(t, s.Credential)
		assert.Contains(t, unit, "\nLoadCredential="+s.Credential+":")
	}
	assert.Contains(t, unit, "\nStateDirectory="+filepath.Base(c.Data)+"\n")
	assert.Equal(t, "/var/lib", filepath.Dir(c.Data))
}

// TestWatcherThatEndsItselfIsStartedAnew holds the unit against the bounds in the program: the process ends by its
// own decision first, by systemd's only when it can no longer take one.
func TestWatcherThatEndsItselfIsStartedAnew(t *testing.T) {
	unit := read(t, "failoverd-watcher.service")
	for _, line := range []string{"Type=notify", "NotifyAccess=main", "Restart=always", "StartLimitIntervalSec=0"} {
		assert.Contains(t, unit, "\n"+line+"\n")
	}
	limit := regexp.MustCompile(`(?m)^WatchdogSec=(.+)$`).FindStringSubmatch(unit)
	require.NotNil(t, limit)
	watchdog, err := time.ParseDuration(limit[1])
	require.NoError(t, err)
	assert.GreaterOrEqual(t, watchdog, 2*cluster.DefaultTiming().Hopeless)
}

func TestProductsExampleIsGood(t *testing.T) {
	chains, err := inventory.Parse("products.yaml", []byte(read(t, "products.yaml")))
	require.NoError(t, err)
	require.Len(t, chains, 3)
	assert.Equal(t, "orders", chains[0].Product)
	assert.Equal(t, []topology.Seat{topology.Candidate, topology.Slave}, chains[0].Policy.Ackers)
	assert.Equal(t, topology.Duration(time.Second), chains[0].Policy.WriteProbe)
	assert.Equal(t, "search", chains[1].Product)
	assert.Equal(t, topology.Async, chains[1].Policy.Durability)
	assert.Equal(t, "shop", chains[2].Product)
	assert.Equal(t, topology.DefaultPolicy(), chains[2].Policy)
	assert.Len(t, chains[2].Servers, 4)
}

func TestFollowExampleRenders(t *testing.T) {
	cfg, err := follow.Load("follow.yaml")
	require.NoError(t, err)
	require.Len(t, cfg.Targets, 1)
	unit := read(t, "failoverd-follow.service")
	assert.Contains(t, unit, "\nReadWritePaths="+filepath.Dir(cfg.Targets[0].Path)+"\n")
	assert.Contains(t, unit, "\nStateDirectory="+filepath.Base(cfg.CacheDir)+"\n")

	key, err := publish.GenerateKey()
	require.NoError(t, err)
	db1 := publish.Server{Host: "10.0.0.21", Port: 3306, Zone: "a"}
	db2 := publish.Server{Host: "10.0.1.21", Port: 3306, Zone: "b"}
	head, err := publish.Render(nil, publish.Input{Zones: []string{"a", "b"}, Products: map[string]publish.Product{
		"shop": {Epoch: 7, State: "healthy", Writer: &db1, Readers: []publish.Server{db1, db2}, Protected: true},
	}}, key, time.Now())
	require.NoError(t, err)
	store := object.NewMemory()
	_, err = store.Put(t.Context(), publish.HeadKey, head.Bytes, object.Always)
	require.NoError(t, err)

	dir := t.TempDir()
	cfg.Store, cfg.Endpoints, cfg.PublicKeys, cfg.TLS = store, nil, nil, follow.TLS{}
	cfg.Trust, cfg.CacheDir = publish.Trust{key.Public()}, filepath.Join(dir, "cache")
	target := &cfg.Targets[0]
	target.Template, target.Path = filepath.Base(target.Template), filepath.Join(dir, "db.json")
	target.Check, target.Reload = "", "" // jq and the shop's service are not ours
	require.NoError(t, follow.RunOnce(t.Context(), cfg, hclog.NewNullLogger()))

	var rendered struct {
		Epoch                uint64
		Writer               string
		Readers, ReadersHere []string
	}
	require.NoError(t, json.Unmarshal([]byte(read(t, target.Path)), &rendered))
	assert.Equal(t, uint64(7), rendered.Epoch)
	assert.Equal(t, "10.0.0.21:3306", rendered.Writer)
	assert.Equal(t, []string{"10.0.0.21:3306", "10.0.1.21:3306"}, rendered.Readers)
	assert.Equal(t, []string{"10.0.0.21:3306"}, rendered.ReadersHere)
}

// settings reads my.cnf; of an option that is given twice, the last.
func settings(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	lines := bufio.NewScanner(strings.NewReader(read(t, "my.cnf")))
	for lines.Scan() {
		name, value, isSetting := strings.Cut(lines.Text(), "=")
		if isSetting && !strings.HasPrefix(name, "#") {
			out[strings.TrimPrefix(strings.TrimSpace(name), "loose_")] = strings.TrimSpace(value)
		}
	}
	return out
}

var (
	lineForFile  = regexp.MustCompile(`^my\.cnf: (\w+) = ([^<\s,]+)`)
	lineForRoot  = regexp.MustCompile(`^SET PERSIST(?:_ONLY)? (\w+) = ([^<\s]+)$`)
	ownOfServers = []string{"server_id", "report_host"}
)

// TestServerExampleMeetsTheRequirements holds my.cnf against what doctor would
// have one do.
func TestServerExampleMeetsTheRequirements(t *testing.T) {
	given := settings(t)
	held := 0
	for _, r := range mysql.Requirements() {
		m := lineForFile.FindStringSubmatch(r.Mend)
		if m == nil {
			m = lineForRoot.FindStringSubmatch(r.Mend)
		}
		if m == nil {
			continue // of the links, or an own plugin
		}
		held++
		assert.Equal(t, m[2], given[m[1]], "%s: %s", r.Name, r.Mend)
	}
	assert.GreaterOrEqual(t, held, 14, "the requirements' mends are read")
	for _, name := range ownOfServers {
		assert.NotEmpty(t, given[name])
	}
	text := read(t, "my.cnf")
	for _, r := range mysql.Requirements() {
		if _, plugin, ok := strings.Cut(r.Mend, "INSTALL PLUGIN "); ok {
			name, library, _ := strings.Cut(plugin, " SONAME ")
			assert.Contains(t, text, "\nplugin_load_add = "+name+"="+strings.Trim(library, "'")+"\n", r.Name)
		}
	}
}

// TestServerStartsWithTheExample has a real server read every line of my.cnf.
func TestServerStartsWithTheExample(t *testing.T) {
	if testing.Short() {
		t.Skip("needs a real MySQL server")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	var lines []string
	for line := range strings.Lines(read(t, "my.cnf")) {
		if name, _, ok := strings.Cut(line, "="); ok && !strings.HasPrefix(line, "#") && !slices.Contains(ownOfServers, strings.TrimSpace(name)) {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	chain, err := testenv.NewChain(ctx, testenv.Options{Bare: true, Config: lines, Servers: []testenv.ServerSpec{{Name: "a", Seat: testenv.Master}}})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, chain.Close()) })
	server := chain.Server("a")
	account := func(a testenv.Account) mysql.Account { return mysql.Account{User: a.User, Password: a.Password} }
	examination := mysql.Examine(ctx, topology.Server{Name: "a", Host: server.Host, Port: server.Port}, mysql.Credentials{
		Probe: account(testenv.Accounts.Probe), Control: account(testenv.Accounts.Control),
		Replication: mysql.Replication{Account: account(testenv.Accounts.Replication)},
	})
	levels := map[string]mysql.Level{}
	for _, f := range examination.Findings {
		levels[f.Requirement] = f.Level
		if f.Requirement != "report-host" { // its own
			assert.Equal(t, mysql.OK, f.Level, "%s: %s", f.Requirement, f.Found)
		}
	}
	for _, r := range mysql.Requirements() {
		assert.Contains(t, levels, r.Name, "what was examined: %v", slices.Sorted(maps.Keys(levels)))
	}
}

func TestAlertsSpeakOfWhatThereIs(t *testing.T) {
	var file struct {
		Groups []struct {
			Name  string `yaml:"name"`
			Rules []struct {
				Alert       string            `yaml:"alert"`
				Expr        string            `yaml:"expr"`
				For         string            `yaml:"for"`
				Labels      map[string]string `yaml:"labels"`
				Annotations map[string]string `yaml:"annotations"`
			} `yaml:"rules"`
		} `yaml:"groups"`
	}
	require.NoError(t, yaml.UnmarshalWithOptions([]byte(read(t, "alerts.yaml")), &file, yaml.Strict()))
	require.Len(t, file.Groups, 1)

	var metrics, rules []string
	for _, m := range regexp.MustCompile(`gauge\("(\w+)"`).FindAllStringSubmatch(read(t, "../internal/api/metrics.go")+read(t, "../internal/api/metrics_copies.go"), -1) {
		metrics = append(metrics, "failoverd_"+m[1])
	}
	for _, r := range topology.Rules {
		rules = append(rules, r.Name)
	}
	named := regexp.MustCompile(`\bfailoverd_\w+`)
	ofRules := regexp.MustCompile(`rule=~?"([^"]+)"`)
	seen := map[string]bool{}
	for _, rule := range file.Groups[0].Rules {
		assert.False(t, seen[rule.Alert], "two alerts are named %s", rule.Alert)
		seen[rule.Alert] = true
		assert.Contains(t, []string{"info", "warning", "critical"}, rule.Labels["severity"], rule.Alert)
		assert.NotEmpty(t, rule.Annotations["summary"], rule.Alert)
		assert.Equal(t, strings.Count(rule.Expr, "("), strings.Count(rule.Expr, ")"), rule.Alert)
		for _, metric := range named.FindAllString(rule.Expr, -1) {
			assert.Contains(t, metrics, metric, rule.Alert)
		}
		for _, m := range ofRules.FindAllStringSubmatch(rule.Expr, -1) {
			for name := range strings.SplitSeq(m[1], "|") {
				assert.Contains(t, rules, name, rule.Alert)
			}
		}
		if rule.For != "" {
			_, err := time.ParseDuration(rule.For)
			assert.NoError(t, err, rule.Alert)
		}
	}
}

// TestUnitsAreGood has systemd read the units, where it is.
func TestUnitsAreGood(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("no systemd-analyze here")
	}
	dir := t.TempDir()
	for _, unit := range []string{"failoverd-watcher.service", "failoverd-follow.service", "failoverd-dump.service"} {
		// The program is not installed here, nor are its manual pages.
		text := strings.ReplaceAll(read(t, unit), "/usr/local/bin/failoverd", "/bin/true")
		text = regexp.MustCompile(`(?m)^Documentation=.*\n`).ReplaceAllString(text, "")
		require.NoError(t, os.WriteFile(filepath.Join(dir, unit), []byte(text), 0o644))
	}
	out, err := exec.Command(analyze, "verify", filepath.Join(dir, "failoverd-watcher.service"), filepath.Join(dir, "failoverd-follow.service"), filepath.Join(dir, "failoverd-dump.service")).CombinedOutput()
	said := string(out)
	for line := range strings.Lines(said) { // of our units, not of the machine's
		assert.False(t, strings.Contains(line, "failoverd-"), line)
	}
	if err != nil {
		t.Logf("systemd-analyze: %v: %s", err, said)
	}
}
