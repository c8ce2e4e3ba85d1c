package follow_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/failoverd/failoverd/internal/follow"
)

func TestEndpointsOverTLS(t *testing.T) {
	w := newWorld(t)
	w.feed.Set(w.render(1, "db1"))
	server := httptest.NewUnstartedServer(w.feed)
	server.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert}
	server.StartTLS()
	t.Cleanup(server.Close)
	own := server.TLS.Certificates[0]
	der, err := x509.MarshalPKCS8PrivateKey(own.PrivateKey)
	require.NoError(t, err)
	cert := w.write("cert.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: own.Certificate[0]})))
	key := w.write("key.pem", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})))

	cfg := w.config()
	cfg.Store, cfg.Endpoints = nil, []string{server.URL}
	for name, c := range map[string]struct {
		tls  follow.TLS
		want string
	}{
		"an unknown CA":         {follow.TLS{Cert: cert, Key: key}, "certificate"},
		"no client certificate": {follow.TLS{CA: cert}, "certificate required"},
		"all in order":          {follow.TLS{CA: cert, Cert: cert, Key: key}, ""},
		"a file that is no CA":  {follow.TLS{CA: key}, "tls.ca: no certificate"},
	} {
		cfg.TLS = c.tls
		err := follow.RunOnce(t.Context(), cfg, w.logger())
		if c.want == "" {
			assert.NoError(t, err, name)
		} else {
			assert.ErrorContains(t, err, c.want, name)
		}
	}
}
