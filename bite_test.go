package fenghuo

import (
	"fmt"
	"go/parser"
	"go/token"
	"path"
	"slices"
	"strings"
	"testing"
)

// complaints collects what a check says.
type complaints []string

func (c *complaints) Helper() {}

func (c *complaints) Errorf(format string, args ...any) {
	*c = append(*c, fmt.Sprintf(format, args...))
}

// TestTheChecksBite gives each check a file that breaks one rule: a guard that
// never barks guards nothing.
func TestTheChecksBite(t *testing.T) {
	const doc = "// Package x owns what this test is about, nothing else.\n"
	imports := func(r reporter, f []file) { checkImports(r, f, map[[2]string]bool{}) }
	sleeps := func(r reporter, f []file) { checkSleeps(r, f, map[string]bool{}) }
	state := func(r reporter, f []file) { checkPackages(r, f, map[string]bool{}) }
	shapes := func(r reporter, f []file) { (&shape{t: r, used: map[string]bool{}}).measure(f) }
	own := func(p string) string { return "import _ \"" + module + "/" + p + "\"\n" }
	lib := func(p string) string { return "import _ \"" + p + "\"\n" }

	for _, c := range []struct {
		name  string
		file  string
		body  string // behind the package clause
		check func(reporter, []file)
		want  string // "" for nothing to complain about
	}{
		{"arrow up", "aggregate/alert/x.go", own("node/config"), imports, "aggregate may import only []"},
		{"collectors know no node", "collectors/host/x.go", own("node/journal"), imports, "collectors may import only [aggregate]"},
		{"ground floors never meet", "transport/x.go", own("aggregate/alert"), imports, "transport may import only []"},
		{"down is free", "collectors/host/x.go", own("collectors/series"), imports, ""},
		{"siblings are strangers", "node/journal/x.go", own("node/store"), imports, "node/journal may import only [collectors/disk]"},
		{"rooms of aggregate", "aggregate/alert/x.go", own("aggregate/incident"), imports, "aggregate/alert may import only [aggregate/label aggregate/record]"},
		{"the program reaches node only", "cmd/fenghuo/command/x.go", own("collectors/intake"), imports, "cmd may import only [node]"},
		{"only node reads the file", "node/notify/x.go", own("node/config"), imports, "only node and cmd read the file"},
		{"only node imports a catalog", "collectors/intake/zabbix/x.go", own("collectors/intake/catalog"), imports, "only node imports a catalog"},
		{"parts for tests", "node/x.go", own("transport/memnet"), imports, "it is for tests only"},
		{"a library away from home", "node/notify/x.go", lib("github.com/dgraph-io/badger/v4"), imports, "only [node/store raftstore] may import github.com/dgraph-io/badger"},
		{"a library at home", "node/store/x.go", lib("github.com/dgraph-io/badger/v4"), imports, ""},
		{"the longest prefix counts", "collectors/scrape/x.go", lib("github.com/prometheus/prometheus/model/labels"), imports, ""},
		{"upstream's other packages", "node/notify/x.go", lib("github.com/prometheus/alertmanager/config"), imports, "only [] may import"},
		{"a name that only begins alike", "node/notify/x.go", lib("github.com/dgraph-io/badgerish"), imports, ""},
		{"files in aggregate", "aggregate/alert/x.go", lib("os"), imports, "aggregate is pure"},
		{"chance in aggregate", "aggregate/alert/x.go", lib("math/rand/v2"), imports, "aggregate is pure"},
		{"libraries in aggregate", "aggregate/alert/x.go", lib("github.com/prometheus/common/model"), imports, "may use only"},
		{"a package without a row", "node/cellar/x.go", "", checkRows, "no row in the table"},
		{"a folder without a plan", "pkg/x.go", "", checkRows, "there is no folder pkg"},

		{"clock in aggregate", "aggregate/alert/x.go", "import \"time\"\nvar _ = time.Now()", checkPure, "time.Now in aggregate"},
		{"clock by another name", "aggregate/alert/x.go", "import t \"time\"\nvar _ = t.Since", checkPure, "t.Since in aggregate"},
		{"time without a clock", "aggregate/alert/x.go", "import \"time\"\nvar _ = time.Unix(0, 0)", checkPure, ""},
		{"goroutine in aggregate", "aggregate/alert/x.go", "func f() { go f() }", checkPure, "go statement"},
		{"channel in aggregate", "aggregate/alert/x.go", "var c chan int", checkPure, "channel"},
		{"order of a map", "aggregate/alert/x.go", "import \"maps\"\nvar _ = maps.Keys(m)", checkPure, "its order differs"},
		{"order of a sorted map", "aggregate/alert/x.go", "import (\"maps\"; \"slices\")\nvar _ = slices.Sorted(maps.Keys(m))", checkPure, ""},

		{"init", "node/x.go", "func init() {}", checkInit, "init function"},
		{"a method named init", "node/x.go", "func (t T) init() {}", checkInit, ""},
		{"sleep", "node/x_test.go", "import \"time\"\nfunc f() { time.Sleep(1) }", sleeps, "outside a synctest bubble"},
		{
			"sleep in a bubble", "node/x_test.go",
			"import (\"time\"; \"testing/synctest\")\nfunc f() { synctest.Test(t, func(t T) { time.Sleep(1) }) }", sleeps, "",
		},
		{"a lock at package level", "node/x.go", "import \"sync\"\nvar mu sync.Mutex", state, "mu holds a lock"},
		{"a counter that is written", "node/x.go", "var n int\nfunc f() { n++ }", state, "n is written"},
		{"a table that is written", "node/x.go", "var m = map[int]int{}\nfunc f() { m[1] = 2 }", state, "m is written"},
		{"a pointer that gets out", "node/x.go", "var n int\nfunc f() *int { return &n }", state, "n is written"},
		{"a local of the same name", "node/x.go", "var n = 1\nfunc f() { n := 2; n++ }", state, ""},
		{"a table", "node/x.go", "var m = map[int]int{1: 2}\nfunc f() int { return m[1] }", state, ""},
		{"somebody else's variable", "node/x.go", "import \"os\"\nfunc f() { os.Args = nil }", state, "another package"},

		{"long function", "node/x.go", "func f() {" + strings.Repeat("\n", maxFunc) + "}", shapes, "more than 80"},
		{"long file", "node/x.go", strings.Repeat("\n", maxFile), shapes, "more than 500"},
		{"many parameters", "node/x.go", "func f(a, b, c int, d, e, f string) {}", shapes, "6 parameters"},
		{"many methods", "node/x.go", strings.Repeat("func (t *T) f() {}\n", maxMethods+1), shapes, "node.T has 26 methods"},
		{"many fields", "node/x.go", "type T struct {" + strings.Repeat("a int\n", maxFields+1) + "}", shapes, "26 fields"},
		{"many options", "node/x.go", "type XOptions struct {" + strings.Repeat("a int\n", maxFields+1) + "}", shapes, ""},
		{"wide interface", "node/x.go", "type T interface {" + strings.Repeat("A()\n", maxIface+1) + "}", shapes, "7 methods"},
		{"a drawer", "node/util/x.go", "", checkPackageComments, "package util says nothing"},
		{"no comment", "node/x.go", "func F() {}", checkExported, "F has no comment"},
		{"a comment", "node/x.go", "// F does.\nfunc F() {}", checkExported, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			pkg := path.Base(path.Dir(c.file))
			if !slices.Contains(drawers, pkg) {
				pkg = "x"
			}
			fset := token.NewFileSet()
			f, err := parser.ParseFile(fset, c.file, doc+"package "+pkg+"\n"+c.body, parser.ParseComments)
			if err != nil {
				t.Fatal(err)
			}
			var got complaints
			c.check(&got, []file{{name: c.file, dir: path.Dir(c.file), fset: fset, ast: f}})
			all := strings.Join(got, "\n")
			if c.want == "" && all != "" || !strings.Contains(all, c.want) {
				t.Errorf("want %q, got %q", c.want, all)
			}
		})
	}
}
