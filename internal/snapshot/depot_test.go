package snapshot

import (
	"testing"
	"time"

	"filippo.io/age"
	"github.com/hashicorp/go-hclog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/failoverd/failoverd/internal/object"
	"github.com/failoverd/failoverd/internal/topology"
)

// twoPlaces are a depot of two stores in memory.
func twoPlaces(t *testing.T) (*Depot, *object.Memory, *object.Memory) {
	t.Helper()
	box, err := NewBox()
	require.NoError(t, err)
	near, far := object.NewMemory(), object.NewMemory()
	return &Depot{Product: madeProduct, Box: box, Places: []Place{{"near", near}, {"far", far}}}, near, far
}

func TestADepotFindsWhatAnyOfItsPlacesHas(t *testing.T) {
	d, near, far := twoPlaces(t)
	now := time.Now().UTC().Truncate(time.Second)
	old := makeCopy{store: near, box: d.Box, at: now.Add(-2 * time.Hour), chunks: twoChunks("a")}.make(t)
	require.NoError(t, Replicate(t.Context(), near, far, d.Box, madeProduct, old.ID))
	young := makeCopy{store: far, box: d.Box, at: now.Add(-time.Hour), chunks: twoChunks("b")}.make(t)

	held, errs := d.List(t.Context())
	require.Empty(t, errs)
	require.Len(t, held, 2)
	assert.Equal(t, []string{"near", "far"}, held[0].Places)
	assert.Equal(t, []string{"far"}, held[1].Places)

	place, m, err := d.Find(t.Context(), "", time.Time{})
	require.NoError(t, err)
	assert.Equal(t, young.ID, m.ID)
	assert.Equal(t, "far", place.Name)
	place, m, err = d.Find(t.Context(), old.ID[:16], time.Time{})
	require.NoError(t, err)
	assert.Equal(t, old.ID, m.ID)
	assert.Equal(t, "near", place.Name, "the preferred one")
	_, m, err = d.Find(t.Context(), "", now.Add(-90*time.Minute))
	require.NoError(t, err)
	assert.Equal(t, old.ID, m.ID, "the newest from before")
	for _, wrong := range []string{"2", "19990101"} {
		_, _, err = d.Find(t.Context(), wrong, time.Time{})
		assert.ErrorIs(t, err, ErrNoSnapshot, wrong)
	}
	_, _, err = d.Find(t.Context(), "", now.Add(-24*time.Hour))
	assert.ErrorIs(t, err, ErrNoSnapshot)

	survey := d.Survey(t.Context())
	require.NotNil(t, survey.Newest)
	assert.Equal(t, young.ID, survey.Newest.ID)
	assert.Equal(t, 1, survey.Stores[0].Behind, "near lacks the young one")
	assert.Zero(t, survey.Stores[1].Behind)
	assert.InDelta(t, time.Hour.Milliseconds(), survey.Stores[1].AgeMs, 60_000)
}

func TestWhatDidNotSurviveALaterPromotionIsDiverged(t *testing.T) {
	d, near, _ := twoPlaces(t)
	made := makeCopy{store: near, box: d.Box, at: time.Now().UTC().Add(-time.Hour), chunks: twoChunks("a"),
		unlike: func(m *Manifest) {
			m.GTIDs = topology.MustGTIDSet("3e11fa47-71ca-11e1-9e33-c80aa9429561:1-10")
		}}.make(t)
	_, _, err := d.Find(t.Context(), "", time.Time{})
	require.NoError(t, err)
	require.NoError(t, PutCut(t.Context(), near, madeProduct, Cut{Epoch: 2, UUID: "3e11fa47-71ca-11e1-9e33-c80aa9429562",
		GTIDs: topology.MustGTIDSet("3e11fa47-71ca-11e1-9e33-c80aa9429561:1-9")}))
	_, _, err = d.Find(t.Context(), "", time.Time{})
	require.ErrorIs(t, err, ErrNoSnapshot, "it is not taken by itself any more")
	_, m, err := d.Find(t.Context(), made.ID, time.Time{})
	require.NoError(t, err)
	assert.Equal(t, "3e11fa47-71ca-11e1-9e33-c80aa9429561:10", m.Diverged.String())
}

func TestWhoMayOnlyStoreKnowsThatThereIsSomething(t *testing.T) {
	d, near, _ := twoPlaces(t)
	identity, err := age.GenerateX25519Identity()
	require.NoError(t, err)
	d.Box, err = NewEncryptedBox(Keys{Recipients: []age.Recipient{identity.Recipient()}, Identities: []age.Identity{identity}})
	require.NoError(t, err)
	made := makeCopy{store: near, box: d.Box, at: time.Now().UTC().Add(-time.Hour).Truncate(time.Second), chunks: twoChunks("a")}.make(t)
	blind, err := NewEncryptedBox(Keys{Recipients: []age.Recipient{identity.Recipient()}})
	require.NoError(t, err)
	survey := (&Depot{Product: madeProduct, Box: blind, Places: d.Places}).Survey(t.Context())
	require.NotNil(t, survey.Newest, "else it would take one after the other")
	assert.Equal(t, made.ID, survey.Newest.ID)
	assert.Equal(t, made.Started, survey.Newest.Started)
	assert.Equal(t, uint64(1), survey.Newest.Epoch)
	assert.Empty(t, survey.Stores[0].Error)
}

func TestACrewBringsWhatAStoreLacksAndWhereEpochsEnded(t *testing.T) {
	d, near, far := twoPlaces(t)
	now := time.Now().UTC()
	young := makeCopy{store: near, box: d.Box, at: now.Add(-time.Hour), chunks: twoChunks("b")}.make(t)
	ancient := makeCopy{store: near, box: d.Box, at: now.Add(-365 * 24 * time.Hour), chunks: twoChunks("a")}.make(t)
	crew := &Crew{Depot: d, Retention: DefaultRetention, Logger: hclog.NewNullLogger()}
	cut := Cut{Epoch: 2, UUID: "3e11fa47-71ca-11e1-9e33-c80aa9429562"}
	crew.Cut([]Cut{cut})
	require.NoError(t, crew.Tend(t.Context()))
	for _, store := range []object.Store{near, far} {
		requireWhole(t, store, d.Box, young.ID)
		cuts, err := Cuts(t.Context(), store, madeProduct)
		require.NoError(t, err)
		require.Len(t, cuts, 1)
		assert.Equal(t, cut.Epoch, cuts[0].Epoch)
		_, err = Load(t.Context(), store, d.Box, madeProduct, ancient.ID)
		assert.ErrorIs(t, err, object.ErrNotFound, "it had expired")
	}
}
