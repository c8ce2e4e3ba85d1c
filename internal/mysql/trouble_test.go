package mysql

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/failoverd/failoverd/internal/topology"
	"github.com/failoverd/failoverd/testenv"
)

// troubled is a master with a replica that acknowledges, each on a disk of its own.
func troubled(t *testing.T) (a, b *testenv.Server) {
	t.Helper()
	if testing.Short() {
		t.Skip("needs real MySQL servers")
	}
	if err := testenv.DisksWork(); err != nil {
		t.Skip(err)
	}
	ctx := t.Context()
	c, err := testenv.NewChain(ctx, testenv.Options{Disks: true, Servers: []testenv.ServerSpec{
		{Name: "a", Seat: testenv.Master}, {Name: "b", Seat: testenv.Candidate, Source: "a"}}})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, c.Close()) })
	a, b = c.Server("a"), c.Server("b")
	for _, statement := range append(Grants(credentials), HeartbeatTable(credentials)...) {
		require.NoError(t, a.Exec(ctx, statement))
	}
	executed, err := a.Executed(ctx)
	require.NoError(t, err)
	require.NoError(t, b.AwaitApplied(ctx, executed))
	return a, b
}

// signs is what the watchers' probe has of one server.
type signs struct {
	ping, fresh topology.Contact // on the standing connection, on a new one
	facts       *topology.Facts  // nil when the look failed
	beat        string           // committed, refused, hangs or lost
}

// signsOf asks in every way there is, and logs how long each took.
func signsOf(t *testing.T, standing *Probe, addr string) signs {
	t.Helper()
	ctx := t.Context()
	var s signs
	began := time.Now()
	lap := func(format string, args ...any) {
		t.Helper()
		t.Logf("%s: "+format+" in %s", append(append([]any{addr}, args...), time.Since(began).Round(time.Millisecond))...)
		began = time.Now()
	}
	s.ping, _ = pinged(t, standing)
	lap("ping %s", s.ping)
	fresh, err := NewProbe(Config{Addr: addr, Account: credentials.Probe})
	require.NoError(t, err)
	defer fresh.Close()
	s.fresh, err = pinged(t, fresh)
	lap("new connection %s %v", s.fresh, err)
	if facts, err := standing.Look(ctx); err == nil {
		s.facts = &facts
		lap("look: %+v", facts.Source)
	} else {
		lap("look: %v", err)
	}
	answered, err := beat(t, standing, 2*time.Second)
	switch {
	case err == nil:
		s.beat = "committed"
	case answered:
		s.beat = "refused"
	default:
		s.beat = "hangs"
	}
	lap("heartbeat %s %v", s.beat, err)
	return s
}

// beatUntilItHangs writes heartbeats for as long as they are committed.
func beatUntilItHangs(t *testing.T, p *Probe) {
	t.Helper()
	for i := range 1000 {
		if answered, err := beat(t, p, 2*time.Second); err != nil {
			t.Logf("after %d heartbeats: %v", i, err)
			require.False(t, answered, "%v", err)
			return
		}
	}
	require.Fail(t, "a full disk takes a thousand heartbeats")
}

// timed logs what became of an order and how long it took.
func timed(t *testing.T, what string, f func() error) error {
	t.Helper()
	began := time.Now()
	err := f()
	t.Logf("%s: %v in %s", what, err, time.Since(began).Round(time.Millisecond))
	return err
}

// A master that can write nothing any more answers all that only reads, and its
// replicas hear its heartbeats. Nobody waits for an acknowledgement.
func assertOnlyHeartbeatsTell(t *testing.T, a, b *testenv.Server, pa *Probe) {
	t.Helper()
	s := signsOf(t, pa, a.Addr())
	assert.Equal(t, topology.Answered, s.ping)
	assert.Equal(t, topology.Answered, s.fresh)
	require.NotNil(t, s.facts)
	assert.Zero(t, s.facts.Source.Waiting)
	assert.Equal(t, 1, s.facts.Source.Clients)
	assert.Equal(t, "hangs", s.beat)
	facts, err := newProbe(t, b.Addr(), credentials.Probe).Look(t.Context())
	require.NoError(t, err)
	assert.Equal(t, topology.On, facts.Link.IO)
	assert.Less(t, facts.Link.Silence.Std(), time.Second, "the dump thread goes on")
}

