package publish

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
)

// APIVersion is the document format that this package reads and writes.
const APIVersion = "failoverd/v1"

// MaxBytes is the largest document that is written or read.
const MaxBytes = 4 << 20

var (
	// ErrMalformed says that bytes are no document this version can read.
	ErrMalformed = errors.New("malformed config document")
	// ErrOld says that a document is not newer than the one in hand.
	ErrOld = errors.New("not newer")
	// ErrEpochBehind says that a product's epoch would go back: whoever rendered
	// the document did not know of that product's last promotion.
	ErrEpochBehind = errors.New("epoch behind")
)

// Document is the global config. See the package comment for its JSON.
type Document struct {
	APIVersion  string             `json:"apiVersion"`
	Version     uint64             `json:"version"`     // from 1
	GeneratedAt time.Time          `json:"generatedAt"` // for people: it decides nothing
	Previous    string             `json:"previous"`    // "sha256:HEX", or empty for the first
	Products    map[string]Product `json:"products"`
	Zones       []string           `json:"zones"`
}

// Product is one product's chain as its clients need to know it.
type Product struct {
	Epoch     uint64   `json:"epoch"`     // grows with each promotion
	State     string   `json:"state"`     // a word for people and alerts
	Writer    *Server  `json:"writer"`    // the master; null while nobody takes writes
	Readers   []Server `json:"readers"`   // those fit to read from, best first
	Candidate *Server  `json:"candidate"` // null when the seat is empty
	Slave     *Server  `json:"slave"`     // null when the seat is empty
	Dump      *Server  `json:"dump"`      // null when the seat is empty
	Protected bool     `json:"protected"` // whether an acknowledged write is on two servers
}

// Server is an address that clients connect to.
type Server struct {
	Host       string `json:"host"`
	Port       int    `json:"port"`
	Zone       string `json:"zone"`
	ServerUUID string `json:"serverUuid"` // MySQL's @@server_uuid
}

// Decode reads a document without looking at its signature: use Trust.Verify
// unless the bytes are your own. Errors wrap ErrMalformed and name the place.
func Decode(body []byte) (*Document, error) {
	if len(body) > MaxBytes {
		return nil, fmt.Errorf("%w: %d bytes, at most %d are read", ErrMalformed, len(body), MaxBytes)
	}
	var format struct {
		APIVersion string `json:"apiVersion"`
	}
	if err := json.Unmarshal(body, &format); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, withPlace(body, err))
	}
	if format.APIVersion != APIVersion {
		return nil, fmt.Errorf("%w: apiVersion: %q is not %q; a newer failoverd may be needed", ErrMalformed, format.APIVersion, APIVersion)
	}
	var d Document
	if err := json.Unmarshal(body, &d); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, withPlace(body, err))
	}
	if err := d.check(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return &d, nil
}

// Supersedes returns nil when d may replace current: its version is higher, or
// the same with some epoch higher, and no product's epoch is lower. Otherwise
// the error wraps ErrOld, or ErrEpochBehind for a version that only looks newer.
// A nil current is superseded by anything.
func (d *Document) Supersedes(current *Document) error {
	if current == nil {
		return nil
	}
	if d.Version < current.Version {
		return fmt.Errorf("version %d after %d: %w", d.Version, current.Version, ErrOld)
	}
	ahead := d.Version > current.Version
	for _, name := range slices.Sorted(maps.Keys(d.Products)) {
		before, known := current.Products[name]
		if !known {
			continue
		}
		if now := d.Products[name].Epoch; now < before.Epoch {
			return fmt.Errorf("version %d, product %s: epoch %d after %d: %w", d.Version, name, now, before.Epoch, ErrEpochBehind)
		} else if now > before.Epoch {
			ahead = true
		}
	}
	if !ahead {
		return fmt.Errorf("version %d again: %w", d.Version, ErrOld)
	}
	return nil
}

// sameContent leaves out what every rendering changes.
func (d *Document) sameContent(other *Document) bool {
	a, b := *d, *other
	for _, d := range []*Document{&a, &b} {
		d.Version, d.GeneratedAt, d.Previous = 0, time.Time{}, ""
	}
	aBytes, aErr := json.Marshal(a)
	bBytes, bErr := json.Marshal(b)
	return aErr == nil && bErr == nil && bytes.Equal(aBytes, bBytes)
}

