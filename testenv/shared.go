package testenv

import (
	"context"
	"fmt"
	"os"
	"sync"
	"time"

	"go.uber.org/goleak"
)

// Shared is a chain that all tests of a package use, one after the other: starting
// servers takes most of the time of most tests.
type Shared struct {
	mu    sync.Mutex
	chain *Chain
	err   error
}

// sharedStart bounds the start of a shared chain, its first download included.
const sharedStart = 5 * time.Minute

// Chain returns the chain, which the first call starts and then gives to prepare,
// unless that is nil. Every call after one that failed fails alike, until Discard.
func (s *Shared) Chain(options Options, prepare func(context.Context, *Chain) error) (*Chain, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.chain == nil && s.err == nil {
		ctx, cancel := context.WithTimeout(context.Background(), sharedStart)
		defer cancel()
		if s.chain, s.err = NewChain(ctx, options); s.err == nil && prepare != nil {
			s.err = prepare(ctx, s.chain)
		}
	}
	return s.chain, s.err
}

// Discard stops a chain that is of no use any more. The next Chain starts another.
func (s *Shared) Discard() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	chain := s.chain
	s.chain, s.err = nil, nil
	if chain == nil {
		return nil
	}
	return chain.Close()
}

// Started is the chain that Chain has started, nil before.
func (s *Shared) Started() *Chain { return s.chain }

// Run is for TestMain: it runs the package's tests, stops the chain if one was
// started, and returns the exit code, which is not 0 either when a goroutine is left.
func (s *Shared) Run(tests interface{ Run() int }) int {
	code := tests.Run()
	if err := s.Discard(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	return code
}
