package api

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"time"

	"github.com/hashicorp/go-hclog"
)

// DefaultListen is where a watcher's API is unless its config says otherwise.
const DefaultListen = "127.0.0.1:7480"

// NewServer returns a server for addr whose timeouts keep slow and silent callers
// from using it up. The caller listens, serves (ServeTLS with empty file names
// when tlsConfig is set) and shuts down. Without TLS only a loopback address is
// taken; the error says so.
func NewServer(addr string, handler http.Handler, tlsConfig *tls.Config, logger hclog.Logger) (*http.Server, error) {
	if tlsConfig == nil && !isLoopback(addr) {
		return nil, fmt.Errorf("the API would listen on %s in plain text: use a loopback address, or give it certificates (\"failoverd tls\")", addr)
	}
	return &http.Server{
		Addr:              addr,
		Handler:           handler,
		TLSConfig:         tlsConfig,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       15 * time.Second,
		WriteTimeout:      15 * time.Second, // long polls set their own
		IdleTimeout:       90 * time.Second,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          logger.StandardLogger(&hclog.StandardLoggerOptions{ForceLevel: hclog.Debug}),
	}, nil
}
