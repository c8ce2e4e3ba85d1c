package check

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func at(ms int) time.Time { return start.Add(time.Duration(ms) * time.Millisecond) }

// write took 5 ms.
func write(id, server string, sent int, o Outcome) Write {
	return Write{ID: id, Client: "web1", Server: server, Sent: at(sent), Known: at(sent + 5), Outcome: o}
}

// cleanWrites go to db1, and to db2 after its promotion at 100 ms.
func cleanWrites() (inserts, deletions []Write, rows []Row) {
	inserts = []Write{
		write("a", "db1", 0, Acked), write("b", "db1", 10, Acked), write("c", "db1", 20, Failed), write("d", "db1", 30, Unknown),
		write("e", "db1", 40, Unknown), write("f", "db2", 110, Acked), write("g", "db2", 120, Acked), write("h", "db2", 130, Acked),
	}
	deletions = []Write{write("b", "db2", 140, Acked), write("g", "db2", 150, Unknown), write("h", "db2", 160, Failed)}
	return inserts, deletions, []Row{{"a", "db1"}, {"d", "db1"}, {"f", "db2"}, {"h", "db2"}}
}

func TestACleanLedgerPasses(t *testing.T) {
	got := JudgeLedger(cleanWrites())
	assert.False(t, got.Broken())
	assert.Equal(t, Ledger{Acked: 5, Failed: 1, Unknown: 2}, got)
}

func TestEachFlawOfALedgerIsFoundAndNamed(t *testing.T) {
	for name, tt := range map[string]struct {
		spoil func([]Row) []Row
		want  Ledger
	}{
		"an acknowledged row is lost":         {func(r []Row) []Row { return r[1:] }, Ledger{Lost: []string{"a"}}},
		"a row whose deletion failed is lost": {func(r []Row) []Row { return r[:3] }, Ledger{Lost: []string{"h"}}},
		"a row is there twice":                {func(r []Row) []Row { return append(r, Row{"f", "db2"}) }, Ledger{Duplicated: []string{"f"}}},
		"an unknown row is there twice":       {func(r []Row) []Row { return append(r, Row{"d", "db2"}) }, Ledger{Duplicated: []string{"d"}}},
		"a deleted row is back":               {func(r []Row) []Row { return append(r, Row{"b", "db1"}) }, Ledger{Resurrected: []string{"b"}}},
		"a refused row is there":              {func(r []Row) []Row { return append(r, Row{"c", "db1"}) }, Ledger{Phantom: []string{"c"}}},
		"nobody wrote a row":                  {func(r []Row) []Row { return append(r, Row{"z", "db1"}) }, Ledger{Phantom: []string{"z"}}},
		"an unknown row and an unknown deletion may be there or not": {func(r []Row) []Row {
			return append(append(append([]Row{}, r[:1]...), r[2:]...), Row{"e", "db1"}, Row{"g", "db2"})
		}, Ledger{}},
	} {
		t.Run(name, func(t *testing.T) {
			inserts, deletions, rows := cleanWrites()
			got := JudgeLedger(inserts, deletions, tt.spoil(rows))
			assert.Equal(t, tt.want.Broken(), got.Broken())
			tt.want.Acked, tt.want.Failed, tt.want.Unknown = got.Acked, got.Failed, got.Unknown
			assert.Equal(t, tt.want, got)
		})
	}
}

// reigns: db1 until 100 ms, db2 until 300 ms, then db1 again.
var reigns = []Reign{{1, "db1", at(-1000), at(-1000)}, {3, "db1", at(295), at(300)}, {2, "db2", at(98), at(102)}}

func TestOneMasterAtATime(t *testing.T) {
	inserts, deletions, _ := cleanWrites()
	assert.Empty(t, DualAckers(append(inserts, deletions...), reigns))
}

func TestDualAckIsFoundAndNamed(t *testing.T) {
	found := DualAckers([]Write{write("late", "db1", 150, Acked)}, reigns)
	require.Len(t, found, 1)
	assert.Equal(t, "late: db1 acknowledged it to web1, who sent it at 03:04:05.150, when db2 was the master of epoch 2", found[0].String())
}

func TestWhatIsNoDualAck(t *testing.T) {
	slow := write("slow", "db1", 50, Acked)
	slow.Known = at(200)
	returning := write("returning", "db1", 250, Acked)
	returning.Known = at(320)
	for name, w := range map[string]Write{
		"sent before the promotion, answered after it": slow,
		"sent before the old master came back":         returning,
		"sent to the old master and refused":           write("refused", "db1", 150, Failed),
		"sent to the old master and not answered":      write("hanging", "db1", 150, Unknown),
		"sent to the master of the third epoch":        write("third", "db1", 350, Acked),
	} {
		t.Run(name, func(t *testing.T) { assert.Empty(t, DualAckers([]Write{w}, reigns)) })
	}
	assert.Empty(t, DualAckers([]Write{slow}, nil), "nobody knows who was master")
}

