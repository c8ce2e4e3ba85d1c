package stage

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/failoverd/failoverd/testenv"
)

// Web is one web server: a process that writes through its rendered config, and
// the follower beside it that keeps this config up to date.
type Web struct {
	Name   string
	Server *testenv.Program
	Follow *testenv.Program
	// Ledger is the file in which the server notes each write's outcome.
	Ledger string
}

const ledgerTable = `CREATE TABLE IF NOT EXISTS shop.ledger (
  id VARCHAR(40) PRIMARY KEY, web VARCHAR(20) NOT NULL, epoch BIGINT NOT NULL, at TIMESTAMP(6) DEFAULT CURRENT_TIMESTAMP(6))`

func (s *Stage) makeLedger(ctx context.Context) error {
	master := s.Chain.At(testenv.Master)
	if s.options.Chain.Bare {
		return nil
	}
	return master.Exec(ctx, ledgerTable)
}

// webTemplate is the config file of a demo web server.
const webTemplate = `{{with product %q}}{"host": {{json .Writer.Host}}, "port": {{.Writer.Port}}, "epoch": {{.Epoch}}}{{end}}
`

func (s *Stage) startWebs(ctx context.Context) error {
	if s.options.Webs < 0 {
		return nil
	}
	s.options.Progress("starting the web servers")
	// The followers read the store with the SDK's own credential chain, the servers their password so.
	for name, value := range map[string]string{"AWS_ACCESS_KEY_ID": s.S3.AccessKey, "AWS_SECRET_ACCESS_KEY": s.S3.SecretKey,
		WebPasswordEnv: testenv.Accounts.App.Password} {
		if err := os.Setenv(name, value); err != nil {
			return err
		}
	}
	for i := range s.options.Webs {
		if err := s.startWeb(fmt.Sprintf("web%d", i+1)); err != nil {
			return err
		}
	}
	for _, w := range s.Webs {
		if err := await(ctx, w.Name+" to write", 20*time.Second, func(context.Context) error {
			ledger, err := ReadLedger(w.Ledger)
			if err == nil && ledger.Acked() == 0 {
				err = errors.New("no write acknowledged yet; " + tail(w.Follow.Output()))
			}
			return err
		}); err != nil {
			return err
		}
	}
	return nil
}

// WebPasswordEnv is the environment variable with the web servers' MySQL password.
const WebPasswordEnv = "FAILOVERD_DEMO_PASSWORD"

func (s *Stage) startWeb(name string) error {
	dir := s.path(name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
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
    reload: read -r pid < %s && kill -HUP "$pid"
`, s.StoreURL(), strings.Join(endpoints, ", "), s.path("publish.pub"), s.path("ca.pem"), s.path("follower.pem"), s.path("follower.key"),
		filepath.Join(dir, "cache"), filepath.Join(dir, "db.json.tmpl"), filepath.Join(dir, "db.json"), filepath.Join(dir, "web.pid"))
	for file, content := range map[string]string{"follow.yaml": follow, "db.json.tmpl": fmt.Sprintf(webTemplate, s.Product)} {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(content), 0o600); err != nil {
			return err
		}
	}
	w := &Web{Name: name, Ledger: filepath.Join(dir, "ledger.jsonl")}
	s.Webs = append(s.Webs, w)
	var err error
	if w.Server, err = testenv.StartProgram(name, filepath.Join(dir, "web.log"), s.options.Binary, "demo", "web", "--name", name,
		"--config", filepath.Join(dir, "db.json"), "--pid-file", filepath.Join(dir, "web.pid"), "--ledger", w.Ledger,
		"--user", testenv.Accounts.App.User, "--database", testenv.Database); err != nil {
		return err
	}
	w.Follow, err = testenv.StartProgram(name+"-follow", filepath.Join(dir, "follow.log"), s.options.Binary, "follow", "--config", filepath.Join(dir, "follow.yaml"))
	return err
}

// Stop ends the server's writing, so that its ledger is final.
func (w *Web) Stop() error { return w.Server.Stop(5 * time.Second) }

func (w *Web) close() {
	for _, p := range []*testenv.Program{w.Server, w.Follow} {
		if p != nil {
			p.Kill()
		}
	}
}

func tail(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return lines[len(lines)-1]
}
