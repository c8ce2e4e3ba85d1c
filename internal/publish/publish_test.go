package publish_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/failoverd/failoverd/internal/publish"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 123456789, time.UTC)

func newKey(t *testing.T) publish.PrivateKey {
	t.Helper()
	key, err := publish.GenerateKey()
	require.NoError(t, err)
	return key
}

func server(host string) *publish.Server {
	return &publish.Server{Host: host, Port: 3306, Zone: "a", ServerUUID: "uuid-" + host}
}

func product(epoch uint64, writer string) publish.Product {
	return publish.Product{
		Epoch: epoch, State: "healthy", Writer: server(writer),
		Readers: []publish.Server{*server("db2"), *server("db3")}, Candidate: server("db2"), Protected: true,
	}
}

func shop(epoch uint64, writer string) publish.Input {
	return publish.Input{Products: map[string]publish.Product{"shop": product(epoch, writer)}, Zones: []string{"a", "b"}}
}

func render(t *testing.T, prev *publish.Head, in publish.Input, key publish.PrivateKey) *publish.Head {
	t.Helper()
	head, err := publish.Render(prev, in, key, noon)
	require.NoError(t, err)
	return head
}

func TestSealedDocumentIsPlainJSON(t *testing.T) {
	key := newKey(t)
	head := render(t, nil, shop(7, "db1"), key)
	lines := strings.Split(string(head.Bytes), "\n")
	assert.Equal(t, []string{"{", `  "apiVersion": "failoverd/v1",`, `  "version": 1,`,
		`  "generatedAt": "2026-11-22T12:00:00.123Z",`, `  "previous": "",`, `  "products": {`, `    "shop": {`,
		`      "epoch": 7,`, `      "state": "healthy",`, `      "writer": {`, `        "host": "db1",`}, lines[:11])
	assert.Equal(t, []string{"}", ""}, lines[len(lines)-2:])
	assert.True(t, strings.HasPrefix(lines[len(lines)-3], `  "signature": {"keyId":"`+key.Public().ID()+`","algorithm":"ed25519","value":"`))

	read, err := publish.Trust{key.Public()}.Verify(head.Bytes)
	require.NoError(t, err)
	assert.Equal(t, head, read)
	assert.Nil(t, read.Document.Products["shop"].Dump)
}

func TestAnyByteTamperedIsRefused(t *testing.T) {
	key := newKey(t)
	trust := publish.Trust{key.Public()}
	head := render(t, nil, shop(7, "db1"), key)
	for i := range head.Bytes {
		for _, flip := range []byte{0x01, 0x20} {
			altered := append([]byte(nil), head.Bytes...)
			altered[i] ^= flip
			_, err := trust.Verify(altered)
			require.ErrorIs(t, err, publish.ErrUnverified, "byte %d of %q", i, altered[max(0, i-20):min(len(altered), i+20)])
		}
	}
	for name, altered := range map[string]string{
		"empty": "", "no signature": "{}\n", "a byte more": string(head.Bytes) + " ",
		"truncated": string(head.Bytes[:len(head.Bytes)-1]), "a space before": " " + string(head.Bytes),
		"an escape in the signature": strings.Replace(string(head.Bytes), `"algorithm":"ed`, `"algorithm":"\u0065d`, 1),
		"a second signature":         strings.TrimSuffix(string(head.Bytes), "\n}\n") + ",\n  \"signature\": {}\n}\n",
		"a member in the signature":  strings.Replace(string(head.Bytes), `"algorithm":`, `"x":1,"algorithm":`, 1),
	} {
		_, err := trust.Verify([]byte(altered))
		assert.ErrorIs(t, err, publish.ErrUnverified, name)
	}
}

func TestAStringCannotForgeTheSignatureLine(t *testing.T) {
	key := newKey(t)
	in := shop(1, "db1")
	p := in.Products["shop"]
	p.State = "x\",\n  \"signature\": {}"
	in.Products["shop"] = p
	_, err := publish.Render(nil, in, key, noon)
	assert.ErrorContains(t, err, "products.shop.state")
}

