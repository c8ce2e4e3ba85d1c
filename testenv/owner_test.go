//go:build linux

package testenv

import (
	"net"
	"os"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestCallerIsKnownWhileOtherConnectionsComeAndGo guards against a table of sockets that changes while it is read,
// and, when it runs after the tests with network namespaces, against reading the table of one of those.
func TestCallerIsKnownWhileOtherConnectionsComeAndGo(t *testing.T) {
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	stop := make(chan struct{})
	var churn sync.WaitGroup
	busy, err := net.Listen("tcp4", "127.0.0.1:0")
	require.NoError(t, err)
	churn.Go(func() {
		for {
			c, err := busy.Accept()
			if err != nil {
				return
			}
			c.Close()
		}
	})
	churn.Go(func() {
		defer busy.Close()
		for {
			select {
			case <-stop:
				return
			default:
			}
			if c, err := net.Dial("tcp4", busy.Addr().String()); err == nil {
				_ = c.(*net.TCPConn).SetLinger(0)
				c.Close()
			}
		}
	})
	self, unknown := os.Getpid(), 0
	for range 200 {
		dialed, err := net.Dial("tcp4", listener.Addr().String())
		require.NoError(t, err)
		accepted, err := listener.Accept()
		require.NoError(t, err)
		if pid, _ := ownerOf(accepted, []int{self}); pid != self {
			unknown++
		}
		dialed.Close()
		accepted.Close()
	}
	close(stop)
	churn.Wait()
	assert.Zero(t, unknown, "of 200 connections")
}
