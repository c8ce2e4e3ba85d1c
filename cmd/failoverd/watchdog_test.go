package main

import (
	"bytes"
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// kennel is a watchdog whose surroundings are the test's.
type kennel struct {
	*watchdog
	mu     sync.Mutex
	what   string        // what stalls
	ran    time.Duration // that the watchdog let pass
	asleep time.Duration // for how long the process is stopped at the next look
	codes  []int
	states []string
	log    bytes.Buffer
}

func newKennel() *kennel {
	k := &kennel{}
	k.watchdog = newWatchdog(hclog.New(&hclog.LoggerOptions{Output: &k.log}), func(ran time.Duration) (string, time.Duration) {
		k.mu.Lock()
		asleep := k.asleep
		k.asleep, k.ran = 0, k.ran+ran
		k.mu.Unlock()
		time.Sleep(asleep)
		k.mu.Lock()
		defer k.mu.Unlock()
		return k.what, 90 * time.Second
	})
	k.pings = true
	k.exit = func(code int) { k.mu.Lock(); defer k.mu.Unlock(); k.codes = append(k.codes, code) }
	k.notify = func(state string) { k.mu.Lock(); defer k.mu.Unlock(); k.states = append(k.states, state) }
	return k
}

func (k *kennel) exits() []int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.codes)
}

func (k *kennel) passed() time.Duration {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.ran
}

func (k *kennel) told(state string) (times int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, s := range k.states {
		if s == state {
			times++
		}
	}
	return times
}

func TestStalledLoopEndsTheProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKennel()
		var order []string
		k.before(func() { order = append(order, "leadership given away") })
		k.before(func() { order = append(order, "connections closed") })
		go k.run(t.Context())
		time.Sleep(10*time.Second + time.Millisecond)
		assert.Empty(t, k.exits())
		assert.Equal(t, 10, k.told("WATCHDOG=1"))

		k.mu.Lock()
		k.what = "the mind of shop"
		k.mu.Unlock()
		time.Sleep(time.Second)
		synctest.Wait()
		assert.Equal(t, []int{exitHung}, k.exits())
		assert.Equal(t, []string{"leadership given away", "connections closed"}, order)
		assert.Contains(t, k.log.String(), "watcher hangs and ends itself, to be started anew: what=\"the mind of shop\" for=1m30s exit_code=6")
		assert.Equal(t, 1, k.told("STATUS=the mind of shop hung for 1m30s: ended itself"))
		k.end("writing the log", time.Minute)
		assert.Len(t, k.exits(), 1)
	})
}

func TestEndWaitsNeitherForTheLogNorForTheDisk(t *testing.T) {
	for name, hang := range map[string]func(*kennel, func(string)){
		"the log":      func(k *kennel, wait func(string)) { k.notify = wait },
		"what is left": func(k *kennel, wait func(string)) { k.before(func() { wait("") }) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := newKennel()
				end := make(chan struct{})
				defer close(end)
				hang(k, func(string) { <-end })
				began := time.Now()
				k.end("writing the log", 10*time.Second)
				assert.Equal(t, []int{exitHung}, k.exits())
				assert.Equal(t, partingPatience, time.Since(began))
			})
		})
	}
}

func TestStoppedProcessHangsNowhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKennel()
		go k.run(t.Context())
		time.Sleep(5*time.Second + time.Millisecond)
		k.mu.Lock()
		k.asleep = time.Hour
		k.mu.Unlock()
		time.Sleep(time.Hour + 5*time.Second)
		assert.LessOrEqual(t, k.passed(), 15*time.Second)
		assert.GreaterOrEqual(t, k.passed(), 8*time.Second)
		assert.Empty(t, k.exits())
	})
}

func TestPingsWaitForNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKennel()
		end := make(chan struct{})
		defer close(end)
		k.notify = func(string) { <-end }
		go k.run(t.Context())
		time.Sleep(10*time.Second + time.Millisecond)
		assert.GreaterOrEqual(t, k.passed(), 9*time.Second)
	})
}

func TestEndThatTakesTooLongIsCutShort(t *testing.T) {
	for name, c := range map[string]struct {
		takes time.Duration
		want  []int
	}{"orderly": {stopPatience - time.Second, nil}, "hangs": {stopPatience + time.Second, []int{exitHung}}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := newKennel()
				ctx, cancel := context.WithCancel(t.Context())
				stop := k.limit(ctx)
				time.Sleep(time.Hour)
				cancel()
				time.Sleep(c.takes)
				stop()
				synctest.Wait()
				assert.Equal(t, c.want, k.exits())
				stop = k.limit(t.Context()) // one that is never asked to end
				stop()
			})
		})
	}
}

func TestSystemdSetsThePace(t *testing.T) {
	t.Setenv("WATCHDOG_USEC", "1500000")
	t.Setenv("WATCHDOG_PID", "")
	d := newWatchdog(hclog.NewNullLogger(), nil)
	require.True(t, d.pings)
	assert.Equal(t, 500*time.Millisecond, d.every)
	t.Setenv("WATCHDOG_USEC", "")
	d = newWatchdog(hclog.NewNullLogger(), nil)
	assert.False(t, d.pings)
	assert.Equal(t, pulseEvery, d.every)
}
