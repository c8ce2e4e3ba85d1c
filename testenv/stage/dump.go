package stage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/failoverd/failoverd/internal/api"
	"github.com/failoverd/failoverd/internal/mysql"
	"github.com/failoverd/failoverd/internal/mysql/dump"
	"github.com/failoverd/failoverd/internal/pki"
	"github.com/failoverd/failoverd/testenv"
)

// Dump is the dump service beside the dump slave.
type Dump struct {
	*testenv.Program
	// Config is its configuration file, which the CLI's restore and drill read too.
	Config string
	// Dir is the directory of the store "dir"; the other, "s3", is the strict S3 of the options, or the stage's own.
	Dir string
}

// DumpAccount is the dump service's, made with what "failoverd grants --dump" prints.
var DumpAccount = testenv.Account{User: "failoverd_dump", Password: "dump-secret"}

// StartDump makes the account and starts a dump service beside the dump slave. Lines
// are added to its configuration ("every: 10s").
func (s *Stage) StartDump(ctx context.Context, lines ...string) error {
	server := s.Chain.At(testenv.Dump)
	if server == nil {
		return errors.New("the chain has no dump slave")
	}
	master := s.Master(ctx)
	if master == nil {
		return errUnknown
	}
	for _, statement := range dump.Grants(mysql.Account{User: DumpAccount.User, Password: DumpAccount.Password}) {
		if err := master.Exec(ctx, statement); err != nil {
			return err
		}
	}
	install, err := testenv.FindServer(ctx, s.options.Progress)
	if err != nil {
		return err
	}
	if err := s.issue("dump", pki.RoleDump, "127.0.0.1"); err != nil {
		return err
	}
	d := &Dump{Config: s.path("dump.yaml"), Dir: s.path("copies")}
	if err := os.WriteFile(s.path("dump.secret"), []byte(DumpAccount.Password), 0o600); err != nil {
		return err
	}
	for name, content := range map[string]string{"copies-access.secret": s.copies().access, "copies-secret.secret": s.copies().secret} {
		if err := os.WriteFile(s.path(name), []byte(content), 0o600); err != nil {
			return err
		}
	}
	if err := os.WriteFile(d.Config, []byte(s.dumpConfig(server, d, install.Mysqld, lines)), 0o600); err != nil {
		return err
	}
	d.Program, err = s.Chain.StartProgram(ctx, server.Name, "dump", s.path("dump.log"), s.options.Binary, "dump", "--config", d.Config)
	if err != nil {
		return err
	}
	s.Dump = d
	return nil
}

// bucket is where an S3 store is, and what opens it.
type bucket struct{ url, access, secret string }

// copies is the S3 store of the dump service.
func (s *Stage) copies() bucket {
	if strict := s.options.Copies; strict != nil {
		return bucket{strict.URL("copies"), strict.AccessKey, strict.SecretKey}
	}
	return bucket{fmt.Sprintf("s3://%s/copies?region=%s&pathStyle=true&endpoint=%s", s.S3.Bucket, s.S3.Region, url.QueryEscape(s.S3.Endpoint)), s.S3.AccessKey, s.S3.SecretKey}
}

func (s *Stage) dumpConfig(server *testenv.Server, d *Dump, mysqld string, lines []string) string {
	var endpoints []string
	for _, w := range s.Watchers {
		endpoints = append(endpoints, fmt.Sprintf("%q", w.API))
	}
	return fmt.Sprintf(`product: %s
server: {name: %s, addr: %q}
mysql: {user: %s, password: {file: dump.secret}}
watchers:
  endpoints: [%s]
  tls: {ca: ca.pem, cert: dump.pem, key: dump.key}
stores:
  - {name: s3, url: %q, s3: {accessKey: {file: copies-access.secret}, secretKey: {file: copies-secret.secret}}}
  - {name: dir, url: "file://%s"}
drill: {mysqld: %q, dir: drill}
%s
`, s.Product, server.Name, net.JoinHostPort(server.Host, fmt.Sprint(server.Port)), DumpAccount.User, strings.Join(endpoints, ", "), s.copies().url, filepath.ToSlash(d.Dir), mysqld, strings.Join(lines, "\n"))
}

// AwaitCopies waits until the copies are as wanted.
func (s *Stage) AwaitCopies(ctx context.Context, what string, patience time.Duration, wanted func(api.Copies) bool) (out api.Copies, err error) {
	return out, await(ctx, what, patience, func(ctx context.Context) error {
		p, err := s.Status(ctx)
		switch {
		case err != nil:
			return err
		case p.Copies == nil:
			return fmt.Errorf("no dump service has reported; %s", tail(s.Dump.Output()))
		}
		out = *p.Copies
		if !wanted(out) {
			return fmt.Errorf("%+v; %s", out, tail(s.Dump.Output()))
		}
		return nil
	})
}

// Drill rehearses a restore as an operator on the dump machine would, and returns what
// the program printed: a report as JSON. A drill that did not pass is an error, too.
func (s *Stage) Drill(ctx context.Context) ([]byte, error) {
	var said bytes.Buffer
	cmd := exec.CommandContext(ctx, s.options.Binary, "drill", s.Product, "--config", s.Dump.Config, "--output", "json")
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) } // it has a server to end
	cmd.WaitDelay = time.Minute
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		return out, fmt.Errorf("drill: %w: %s", err, tail(said.String()))
	}
	return out, nil
}
