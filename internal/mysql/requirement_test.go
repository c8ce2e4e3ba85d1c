package mysql

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/failoverd/failoverd/internal/topology"
)

func TestRequirementsSayWhyAndHowToMend(t *testing.T) {
	names := map[string]bool{}
	for _, r := range Requirements() {
		assert.False(t, names[r.Name], r.Name)
		names[r.Name] = true
		assert.NotEmpty(t, r.Why, r.Name)
		assert.NotEmpty(t, r.Mend, r.Name)
		assert.Contains(t, []Level{Warn, Fail}, r.Level, r.Name)
	}
}

func TestABareServerMeetsNothing(t *testing.T) {
	e := examined{facts: topology.Facts{
		Settings: map[string]string{"rpl_semi_sync_master_enabled": "ON", "replica_net_timeout": "60"},
		Link:     &topology.Link{IO: topology.Connecting, IOError: "error 2003: no", SQL: topology.Off, Heartbeat: topology.Duration(30e9)},
		Source:   topology.SourceSemiSync{Enabled: true},
	}, channels: 2, place: position{chain: topology.Chain{Policy: topology.Policy{WriteProbe: 1}}}, heartbeat: errors.New("no table")}
	findings := judge("db1", e)
	for _, f := range findings {
		assert.NotEqual(t, OK, f.Level, f.Requirement)
		assert.NotEmpty(t, f.Mend, f.Requirement)
	}
	assert.Contains(t, finding(t, findings, "db1", "semi-sync-source").Found, "UNINSTALL PLUGIN rpl_semi_sync_master")
	assert.Equal(t, "CONNECTING error 2003: no", finding(t, findings, "db1", "receiver").Found)
}

func TestAnAckersRelayLogIsGraver(t *testing.T) {
	chain := topology.Chain{Policy: topology.DefaultPolicy(), Servers: []topology.Server{
		{Name: "m", Seat: topology.Master}, {Name: "c", Seat: topology.Candidate, Standing: topology.In},
		{Name: "s1", Seat: topology.Slave, Standing: topology.In}, {Name: "s2", Seat: topology.Slave, Standing: topology.In}, {Name: "d", Seat: topology.Dump, Standing: topology.In}}}
	levels := func(chain topology.Chain) (out []Level) {
		for _, s := range chain.Servers {
			findings := judge(s.Name, examined{place: placeIn(chain, s), facts: topology.Facts{Settings: map[string]string{"sync_relay_log": "0"}}})
			out = append(out, finding(t, findings, s.Name, "sync-relay-log").Level)
		}
		return out
	}
	assert.Equal(t, []Level{Warn, Fail, Fail, Warn, Warn}, levels(chain), "the candidate, and the first slave, which will acknowledge for it")
	chain.Ackers = []string{"d"}
	chain.Policy.Ackers = []topology.Seat{topology.Slave}
	assert.Equal(t, []Level{Warn, Warn, Fail, Fail, Fail}, levels(chain))
	chain.Policy.Durability = topology.Async
	assert.Equal(t, []Level{Warn, Warn, Warn, Warn, Warn}, levels(chain))
}

func TestWhatIsPersistedForTheNextStartIsTold(t *testing.T) {
	for _, c := range []struct {
		now, persisted string
		met            bool
	}{{"OFF", "", true}, {"OFF", "OFF", true}, {"ON", "", false}, {"ON", "OFF", false}, {"OFF", "ON", false}} {
		e := examined{facts: topology.Facts{Settings: map[string]string{"relay_log_recovery": c.now}},
			boot: map[string]bootValue{"relay_log_recovery": {persisted: c.persisted}}}
		f := finding(t, judge("db1", e), "db1", "relay-log-recovery")
		assert.Equal(t, c.met, f.Level == OK, "%+v %s", c, f.Found)
		if c.now == "ON" && c.persisted == "OFF" {
			assert.Contains(t, f.Mend, "restart")
			assert.NotContains(t, f.Mend, "my.cnf")
		}
	}
}

func TestBootValueIsThePersistedOneAndUnknownWhenSetAtRunTime(t *testing.T) {
	for _, c := range []struct {
		boot bootValue
		want Level
	}{
		{bootValue{"GLOBAL", "ON", ""}, OK},
		{bootValue{"COMPILED", "OFF", ""}, Fail},
		{bootValue{"DYNAMIC", "ON", ""}, Warn},
		{bootValue{"DYNAMIC", "OFF", ""}, Warn},
		{bootValue{"DYNAMIC", "OFF", "ON"}, OK},
		{bootValue{"PERSISTED", "OFF", "OFF"}, Fail},
	} {
		findings := judge("db1", examined{boot: map[string]bootValue{"super_read_only": c.boot}})
		assert.Equal(t, c.want, finding(t, findings, "db1", "boots-closed").Level, "%+v", c.boot)
	}
}

func TestGrantsAreReadFromBothSpellings(t *testing.T) {
	lines := []string{
		"GRANT RELOAD ON *.* TO `c`@`%`", "GRANT CONNECTION_ADMIN,SYSTEM_VARIABLES_ADMIN ON *.* TO `c`@`%`",
		"GRANT SELECT ON `performance_schema`.`t1` TO `c`@`%`", "GRANT `role`@`%` TO `c`@`%`",
	}
	assert.Equal(t, []string{"REPLICATION_SLAVE_ADMIN ON *.*", "SELECT ON performance_schema.t2"},
		missingGrants(lines, []string{"RELOAD", "REPLICATION_SLAVE_ADMIN", "SYSTEM_VARIABLES_ADMIN", "CONNECTION_ADMIN"}, []string{"t1", "t2"}))
	assert.Empty(t, missingGrants([]string{"GRANT SET_USER_ID ON *.* TO `c`@`%`"}, definerPrivileges, nil), "before 8.2")
	assert.Empty(t, missingGrants([]string{"GRANT ALL PRIVILEGES ON *.* TO `root`@`localhost` WITH GRANT OPTION"}, controlPrivileges, replicationTables))
	assert.Empty(t, missingGrants([]string{"GRANT SELECT ON `performance_schema`.* TO `p`@`%`"}, nil, replicationTables))
}