func TestAMasterWhoseDiskIsFullIsFoundOutByHeartbeatsAlone(t *testing.T) {
	a, b := troubled(t)
	ctx := t.Context()
	pa := newProbe(t, a.Addr(), credentials.Probe)
	assert.Equal(t, "committed", signsOf(t, pa, a.Addr()).beat)
	require.NoError(t, a.Exec(ctx, "CREATE TABLE shop.bulk (v LONGBLOB)"))
	require.NoError(t, a.Disk.Fill())
	err := timed(t, "a large insert", func() error {
		return a.Exec(ctx, "INSERT INTO shop.bulk VALUES (REPEAT('x', 3000000))")
	})
	assert.ErrorContains(t, err, "1114", "tables say so at once, the binary log waits for space")
	beatUntilItHangs(t, pa)
	assertOnlyHeartbeatsTell(t, a, b, pa)
	require.Eventually(t, func() bool {
		facts, err := pa.Look(ctx)
		return err == nil && facts.HangingCommits > 0
	}, 15*time.Second, 100*time.Millisecond, "what hangs for five seconds shows")

	server := control(t, a)
	assert.Equal(t, uint16(errLockWait), serverNumber(timed(t, "close", func() error { return server.SetSuperReadOnly(ctx, true) })))
	// Whoever kills the session that waits for space has mysqld abort
	// (binlog_error_action), and offline mode kills it: fenced for certain.
	require.NoError(t, timed(t, "offline", func() error { return server.SetOffline(ctx, true) }))
	require.Eventually(t, func() bool { return !a.Running() }, time.Minute, 10*time.Millisecond)
}

func TestAMasterWhoseDiskHangsIsFoundOutByHeartbeatsAlone(t *testing.T) {
	a, b := troubled(t)
	ctx := t.Context()
	pa := newProbe(t, a.Addr(), credentials.Probe)
	assert.Equal(t, "committed", signsOf(t, pa, a.Addr()).beat)
	require.NoError(t, a.Disk.Freeze())
	answered, err := beat(t, pa, 2*time.Second)
	assert.False(t, answered, "%v", err)
	assertOnlyHeartbeatsTell(t, a, b, pa)
	server := control(t, a)
	assert.Equal(t, uint16(errLockWait), serverNumber(timed(t, "close", func() error { return server.SetSuperReadOnly(ctx, true) })))
	assert.NoError(t, timed(t, "offline", func() error { return server.SetOffline(ctx, true) }))
	assert.NoError(t, timed(t, "semi-sync off", func() error { return server.SetSourceSemiSync(ctx, 0) }))
	require.NoError(t, a.Disk.Thaw())
	require.Eventually(t, func() bool { return server.SetSuperReadOnly(ctx, true) == nil }, time.Minute, 10*time.Millisecond)
}

// An acker that cannot write its relay log lets commits wait and answers every ping.
// Its receiver cannot be stopped, so the right to acknowledge cannot be taken from
// it while that lasts.
func assertStallsAndCannotBeRevoked(t *testing.T, a, b *testenv.Server, pa, pb *Probe) {
	t.Helper()
	ctx := t.Context()
	s := signsOf(t, pb, b.Addr())
	assert.Equal(t, topology.Answered, s.ping)
	assert.Equal(t, topology.Answered, s.fresh)
	if s.facts != nil {
		link := s.facts.Link
		t.Logf("link: io %s, sql %s, silence %s", link.IO, link.SQL, link.Silence)
		assert.Equal(t, topology.On, link.IO)
		assert.Empty(t, link.IOError)
		assert.Greater(t, link.Silence.Std(), time.Second, "as if the master were silent")
	}
	master, err := pa.Look(ctx)
	require.NoError(t, err)
	t.Logf("master: %+v", master.Source)
	assert.NotZero(t, master.Source.Waiting)
	err = timed(t, "stop receiver", func() error { return control(t, b).StopReceiver(ctx) })
	assert.Error(t, err)
	for range 5 {
		_ = timed(t, "look behind the stop", func() error { _, err := pb.Look(ctx); return err })
	}
	contact, err := pinged(t, pb)
	assert.Equal(t, topology.Answered, contact, "%v", err)
	var sessions int
	require.NoError(t, b.DB().QueryRowContext(ctx, "SELECT COUNT(*) FROM performance_schema.processlist WHERE user = ?", credentials.Probe.User).Scan(&sessions))
	assert.LessOrEqual(t, sessions, 3, "looks do not pile up: one for each of ping, look and heartbeat")
}

func TestAnAckerWhoseDiskIsFullLetsCommitsWait(t *testing.T) {
	a, b := troubled(t)
	pa, pb := newProbe(t, a.Addr(), credentials.Probe), newProbe(t, b.Addr(), credentials.Probe)
	require.NoError(t, b.Disk.Fill())
	beatUntilItHangs(t, pa)
	assertStallsAndCannotBeRevoked(t, a, b, pa, pb)
}

