package publish

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

// ErrUnverified says that no trusted key signed exactly these bytes.
var ErrUnverified = errors.New("config document not verified")

// Head is a document with the exact bytes that are stored and served. Heads are
// never changed once made.
type Head struct {
	Document *Document
	Bytes    []byte
	Hash     string // "sha256:HEX" of Bytes
	KeyID    string // of the key that signed it
}

// Trust is the public keys whose signatures count; more than one during a
// rotation.
type Trust []PublicKey

const (
	// signatureMember can stand only once in what Seal writes, because no JSON
	// string holds a raw line break and no nested member has this indentation.
	signatureMember = "\n  \"signature\": "
	algorithm       = "ed25519"
	documentEnd     = "\n}\n"
)

type signature struct {
	KeyID     string `json:"keyId"`
	Algorithm string `json:"algorithm"`
	Value     string `json:"value"` // base64
}

// Seal signs a document. It fails on a document that Decode would refuse.
func (k PrivateKey) Seal(d Document) (*Head, error) {
	if k.key == nil {
		return nil, errors.New("seal config document: no signing key")
	}
	d.APIVersion = APIVersion
	d.GeneratedAt = d.GeneratedAt.UTC().Truncate(time.Millisecond)
	if err := d.check(); err != nil {
		return nil, fmt.Errorf("seal config document: %w", err)
	}
	body, err := json.MarshalIndent(d, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("seal config document: %w", err)
	}
	// Exactly the bytes above the signature's line are signed.
	signed := append(bytes.TrimSuffix(body, []byte("\n}")), ",\n"...)
	s := signature{k.ID(), algorithm, base64.StdEncoding.EncodeToString(ed25519.Sign(k.key, signed))}
	sealed := append(signed, s.lines()...)
	// Reading it back keeps the caller's slices out of the head, and nothing
	// leaves here that a reader would refuse.
	read, err := Decode(sealed)
	if err != nil {
		return nil, fmt.Errorf("seal config document: %w", err)
	}
	return newHead(read, sealed, s.KeyID), nil
}

// Verify checks the signature and reads the document. Errors wrap ErrUnverified
// for bytes that no trusted key signed, and ErrMalformed for signed bytes that
// this version cannot read.
func (t Trust) Verify(body []byte) (*Head, error) {
	if len(body) > MaxBytes {
		return nil, fmt.Errorf("%w: %d bytes, at most %d are read", ErrMalformed, len(body), MaxBytes)
	}
	at := bytes.LastIndex(body, []byte(signatureMember))
	if at < 0 {
		return nil, fmt.Errorf("%w: it has no signature", ErrUnverified)
	}
	signed, rest := body[:at+1], body[at+1:]
	var s signature
	member := bytes.TrimPrefix(rest, []byte(signatureMember[1:]))
	if err := json.NewDecoder(bytes.NewReader(member)).Decode(&s); err != nil {
		return nil, fmt.Errorf("%w: its signature cannot be read", ErrUnverified)
	}
	if s.Algorithm != algorithm || !bytes.Equal(rest, s.lines()) {
		return nil, fmt.Errorf("%w: its last two lines are not as failoverd writes them", ErrUnverified)
	}
	value, err := base64.StdEncoding.Strict().DecodeString(s.Value)
	if err != nil {
		return nil, fmt.Errorf("%w: its signature is not base64", ErrUnverified)
	}
	if err := t.check(s.KeyID, signed, value); err != nil {
		return nil, err
	}
	d, err := Decode(body)
	if err != nil {
		return nil, err
	}
	return newHead(d, bytes.Clone(body), s.KeyID), nil
}

func (t Trust) check(keyID string, signed, value []byte) error {
	var ids []string
	for _, key := range t {
		if key.ID() != keyID {
			ids = append(ids, key.ID())
			continue
		}
		if ed25519.Verify(key.key, signed, value) {
			return nil
		}
		return fmt.Errorf("%w: it was altered after key %s signed it", ErrUnverified, keyID)
	}
	return fmt.Errorf("%w: signed by key %.32q, trusted: %s", ErrUnverified, keyID, strings.Join(ids, ", "))
}

func (s signature) lines() []byte {
	line, _ := json.Marshal(s) // three strings: it cannot fail
	return []byte(signatureMember[1:] + string(line) + documentEnd)
}

func newHead(d *Document, body []byte, keyID string) *Head {
	sum := sha256.Sum256(body)
	return &Head{Document: d, Bytes: body, Hash: "sha256:" + hex.EncodeToString(sum[:]), KeyID: keyID}
}
