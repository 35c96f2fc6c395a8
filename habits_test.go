package fenghuo

import (
	"go/ast"
	"go/token"
	"go/types"
	"slices"
	"strings"
	"testing"
)

// sleepers are the functions of tests that may wait outside a bubble of their
// own; each has its reason. The key is file and function.
var sleepers = map[string]string{
	"node/host_test.go measureFor":     "called inside a bubble",
	"node/ledger/ledger_test.go fill":  "called inside a bubble",
	"node/ledger/ledger_test.go kill":  "called inside a bubble",
	"node/ledger/ledger_test.go sleep": "called inside a bubble",
}

// variables may be written after they were declared, or hold a lock; each has
// its reason. The key is package and name.
var variables = map[string]string{}

// TestNoInit keeps start-up explicit: what exists is listed in a catalog.
func TestNoInit(t *testing.T) { checkInit(t, code(t)) }

func checkInit(t reporter, files []file) {
	t.Helper()
	for _, f := range files {
		for _, d := range f.ast.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
				t.Errorf("%s: init function; list it in a catalog instead", f.at(fn))
			}
		}
	}
}

// TestNoSleepInTests wants virtual time: a sleep outside a synctest bubble is
// slow on a fast machine and wrong on a slow one.
func TestNoSleepInTests(t *testing.T) {
	used := map[string]bool{}
	checkSleeps(t, tests(t), used)
	for key := range sleepers {
		if !used[key] {
			t.Errorf("sleepers: %s is not needed any more", key)
		}
	}
}

func checkSleeps(t reporter, files []file, used map[string]bool) {
	t.Helper()
	for _, f := range files {
		for _, d := range f.ast.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok || fn.Body == nil {
				continue
			}
			for _, at := range sleeps(f, fn.Body) {
				key := f.name + " " + fn.Name.Name
				if _, ok := sleepers[key]; ok {
					used[key] = true
					continue
				}
				t.Errorf("%s: time.Sleep outside a synctest bubble", f.at(at))
			}
		}
	}
}

// sleeps finds calls of time.Sleep that don't stand inside a call of
// synctest.Test.
func sleeps(f file, body ast.Node) []ast.Node {
	var out []ast.Node
	ast.Inspect(body, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		sel, ok := call.Fun.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		id, ok := sel.X.(*ast.Ident)
		if !ok {
			return true
		}
		switch f.packageOf(id) {
		case "testing/synctest":
			return sel.Sel.Name != "Test"
		case "time":
			if sel.Sel.Name == "Sleep" {
				out = append(out, call)
			}
		}
		return true
	})
	return out
}

// TestNoPackageState finds package variables that hold state: many nodes run
// in one process, so whatever changes belongs to one of them. Sentinel errors,
// tables and compiled expressions are declared once and never written.
func TestNoPackageState(t *testing.T) {
	used := map[string]bool{}
	checkPackages(t, code(t), used)
	for name := range variables {
		if !used[name] {
			t.Errorf("variables: %s is not needed any more", name)
		}
	}
}

func checkPackages(t reporter, all []file, used map[string]bool) {
	t.Helper()
	byDir := map[string][]file{}
	for _, f := range all {
		key := f.dir + " " + tags(f)
		byDir[key] = append(byDir[key], f)
	}
	for key, files := range byDir {
		// Files for other systems are checked with those for all systems.
		dir, tag, _ := strings.Cut(key, " ")
		if tag != "" {
			files = append(slices.Clone(files), byDir[dir+" "]...)
		}
		checkState(t, dir, files, used)
	}
}

// tags names the build constraint of a file, in its name or at its top.
func tags(f file) string {
	for _, g := range f.ast.Comments {
		for _, c := range g.List {
			if strings.HasPrefix(c.Text, "//go:build ") {
				return c.Text
			}
		}
	}
	name := strings.TrimSuffix(f.name[strings.LastIndexByte(f.name, '/')+1:], ".go")
	if i := strings.LastIndexByte(name, '_'); i >= 0 &&
		slices.Contains([]string{"linux", "windows", "darwin", "unix", "amd64", "arm64"}, name[i+1:]) {
		return name[i+1:]
	}
	return ""
}