// The journal says only roughly when a server was opened; that it acknowledged something says it better.
func TestAnAcknowledgementShowsThatAServerIsOpen(t *testing.T) {
	late := []Reign{{1, "db1", at(-1000), at(-1000)}, {2, "db2", at(100), at(200)}}
	assert.Empty(t, DualAckers([]Write{write("old", "db1", 140, Acked)}, late))
	assert.Len(t, DualAckers([]Write{write("old", "db1", 140, Acked), write("new", "db2", 120, Acked)}, late), 1)
}

func TestDualAckBeforeTheFirstPromotion(t *testing.T) {
	assert.Len(t, DualAckers([]Write{write("early", "db2", 20, Acked)}, reigns), 1, "the candidate was not open yet")
}

func TestRegressions(t *testing.T) {
	clean := []Reading{{"web1", 1, 1}, {"web2", 1, 2}, {"web1", 1, 1}, {"web1", 2, 3}, {"web2", 2, 3}}
	assert.Empty(t, Regressions(clean))
	got := Regressions(append(clean, Reading{"web2", 1, 4}))
	require.Len(t, got, 1)
	assert.Equal(t, "web2 read epoch 1 version 4 after epoch 2 version 3", got[0].String())
	assert.Len(t, Regressions(append(clean, Reading{"web1", 2, 2})), 1, "the version alone may not go back either")
}

func operation(client int, k Kind, value int64, sent, known int) Operation {
	return Operation{Key: "k", Client: client, Kind: k, Value: value, Swapped: true, Sent: at(sent), Known: at(known), Outcome: Acked}
}

// cleanOperations has one of everything.
func cleanOperations() []Operation {
	swap, missed := operation(1, Swap, 7, 60, 70), operation(2, Swap, 8, 80, 90)
	swap.Expected, missed.Expected, missed.Swapped = 5, 5, false
	unknown, failed := operation(3, Put, 9, 5, 10), operation(4, Put, 10, 5, 10)
	unknown.Outcome, failed.Outcome = Unknown, Failed
	return []Operation{operation(1, Read, 0, 0, 3), operation(1, Put, 5, 10, 50), operation(2, Read, 0, 20, 30), operation(2, Read, 5, 40, 55),
		swap, missed, unknown, failed, operation(2, Read, 7, 100, 110)}
}

func TestACleanRegisterPasses(t *testing.T) {
	assert.Equal(t, Registers{OK: 1}, JudgeRegisters(cleanOperations(), time.Minute))
	took := append(cleanOperations(), operation(2, Read, 9, 200, 210))
	assert.Equal(t, Registers{OK: 1}, JudgeRegisters(took, time.Minute), "an unknown write may take effect late")
}

func TestAFlawedRegisterIsFoundAndNamed(t *testing.T) {
	blind := operation(2, Swap, 11, 200, 210)
	blind.Expected = 5
	for name, o := range map[string]Operation{
		"a stale read":                 operation(2, Read, 5, 200, 210),
		"a read of a failed write":     operation(2, Read, 10, 200, 210),
		"a swap of what was not there": blind,
		"a read of what nobody wrote":  operation(2, Read, 99, 200, 210),
	} {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, Registers{Violated: []string{"k"}}, JudgeRegisters(append(cleanOperations(), o), time.Minute))
		})
	}
}

func TestASwapMustHappenWhenItCan(t *testing.T) {
	refused := operation(2, Swap, 11, 200, 210)
	refused.Expected, refused.Swapped = 7, false
	assert.Equal(t, []string{"k"}, JudgeRegisters([]Operation{operation(1, Put, 7, 0, 5), refused}, time.Minute).Violated)
}

// Many unknown writes that overlap everything cannot be judged: that is said, and takes no longer than allowed.
func TestAHopelessHistoryIsUndecided(t *testing.T) {
	var history []Operation
	for i := range 400 {
		o := operation(i, Put, int64(i%7), i%10, 0)
		o.Outcome = Unknown
		history = append(history, o)
	}
	for i := range 300 {
		history = append(history, operation(i, Read, int64(i*i%7), 20, 1000))
	}
	history = append(history, operation(0, Read, 99, 2000, 2010))
	began := time.Now()
	got := JudgeRegisters(history, 50*time.Millisecond)
	assert.Equal(t, []string{"k"}, got.Undecided, fmt.Sprint(got))
	assert.Less(t, time.Since(began), 10*time.Second)
}

func TestOutageIsTheLongestGapThatEndsAfterTheEvent(t *testing.T) {
	writes := []Write{write("a", "db1", 0, Acked), write("b", "db1", 900, Acked), write("c", "db1", 1000, Failed), write("d", "db2", 1400, Acked), write("e", "db2", 1500, Acked)}
	got, ok := Outage(writes, at(950))
	assert.True(t, ok)
	assert.Equal(t, 500*time.Millisecond, got)
	_, ok = Outage(writes, at(2000))
	assert.False(t, ok)
}

func TestMoneyIsNeitherMadeNorLost(t *testing.T) {
	assert.True(t, JudgeBank([]int64{70, 130, -20, 20}, 200).OK)
	assert.Equal(t, Bank{Total: 199, Want: 200}, JudgeBank([]int64{70, 129}, 200))
	assert.False(t, JudgeBank(nil, 200).OK, "the accounts are gone")
}
