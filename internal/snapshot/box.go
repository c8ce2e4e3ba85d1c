package snapshot

import (
	"fmt"

	"github.com/klauspost/compress/zstd"
)

// Box is how things are stored: compressed with zstd at its fastest, and encrypted
// if it has recipients. It may be used by many goroutines at once.
type Box struct {
	encoder *zstd.Encoder
	decoder *zstd.Decoder
}

// maxPlain bounds what a Box opens, bytes: damage must not use up the memory.
const maxPlain = 1 << 30

// NewBox returns a Box.
func NewBox() (*Box, error) {
	encoder, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest))
	if err != nil {
		return nil, err
	}
	decoder, err := zstd.NewReader(nil, zstd.WithDecoderMaxMemory(maxPlain), zstd.WithDecoderConcurrency(0))
	if err != nil {
		return nil, err
	}
	return &Box{encoder: encoder, decoder: decoder}, nil
}

// Seal returns plain as it is stored, appended to dst.
func (b *Box) Seal(dst, plain []byte) ([]byte, error) {
	return b.encoder.EncodeAll(plain, dst), nil
}

// Open is the inverse of Seal.
func (b *Box) Open(sealed []byte) ([]byte, error) {
	plain, err := b.decoder.DecodeAll(sealed, nil)
	if err != nil {
		return nil, fmt.Errorf("decompress: %w", err)
	}
	return plain, nil
}
