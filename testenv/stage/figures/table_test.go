package main

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/failoverd/failoverd/internal/promote"
	"github.com/failoverd/failoverd/testenv/stage"
)

func TestPercentiles(t *testing.T) {
	ten := []int64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}
	assert.Equal(t, int64(5), percentile(ten, 50))
	assert.Equal(t, int64(10), percentile(ten, 99))
	assert.Equal(t, int64(7), percentile([]int64{7}, 50))
	assert.Zero(t, percentile(nil, 99))
}

func TestTableShowsEveryRun(t *testing.T) {
	result := func(ms int64) stage.Result {
		return stage.Result{WriteOutageMs: ms, WritesAcked: 100, Phases: []promote.Note{{Ms: ms / 2}}}
	}
	assert.Contains(t, table([]row{{"kill-master", []stage.Result{result(900), result(500), result(700)}}}),
		"| kill-master | 700 ms | 900 ms | 350 ms | 500 700 900 | 300 | 0 |\n")
}
