package pki

import (
	"crypto/tls"
	"crypto/x509"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// authority is a certificate authority in a directory of the test's own.
type authority struct{ dir, cert, key string }

func newAuthority(t *testing.T) authority {
	t.Helper()
	dir := t.TempDir()
	a := authority{dir: dir, cert: filepath.Join(dir, "ca.crt"), key: filepath.Join(dir, "ca.key")}
	require.NoError(t, CreateCA(a.cert, a.key))
	return a
}

func (a authority) issue(t *testing.T, name string, req Request) (cert, key string) {
	t.Helper()
	cert, key = filepath.Join(a.dir, name+".crt"), filepath.Join(a.dir, name+".key")
	if req.Name == "" {
		req.Name = name
	}
	require.NoError(t, Issue(a.cert, a.key, cert, key, req))
	return cert, key
}

func TestCreateCAMakesAnAuthorityForTenYearsWithAPrivateKey(t *testing.T) {
	a := newAuthority(t)

	cert, err := readCertificate(a.cert)
	require.NoError(t, err)
	assert.True(t, cert.IsCA)
	assert.Equal(t, x509.ECDSA, cert.PublicKeyAlgorithm)
	assert.InDelta(t, 10*365*24, time.Until(cert.NotAfter).Hours(), 1)

	info, err := os.Stat(a.key)
	require.NoError(t, err)
	assert.Equal(t, fs.FileMode(0o600), info.Mode().Perm())
}

func TestCreateCANeverReplacesAFile(t *testing.T) {
	a := newAuthority(t)
	before, err := os.ReadFile(a.key)
	require.NoError(t, err)

	require.ErrorIs(t, CreateCA(a.cert, a.key), fs.ErrExist)
	require.ErrorIs(t, CreateCA(filepath.Join(a.dir, "other.crt"), a.key), fs.ErrExist)

	after, err := os.ReadFile(a.key)
	require.NoError(t, err)
	assert.Equal(t, before, after)
	assert.NoFileExists(t, filepath.Join(a.dir, "other.crt"))
}

func TestIssueWritesRoleHostsAndValidity(t *testing.T) {
	a := newAuthority(t)
	cert, key := a.issue(t, "w1", Request{Role: RoleWatcher, Hosts: []string{"w1.example", "10.0.0.1", "::1"}})

	got, err := Inspect(cert)
	require.NoError(t, err)
	assert.Equal(t, RoleWatcher, got.Role)
	assert.Equal(t, "w1", got.Name)
	assert.Equal(t, []string{"w1.example", "10.0.0.1", "::1"}, got.Hosts)
	assert.InDelta(t, 365*24, time.Until(got.NotAfter).Hours(), 1)
	assert.Less(t, got.NotBefore, time.Now().Add(-2*time.Hour), "a clock an hour behind must accept it")

	info, err := os.Stat(key)
	require.NoError(t, err)
	assert.Equal(t, fs.FileMode(0o600), info.Mode().Perm())

	left, err := filepath.Glob(filepath.Join(a.dir, ".*"))
	require.NoError(t, err)
	assert.Empty(t, left, "no temporary file stays behind")
}

func TestIssueNeverOutlivesTheAuthority(t *testing.T) {
	a := newAuthority(t)
	cert, _ := a.issue(t, "w1", Request{Role: RoleOperator, Validity: 50 * 365 * 24 * time.Hour})
	got, err := Inspect(cert)
	require.NoError(t, err)
	ca, err := Inspect(a.cert)
	require.NoError(t, err)
	assert.Equal(t, ca.NotAfter, got.NotAfter)
}

func TestIssueReplacesOnlyWhenAsked(t *testing.T) {
	a := newAuthority(t)
	req := Request{Role: RoleOperator, Name: "ada"}
	cert, key := a.issue(t, "ada", req)
	before, err := os.ReadFile(cert)
	require.NoError(t, err)

	require.ErrorIs(t, Issue(a.cert, a.key, cert, key, req), fs.ErrExist)

	req.Replace = true
	require.NoError(t, Issue(a.cert, a.key, cert, key, req))
	after, err := os.ReadFile(cert)
	require.NoError(t, err)
	assert.NotEqual(t, before, after)
	_, err = tls.LoadX509KeyPair(cert, key)
	assert.NoError(t, err)
}

func TestIssueRefusesWhatCannotWork(t *testing.T) {
	a, other := newAuthority(t), newAuthority(t)
	leaf, leafKey := a.issue(t, "leaf", Request{Role: RoleOperator})
	out, outKey := filepath.Join(a.dir, "out.crt"), filepath.Join(a.dir, "out.key")

	for name, c := range map[string]struct {
		ca, caKey string
		req       Request
		says      string
	}{
		"unknown role":         {a.cert, a.key, Request{Role: "root", Name: "x"}, `role "root"`},
		"no name":              {a.cert, a.key, Request{Role: RoleDump}, "name"},
		"watcher without host": {a.cert, a.key, Request{Role: RoleWatcher, Name: "x"}, "host names"},
		"negative validity":    {a.cert, a.key, Request{Role: RoleDump, Name: "x", Validity: -1}, "negative"},
		"key of another":       {a.cert, other.key, Request{Role: RoleDump, Name: "x"}, "is not the key of"},
		"leaf as authority":    {leaf, leafKey, Request{Role: RoleDump, Name: "x"}, "no authority"},
		"no authority there":   {filepath.Join(a.dir, "none"), a.key, Request{Role: RoleDump, Name: "x"}, "failoverd tls ca"},
	} {
		t.Run(name, func(t *testing.T) {
			assert.ErrorContains(t, Issue(c.ca, c.caKey, out, outKey, c.req), c.says)
			assert.NoFileExists(t, out)
			assert.NoFileExists(t, outKey)
		})
	}
}
