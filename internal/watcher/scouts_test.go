package watcher

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/failoverd/failoverd/internal/topology"
)

func TestHeartbeatsMoveWithTheMasterAndThePolicy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		probes := map[string]*fakeProbe{}
		s := newScouts("w1", func(server topology.Server) Probe {
			assert.Nil(t, probes[server.Name], "no connection is made anew")
			probes[server.Name] = &fakeProbe{contact: topology.Answered, answers: make(chan bool)}
			return probes[server.Name]
		}, func(string) {})
		ctx, cancel := context.WithCancel(t.Context())
		chain := topology.Chain{Product: "shop", Policy: topology.DefaultPolicy(), Servers: []topology.Server{
			{Name: "a", Host: "a", Port: 1, Seat: topology.Master}, {Name: "b", Host: "b", Port: 1, Seat: topology.Candidate}}}
		chain.Policy.WriteProbe = topology.Duration(time.Second)
		beating := func() (a, b int) {
			time.Sleep(2 * time.Second)
			synctest.Wait()
			_, a = probes["a"].sent()
			_, b = probes["b"].sent()
			return a, b
		}
		s.follow(ctx, []topology.Chain{chain})
		a, b := beating()
		assert.Equal(t, []int{1, 0}, []int{a, b})
		s.follow(ctx, []topology.Chain{chain.Promoted("b", topology.In, "")})
		a, b = beating()
		assert.Equal(t, []int{0, 1}, []int{a, b})
		assert.Zero(t, s.view(ctx, "shop", false).Sightings["a"].Hanging)
		assert.NotZero(t, s.view(ctx, "shop", false).Sightings["b"].Hanging)
		chain.Policy.WriteProbe = 0
		s.follow(ctx, []topology.Chain{chain.Promoted("b", topology.In, "")})
		a, b = beating()
		assert.Equal(t, []int{0, 0}, []int{a, b})
		cancel()
		s.wait()
		assert.True(t, probes["a"].closed && probes["b"].closed)
	})
}
