package publish

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
)

// PrivateKey signs documents. It prints as its ID only.
type PrivateKey struct{ key ed25519.PrivateKey }

// PublicKey checks signatures.
type PublicKey struct{ key ed25519.PublicKey }

const (
	privateBlock = "PRIVATE KEY" // PKCS #8
	publicBlock  = "PUBLIC KEY"  // PKIX SubjectPublicKeyInfo
)

// GenerateKey returns a new signing key.
func GenerateKey() (PrivateKey, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	return PrivateKey{key}, err
}

// ParsePrivateKey reads a PEM file with a PKCS #8 ed25519 key, as
// "openssl genpkey -algorithm ed25519" writes it too.
func ParsePrivateKey(pemBytes []byte) (PrivateKey, error) {
	block, _ := pem.Decode(pemBytes)
	if block == nil || block.Type != privateBlock {
		return PrivateKey{}, fmt.Errorf("no %q PEM block", privateBlock)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		// The parser's error could quote the input.
		return PrivateKey{}, errors.New("PEM block holds no PKCS #8 key")
	}
	key, isEd25519 := parsed.(ed25519.PrivateKey)
	if !isEd25519 {
		return PrivateKey{}, fmt.Errorf("key is a %T, want ed25519", parsed)
	}
	return PrivateKey{key}, nil
}

// ParsePublicKeys reads a PEM file with one or more PKIX ed25519 keys.
func ParsePublicKeys(pemBytes []byte) ([]PublicKey, error) {
	var keys []PublicKey
	for {
		var block *pem.Block
		block, pemBytes = pem.Decode(pemBytes)
		if block == nil {
			break
		}
		if block.Type == privateBlock {
			return nil, errors.New("this is the private key; it belongs to the watchers only")
		}
		if block.Type != publicBlock {
			return nil, fmt.Errorf("PEM block %q, want %q", block.Type, publicBlock)
		}
		parsed, err := x509.ParsePKIXPublicKey(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("public key %d: %w", len(keys)+1, err)
		}
		key, isEd25519 := parsed.(ed25519.PublicKey)
		if !isEd25519 {
			return nil, fmt.Errorf("public key %d is a %T, want ed25519", len(keys)+1, parsed)
		}
		keys = append(keys, PublicKey{key})
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("no %q PEM block", publicBlock)
	}
	return keys, nil
}

// PEM encodes the key for a file that only the watchers can read.
func (k PrivateKey) PEM() ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(k.key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: privateBlock, Bytes: der}), nil
}

// Public returns the key that checks k's signatures.
func (k PrivateKey) Public() PublicKey {
	return PublicKey{k.key.Public().(ed25519.PublicKey)}
}

// ID is the public key's ID; empty for the zero key.
func (k PrivateKey) ID() string {
	if k.key == nil {
		return ""
	}
	return k.Public().ID()
}

// Format hides the key from every fmt verb.
func (k PrivateKey) Format(f fmt.State, _ rune) {
	if k.key == nil {
		_, _ = io.WriteString(f, "no signing key")
		return
	}
	_, _ = io.WriteString(f, "signing key "+k.ID())
}

// PEM encodes the key for a file that anybody may read.
func (k PublicKey) PEM() ([]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(k.key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: publicBlock, Bytes: der}), nil
}

// ID is a short hash of the key, for people and for the signature's keyId.
func (k PublicKey) ID() string {
	sum := sha256.Sum256(k.key)
	return hex.EncodeToString(sum[:8])
}

func (k PublicKey) String() string { return "public key " + k.ID() }
