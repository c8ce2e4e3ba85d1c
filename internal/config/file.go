package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/goccy/go-yaml"
)

// file is a configuration as a person writes it, in YAML.
type file interface {
	// paths are those in it, which are relative to the directory that it is in.
	paths() []*string
	// check names the first thing wrong and its place in the file.
	check() (place string, err error)
}

// load reads and checks a file into c, which holds the defaults.
func load(path string, c file) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("configuration: %w", err)
	}
	if err := parse(text, filepath.Dir(path), c); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

func parse(text []byte, dir string, c file) error {
	decoder := yaml.NewDecoder(bytes.NewReader(text), yaml.Strict())
	if err := decoder.Decode(c); err != nil && !errors.Is(err, io.EOF) {
		return errors.New(yaml.FormatError(err, false, true))
	}
	for _, p := range c.paths() {
		if *p != "" && !filepath.IsAbs(*p) {
			*p = filepath.Join(dir, *p)
		}
	}
	if place, err := c.check(); err != nil {
		return pointed(text, place, err)
	}
	return nil
}

// pointed adds the source line of the value at place to an error.
func pointed(text []byte, place string, err error) error {
	path, pathErr := yaml.PathString(place)
	if pathErr != nil {
		return err
	}
	source, sourceErr := path.AnnotateSource(text, false)
	if sourceErr != nil || len(source) == 0 {
		return fmt.Errorf("%s: %w", place[2:], err)
	}
	return fmt.Errorf("%s: %w\n%s", place[2:], err, source)
}

// need is a value that must be given.
type need struct{ place, value, what string }

// missing names the first of them that is not.
func missing(needs []need) (place string, err error) {
	for _, n := range needs {
		if n.value == "" {
			return n.place, fmt.Errorf("missing: %s", n.what)
		}
	}
	return "", nil
}