var (
	hashPattern = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)
	hostPattern = regexp.MustCompile(`^[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_.])?$`)
)

// check returns the first thing wrong, by its place in the JSON.
func (d *Document) check() error {
	switch {
	case d.Version == 0:
		return errors.New("version: missing or 0")
	case d.GeneratedAt.IsZero():
		return errors.New("generatedAt: missing")
	case d.Previous != "" && !hashPattern.MatchString(d.Previous):
		return fmt.Errorf("previous: %.80q is not sha256:HEX", d.Previous)
	case d.Products == nil:
		return errors.New("products: missing")
	case d.Zones == nil:
		return errors.New("zones: missing")
	}
	for i, zone := range d.Zones {
		if !isWord(zone) {
			return fmt.Errorf("zones[%d]: %.80q is not a name", i, zone)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(d.Products)) {
		if !isWord(name) {
			return fmt.Errorf("products: %.80q is not a name", name)
		}
		if err := d.Products[name].check(); err != nil {
			return fmt.Errorf("products.%s.%w", name, err)
		}
	}
	return nil
}

func (p Product) check() error {
	if !isWord(p.State) {
		return fmt.Errorf("state: %.80q is not a name", p.State)
	}
	if p.Readers == nil {
		return errors.New("readers: missing")
	}
	for i, reader := range p.Readers {
		if err := reader.check(); err != nil {
			return fmt.Errorf("readers[%d].%w", i, err)
		}
	}
	for _, seat := range []struct {
		name   string
		server *Server
	}{{"writer", p.Writer}, {"candidate", p.Candidate}, {"slave", p.Slave}, {"dump", p.Dump}} {
		if seat.server == nil {
			continue
		}
		if err := seat.server.check(); err != nil {
			return fmt.Errorf("%s.%w", seat.name, err)
		}
	}
	return nil
}

// check is narrow on purpose: these values end up in the config files and
// command lines of web servers.
func (s Server) check() error {
	_, err := netip.ParseAddr(s.Host)
	switch {
	case err != nil && (len(s.Host) > 253 || !hostPattern.MatchString(s.Host)):
		return fmt.Errorf("host: %.80q is neither a host name nor an address", s.Host)
	case s.Port < 1 || s.Port > 65535:
		return fmt.Errorf("port: %d is not 1 to 65535", s.Port)
	case s.Zone != "" && !isWord(s.Zone):
		return fmt.Errorf("zone: %.80q is not a name", s.Zone)
	case s.ServerUUID != "" && !isWord(s.ServerUUID):
		return fmt.Errorf("serverUuid: %.80q is not a UUID", s.ServerUUID)
	}
	return nil
}

// isWord allows what a name may be made of: printable, no spaces or quotes.
func isWord(s string) bool {
	if s == "" || len(s) > 128 {
		return false
	}
	return !strings.ContainsFunc(s, func(r rune) bool {
		return unicode.IsSpace(r) || !unicode.IsPrint(r) || strings.ContainsRune("\"'`\\<>|&;$", r)
	})
}

// withPlace adds line and column to an encoding/json error.
func withPlace(body []byte, err error) error {
	var syntax *json.SyntaxError
	var wrongType *json.UnmarshalTypeError
	var wrongTime *time.ParseError
	switch {
	case errors.As(err, &wrongTime): // the only time in it
		return fmt.Errorf("generatedAt: %w", err)
	case errors.As(err, &wrongType):
		return fmt.Errorf("%s: %s: a %s where %s is expected", place(body, wrongType.Offset), wrongType.Field, wrongType.Value, wrongType.Type)
	case errors.As(err, &syntax):
		return fmt.Errorf("%s: %w", place(body, syntax.Offset), err)
	default:
		return err
	}
}

func place(body []byte, offset int64) string {
	before := body[:min(max(offset-1, 0), int64(len(body)))]
	line := bytes.Count(before, []byte("\n")) + 1
	column := len(before) - bytes.LastIndexByte(before, '\n')
	return fmt.Sprintf("line %d, column %d", line, column)
}
