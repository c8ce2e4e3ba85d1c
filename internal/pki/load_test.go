package pki

import (
	"crypto/tls"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// shake runs one handshake and a byte each way over loopback, and returns what each end says of it.
func shake(t *testing.T, server, client *tls.Config) (seen tls.ConnectionState, serverErr, clientErr error) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		raw, err := listener.Accept()
		if err != nil {
			serverErr = err
			return
		}
		defer raw.Close()
		conn := tls.Server(raw, server)
		_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
		if serverErr = conn.Handshake(); serverErr == nil {
			seen = conn.ConnectionState()
			_, serverErr = conn.Write([]byte{1})
		}
	}()
	conn, clientErr := tls.Dial("tcp", listener.Addr().String(), client)
	if clientErr == nil {
		_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
		// In TLS 1.3 the server's refusal arrives after the client's handshake is over.
		_, clientErr = io.ReadFull(conn, make([]byte, 1))
		conn.Close()
	} else {
		listener.Close()
	}
	<-done
	return seen, serverErr, clientErr
}

func TestBothEndsKnowEachOthersRole(t *testing.T) {
	a := newAuthority(t)
	wCert, wKey := a.issue(t, "w1", Request{Role: RoleWatcher, Hosts: []string{"127.0.0.1"}})
	fCert, fKey := a.issue(t, "web1", Request{Role: RoleFollower})
	server, _, err := LoadTLS(a.cert, wCert, wKey)
	require.NoError(t, err)
	_, client, err := LoadTLS(a.cert, fCert, fKey)
	require.NoError(t, err)

	seen, serverErr, clientErr := shake(t, server, RequireRole(client, RoleWatcher))
	require.NoError(t, serverErr)
	require.NoError(t, clientErr)
	assert.Equal(t, RoleFollower, Role(&seen))
	assert.Equal(t, "web1", Subject(&seen))
	assert.EqualValues(t, tls.VersionTLS13, seen.Version)
}

func TestHandshakeFailsWithoutTheRightCertificate(t *testing.T) {
	a, stranger := newAuthority(t), newAuthority(t)
	wCert, wKey := a.issue(t, "w1", Request{Role: RoleWatcher, Hosts: []string{"127.0.0.1"}})
	server, watcherClient, err := LoadTLS(a.cert, wCert, wKey)
	require.NoError(t, err)

	t.Run("no certificate", func(t *testing.T) {
		_, serverErr, clientErr := shake(t, server, &tls.Config{RootCAs: watcherClient.RootCAs})
		assert.Error(t, serverErr)
		assert.Error(t, clientErr)
	})
	t.Run("another role than asked", func(t *testing.T) {
		cert, key := a.issue(t, "web1", Request{Role: RoleFollower})
		_, client, err := LoadTLS(a.cert, cert, key)
		require.NoError(t, err)
		_, serverErr, clientErr := shake(t, RequireRole(server, RoleWatcher), client)
		assert.ErrorContains(t, serverErr, `"follower"`)
		assert.Error(t, clientErr)
	})
	t.Run("another authority", func(t *testing.T) {
		cert, key := stranger.issue(t, "w1", Request{Role: RoleWatcher, Hosts: []string{"127.0.0.1"}})
		_, client, err := LoadTLS(stranger.cert, cert, key)
		require.NoError(t, err)
		client.RootCAs = watcherClient.RootCAs // it trusts us; we do not trust it
		_, serverErr, _ := shake(t, server, client)
		assert.Error(t, serverErr)
	})
	t.Run("a follower that plays the server", func(t *testing.T) {
		cert, key := a.issue(t, "web2", Request{Role: RoleFollower, Hosts: []string{"127.0.0.1"}})
		fake, _, err := LoadTLS(a.cert, cert, key)
		require.NoError(t, err)
		_, _, clientErr := shake(t, fake, RequireRole(watcherClient, RoleWatcher))
		assert.ErrorContains(t, clientErr, `"follower"`)
	})
	t.Run("a server under another name", func(t *testing.T) {
		cert, key := a.issue(t, "w9", Request{Role: RoleWatcher, Hosts: []string{"w9.example"}})
		elsewhere, _, err := LoadTLS(a.cert, cert, key)
		require.NoError(t, err)
		_, _, clientErr := shake(t, elsewhere, watcherClient)
		assert.Error(t, clientErr)
	})
}

