package snapshot

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"sync"

	"filippo.io/age"
	"github.com/klauspost/compress/zstd"
)

// Box is how things are stored: compressed with zstd at its fastest, and then, if it has
// recipients, encrypted as age files (age-encryption.org/v1), each piece by itself. It
// may be used by many goroutines at once.
type Box struct {
	encoder *zstd.Encoder
	decoder *zstd.Decoder
	keys    Keys
	scratch sync.Pool // *[]byte, for what is compressed and not yet encrypted
}

// maxPlain bounds what a Box opens, bytes: damage must not use up the memory.
const maxPlain = 1 << 30

// ageMagic is how every age file begins (age-encryption.org/v1, "Header").
const ageMagic = "age-encryption.org/v1\n"

// ErrSealed says that something is encrypted and none of the identities opens it.
var ErrSealed = errors.New("encrypted for somebody else")

// NewBox returns a Box that does not encrypt, and opens nothing that is encrypted.
func NewBox() (*Box, error) { return NewEncryptedBox(Keys{}) }

// NewEncryptedBox returns a Box that encrypts for the recipients, if there are any.
// What is not encrypted it opens too: a store may hold both. The error says so when
// there are identities and none of them opens what is sealed for the recipients.
func NewEncryptedBox(keys Keys) (*Box, error) {
	// A sum over the plain content would be one more: what is stored has its SHA-256 in
	// the reference to it. Nothing, too, is stored as something that can be read back.
	// A window as large as a chunk is compresses as well as a larger one and costs a tenth less.
	encoder, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithWindowSize(chunkBytes), zstd.WithEncoderCRC(false), zstd.WithZeroFrames(true))
	if err != nil {
		return nil, err
	}
	decoder, err := zstd.NewReader(nil, zstd.WithDecoderMaxMemory(maxPlain), zstd.WithDecoderConcurrency(0))
	if err != nil {
		return nil, err
	}
	b := &Box{encoder: encoder, decoder: decoder, keys: keys}
	if len(keys.Identities) > 0 && len(keys.Recipients) > 0 {
		sealed, err := b.Seal(nil, []byte("a probe"))
		if err == nil {
			_, err = b.Open(sealed)
		}
		if err != nil {
			return nil, fmt.Errorf("the identities do not fit the recipients: %w", err)
		}
	}
	return b, nil
}

// Encrypts says whether it has recipients.
func (b *Box) Encrypts() bool { return len(b.keys.Recipients) > 0 }

// Seal returns plain as it is stored, appended to dst.
func (b *Box) Seal(dst, plain []byte) ([]byte, error) {
	if !b.Encrypts() {
		return b.encoder.EncodeAll(plain, dst), nil
	}
	scratch, _ := b.scratch.Get().(*[]byte)
	if scratch == nil {
		scratch = new([]byte)
	}
	defer b.scratch.Put(scratch)
	*scratch = b.encoder.EncodeAll(plain, (*scratch)[:0])
	sealed := bytes.NewBuffer(dst)
	w, err := age.Encrypt(sealed, b.keys.Recipients...)
	if err == nil {
		_, err = w.Write(*scratch)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		return nil, fmt.Errorf("encrypt: %w", err)
	}
	return sealed.Bytes(), nil
}

// Open is the inverse of Seal. The error is ErrSealed when it cannot be decrypted with
// what the Box has, or ErrDamaged.
func (b *Box) Open(sealed []byte) ([]byte, error) {
	if bytes.HasPrefix(sealed, []byte(ageMagic)) {
		if len(b.keys.Identities) == 0 {
			return nil, fmt.Errorf("decrypt: no identity is given: %w", ErrSealed)
		}
		r, err := age.Decrypt(bytes.NewReader(sealed), b.keys.Identities...)
		var nobody *age.NoIdentityMatchError
		if errors.As(err, &nobody) {
			return nil, fmt.Errorf("decrypt: %w", ErrSealed)
		}
		if err == nil {
			sealed, err = io.ReadAll(r)
		}
		if err != nil {
			return nil, fmt.Errorf("decrypt: %w: %w", ErrDamaged, err)
		}
	}
	plain, err := b.decoder.DecodeAll(sealed, nil)
	if err != nil {
		return nil, fmt.Errorf("decompress: %w: %w", ErrDamaged, err)
	}
	return plain, nil
}
