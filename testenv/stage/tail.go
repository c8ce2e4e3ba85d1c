package stage

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// Tail reads a ledger file while a web server still writes it, each line once.
// The zero value of Path is not usable; nothing needs closing.
type Tail struct {
	// Path is the ledger file; it may not exist yet.
	Path string

	offset int64
}

// tailChunk bounds what one Read takes in, in bytes.
const tailChunk = 4 << 20

// Read returns the writes that were noted since the last call. A line that is
// being written is left for the next call. The error is of the file, or says
// which line is no write; the lines before it are returned with it.
func (t *Tail) Read() (Ledger, error) {
	file, err := os.Open(t.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer file.Close()
	data, err := io.ReadAll(io.NewSectionReader(file, t.offset, tailChunk))
	if err != nil {
		return nil, err
	}
	var out Ledger
	for {
		end := bytes.IndexByte(data, '\n')
		if end < 0 {
			return out, nil
		}
		var w Write
		if err := json.Unmarshal(data[:end], &w); err != nil {
			return out, fmt.Errorf("%s at byte %d: %w", t.Path, t.offset, err)
		}
		out = append(out, w)
		t.offset += int64(end) + 1
		data = data[end+1:]
	}
}