func checkState(t reporter, dir string, files []file, used map[string]bool) {
	t.Helper()
	info := &types.Info{Defs: map[*ast.Ident]types.Object{}, Uses: map[*ast.Ident]types.Object{}}
	conf := types.Config{Importer: nothing{}, Error: func(error) {}, FakeImportC: true}
	asts := make([]*ast.File, len(files))
	for i, f := range files {
		asts[i] = f.ast
	}
	pkg, _ := conf.Check(dir, files[0].fset, asts, info) // imports can't be found: what is declared here still can
	complain := func(f file, n ast.Node, name, what string) {
		if _, ok := variables[dir+"."+name]; ok {
			used[dir+"."+name] = true
			return
		}
		t.Errorf("%s: package variable %s %s", f.at(n), name, what)
	}
	for _, f := range files {
		for _, d := range f.ast.Decls {
			if g, ok := d.(*ast.GenDecl); ok && g.Tok == token.VAR {
				for _, s := range g.Specs {
					if v := s.(*ast.ValueSpec); holdsState(f, v) {
						complain(f, v, v.Names[0].Name, "holds a lock, a channel or a counter")
					}
				}
			}
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			for _, target := range written(n) {
				id, foreign := root(f, target)
				if id == nil {
					continue
				}
				if foreign {
					t.Errorf("%s: writes a variable of another package", f.at(n))
					continue
				}
				if v, ok := info.Uses[id].(*types.Var); ok && pkg != nil && v.Parent() == pkg.Scope() {
					complain(f, n, id.Name, "is written after its declaration")
				}
			}
			return true
		})
	}
}

// holdsState reports whether the type or value of a variable says that it
// changes by itself: from sync, sync/atomic, or a channel.
func holdsState(f file, v *ast.ValueSpec) bool {
	found := false
	look := func(n ast.Node) bool {
		switch x := n.(type) {
		case *ast.FuncLit:
			return false
		case *ast.ChanType:
			found = true
		case *ast.SelectorExpr:
			if id, ok := x.X.(*ast.Ident); ok {
				p := f.packageOf(id)
				once := strings.HasPrefix(x.Sel.Name, "OnceValue") // a table made when first asked for
				found = found || p == "sync/atomic" || p == "sync" && !once
			}
		}
		return true
	}
	if v.Type != nil {
		ast.Inspect(v.Type, look)
	}
	for _, e := range v.Values {
		ast.Inspect(e, look)
	}
	return found
}

// written lists what a statement or expression may change.
func written(n ast.Node) []ast.Expr {
	switch x := n.(type) {
	case *ast.AssignStmt:
		if x.Tok != token.DEFINE {
			return x.Lhs
		}
	case *ast.IncDecStmt:
		return []ast.Expr{x.X}
	case *ast.RangeStmt:
		if x.Tok == token.ASSIGN {
			return []ast.Expr{x.Key, x.Value}
		}
	case *ast.UnaryExpr:
		if x.Op == token.AND {
			if _, ok := x.X.(*ast.CompositeLit); !ok {
				return []ast.Expr{x.X}
			}
		}
	case *ast.CallExpr:
		if id, ok := x.Fun.(*ast.Ident); ok && (id.Name == "delete" || id.Name == "clear") && len(x.Args) > 0 {
			return x.Args[:1]
		}
	}
	return nil
}

// root finds the variable at the bottom of a[i].b, and whether it is one of
// another package.
func root(f file, e ast.Expr) (*ast.Ident, bool) {
	for {
		switch x := e.(type) {
		case *ast.Ident:
			return x, false
		case *ast.SelectorExpr:
			if id, ok := x.X.(*ast.Ident); ok && f.packageOf(id) != "" {
				return x.Sel, true
			}
			e = x.X
		case *ast.IndexExpr:
			e = x.X
		case *ast.StarExpr:
			e = x.X
		case *ast.ParenExpr:
			e = x.X
		case *ast.SliceExpr:
			e = x.X
		default:
			return nil, false
		}
	}
}

// nothing imports an empty package for every path.
type nothing struct{}

func (nothing) Import(path string) (*types.Package, error) {
	if path == "unsafe" {
		return types.Unsafe, nil
	}
	p := types.NewPackage(path, path[strings.LastIndexByte(path, '/')+1:])
	p.MarkComplete()
	return p, nil
}

var _ types.Importer = nothing{}
