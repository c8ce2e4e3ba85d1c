package campaign

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
)

// program is the package of what is tested.
const program = "github.com/failoverd/failoverd/cmd/failoverd"

// skewVariable is how many seconds the clock of a skewed program is ahead.
const skewVariable = "FAILOVERD_TEST_SKEW"

// The lines of Go's own time.Now before and after. No library can put itself before the system call of a static
// program, and a time namespace does not reach the clock on the wall, so the program is built with another time.Now.
const (
	nowLine    = "\tsec, nsec, mono := runtimeNow()\n\tif mono == 0 {"
	skewedLine = "\tsec, nsec, mono := runtimeNow()\n\tsec += skewSeconds\n\tif mono == 0 {"
	skewFile   = `package time

import "syscall"

var skewSeconds = func() (seconds int64) {
	text, _ := syscall.Getenv("` + skewVariable + `")
	for i, digit := range []byte(text) {
		if i > 0 || digit != '-' {
			seconds = 10*seconds + int64(digit-'0')
		}
	}
	if len(text) > 0 && text[0] == '-' {
		return -seconds
	}
	return seconds
}()
`
)

// skewed is the failoverd of this module whose clock can be wrong, built when first asked for.
var skewed struct {
	sync.Mutex
	path string
}

func skewedBinary(ctx context.Context) (string, error) {
	skewed.Lock()
	defer skewed.Unlock()
	if skewed.path != "" {
		return skewed.path, nil
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, "failoverd", "skewed")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	path := filepath.Join(dir, fmt.Sprintf("failoverd-%d", os.Getpid()))
	if err := buildSkewed(ctx, dir, path, program); err != nil {
		return "", fmt.Errorf("build with a clock that can be wrong: %w", err)
	}
	skewed.path = path
	return path, nil
}

// removeSkewed removes the program again.
func removeSkewed() error {
	skewed.Lock()
	defer skewed.Unlock()
	if skewed.path == "" {
		return nil
	}
	path := skewed.path
	skewed.path = ""
	return os.Remove(path)
}

// buildSkewed builds a package in the present module with a time.Now that skewVariable moves. It takes as long as a
// first build: everything depends on package time. dir gets what the Go tool needs for it.
func buildSkewed(ctx context.Context, dir, path, pkg string) error {
	root, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
	if err != nil {
		return err
	}
	library := filepath.Join(strings.TrimSpace(string(root)), "src", "time")
	source, err := os.ReadFile(filepath.Join(library, "time.go"))
	if err != nil {
		return err
	}
	if !bytes.Contains(source, []byte(nowLine)) {
		return errors.New("this Go's time.Now does not read as expected")
	}
	replace := map[string]string{}
	for name, content := range map[string]string{"time.go": strings.Replace(string(source), nowLine, skewedLine, 1), "skew.go": skewFile} {
		replace[filepath.Join(library, name)] = filepath.Join(dir, name)
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			return err
		}
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "overlay.json"), overlay, 0o644); err != nil {
		return err
	}
	build := exec.CommandContext(ctx, "go", "build", "-overlay", filepath.Join(dir, "overlay.json"), "-o", path, pkg)
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}
