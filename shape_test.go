package fenghuo

import (
	"go/ast"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The measures of the house. They are ceilings, not goals: they bind only the
// tail, and the tail is where code hurts.
const (
	maxFile    = 500  // lines of a file
	maxFunc    = 80   // lines of a function
	maxPackage = 2500 // lines of a package, without its tests
	maxTest    = 800  // lines of a test file
	maxMethods = 25   // methods of a type, exported or not
	maxFields  = 25   // fields of a struct; Options may have more
	maxParams  = 5    // parameters of a function; then take an Options
	maxIface   = 6    // methods of an interface
)

// shapeExceptions lets one thing be larger than its ceiling. The key is what
// the failing test names, the value is the reason.
var shapeExceptions = map[string]string{}

// topLevel is what may stand in the root of the repository.
var topLevel = []string{
	".ci", ".gitignore", ".gitattributes", "aggregate", "transport", "gossip", "raftstore", "collectors", "node", "cmd", "deploy", "docs",
	"CHANGELOG.md", "LICENSE", "Makefile", "README.md", "README.zh-CN.md", "arch_test.go", "bite_test.go", "deps_test.go", "doc.go", "docs_test.go", "go.mod", "go.sum",
	"habits_test.go", "settings_test.go", "shape_test.go", "tree_test.go",
}

// drawers are package names that say nothing: name the noun instead.
var drawers = []string{"util", "utils", "common", "helper", "helpers", "types", "models", "misc", "base", "shared", "lib"}

type shape struct {
	t    reporter
	used map[string]bool
}

// over reports that what is larger than its ceiling, unless it is excepted.
func (s *shape) over(where, what string, n, most int, unit string) {
	s.t.Helper()
	if n <= most {
		return
	}
	if _, ok := shapeExceptions[what]; ok {
		s.used[what] = true
		return
	}
	s.t.Errorf("%s: %s has %d %s, more than %d", where, what, n, unit, most)
}

// TestCeilings measures files, functions, packages, types and interfaces.
func TestCeilings(t *testing.T) {
	s := &shape{t: t, used: map[string]bool{}}
	s.measure(code(t))
	for _, f := range tests(t) {
		s.over(f.name, f.name, f.lines(), maxTest, "lines")
	}
	for what := range shapeExceptions {
		if !s.used[what] {
			t.Errorf("shapeExceptions: %s is not needed any more", what)
		}
	}
}

func (s *shape) measure(files []file) {
	s.t.Helper()
	packages, methods := map[string]int{}, map[string]int{}
	for _, f := range files {
		n := f.lines()
		packages[f.dir] += n
		s.over(f.name, f.name, n, maxFile, "lines")
		ast.Inspect(f.ast, func(n ast.Node) bool {
			switch x := n.(type) {
			case *ast.FuncDecl:
				s.function(f, x, methods)
			case *ast.TypeSpec:
				s.typ(f, x)
			}
			return true
		})
	}
	for dir, n := range packages {
		s.over(dir, dir, n, maxPackage, "lines")
	}
	for typ, n := range methods {
		s.over(typ, typ, n, maxMethods, "methods")
	}
}

func (s *shape) function(f file, x *ast.FuncDecl, methods map[string]int) {
	at, name := f.at(x).String(), f.dir+"."+x.Name.Name
	if x.Recv != nil {
		typ := f.dir + "." + receiver(x)
		name = typ + "." + x.Name.Name
		methods[typ]++
	}
	s.over(at, name, f.fset.Position(x.End()).Line-f.at(x).Line+1, maxFunc, "lines")
	s.over(at, name, x.Type.Params.NumFields(), maxParams, "parameters")
}

func (s *shape) typ(f file, x *ast.TypeSpec) {
	at, name := f.at(x).String(), f.dir+"."+x.Name.Name
	switch typ := x.Type.(type) {
	case *ast.InterfaceType:
		s.over(at, name, typ.Methods.NumFields(), maxIface, "methods")
	case *ast.StructType:
		if !strings.HasSuffix(x.Name.Name, "Options") {
			s.over(at, name, typ.Fields.NumFields(), maxFields, "fields")
		}
	}
}

// receiver names the type a method belongs to.
func receiver(f *ast.FuncDecl) string {
	e := f.Recv.List[0].Type
	for {
		switch x := e.(type) {
		case *ast.StarExpr:
			e = x.X
		case *ast.ParenExpr:
			e = x.X
		case *ast.IndexExpr:
			e = x.X
		case *ast.IndexListExpr:
			e = x.X
		case *ast.Ident:
			return x.Name
		default:
			return "?"
		}
	}
}

// TestPackageComments wants one sentence per package that says what it owns.
func TestPackageComments(t *testing.T) { checkPackageComments(t, code(t)) }

func checkPackageComments(t reporter, files []file) {
	t.Helper()
	doc := map[string]string{}
	for _, f := range files {
		if f.ast.Doc != nil {
			doc[f.dir] += f.ast.Doc.Text()
		} else if _, ok := doc[f.dir]; !ok {
			doc[f.dir] = ""
		}
		if name := f.ast.Name.Name; slices.Contains(drawers, name) {
			t.Errorf("%s: package %s says nothing; name the noun it owns", f.name, name)
		}
	}
	for dir, text := range doc {
		if len(strings.Fields(text)) < 6 {
			t.Errorf("%s: the package comment must say what the package owns: %q", dir, text)
		}
	}
}

// TestExportedNamesAreDocumented wants a comment on every exported function,
// type, method, constant and variable; a group's comment covers its members.
func TestExportedNamesAreDocumented(t *testing.T) { checkExported(t, code(t)) }

func checkExported(t reporter, files []file) {
	t.Helper()
	for _, f := range files {
		if f.ast.Name.Name == "main" {
			continue
		}
		for _, d := range f.ast.Decls {
			switch x := d.(type) {
			case *ast.FuncDecl:
				if x.Name.IsExported() && x.Doc == nil && (x.Recv == nil || ast.IsExported(receiver(x))) {
					t.Errorf("%s: %s has no comment", f.at(x), x.Name.Name)
				}
			case *ast.GenDecl:
				for _, name := range undocumented(x) {
					t.Errorf("%s: %s has no comment", f.at(name), name.Name)
				}
			}
		}
	}
}

func undocumented(d *ast.GenDecl) []*ast.Ident {
	var out []*ast.Ident
	group := d.Doc != nil
	for _, spec := range d.Specs {
		switch s := spec.(type) {
		case *ast.TypeSpec:
			if s.Name.IsExported() && s.Doc == nil && s.Comment == nil && !group {
				out = append(out, s.Name)
			}
		case *ast.ValueSpec:
			if s.Doc != nil || s.Comment != nil || group {
				continue
			}
			for _, n := range s.Names {
				if n.IsExported() {
					out = append(out, n)
				}
			}
		}
	}
	return out
}

// TestTopLevel keeps the root of the repository to what is drawn on the plan.
func TestTopLevel(t *testing.T) {
	all, err := paths()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range all {
		top, _, _ := strings.Cut(p, "/")
		if !slices.Contains(topLevel, top) {
			t.Errorf("%s: nothing called %s belongs in the root", p, top)
		}
	}
}

// promise matches what must be done before it is committed. It is put
// together so that it doesn't find itself.
var promise = regexp.MustCompile(`\b(TO` + `DO|FIX` + `ME|XX` + `X|HA` + `CK)\b|(?i)\bnot (yet )?imple` + `mented\b`)

// TestNoPromises finds work that was put off in a comment.
func TestNoPromises(t *testing.T) {
	all, err := paths()
	if err != nil {
		t.Fatal(err)
	}
	kinds := []string{".go", ".md", ".yml", ".yaml", ".toml", ".sh", ".service", ""}
	for _, p := range all {
		if strings.Contains(p, "testdata/") || !slices.Contains(kinds, path.Ext(path.Base(p))) || p == "LICENSE" {
			continue
		}
		text, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		for i, line := range strings.Split(string(text), "\n") {
			if m := promise.FindString(line); m != "" {
				t.Errorf("%s:%d: %s: finish it or leave it out", p, i+1, m)
			}
		}
	}
}