func TestRenewedCertificateIsUsedWithoutRestart(t *testing.T) {
	a := newAuthority(t)
	req := Request{Role: RoleWatcher, Name: "before", Hosts: []string{"127.0.0.1"}}
	cert, key := a.issue(t, "w1", req)
	server, client, err := LoadTLS(a.cert, cert, key)
	require.NoError(t, err)

	// A half-finished renewal must not take the watcher off the net.
	otherCert, _ := a.issue(t, "other", Request{Role: RoleOperator})
	content, err := os.ReadFile(otherCert)
	require.NoError(t, err)
	good, err := os.ReadFile(cert)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(cert, content[:len(content)/2], 0o644))
	seen, _, clientErr := shake(t, server, client)
	require.NoError(t, clientErr)
	assert.Equal(t, "before", Subject(&seen))
	require.NoError(t, os.WriteFile(cert, good, 0o644))

	req.Name, req.Replace = "after", true
	require.NoError(t, Issue(a.cert, a.key, cert, key, req))
	seen, _, clientErr = shake(t, server, client)
	require.NoError(t, clientErr)
	assert.Equal(t, "after", Subject(&seen))
}

func TestLoadErrorsNameTheFileAndTheRemedy(t *testing.T) {
	a, stranger := newAuthority(t), newAuthority(t)
	cert, key := a.issue(t, "w1", Request{Role: RoleWatcher, Hosts: []string{"127.0.0.1"}})
	oldCert, oldKey := a.issue(t, "old", Request{Role: RoleWatcher, Hosts: []string{"127.0.0.1"}, Validity: time.Nanosecond})
	openCert, openKey := a.issue(t, "open", Request{Role: RoleOperator})
	require.NoError(t, os.Chmod(openKey, 0o644))
	missing := filepath.Join(a.dir, "missing")
	garbage := filepath.Join(a.dir, "garbage")
	require.NoError(t, os.WriteFile(garbage, []byte("nothing"), 0o600))

	for name, c := range map[string]struct {
		ca, cert, key string
		says          []string
	}{
		"no authority":         {missing, cert, key, []string{missing, "failoverd tls ca"}},
		"garbled authority":    {garbage, cert, key, []string{garbage, "failoverd tls ca"}},
		"no certificate":       {a.cert, missing, key, []string{missing, "failoverd tls cert"}},
		"no key":               {a.cert, cert, missing, []string{missing, "failoverd tls cert"}},
		"garbled certificate":  {a.cert, garbage, key, []string{garbage, "failoverd tls cert"}},
		"key of another":       {a.cert, cert, oldKey, []string{cert, oldKey, "failoverd tls cert"}},
		"expired":              {a.cert, oldCert, oldKey, []string{oldCert, "expired on", "failoverd tls cert --role watcher --name old --replace"}},
		"of another authority": {stranger.cert, cert, key, []string{cert, stranger.cert, "not signed by"}},
		"key open to all":      {a.cert, openCert, openKey, []string{openKey, "chmod 600"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := LoadTLS(c.ca, c.cert, c.key)
			require.Error(t, err)
			for _, part := range c.says {
				assert.ErrorContains(t, err, part)
			}
		})
	}
}

func TestRoleOfAnUnverifiedConnectionIsNone(t *testing.T) {
	a := newAuthority(t)
	cert, key := a.issue(t, "w1", Request{Role: RoleWatcher, Hosts: []string{"127.0.0.1"}})
	server, client, err := LoadTLS(a.cert, cert, key)
	require.NoError(t, err)
	server.ClientAuth = tls.RequireAnyClientCert // shown, but not verified

	seen, serverErr, clientErr := shake(t, server, client)
	require.NoError(t, serverErr)
	require.NoError(t, clientErr)
	require.NotEmpty(t, seen.PeerCertificates)
	assert.Empty(t, Role(&seen))
	assert.Empty(t, Role(nil))
	assert.Empty(t, Role(&tls.ConnectionState{}))
}