func TestRotation(t *testing.T) {
	older, newer, stranger := newKey(t), newKey(t), newKey(t)
	first := render(t, nil, shop(1, "db1"), older)
	second := render(t, first, shop(1, "db1"), newer)
	assert.EqualValues(t, 2, second.Document.Version, "the same content is signed anew by a new key")
	assert.Equal(t, first.Hash, second.Document.Previous)

	both := publish.Trust{older.Public(), newer.Public()}
	for _, head := range []*publish.Head{first, second} {
		_, err := both.Verify(head.Bytes)
		assert.NoError(t, err)
	}
	_, err := publish.Trust{newer.Public()}.Verify(first.Bytes)
	require.ErrorIs(t, err, publish.ErrUnverified, "a retired key no longer counts")
	assert.ErrorContains(t, err, older.Public().ID())
	_, err = both.Verify(render(t, second, shop(2, "evil"), stranger).Bytes)
	require.ErrorIs(t, err, publish.ErrUnverified)
	_, err = publish.Trust(nil).Verify(first.Bytes)
	require.ErrorIs(t, err, publish.ErrUnverified)
}

func TestKeysInFiles(t *testing.T) {
	key, other := newKey(t), newKey(t)
	private, err := key.PEM()
	require.NoError(t, err)
	read, err := publish.ParsePrivateKey(private)
	require.NoError(t, err)
	assert.Equal(t, key.Public(), read.Public())

	a, err := key.Public().PEM()
	require.NoError(t, err)
	b, err := other.Public().PEM()
	require.NoError(t, err)
	keys, err := publish.ParsePublicKeys(append(a, b...))
	require.NoError(t, err)
	assert.Equal(t, []publish.PublicKey{key.Public(), other.Public()}, keys)

	_, err = publish.ParsePublicKeys(private)
	assert.ErrorContains(t, err, "private key")
	_, err = publish.ParsePublicKeys([]byte("ssh-ed25519 AAAA"))
	assert.Error(t, err)
	_, err = publish.ParsePrivateKey(a)
	assert.Error(t, err)
}

func TestPrivateKeyDoesNotPrint(t *testing.T) {
	key := newKey(t)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%d", "%x", "%q"} {
		var b strings.Builder
		_, err := fmt.Fprintf(&b, verb, key)
		require.NoError(t, err)
		assert.Equal(t, "signing key "+key.Public().ID(), b.String(), verb)
	}
}

// The package comment promises that two lines of shell check a document.
func TestShellCanVerify(t *testing.T) {
	for _, tool := range []string{"openssl", "jq", "head", "base64"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip(tool, "is not installed")
		}
	}
	key := newKey(t)
	public, err := key.Public().PEM()
	require.NoError(t, err)
	dir := t.TempDir()
	head := render(t, nil, shop(7, "db1"), key)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "config.json"), head.Bytes, 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "publish.pub"), public, 0o600))
	cmd := exec.CommandContext(t.Context(), "sh", "-ec", `
		head -n -2 config.json >signed; jq -r .signature.value config.json | base64 -d >sig
		openssl pkeyutl -verify -pubin -inkey publish.pub -rawin -in signed -sigfile sig`)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
}

func TestDecodeNamesThePlace(t *testing.T) {
	valid := string(render(t, nil, shop(7, "db1"), newKey(t)).Bytes)
	for name, c := range map[string]struct{ old, new, want string }{
		"another format": {"failoverd/v1", "failoverd/v2", `apiVersion: "failoverd/v2"`},
		"no version":     {`"version": 1`, `"version": 0`, "version: missing"},
		"a wrong type":   {`"epoch": 7`, `"epoch": "7"`, "line 8, column 18: products.epoch: a string where uint64 is expected"},
		"broken JSON":    {`"epoch": 7,`, `"epoch": 7`, "line 9"},
		"a bad port":     {`"port": 3306`, `"port": 70000`, "port: 70000"},
		"a bad host":     {`"host": "db1"`, `"host": "db1; rm -rf /"`, "products.shop.writer.host"},
		"no readers":     {`"readers": [`, `"raeders": [`, "products.shop.readers: missing"},
		"no zones":       {`"zones": [`, `"zonse": [`, "zones: missing"},
		"a bad previous": {`"previous": ""`, `"previous": "sha256:1"`, "previous:"},
		"a bad product":  {`"shop": {`, `"a shop": {`, `products: "a shop"`},
		"a bad zone":     {"    \"a\",\n", "    \"a b\",\n", "zones[0]"},
		"a bad time":     {`"generatedAt": "2026`, `"generatedAt": "26`, "generatedAt"},
	} {
		t.Run(name, func(t *testing.T) {
			require.Contains(t, valid, c.old)
			_, err := publish.Decode([]byte(strings.Replace(valid, c.old, c.new, 1)))
			require.ErrorIs(t, err, publish.ErrMalformed)
			assert.ErrorContains(t, err, c.want)
		})
	}
	_, err := publish.Decode(make([]byte, publish.MaxBytes+1))
	assert.ErrorIs(t, err, publish.ErrMalformed)
	_, err = publish.Decode([]byte(strings.Replace(valid, `"epoch": 7`, `"epoch": 7, "added": true`, 1)))
	assert.NoError(t, err, "members may be added within v1")
}

