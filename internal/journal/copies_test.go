package journal

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestEventsOfCopiesAreInTheHistoryOnce(t *testing.T) {
	l := newLog(t)
	before := len(l.History)
	drill := Copies{Product: "shop", Server: "d", What: "drill", Outcome: "done", Why: "20261128T190000Z-e1-aabbcc was restored", Ms: 4200}
	l.do(Command{Actor: "dump-d", Copies: &drill})
	l.do(Command{Actor: "dump-d", Copies: &drill})
	require.Len(t, l.History, before+1, "an answer was lost and it was reported again")
	last := l.History[before]
	assert.Equal(t, "drill", last.What)
	assert.Equal(t, "d", last.To)
	assert.Equal(t, "dump-d", last.Actor)
	assert.Equal(t, uint64(1), last.Epoch)
	assert.EqualValues(t, 4200, last.Ms)

	drill.Ms++
	l.do(Command{Actor: "dump-d", Copies: &drill})
	assert.Len(t, l.History, before+2)
	require.Error(t, l.try(Command{Copies: &Copies{Product: "shop", Server: "d"}}), "it says nothing")
	require.Error(t, l.try(Command{Copies: &Copies{Product: "gone", What: "drill", Outcome: "done"}}))
}
