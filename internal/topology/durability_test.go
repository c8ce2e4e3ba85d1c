package topology

import (
	"maps"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestWeaknessNamesWhatAnAcknowledgedWriteCouldBeLostBy(t *testing.T) {
	sound := map[string]string{"sync_binlog": "1", "innodb_flush_log_at_trx_commit": "1", "sync_relay_log": "1", "relay_log_recovery": "OFF",
		"rpl_semi_sync_source_timeout": "1000000000", "rpl_semi_sync_source_wait_no_replica": "ON", "rpl_semi_sync_source_wait_point": "AFTER_SYNC"}
	assert.Len(t, DurableSettings, len(sound))
	assert.Empty(t, Facts{Settings: sound}.Weakness(true, true))
	assert.Empty(t, Facts{}.Weakness(true, true), "what is not known is not weak")
	for _, c := range []struct {
		name, value            string
		acker, master, neither bool
	}{
		{name: "sync_binlog", value: "0", acker: true, master: true},
		{name: "sync_binlog", value: "1000", acker: true, master: true},
		{name: "innodb_flush_log_at_trx_commit", value: "2", acker: true, master: true},
		{name: "sync_relay_log", value: "10000", acker: true},
		{name: "relay_log_recovery", value: "ON", acker: true},
		{name: "rpl_semi_sync_source_timeout", value: "10000", master: true},
		{name: "rpl_semi_sync_source_wait_no_replica", value: "OFF", master: true},
		{name: "rpl_semi_sync_source_wait_point", value: "AFTER_COMMIT", master: true},
	} {
		settings := maps.Clone(sound)
		settings[c.name] = c.value
		f := Facts{Settings: settings}
		assert.Len(t, f.Weakness(true, false), btoi(c.acker), c.name)
		assert.Len(t, f.Weakness(false, true), btoi(c.master), c.name)
		assert.Len(t, f.Weakness(false, false), btoi(c.neither), c.name)
	}
	weak := Facts{Settings: map[string]string{"sync_binlog": "0"}}
	assert.Equal(t, []string{"sync_binlog is 0, should be 1: a power cut can take acknowledged commits out of the binary log"}, weak.Weakness(true, false))
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}