func TestSupersedes(t *testing.T) {
	doc := func(version uint64, epochs map[string]uint64) *publish.Document {
		d := &publish.Document{Version: version, Products: map[string]publish.Product{}}
		for name, epoch := range epochs {
			d.Products[name] = publish.Product{Epoch: epoch}
		}
		return d
	}
	current := doc(10, map[string]uint64{"a": 5, "b": 5})
	for name, c := range map[string]struct {
		next *publish.Document
		want error
	}{
		"a higher version":                        {doc(11, map[string]uint64{"a": 5, "b": 5}), nil},
		"a skipped version":                       {doc(15, map[string]uint64{"a": 6, "b": 5}), nil},
		"a lower version":                         {doc(9, map[string]uint64{"a": 6, "b": 6}), publish.ErrOld},
		"the same":                                {doc(10, map[string]uint64{"a": 5, "b": 5}), publish.ErrOld},
		"the same version, a higher epoch":        {doc(10, map[string]uint64{"a": 6, "b": 5}), nil},
		"the same version, one higher, one lower": {doc(10, map[string]uint64{"a": 6, "b": 4}), publish.ErrEpochBehind},
		"a higher version, a lower epoch":         {doc(11, map[string]uint64{"a": 9, "b": 4}), publish.ErrEpochBehind},
		"a product removed":                       {doc(11, map[string]uint64{"a": 5}), nil},
		"a product added":                         {doc(11, map[string]uint64{"a": 5, "b": 5, "c": 1}), nil},
		"the same version, only a product added":  {doc(10, map[string]uint64{"a": 5, "b": 5, "c": 1}), publish.ErrOld},
	} {
		assert.ErrorIs(t, c.next.Supersedes(current), c.want, name)
		assert.NoError(t, c.next.Supersedes(nil), name)
	}
}

func TestRender(t *testing.T) {
	key := newKey(t)
	first := render(t, nil, shop(1, "db1"), key)
	assert.Same(t, first, render(t, first, shop(1, "db1"), key), "nothing changed")
	assert.Same(t, first, render(t, first, publish.Input{}, key), "what is not named stays")

	second := render(t, first, publish.Input{Products: map[string]publish.Product{"blog": product(1, "db9")}}, key)
	assert.EqualValues(t, 2, second.Document.Version)
	assert.Equal(t, first.Document.Products["shop"], second.Document.Products["shop"])
	assert.Equal(t, first.Document.Zones, second.Document.Zones)

	third := render(t, second, publish.Input{Remove: []string{"shop", "unknown"}}, key)
	assert.NotContains(t, third.Document.Products, "shop")
	assert.Same(t, third, render(t, third, publish.Input{Remove: []string{"shop"}}, key))

	_, err := publish.Render(render(t, first, shop(4, "db2"), key), shop(3, "db1"), key, noon)
	require.ErrorIs(t, err, publish.ErrEpochBehind)
	assert.ErrorContains(t, err, "shop")

	served := render(t, first, publish.Input{LastVersion: 8}, key)
	assert.EqualValues(t, 9, served.Document.Version, "a committed version may have been served with other content")
	assert.EqualValues(t, 5, render(t, nil, publish.Input{LastVersion: 4}, key).Document.Version)

	in := shop(1, "db1")
	head := render(t, nil, in, key)
	in.Products["shop"].Readers[0].Host = "changed"
	assert.Equal(t, "db2", head.Document.Products["shop"].Readers[0].Host, "a head shares nothing with its input")
}
