// Package pki makes and reads the certificates with which the parts of failoverd know each other.
//
// One certificate authority stands for one installation. Every certificate carries its owner's role as the
// subject's organizational unit, so that a web server's key can never pass for a watcher's: whoever asks for
// a role asks the verified connection, not the caller's word.
package pki

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/google/renameio/v2"
)

const (
	caValidity   = 10 * 365 * 24 * time.Hour
	leafValidity = 365 * 24 * time.Hour

	// backdate is how far before now a certificate starts to be valid. The clocks of two machines may
	// differ by hours, and a new certificate must not be refused for that.
	backdate = 24 * time.Hour

	keyMode  fs.FileMode = 0o600
	certMode fs.FileMode = 0o644
)

// CreateCA makes a certificate authority: an ECDSA P-256 key (mode 0600) and a self-signed certificate that
// is valid for ten years. It refuses to replace a file that is there (errors.Is fs.ErrExist): a new authority
// would lock out every certificate that the old one issued.
func CreateCA(certPath, keyPath string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("make the authority's key: %w", err)
	}
	serial, err := newSerial()
	if err != nil {
		return err
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{CommonName: "failoverd CA"},
		NotBefore:             now.Add(-backdate),
		NotAfter:              now.Add(caValidity),
		IsCA:                  true,
		BasicConstraintsValid: true,
		MaxPathLenZero:        true, // it signs certificates of servers and people, never another authority
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return fmt.Errorf("sign the authority's certificate: %w", err)
	}
	return writePair(certPath, keyPath, der, key, false)
}

// Request says what certificate to issue.
type Request struct {
	Role string // one of Roles
	Name string // the subject's common name: what the logs and the audit trail call its owner

	// Hosts are the names and IP addresses under which the owner is reached. A watcher needs at least one;
	// a certificate without any can only be used as a client's.
	Hosts []string

	Validity time.Duration // one year when zero; never beyond the authority's own
	Replace  bool          // renew: put the new pair in place of the old one
}

// Issue signs a certificate with a new key and writes both (the key with mode 0600). Without Replace it
// refuses to touch files that are there (errors.Is fs.ErrExist).
func Issue(caCertPath, caKeyPath, certPath, keyPath string, req Request) error {
	if err := req.check(); err != nil {
		return err
	}
	caCert, caKey, err := loadAuthority(caCertPath, caKeyPath)
	if err != nil {
		return err
	}
	template, err := req.template(caCert)
	if err != nil {
		return err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("make the key of %s: %w", req.Name, err)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, caCert, key.Public(), caKey)
	if err != nil {
		return fmt.Errorf("sign the certificate of %s: %w", req.Name, err)
	}
	return writePair(certPath, keyPath, der, key, req.Replace)
}

func (r Request) check() error {
	if !knownRole(r.Role) {
		return fmt.Errorf("role %q is not one of %v", r.Role, Roles)
	}
	if r.Name == "" {
		return errors.New("a certificate needs a name for its owner")
	}
	if r.Role == RoleWatcher && len(r.Hosts) == 0 {
		return errors.New("a watcher's certificate needs the host names or IP addresses under which the other watchers reach it")
	}
	if r.Validity < 0 {
		return fmt.Errorf("validity %s is negative", r.Validity)
	}
	return nil
}

func (r Request) template(ca *x509.Certificate) (*x509.Certificate, error) {
	serial, err := newSerial()
	if err != nil {
		return nil, err
	}
	validity := r.Validity
	if validity == 0 {
		validity = leafValidity
	}
	now := time.Now()
	notAfter := now.Add(validity)
	if notAfter.After(ca.NotAfter) {
		notAfter = ca.NotAfter
	}
	t := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{CommonName: r.Name, OrganizationalUnit: []string{r.Role}},
		NotBefore:             now.Add(-backdate),
		NotAfter:              notAfter,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	for _, host := range r.Hosts {
		if ip := net.ParseIP(host); ip != nil {
			t.IPAddresses = append(t.IPAddresses, ip)
		} else {
			t.DNSNames = append(t.DNSNames, host)
		}
	}
	if len(r.Hosts) > 0 {
		t.ExtKeyUsage = append(t.ExtKeyUsage, x509.ExtKeyUsageServerAuth)
	}
	return t, nil
}

func newSerial() (*big.Int, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, fmt.Errorf("draw a serial number: %w", err)
	}
	return serial, nil
}

func loadAuthority(certPath, keyPath string) (*x509.Certificate, *ecdsa.PrivateKey, error) {
	cert, err := readCertificate(certPath)
	if err != nil {
		return nil, nil, err
	}
	if !cert.IsCA {
		return nil, nil, fmt.Errorf("%s: this certificate is no authority; make one with `failoverd tls ca`", certPath)
	}
	if now := time.Now(); now.After(cert.NotAfter) {
		return nil, nil, fmt.Errorf("%s: the authority expired on %s; make a new one with `failoverd tls ca`", certPath, cert.NotAfter.Format(time.DateOnly))
	}
	block, err := readPEM(keyPath, "PRIVATE KEY")
	if err != nil {
		return nil, nil, err
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: no readable private key: %w", keyPath, err)
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	if !ok {
		return nil, nil, fmt.Errorf("%s: an ECDSA key is wanted, this is %T", keyPath, parsed)
	}
	if !key.PublicKey.Equal(cert.PublicKey) {
		return nil, nil, fmt.Errorf("%s is not the key of %s", keyPath, certPath)
	}
	return cert, key, nil
}

// writePair writes the key before the certificate: a key without a certificate is harmless, the other way
// round looks complete and is not.
func writePair(certPath, keyPath string, der []byte, key *ecdsa.PrivateKey, replace bool) error {
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return fmt.Errorf("encode the key for %s: %w", keyPath, err)
	}
	keyPEM := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})

	if replace {
		if err := renameio.WriteFile(keyPath, keyPEM, keyMode, renameio.IgnoreUmask()); err != nil {
			return fmt.Errorf("write key: %w", err)
		}
		if err := renameio.WriteFile(certPath, certPEM, certMode, renameio.IgnoreUmask()); err != nil {
			return fmt.Errorf("write certificate: %w", err)
		}
		return nil
	}
	for _, path := range []string{certPath, keyPath} {
		if _, err := os.Lstat(path); err == nil {
			return fmt.Errorf("%s: %w, and it is not overwritten; move it away or choose another name", path, fs.ErrExist)
		}
	}
	if err := createFile(keyPath, keyPEM, keyMode); err != nil {
		return err
	}
	if err := createFile(certPath, certPEM, certMode); err != nil {
		return errors.Join(err, os.Remove(keyPath))
	}
	return nil
}

// createFile makes the whole file appear at once under its name, or fails when the name is taken: link(2)
// never replaces, and the content is on disk before the name is.
func createFile(path string, content []byte, mode fs.FileMode) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.Write(content)
	err = errors.Join(err, tmp.Chmod(mode), tmp.Sync(), tmp.Close())
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := os.Link(tmp.Name(), path); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}
