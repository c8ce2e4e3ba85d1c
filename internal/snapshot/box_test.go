package snapshot

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"testing"

	"filippo.io/age"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func plainBox(t *testing.T) *Box {
	t.Helper()
	box, err := NewBox()
	require.NoError(t, err)
	return box
}

// newKeys are a recipient's public key and its identity, as age-keygen prints them.
func newKeys(t *testing.T) (recipient, identity string) {
	t.Helper()
	made, err := age.GenerateX25519Identity()
	require.NoError(t, err)
	return made.Recipient().String(), made.String()
}

func encryptedBox(t *testing.T, recipients []string, identity string) *Box {
	t.Helper()
	keys, err := ParseKeys(recipients, strings.NewReader("# a comment\n"+identity+"\n"))
	require.NoError(t, err)
	box, err := NewEncryptedBox(keys)
	require.NoError(t, err)
	return box
}

func TestABoxOpensWhatItSealed(t *testing.T) {
	recipient, identity := newKeys(t)
	other, otherIdentity := newKeys(t)
	plain := bytes.Repeat([]byte("row after row, "), 100_000)
	for name, box := range map[string]*Box{
		"plain":          plainBox(t),
		"encrypted":      encryptedBox(t, []string{recipient}, identity),
		"for two, first": encryptedBox(t, []string{recipient, other}, identity),
		"for two, other": encryptedBox(t, []string{recipient, other}, otherIdentity),
	} {
		t.Run(name, func(t *testing.T) {
			for _, content := range [][]byte{nil, []byte("x"), plain} {
				sealed, err := box.Seal([]byte("before"), content)
				require.NoError(t, err)
				require.True(t, bytes.HasPrefix(sealed, []byte("before")))
				sealed = sealed[len("before"):]
				require.NotEmpty(t, sealed)
				assert.Less(t, len(sealed), len(content)/10+1000)
				assert.Equal(t, box.Encrypts(), bytes.HasPrefix(sealed, []byte(ageMagic)))
				opened, err := box.Open(sealed)
				require.NoError(t, err)
				assert.Equal(t, string(content), string(opened))
			}
		})
	}
}

func TestAnEncryptedBoxOpensWhatWasStoredBeforeEncryption(t *testing.T) {
	sealed, err := plainBox(t).Seal(nil, []byte("old"))
	require.NoError(t, err)
	recipient, identity := newKeys(t)
	opened, err := encryptedBox(t, []string{recipient}, identity).Open(sealed)
	require.NoError(t, err)
	assert.Equal(t, "old", string(opened))
}

func TestWhatIsEncryptedForOthersIsNotCalledDamaged(t *testing.T) {
	recipient, identity := newKeys(t)
	stranger, strangerIdentity := newKeys(t)
	sealed, err := encryptedBox(t, []string{recipient}, identity).Seal(nil, []byte("secret"))
	require.NoError(t, err)
	for name, box := range map[string]*Box{"no identity": plainBox(t), "a stranger's": encryptedBox(t, []string{stranger}, strangerIdentity)} {
		_, err := box.Open(sealed)
		require.ErrorIs(t, err, ErrSealed, name)
		assert.NotErrorIs(t, err, ErrDamaged, name)
	}
}

func TestDamageIsSeenByABox(t *testing.T) {
	recipient, identity := newKeys(t)
	for name, box := range map[string]*Box{"encrypted": encryptedBox(t, []string{recipient}, identity), "plain": plainBox(t)} {
		sealed, err := box.Seal(nil, bytes.Repeat([]byte("0123456789"), 1000))
		require.NoError(t, err)
		_, err = box.Open(sealed[:len(sealed)-1])
		require.ErrorIs(t, err, ErrDamaged, name)
		_, err = box.Open(nil)
		assert.NoError(t, err, "nothing at all is an empty frame: references guard against it")
	}
	box := encryptedBox(t, []string{recipient}, identity)
	sealed, err := box.Seal(nil, bytes.Repeat([]byte("0123456789"), 1000))
	require.NoError(t, err)
	sealed[len(sealed)-3] ^= 1
	_, err = box.Open(sealed)
	require.ErrorIs(t, err, ErrDamaged)
}

func TestIdentitiesMustFitTheRecipients(t *testing.T) {
	recipient, _ := newKeys(t)
	_, stranger := newKeys(t)
	keys, err := ParseKeys([]string{recipient}, strings.NewReader(stranger))
	require.NoError(t, err)
	_, err = NewEncryptedBox(keys)
	require.ErrorContains(t, err, "do not fit")
}

func TestKeysAreNotShown(t *testing.T) {
	recipient, identity := newKeys(t)
	keys, err := ParseKeys([]string{recipient}, strings.NewReader(identity))
	require.NoError(t, err)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		assert.NotContains(t, fmt.Sprintf(verb, keys), "SECRET")
	}
	_, err = ParseKeys(nil, strings.NewReader(identity+"Q"))
	require.Error(t, err)
	assert.NotContains(t, err.Error(), identity[20:40])
	_, err = ParseKeys([]string{"age1nonsense"}, nil)
	require.ErrorContains(t, err, "recipients")
}

func TestABoxServesManyAtOnce(t *testing.T) {
	recipient, identity := newKeys(t)
	for _, box := range []*Box{plainBox(t), encryptedBox(t, []string{recipient}, identity)} {
		var all sync.WaitGroup
		for i := range 8 {
			all.Go(func() {
				plain := bytes.Repeat([]byte{byte('a' + i)}, 50_000+i)
				var sealed []byte
				for range 20 {
					var err error
					if sealed, err = box.Seal(sealed[:0], plain); !assert.NoError(t, err) {
						return
					}
					opened, err := box.Open(sealed)
					if !assert.NoError(t, err) || !assert.True(t, bytes.Equal(plain, opened)) {
						return
					}
				}
			})
		}
		all.Wait()
	}
}

// The rows of a whole server go through it.
func TestSealAllocatesNothing(t *testing.T) {
	box := plainBox(t)
	plain := bytes.Repeat([]byte("a row of a table, "), 50_000)
	sealed, err := box.Seal(nil, plain)
	require.NoError(t, err)
	assert.Zero(t, testing.AllocsPerRun(20, func() { sealed, _ = box.Seal(sealed[:0], plain) }))
}
