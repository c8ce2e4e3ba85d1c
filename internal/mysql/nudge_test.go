package mysql

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/failoverd/failoverd/internal/promote/servertest"
)

func TestNudgeReleasesCommitsThatTheAckerHadBefore(t *testing.T) {
	w, ctx := world(t), t.Context()
	require.NoError(t, w.B.Server().SetReplicaSemiSync(ctx, false))
	require.NoError(t, w.B.Server().StopReceiver(ctx))
	require.NoError(t, w.B.Server().StartReceiver(ctx))
	write := w.A.Write("v")
	require.Eventually(t, func() bool { return w.B.Visible("v") }, time.Minute, 10*time.Millisecond)
	require.NoError(t, w.B.Server().SetReplicaSemiSync(ctx, true))
	require.NoError(t, w.B.Server().StopReceiver(ctx))
	require.NoError(t, w.B.Server().StartReceiver(ctx))
	require.Empty(t, write)
	require.NoError(t, w.A.Server().(*Server).Nudge(ctx))
	select {
	case outcome := <-write:
		require.Equal(t, servertest.Acked, outcome)
	case <-time.After(5 * time.Second):
		require.Fail(t, "the write still waits")
	}
}
