package snapshot

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestDefinitionsKeepTheirBytes(t *testing.T) {
	for _, create := range []string{"CREATE VIEW `v` AS SELECT 'ü'", "CREATE VIEW `v` AS SELECT _latin1'\xfc'", ""} {
		was := Object{Kind: "view", Database: "shop", Name: "v", Create: create, Charset: "latin1", Asleep: true}
		text, err := json.Marshal(was)
		require.NoError(t, err)
		var now Object
		require.NoError(t, json.Unmarshal(text, &now))
		assert.Equal(t, was, now, string(text))
	}
	assert.Error(t, json.Unmarshal([]byte(`{"createBase64":"?"}`), new(Object)))
}