func TestAnAckerWhoseDiskHangsLetsCommitsWaitAndCannotBeLookedAt(t *testing.T) {
	a, b := troubled(t)
	ctx := t.Context()
	pa, pb := newProbe(t, a.Addr(), credentials.Probe), newProbe(t, b.Addr(), credentials.Probe)
	assert.Equal(t, "committed", signsOf(t, pa, a.Addr()).beat)
	require.NoError(t, b.Disk.Freeze())
	answered, err := beat(t, pa, 2*time.Second)
	assert.False(t, answered, "%v", err)
	assertStallsAndCannotBeRevoked(t, a, b, pa, pb)
	require.NoError(t, b.Disk.Thaw())
	require.Eventually(t, func() bool { _, err := pb.Look(ctx); return err == nil }, time.Minute, 10*time.Millisecond)
	f, err := pb.Look(ctx)
	require.NoError(t, err)
	t.Logf("thawed: io %s", f.Link.IO)
}

func TestUsedUpConnectionsLeaveWhatStandsAndOneForControl(t *testing.T) {
	world(t)
	s, ctx := realServers.Started().Server("a"), t.Context()
	standing := newProbe(t, s.Addr(), credentials.Probe)
	assert.Equal(t, topology.Answered, signsOf(t, standing, s.Addr()).ping)
	require.NoError(t, s.Exec(ctx, "SET GLOBAL max_connections = 10"))
	defer func() { require.NoError(t, s.Exec(ctx, "SET GLOBAL max_connections = 200")) }()
	app, err := realServers.Started().Open(testenv.Clients, "a", testenv.Accounts.App, "")
	require.NoError(t, err)
	defer app.Close()
	for range 12 {
		conn, err := app.Conn(ctx)
		if err != nil {
			break
		}
		defer conn.Close()
	}
	got := signsOf(t, standing, s.Addr())
	assert.Equal(t, topology.Answered, got.ping)
	assert.Equal(t, topology.Busy, got.fresh)
	assert.NotNil(t, got.facts)
	assert.Equal(t, "refused", got.beat, "there is no table, and it had its session")
	answered, err := beat(t, newProbe(t, s.Addr(), credentials.Probe), time.Second)
	assert.True(t, answered, "too many connections is an answer: %v", err)

	// CONNECTION_ADMIN gives one connection more than max_connections, to the first of all.
	first, second := control(t, s), control(t, s)
	require.Eventually(t, func() bool { // one that was refused counts until its thread has ended
		return timed(t, "control", func() error { _, err := first.Look(ctx); return err }) == nil
	}, time.Minute, 10*time.Millisecond)
	err = timed(t, "a second control session", func() error { _, err := second.Look(ctx); return err })
	assert.Equal(t, uint16(errTooManyConnections), serverNumber(err), "%v", err)
	assert.NoError(t, timed(t, "offline", func() error { return first.SetOffline(ctx, true) }), "which frees the connections")
	require.Eventually(t, func() bool { _, err := second.Look(ctx); return err == nil }, time.Minute, 10*time.Millisecond)
	require.NoError(t, first.SetOffline(ctx, false))
}

func TestAProbeAccountThatIsTakenAwayIsDenied(t *testing.T) {
	world(t)
	s, ctx := realServers.Started().Server("a"), t.Context()
	restore := func() {
		everywhere(t, append([]string{"DROP USER IF EXISTS fd_probe@'%'"}, Grants(credentials)...)...)
	}
	t.Cleanup(restore)
	for _, trouble := range []struct {
		statement string
		standing  topology.Contact // on the connection that stands
		looks     bool
	}{
		{"ALTER USER fd_probe@'%' ACCOUNT LOCK", topology.Answered, true},
		{"ALTER USER fd_probe@'%' IDENTIFIED BY 'another'", topology.Answered, true},
		{"REVOKE ALL, GRANT OPTION FROM fd_probe@'%'", topology.Answered, false},
		{"DROP USER fd_probe@'%'", topology.Answered, false},
	} {
		p := newProbe(t, s.Addr(), credentials.Probe)
		before := signsOf(t, p, s.Addr())
		require.Equal(t, topology.Answered, before.ping)
		require.NotNil(t, before.facts)
		require.NoError(t, s.Exec(ctx, trouble.statement))
		t.Log(trouble.statement)
		after := signsOf(t, p, s.Addr())
		assert.Equal(t, trouble.standing, after.ping, trouble.statement)
		assert.Equal(t, trouble.looks, after.facts != nil, trouble.statement)
		if trouble.statement[:6] != "REVOKE" {
			assert.Equal(t, topology.Denied, after.fresh, trouble.statement)
		}
		assert.Equal(t, "refused", after.beat, "nothing hangs")
		restore()
		require.NoError(t, s.Exec(ctx, "SET GLOBAL super_read_only = OFF"))
	}
}
