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
	if err := os.Setenv(WebPasswordEnv, testenv.Accounts.App.Password); err != nil {
		return err
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
	config, err := s.followConfig(name, fmt.Sprintf(webTemplate, s.Product), fmt.Sprintf("read -r pid < %s && kill -HUP \"$pid\"", filepath.Join(dir, "web.pid")))
	if err != nil {
		return err
	}
	w := &Web{Name: name, Ledger: filepath.Join(dir, "ledger.jsonl")}
	s.Webs = append(s.Webs, w)
	if w.Server, err = testenv.StartProgram(name, filepath.Join(dir, "web.log"), s.options.Binary, "demo", "web", "--name", name,
		"--config", filepath.Join(dir, "db.json"), "--pid-file", filepath.Join(dir, "web.pid"), "--ledger", w.Ledger,
		"--user", testenv.Accounts.App.User, "--database", testenv.Database); err != nil {
		return err
	}
	w.Follow, err = testenv.StartProgram(name+"-follow", filepath.Join(dir, "follow.log"), s.options.Binary, "follow", "--config", config)
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
