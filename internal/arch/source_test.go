package arch

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

const (
	module = "github.com/failoverd/failoverd"
	root   = "../.." // of the module, seen from here
)

// source is one file of the project.
type source struct {
	path string // slash-separated, relative to the module's root
	text string
	// Of Go files only; the tree holds comments.
	tree *ast.File
	fset *token.FileSet
}

func (s source) dir() string   { return path.Dir(s.path) }
func (s source) isTest() bool  { return strings.HasSuffix(s.path, "_test.go") }
func (s source) lines() int    { return strings.Count(s.text, "\n") }
func (s source) isOurs() bool  { return strings.HasPrefix(s.path, "internal/") }
func (s source) isProse() bool { return s.tree == nil }

func (s source) at(pos token.Pos) string {
	return s.path + ":" + strconv.Itoa(s.fset.Position(pos).Line)
}

// imports are the import paths of a Go file; those of this module are made
// relative to its root.
func (s source) imports() (ours, foreign []string) {
	for _, spec := range s.tree.Imports {
		name, _ := strconv.Unquote(spec.Path.Value)
		if rest, ok := strings.CutPrefix(name, module+"/"); ok {
			ours = append(ours, rest)
		} else {
			foreign = append(foreign, name)
		}
	}
	return ours, foreign
}

// ignored are directories that are no part of the project: they hold what was
// built, or what .gitignore names.
var ignored = []string{".git", "bin", "internal/deps"}

// project reads all files of the project once, whatever their build tags.
var project = sync.OnceValues(func() ([]source, error) {
	var all []source
	fset := token.NewFileSet()
	err := filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		switch {
		case entry.IsDir() && slices.Contains(ignored, rel):
			return filepath.SkipDir
		case !entry.Type().IsRegular():
			return nil
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		s := source{path: rel, text: string(text), fset: fset}
		if strings.HasSuffix(rel, ".go") {
			if s.tree, err = parser.ParseFile(fset, rel, text, parser.ParseComments|parser.SkipObjectResolution); err != nil {
				return err
			}
		}
		all = append(all, s)
		return nil
	})
	return all, err
})

// everyFile returns all files, everyGo the Go files among them.
func everyFile(t *testing.T) []source {
	t.Helper()
	all, err := project()
	require.NoError(t, err)
	require.NotEmpty(t, all)
	return all
}

func everyGo(t *testing.T) []source {
	t.Helper()
	return slices.DeleteFunc(slices.Clone(everyFile(t)), source.isProse)
}
