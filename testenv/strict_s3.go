package testenv

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// StrictS3 is versitygw, an S3 service as a process of its own that keeps its data in a directory. What S3
// promises and a service in this process does not, it does: wrong checksums are refused, the conditions of multipart
// completions are kept, and objects are locked if asked for.
type StrictS3 struct {
	Endpoint  string // http://host:port, for path-style requests
	Bucket    string
	Region    string
	AccessKey string
	SecretKey string
	// Log is the file that the service writes to.
	Log string

	program *Program
}

// ErrNoStrictS3 says that there is no versitygw here and that it could not be built: a reason to skip a test.
var ErrNoStrictS3 = errors.New("no strict S3 service to be had")

// versitygw is the program and the version that is built, as the go command names them.
const (
	versitygw        = "github.com/versity/versitygw/cmd/versitygw"
	versitygwVersion = "v1.8.0"
)

// NewStrictS3 starts the service with its data in dir, which must exist; a second one may follow there after Close.
// With locks, the objects of its bucket have versions and can be locked. The program is the one that
// FAILOVERD_VERSITYGW names, or one that the go command builds into the cache once, which takes minutes.
// progress may be nil. The error is ErrNoStrictS3 when there is no program, or when dir is on a file system without
// extended attributes: with a directory for them instead, it loses updates of racing If-Match writers.
func NewStrictS3(ctx context.Context, dir string, locks bool, progress func(string)) (*StrictS3, error) {
	path, err := findVersitygw(ctx, progress)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoStrictS3, err)
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	addr := listener.Addr().String()
	listener.Close()
	s := &StrictS3{Endpoint: "http://" + addr, Bucket: "failoverd", Region: "us-east-1",
		AccessKey: "strict-key", SecretKey: "strict-secret", Log: filepath.Join(dir, "versitygw.log")}
	args := []string{"--port", addr, "--region", s.Region, "--keep-alive", "--quiet", "posix"}
	for _, sub := range []struct{ flag, dir string }{{"--versioning-dir", "versions"}, {"", "data"}} {
		path := filepath.Join(dir, sub.dir)
		if err := os.MkdirAll(path, 0o755); err != nil {
			return nil, err
		}
		if sub.flag != "" {
			args = append(args, sub.flag)
		}
		args = append(args, path)
	}
	s.program = &Program{Name: "versitygw", Log: s.Log, spec: processSpec{path: path, args: args, log: s.Log,
		env: []string{"ROOT_ACCESS_KEY=" + s.AccessKey, "ROOT_SECRET_KEY=" + s.SecretKey}}}
	if err := s.Start(ctx); err != nil {
		if strings.Contains(err.Error(), "xattr") {
			err = fmt.Errorf("%w: %w", ErrNoStrictS3, err)
		}
		return nil, err
	}
	if err := s.createBucket(ctx, locks); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// URL names a prefix of the bucket, which may be empty, as the configuration of failoverd does.
func (s *StrictS3) URL(prefix string) string {
	return "s3://" + s.Bucket + "/" + prefix + "?region=" + s.Region + "&endpoint=" + s.Endpoint + "&pathStyle=true"
}

// Start runs the service again after Kill, with the data kept, and returns when it answers.
func (s *StrictS3) Start(ctx context.Context) error {
	if err := s.program.Start(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if s.answers(ctx) {
			return nil
		}
		select {
		case <-s.program.p.done:
			return fmt.Errorf("versitygw ended: %s", strings.TrimSpace(s.program.Output()))
		case <-ctx.Done():
			s.Kill()
			return fmt.Errorf("versitygw does not answer: %w", context.Cause(ctx))
		case <-tick.C:
		}
	}
}

// answers says whether it speaks HTTP, whatever it says.
func (s *StrictS3) answers(ctx context.Context) bool {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.Endpoint, nil)
	if err != nil {
		return false
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return false
	}
	response.Body.Close()
	return true
}

// Kill ends the service with SIGKILL, in the midst of whatever it does.
func (s *StrictS3) Kill() { s.program.Kill() }

// Close ends the service. Its directory is the caller's.
func (s *StrictS3) Close() { s.Kill() }

func (s *StrictS3) createBucket(ctx context.Context, locks bool) error {
	client := s3.New(s3.Options{BaseEndpoint: aws.String(s.Endpoint), Region: s.Region, UsePathStyle: true,
		Credentials: credentials.NewStaticCredentialsProvider(s.AccessKey, s.SecretKey, "")})
	in := &s3.CreateBucketInput{Bucket: &s.Bucket}
	if locks {
		in.ObjectLockEnabledForBucket = aws.Bool(true)
	}
	if _, err := client.CreateBucket(ctx, in); err != nil && !strings.Contains(err.Error(), "BucketAlreadyOwnedByYou") {
		return fmt.Errorf("create bucket: %w", err)
	}
	return nil
}

// findVersitygw returns the path of the program, which one process at a time builds if need be.
func findVersitygw(ctx context.Context, progress func(string)) (string, error) {
	if progress == nil {
		progress = func(string) {}
	}
	if path := os.Getenv("FAILOVERD_VERSITYGW"); path != "" {
		return exec.LookPath(path)
	}
	cache, err := CacheDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, "versitygw-"+versitygwVersion)
	path := filepath.Join(dir, "versitygw")
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	unlock, err := lockFile(ctx, dir+".lock", func() { progress("waiting for another process that builds versitygw") })
	if err != nil {
		return "", err
	}
	defer unlock()
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	progress("building versitygw " + versitygwVersion + " once, which takes minutes")
	return path, buildVersitygw(ctx, dir)
}

// buildVersitygw builds outside of any module, and into a directory that gets its name when all of it is there.
func buildVersitygw(ctx context.Context, dir string) error {
	made, err := os.MkdirTemp(filepath.Dir(dir), filepath.Base(dir)+".new-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(made)
	command := []string{"go", "install", versitygw + "@" + versitygwVersion}
	if nice, err := exec.LookPath("nice"); err == nil {
		command = append([]string{nice, "-n", "10"}, command...)
	}
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Dir = made
	cmd.Env = append(os.Environ(), "GOBIN="+made, "GOFLAGS=-mod=mod", "GOWORK=off", "CGO_ENABLED=0")
	cmd.WaitDelay = 10 * time.Second
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build versitygw: %w: %s", err, lastLines(string(out), 1))
	}
	return os.Rename(made, dir)
}
