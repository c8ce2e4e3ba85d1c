package testenv

import (
	"context"
	"errors"
	"os"
	"path/filepath"
)

// dirPattern names the temporary directories of chains, and owned the file in each that its program holds locked.
const (
	dirPattern = "failoverd-chain-*"
	owned      = "owner.lock"
)

// removeDir removes what the chain made, which in a directory that was given leaves everything else alone.
func (c *Chain) removeDir() error {
	if c.unlock != nil {
		defer c.unlock()
	}
	if c.keep {
		return nil
	}
	var failed error
	for _, path := range c.made {
		failed = errors.Join(failed, os.RemoveAll(path))
	}
	return failed
}

// makeDir makes the chain's directory. The lock in it tells other programs that the chain lives; the kernel
// releases it however this program ends.
func (c *Chain) makeDir(ctx context.Context, dir string) error {
	if dir == "" {
		sweep(ctx)
		made, err := os.MkdirTemp("", dirPattern)
		if err != nil {
			return err
		}
		c.Dir, c.made = made, []string{made}
	} else {
		abs, err := filepath.Abs(dir)
		if err != nil {
			return err
		}
		if err := os.MkdirAll(abs, 0o755); err != nil {
			return err
		}
		c.Dir, c.made = abs, []string{filepath.Join(abs, owned)}
	}
	if c.keep {
		return nil
	}
	unlock, err := lockFile(ctx, filepath.Join(c.Dir, owned), nil)
	c.unlock = unlock
	return err
}

// sweep removes the directories of chains whose program was killed before it could.
func sweep(ctx context.Context) {
	ended, cancel := context.WithCancel(ctx)
	cancel()
	locks, _ := filepath.Glob(filepath.Join(os.TempDir(), dirPattern, owned))
	for _, lock := range locks {
		// With an ended context the lock is tried once.
		if unlock, err := lockFile(ended, lock, nil); err == nil {
			unmountUnder(filepath.Dir(lock))
			_ = os.RemoveAll(filepath.Dir(lock))
			unlock()
		}
	}
}
