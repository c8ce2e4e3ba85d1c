package arch

import (
	"go/ast"
	"go/token"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

const maxLines = 600 // of a file that is no test

func TestFilesAreShort(t *testing.T) {
	for _, s := range everyGo(t) {
		if !s.isTest() {
			assert.LessOrEqual(t, s.lines(), maxLines, "%s: one noun per file", s.path)
		}
	}
}

// A test that sleeps is slow when all is well and fails when the machine is busy.
// In a synctest bubble the clock is not the machine's.
func TestNoTestSleeps(t *testing.T) {
	for _, s := range everyGo(t) {
		_, foreign := s.imports()
		shared := strings.HasSuffix(s.dir(), "test") && s.isOurs()
		if !s.isTest() && !shared || slices.Contains(foreign, "testing/synctest") {
			continue
		}
		ast.Inspect(s.tree, func(n ast.Node) bool {
			if name, ok := ofPackage(n, "time"); ok && name == "Sleep" {
				t.Errorf("%s: time.Sleep in a test outside testing/synctest: wait for the condition instead", s.at(n.Pos()))
			}
			return true
		})
	}
}

// unwanted are what must not be left behind: notes to oneself, and what is true
// of one machine only. They are put together here, for this file is read too.
var unwanted = regexp.MustCompile(`\b(TO` + `DO|FIX` + `ME|XX` + `X|HA` + `CK)\b|/wo` + `rk/|/ro` + `ot/|proxy\.gol` + `ang|deb\.deb` + `ian\.org|registry\.np` + `mjs|\.libr` + `ary/`)

func TestNothingUnwantedIsLeft(t *testing.T) {
	for _, s := range everyFile(t) {
		number := 0
		for line := range strings.Lines(s.text) {
			number++
			assert.Empty(t, unwanted.FindString(line), "%s:%d", s.path, number)
		}
	}
}

func TestEveryPackageSaysWhatItIs(t *testing.T) {
	documented := map[string]int{}
	for _, s := range everyGo(t) {
		if s.isTest() {
			continue
		}
		documented[s.dir()] += 0
		if s.tree.Doc != nil {
			documented[s.dir()]++
			start := "Package " + s.tree.Name.Name + " "
			if s.tree.Name.Name == "main" {
				start = "Command "
			}
			assert.True(t, strings.HasPrefix(s.tree.Doc.Text(), start), "%s: the package comment starts with %q", s.path, start)
		}
	}
	for dir, comments := range documented {
		assert.Equal(t, 1, comments, "package comments of %s", dir)
	}
}

func TestEveryExportedNameIsExplained(t *testing.T) {
	for _, s := range everyGo(t) {
		if s.isTest() || !s.isOurs() {
			continue
		}
		for _, decl := range s.tree.Decls {
			for _, name := range unexplained(decl) {
				t.Errorf("%s: %s has no comment", s.at(decl.Pos()), name)
			}
		}
	}
}

// unexplained returns the exported names without a comment. A group's comment
// does for all of its names, and so does one behind the name.
func unexplained(decl ast.Decl) (names []string) {
	switch d := decl.(type) {
	case *ast.FuncDecl:
		obvious := d.Recv != nil && (d.Name.Name == "String" || d.Name.Name == "Error") // fmt.Stringer and error
		if d.Doc == nil && !obvious && d.Name.IsExported() && (d.Recv == nil || ofExported(d.Recv.List[0].Type)) {
			names = append(names, d.Name.Name)
		}
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			switch spec := spec.(type) {
			case *ast.TypeSpec:
				if d.Tok == token.TYPE && spec.Name.IsExported() && d.Doc == nil && spec.Doc == nil && spec.Comment == nil {
					names = append(names, spec.Name.Name)
				}
			case *ast.ValueSpec:
				for _, name := range spec.Names {
					if name.IsExported() && d.Doc == nil && spec.Doc == nil && spec.Comment == nil {
						names = append(names, name.Name)
					}
				}
			}
		}
	}
	return names
}

// ofExported says whether a receiver's type is exported.
func ofExported(receiver ast.Expr) bool {
	for {
		switch x := receiver.(type) {
		case *ast.StarExpr:
			receiver = x.X
		case *ast.IndexExpr:
			receiver = x.X
		case *ast.Ident:
			return x.IsExported()
		default:
			return false
		}
	}
}
