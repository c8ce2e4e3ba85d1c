package pki

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"time"
)

// LoadTLS reads an authority, a certificate and its key, and returns the two halves of mutual TLS 1.3: a server
// that asks every client for a certificate of that authority, and a client that shows ours.
//
// The certificate and key are read again whenever the files change, so renewing needs no restart; as long as
// the new pair is incomplete or wrong, the old one stays in use until it expires. The authority is read once:
// to move to a new one, put both into the file and restart.
//
// Errors name the file and say what mends it.
func LoadTLS(caPath, certPath, keyPath string) (server, client *tls.Config, err error) {
	authorities, err := loadPool(caPath)
	if err != nil {
		return nil, nil, err
	}
	pair := &pair{certPath: certPath, keyPath: keyPath}
	cert, err := pair.get()
	if err != nil {
		return nil, nil, err
	}
	// A certificate of another authority would fail only at the first handshake, at the far end, with
	// nothing in our own log that says why.
	if _, err := cert.Leaf.Verify(x509.VerifyOptions{Roots: authorities, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}); err != nil {
		return nil, nil, fmt.Errorf("%s is not signed by %s: %w; issue it again with `failoverd tls cert --replace`", certPath, caPath, err)
	}
	server = &tls.Config{
		MinVersion: tls.VersionTLS13,
		ClientAuth: tls.RequireAndVerifyClientCert,
		ClientCAs:  authorities,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			return pair.get()
		},
	}
	client = &tls.Config{
		MinVersion: tls.VersionTLS13,
		RootCAs:    authorities,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			return pair.get()
		},
	}
	return server, client, nil
}

// Certificate describes a certificate file, for `failoverd tls show` and for the alert on expiry.
type Certificate struct {
	Role      string // "" for an authority
	Name      string
	Hosts     []string
	NotBefore time.Time
	NotAfter  time.Time
}

// Inspect reads a certificate file without verifying it.
func Inspect(certPath string) (Certificate, error) {
	cert, err := readCertificate(certPath)
	if err != nil {
		return Certificate{}, err
	}
	c := Certificate{Name: cert.Subject.CommonName, Hosts: cert.DNSNames, NotBefore: cert.NotBefore, NotAfter: cert.NotAfter}
	if units := cert.Subject.OrganizationalUnit; len(units) == 1 {
		c.Role = units[0]
	}
	for _, ip := range cert.IPAddresses {
		c.Hosts = append(c.Hosts, ip.String())
	}
	return c, nil
}

// pair is a certificate and its key, kept in step with their files.
type pair struct {
	certPath, keyPath string

	mu      sync.Mutex
	current *tls.Certificate
	seen    [2]fileVersion // what current was read from
}

// fileVersion tells two contents of one path apart without reading them.
type fileVersion struct {
	modified time.Time
	bytes    int64
}

// get is called at every handshake. Two stat calls are cheap beside the handshake's own arithmetic, and
// need no watching goroutine.
func (p *pair) get() (*tls.Certificate, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	seen, err := p.versions()
	if err == nil && (p.current == nil || seen != p.seen) {
		var cert *tls.Certificate
		if cert, err = p.read(); err == nil {
			p.current, p.seen = cert, seen
		}
	}
	if p.current == nil {
		return nil, err
	}
	if expired := expiry(p.certPath, p.current.Leaf, time.Now()); expired != nil {
		if err != nil { // the expired one is still in use because its successor could not be read
			return nil, fmt.Errorf("%w (reading the files again failed: %w)", expired, err)
		}
		return nil, expired
	}
	return p.current, nil
}

func (p *pair) versions() (v [2]fileVersion, err error) {
	for i, path := range []string{p.certPath, p.keyPath} {
		info, err := os.Stat(path)
		if err != nil {
			return v, fileError(path, err)
		}
		v[i] = fileVersion{info.ModTime(), info.Size()}
		if i == 1 && info.Mode().Perm()&0o007 != 0 {
			return v, fmt.Errorf("%s: every user of this machine can use this private key (mode %04o); mend it with `chmod 600 %s`", path, info.Mode().Perm(), path)
		}
	}
	return v, nil
}

func (p *pair) read() (*tls.Certificate, error) {
	certPEM, err := os.ReadFile(p.certPath)
	if err != nil {
		return nil, fileError(p.certPath, err)
	}
	keyPEM, err := os.ReadFile(p.keyPath)
	if err != nil {
		return nil, fileError(p.keyPath, err)
	}
	cert, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		return nil, fmt.Errorf("%s and %s are not a certificate and its key: %w; issue them again with `failoverd tls cert --replace`", p.certPath, p.keyPath, err)
	}
	if err := expiry(p.certPath, cert.Leaf, time.Now()); err != nil {
		return nil, err
	}
	return &cert, nil
}

func expiry(path string, cert *x509.Certificate, now time.Time) error {
	role := "…"
	if units := cert.Subject.OrganizationalUnit; len(units) == 1 {
		role = units[0]
	}
	switch {
	case now.After(cert.NotAfter):
		return fmt.Errorf("%s: the certificate of %q expired on %s (%s ago); renew it with `failoverd tls cert --role %s --name %s --replace`",
			path, cert.Subject.CommonName, cert.NotAfter.UTC().Format("2006-01-02 15:04 MST"), now.Sub(cert.NotAfter).Round(time.Minute), role, cert.Subject.CommonName)
	case now.Before(cert.NotBefore):
		return fmt.Errorf("%s: the certificate of %q is valid only from %s, and this machine's clock says %s; set the clock",
			path, cert.Subject.CommonName, cert.NotBefore.UTC().Format("2006-01-02 15:04 MST"), now.UTC().Format("2006-01-02 15:04 MST"))
	}
	return nil
}

func loadPool(caPath string) (*x509.CertPool, error) {
	content, err := os.ReadFile(caPath)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("%s: no such file; make an authority once with `failoverd tls ca` and copy its certificate here", caPath)
		}
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(content) {
		return nil, fmt.Errorf("%s: holds no certificate in PEM form; copy the file that `failoverd tls ca` wrote", caPath)
	}
	return pool, nil
}

func readCertificate(path string) (*x509.Certificate, error) {
	der, err := readPEM(path, "CERTIFICATE")
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("%s: no readable certificate: %w", path, err)
	}
	return cert, nil
}

func readPEM(path, kind string) ([]byte, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, fileError(path, err)
	}
	block, _ := pem.Decode(content)
	if block == nil || block.Type != kind {
		return nil, fmt.Errorf("%s: holds no %s in PEM form", path, kind)
	}
	return block.Bytes, nil
}

func fileError(path string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s: %w; issue it with `failoverd tls cert` (after `failoverd tls ca`)", path, fs.ErrNotExist)
	}
	return err // an os.PathError, which names the path
}
