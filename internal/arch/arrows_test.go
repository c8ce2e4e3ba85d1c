package arch

import (
	"go/ast"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

// arrows says which packages of ours a package may import, its tests aside. A
// package that is not here may not exist, so that a new one is thought about.
var arrows = map[string][]string{
	"topology": {},
	"promote":  {"topology"},
	"journal":  {"topology", "promote"},
	"object":   {},
	"publish":  {"object"},
	"errant":   {"topology", "object"},
	"follow":   {"publish", "object"},
	"snapshot": {"topology", "object"},
	// The adapters. Each knows the interfaces that it fits and nothing of its siblings.
	"mysql": {"topology", "promote", "errant"},
	"s3":    {"object"},
	// They read and write whole servers for copies of them.
	"mysql/dump":    {"topology", "snapshot", "mysql"},
	"mysql/load":    {"topology", "snapshot", "mysql"},
	"mysql/changes": {"topology", "snapshot", "mysql"},
	"mysql/scratch": {"topology", "snapshot", "mysql"},
	"cluster":       {"pki"},

	"pki":       {},
	"config":    {},
	"inventory": {"topology"},
	"watcher":   {"topology", "promote", "journal", "publish"},
	"api":       {"topology", "promote", "journal", "publish", "inventory", "pki", "snapshot"},
	"sim":       {"topology", "promote", "journal", "publish", "watcher"},
	// What tests of several packages share.
	"object/objecttest":  {"object"},
	"promote/servertest": {"topology", "promote"},
	"api/apitest":        {"topology", "promote", "journal", "api"},
	"arch":               {},
	"mutants":            {},
}

// adapters are named by their wiring only.
var adapters = []string{"internal/mysql", "internal/mysql/dump", "internal/mysql/load", "internal/mysql/changes", "internal/mysql/scratch", "internal/s3", "internal/cluster"}

// realWorld may run processes: only tests, the demo and the stage know it.
const realWorld = "testenv"

func TestArrowsPointDownward(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range everyGo(t) {
		pkg, internal := strings.CutPrefix(s.dir(), "internal/")
		if !internal {
			continue
		}
		seen[pkg] = true
		allowed, known := arrows[pkg]
		if !assert.True(t, known, "%s: package %s has no row in the table of arrows", s.path, pkg) || s.isTest() {
			continue
		}
		ours, _ := s.imports()
		for _, name := range ours {
			assert.Contains(t, allowed, strings.TrimPrefix(name, "internal/"), "%s imports %s", s.path, name)
		}
	}
	for pkg := range arrows {
		assert.True(t, seen[pkg], "the table of arrows has a row for %s, which is not there", pkg)
	}
}

func TestOnlyWiringNamesAdapters(t *testing.T) {
	wiring := []string{"cmd/failoverd", "testenv/stage", "testenv/benchsnapshot", "deploy"} // deploy's tests hold the examples against the adapters
	for _, s := range everyGo(t) {
		ours, _ := s.imports()
		for _, name := range ours {
			if slices.Contains(adapters, name) {
				assert.True(t, slices.Contains(wiring, s.dir()) || s.dir() == name || strings.HasPrefix(s.dir(), "internal/mysql/"), "%s imports the adapter %s", s.path, name)
			}
			if name == realWorld || strings.HasPrefix(name, realWorld+"/") {
				fromOutside := s.dir() == "cmd/failoverd" || strings.HasPrefix(s.dir(), realWorld) || s.isTest()
				assert.True(t, fromOutside, "%s imports %s", s.path, name)
			}
		}
	}
}

// homes says which packages alone may know another's technology.
var homes = map[string][]string{
	"github.com/aws/":                     {"internal/s3", "testenv"},
	"github.com/go-sql-driver/":           {"internal/mysql", "testenv", "testenv/stage", "testenv/benchsnapshot", "testenv/campaign", "cmd/failoverd", "internal/mysql/dump", "internal/mysql/load", "internal/mysql/changes", "internal/mysql/scratch"},
	"database/sql":                        {"internal/mysql", "testenv", "testenv/stage", "testenv/campaign", "cmd/failoverd", "internal/mysql/dump", "internal/mysql/load", "internal/mysql/changes", "internal/mysql/scratch"},
	"github.com/go-mysql-org/":            {"internal/mysql", "internal/errant", "internal/mysql/dump", "internal/mysql/load", "internal/mysql/changes"},
	"github.com/hashicorp/raft":           {"internal/cluster"},
	"go.etcd.io/bbolt":                    {"internal/cluster"},
	"github.com/prometheus/client_golang": {"internal/api"},
	"github.com/spf13/cobra":              {"cmd/failoverd"},
	"github.com/johannesboyne/gofakes3":   {"testenv", "internal/s3"},
	"filippo.io/age":                      {"internal/snapshot"},
	"github.com/stretchr/testify":         {"internal/object/objecttest", "internal/promote/servertest", "internal/api/apitest"},
	"testing":                             {"internal/object/objecttest", "internal/promote/servertest", "internal/api/apitest"},
}

func TestEachTechnologyHasItsHome(t *testing.T) {
	for _, s := range everyGo(t) {
		if s.isTest() {
			continue
		}
		_, foreign := s.imports()
		for _, name := range foreign {
			for technology, packages := range homes {
				if name == technology || strings.HasPrefix(name, strings.TrimSuffix(technology, "/")+"/") {
					assert.Contains(t, packages, s.dir(), "%s imports %s", s.path, name)
				}
			}
		}
	}
}

// pure packages decide: they are given time and chance, and touch nothing outside.
var pure = []string{"internal/topology", "internal/promote", "internal/journal", "internal/inventory"}

func TestPurePackagesTouchNothing(t *testing.T) {
	impure := []string{"os", "os/exec", "net/http", "math/rand", "math/rand/v2", "crypto/rand", "database/sql", "path/filepath", "io/ioutil", "syscall"}
	clock := []string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker"}
	for _, s := range everyGo(t) {
		if s.isTest() || !slices.Contains(pure, s.dir()) {
			continue
		}
		_, foreign := s.imports()
		for _, name := range foreign {
			assert.NotContains(t, impure, name, "%s is to be pure", s.path)
		}
		ast.Inspect(s.tree, func(n ast.Node) bool {
			if name, ok := ofPackage(n, "time"); ok {
				assert.NotContains(t, clock, name, "%s: time is an argument of pure code", s.at(n.Pos()))
			}
			return true
		})
	}
}

// ofPackage says whether the node is a name of the package, such as time.Now.
func ofPackage(n ast.Node, pkg string) (name string, ok bool) {
	selector, isSelector := n.(*ast.SelectorExpr)
	if !isSelector {
		return "", false
	}
	x, isIdent := selector.X.(*ast.Ident)
	return selector.Sel.Name, isIdent && x.Name == pkg
}
