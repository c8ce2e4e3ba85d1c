package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/failoverd/failoverd/internal/api"
	"github.com/failoverd/failoverd/internal/journal"
	"github.com/failoverd/failoverd/internal/promote"
	"github.com/failoverd/failoverd/internal/topology"
)

func TestTheScreenTellsHowARebuildGoes(t *testing.T) {
	f := healthyFrame()
	f.product.Servers[3].Standing, f.product.Servers[3].Why = topology.Quarantined, "db4 holds 1 transactions that master db1 never had"
	f.product.Open = &promote.Progress{Next: 1, Plan: promote.Plan{ID: 9, Kind: promote.Rebuild, Target: "db4",
		Steps: []promote.Step{{Goal: promote.Saved, Server: "db4"}, {Goal: promote.Cloned, Server: "db4", Source: "db3"}}}}
	shown := func(waiting string) string {
		f.product.Waiting = waiting
		return paintScreen(f.lines(120, 40), 120, false)
	}
	text := shown("cloned db4 with db3: db4 copies from db3, FILE COPY 60%: under way")
	assert.Contains(t, text, "plan 9, rebuild: step 2 of 2, cloned db4 with db3, db4 copies from db3, FILE COPY 60%")
	assert.NotContains(t, text, "under way")
	text = shown("cloned db4 with db3: db4 may be restarting with its new data: under way (look: unreachable)")
	assert.Contains(t, text, "db4 may be restarting with its new data")
	assert.NotContains(t, text, "unreachable")
	assert.Contains(t, shown("following db4 ← db1: unreachable"), "waiting: following db4 ← db1: unreachable")

	_, line := entryText(journal.Entry{What: string(promote.Rebuild), To: "db4", Plan: 9, Ms: 7000, Outcome: api.OutcomeDone,
		Phases: []promote.Note{{Step: "saved db4", Text: "1 errant transactions are in errant/shop/db4/0123"}}})
	assert.True(t, strings.HasPrefix(line, "rebuild of db4 in "), line)
	assert.Contains(t, line, "(1 errant transactions are in errant/shop/db4/0123)")
}
