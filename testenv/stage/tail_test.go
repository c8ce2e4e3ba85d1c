package stage

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestTailReadsEachLineOnceAndLeavesAHalfWrittenOne(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.jsonl")
	tail := Tail{Path: path}
	none, err := tail.Read()
	require.NoError(t, err)
	assert.Empty(t, none, "the file is not there yet")

	file, err := os.Create(path)
	require.NoError(t, err)
	defer file.Close()
	add := func(text string) {
		_, err := file.WriteString(text)
		require.NoError(t, err)
	}
	read := func() []string {
		ledger, err := tail.Read()
		require.NoError(t, err)
		ids := []string{}
		for _, w := range ledger {
			ids = append(ids, w.ID)
		}
		return ids
	}
	add(`{"id":"a","o":"acked","t":1,"d":1,"e":1}` + "\n" + `{"id":"b","o":"fai`)
	assert.Equal(t, []string{"a"}, read())
	assert.Empty(t, read())
	add(`led","t":2,"d":1,"e":1}` + "\n")
	assert.Equal(t, []string{"b"}, read())
	add("no json\n")
	_, err = tail.Read()
	assert.ErrorContains(t, err, path)
}
