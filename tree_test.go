package fenghuo

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// file is one parsed Go file of the tree.
type file struct {
	name string // from the module's root, with slashes
	dir  string
	fset *token.FileSet
	ast  *ast.File
}

func (f file) at(n ast.Node) token.Position { return f.fset.Position(n.Pos()) }

func (f file) lines() int { return f.fset.File(f.ast.Pos()).LineCount() }

// paths lists every file of the repository: what git knows or would add, so
// that build output and a development node's data don't count. Without git (an
// unpacked archive) it walks the folders.
var paths = sync.OnceValues(func() ([]string, error) {
	out, err := exec.Command("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard").Output()
	var all []string
	if err == nil {
		all = strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")
	} else {
		err = filepath.WalkDir(".", func(p string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			switch {
			case d.IsDir() && slices.Contains([]string{".git", "bin", "fenghuo-dev", "node_modules"}, p):
				return filepath.SkipDir
			case !d.IsDir():
				all = append(all, filepath.ToSlash(p))
			}
			return nil
		})
	}
	all = slices.DeleteFunc(all, func(p string) bool {
		_, gone := os.Lstat(p)
		return gone != nil
	})
	slices.Sort(all)
	return all, err
})

// parsed holds every Go file of the module, tests included, and leaves out
// testdata and modules of their own.
var parsed = sync.OnceValues(func() ([]file, error) {
	all, err := paths()
	if err != nil {
		return nil, err
	}
	var nested []string
	for _, p := range all {
		if path.Base(p) == "go.mod" && path.Dir(p) != "." {
			nested = append(nested, path.Dir(p))
		}
	}
	var out []file
	fset := token.NewFileSet()
	for _, p := range all {
		if !strings.HasSuffix(p, ".go") || slices.Contains(strings.Split(p, "/"), "testdata") ||
			slices.ContainsFunc(nested, func(d string) bool { return under(p, d) }) {
			continue
		}
		f, err := parser.ParseFile(fset, p, nil, parser.ParseComments)
		if err != nil {
			return nil, err
		}
		out = append(out, file{name: p, dir: path.Dir(p), fset: fset, ast: f})
	}
	return out, nil
})

// reporter is what a check complains to: a test, or the test of the checks.
type reporter interface {
	Helper()
	Errorf(format string, args ...any)
}

// code lists every hand-written, non-test Go file of the module.
func code(t *testing.T) []file {
	t.Helper()
	return slices.DeleteFunc(goFiles(t), func(f file) bool { return f.isTest() || ast.IsGenerated(f.ast) })
}

// tests lists every test file of the module.
func tests(t *testing.T) []file {
	t.Helper()
	return slices.DeleteFunc(goFiles(t), func(f file) bool { return !f.isTest() })
}

func (f file) isTest() bool { return strings.HasSuffix(f.name, "_test.go") }

func goFiles(t *testing.T) []file {
	t.Helper()
	all, err := parsed()
	if err != nil {
		t.Fatal(err)
	}
	if len(all) == 0 {
		t.Fatal("no Go file found")
	}
	return slices.Clone(all)
}
