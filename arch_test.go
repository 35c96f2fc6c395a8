package fenghuo

import (
	"go/ast"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/fenghuo-mesh/fenghuo"

// folders says which top-level folder may import which. A folder may always
// import itself. What is not written here is forbidden: no arrow points up,
// and the two ground floors, aggregate and transport, never meet.
var folders = map[string][]string{
	"aggregate":  {},
	"transport":  {},
	"gossip":     {"transport"},
	"raftstore":  {"transport"},
	"collectors": {"aggregate"},
	"node":       {"collectors", "raftstore", "gossip", "transport", "aggregate"},
	"cmd":        {"node"},
}

// room is one package, or a folder of packages that share a row.
type room struct {
	may    []string // packages of this module it may import; "x/..." means x and all below
	libs   []string // libraries it may import, where its folder allows none by itself
	reason string   // why, where the row is more than the layout says
}

// rooms is the table of the house. Every package has a row, its own or the
// one of the nearest folder above it.
var rooms = map[string]room{
	".": {},

	"aggregate/label": {libs: []string{
		"github.com/prometheus/alertmanager/pkg/labels", "github.com/prometheus/alertmanager/matcher/parse",
	}},
	"aggregate/record":   {},
	"aggregate/alert":    {may: in("aggregate", "label", "record")},
	"aggregate/rule":     {may: in("aggregate", "label", "alert")},
	"aggregate/silence":  {may: in("aggregate", "label", "alert", "record"), reason: houseTime},
	"aggregate/window":   {may: in("aggregate", "label", "alert"), reason: houseTime, libs: []string{"github.com/prometheus/alertmanager/timeinterval"}},
	"aggregate/known":    {may: in("aggregate", "label", "alert"), reason: houseTime},
	"aggregate/inhibit":  {may: in("aggregate", "label", "alert"), reason: houseTime},
	"aggregate/event":    {may: in("aggregate", "label", "alert")},
	"aggregate/rollup":   {may: in("aggregate", "label", "alert")},
	"aggregate/topology": {may: in("aggregate", "label")},
	"aggregate/incident": {may: in("aggregate", "label", "alert", "rollup", "topology")},
	"aggregate/cause":    {may: in("aggregate", "label", "incident", "topology")},
	"aggregate/route":    {may: in("aggregate", "label", "alert", "incident", "silence", "window"), reason: houseTime},
	"aggregate/notice":   {may: in("aggregate", "label", "alert", "incident", "silence", "window", "inhibit", "route", "trail", "record")},
	"aggregate/rollout":  {},
	"aggregate/trail":    {may: in("aggregate", "label", "alert"), reason: "a decision names the alert's identity and state"},

	"transport":          {may: in("transport", "identity")},
	"transport/identity": {},
	"transport/memnet":   {may: []string{"transport"}},
	"gossip":             {may: []string{"transport"}},
	"gossip/state":       {may: []string{"transport"}},
	"raftstore":          {may: []string{"transport", "raftstore/raftlog"}},
	"raftstore/raftlog":  {},
	"raftstore/mirror":   {may: []string{"transport"}},

	"collectors/host":        {may: []string{"collectors/series", "collectors/metadata"}, reason: givesSamples},
	"collectors/scrape":      {may: []string{"collectors/series", "collectors/metadata"}, reason: givesSamples},
	"collectors/remotewrite": {may: []string{"collectors/series", "collectors/metadata"}, reason: givesSamples},
	"collectors/logtail":     {may: []string{"collectors/series"}, reason: givesSamples},
	"collectors/series":      {may: []string{"collectors/disk"}},
	"collectors/disk":        {},
	"collectors/metadata":    {},
	"collectors/evaluate":    {may: append(in("aggregate", "label", "alert", "rule"), "collectors/series")},
	"collectors/intake":      {may: append(in("aggregate", "label", "alert"), "collectors/intake/...")},
	"collectors/netmap":      {may: in("aggregate", "topology")},

	"node":         {may: []string{"aggregate/...", "transport/...", "gossip/...", "raftstore/...", "collectors/...", "node/..."}},
	"node/config":  {},
	"node/demo":    {},
	"node/service": {},
	"node/journal": {may: []string{"collectors/disk"}, reason: asksTheDisk},
	"node/ledger": {
		may:    append(in("aggregate", "label", "alert"), "collectors/intake", "node/journal"),
		reason: "adr/0004: it is the accepting half of node, and an interface for the journal would copy every record",
	},
	"node/lives":         {},
	"node/store":         {may: []string{"collectors/disk"}, reason: asksTheDisk},
	"node/store/history": {may: append(in("aggregate", "label", "alert", "trail"), "node/store"), reason: "adr/0004: it turns alerts into the store's documents and back"},
	"node/amconfig":      {may: in("aggregate", "label", "route", "window", "inhibit", "notice")},
	"node/expr":          {may: in("aggregate", "label", "alert", "event")},
	"node/notify":        {may: append(in("aggregate", "label", "alert", "notice"), "node/notify/...")},
	"node/access":        {},
	"node/console":       {},
	"node/query":         {},
	"node/agents":        {},
	"node/guard":         {},
	"node/upgrade":       {may: append(in("aggregate", "rollout"), "node/upgrade/...")},
	"node/api":           {may: []string{"aggregate/...", "node/api/...", "node/access"}},
	"node/api/prom":      {may: append(in("aggregate", "label", "alert"), "collectors/series", "collectors/metadata", "node/api"), reason: "it answers in the sample store's own types; the store itself is behind a small interface"},
	"node/api/client":    {may: []string{"node/api/v1"}},
	"node/meshtest":      {may: []string{"node/...", "transport/...", "aggregate/..."}},
	"node/lab":           {may: []string{"node/...", "transport/...", "aggregate/..."}},
	"cmd/fenghuo":        {may: []string{"node/...", "cmd/fenghuo/..."}},
	"deploy":             {},
	"docs":               {},
}

// houseTime is why nouns that know only labels otherwise may import the alert.
const houseTime = "it holds the house's time, and is what they are asked about"

// givesSamples is why what senses may import the store of samples.
const givesSamples = "it hands over samples in the store's own type"

// asksTheDisk is why what keeps files may import a sense of this machine.
const asksTheDisk = "it stops writing before the disk is full, and the answer is the system's"

// in names the packages of one folder.
func in(folder string, names ...string) []string {
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = folder + "/" + n
	}
	return out
}

// importExceptions lets one package import another against the tables; each
// line carries its reason.
var importExceptions = map[[2]string]string{
	{"cmd/fenghuo/command", "collectors/evaluate/rulefile"}: "rules check works on files; no node is involved",
	{"cmd/fenghuo/command", "collectors/evaluate/ruletest"}: "rules test works on files; no node is involved",
}

// testOnly may be imported by tests and by each other, by nobody else.
var testOnly = []string{"node/meshtest", "node/lab", "transport/memnet"}

// homes names the only places that may import a heavy library, so that it can
// be wrapped, bounded and replaced in one place. The longest prefix counts.
var homes = map[string][]string{
	"github.com/dgraph-io/badger": {"node/store", "raftstore"},

	"github.com/prometheus/prometheus":                  {"collectors/series"},
	"github.com/prometheus/prometheus/model":            {"collectors", "node/query", "node/api/prom"},
	"github.com/prometheus/prometheus/model/rulefmt":    {"collectors/evaluate"},
	"github.com/prometheus/prometheus/promql/parser":    {"collectors/series", "collectors/evaluate", "node/query"},
	"github.com/prometheus/prometheus/template":         {"collectors/evaluate"},
	"github.com/prometheus/prometheus/prompb":           {"collectors/remotewrite"},
	"github.com/prometheus/prometheus/util/annotations": {"collectors/series", "collectors/evaluate"},

	"github.com/prometheus/alertmanager":              {},
	"github.com/prometheus/alertmanager/pkg/labels":   {"aggregate/label", "node/amconfig"},
	"github.com/prometheus/alertmanager/matcher":      {"aggregate/label", "node/amconfig"},
	"github.com/prometheus/alertmanager/timeinterval": {"aggregate/window", "node/amconfig"},
	"github.com/prometheus/alertmanager/template":     {"node/notify"},
	"github.com/prometheus/alertmanager/types":        {"node/notify"},

	"github.com/shirou/gopsutil":      {"collectors/host", "collectors/netmap"},
	"github.com/leodido/go-syslog":    {"collectors/intake/syslog"},
	"github.com/hashicorp/memberlist": {"gossip"},
	"github.com/hashicorp/raft":       {"raftstore"},
	"github.com/quic-go/quic-go":      {"transport"},
	"cel.dev/cel-go":                  {"node/expr"},
	"github.com/danielgtaylor/huma":   {"node/api/v1"},
	"github.com/spf13/cobra":          {"cmd/fenghuo"},
	"github.com/spf13/pflag":          {"cmd/fenghuo"},
	"github.com/coreos/go-systemd":    {"node/service", "collectors/host"},
	"go.yaml.in/yaml":                 {"node/config", "node/amconfig", "collectors/scrape", "collectors/evaluate", "collectors/intake/generic"},
	"google.golang.org/protobuf":      {"collectors/remotewrite"},
	"github.com/stretchr/testify":     testOnly,
	"pgregory.net/rapid":              {},
	"go.uber.org/goleak":              {},
	"gopkg.in/yaml.v2":                {},
	"gopkg.in/yaml.v3":                {},
	"github.com/sirupsen/logrus":      {},
	"github.com/go-kit/log":           {},
}

// pureStd is what aggregate may use of the standard library: nothing that
// reads a clock, a file, a socket or chance, or that another goroutine sees.
var pureStd = []string{
	"bytes", "cmp", "container/heap", "container/list", "encoding", "encoding/base64", "encoding/binary", "encoding/hex", "encoding/json",
	"errors", "fmt", "hash", "hash/crc32", "hash/fnv", "crypto/sha256", "iter", "maps", "math", "math/bits", "regexp", "regexp/syntax",
	"slices", "sort", "strconv", "strings", "time", "unicode", "unicode/utf8",
}

// pureLibs may be used anywhere in aggregate: they compute and do nothing else.
var pureLibs = []string{"github.com/cespare/xxhash/v2", "github.com/go-json-experiment/json"}

// impureCalls are the functions of allowed packages that are not pure.
var impureCalls = map[string]map[string]string{
	"time": {
		"Now": "take now as a parameter", "Since": "take now as a parameter", "Until": "take now as a parameter",
		"After": "no timers", "AfterFunc": "no timers", "NewTimer": "no timers", "NewTicker": "no timers", "Tick": "no timers",
		"Sleep": "no waiting", "LoadLocation": "it reads files; zones are handed in", "Local": "it depends on the machine",
	},
	"fmt": {
		"Print": "no output", "Println": "no output", "Printf": "no output",
		"Scan": "no input", "Scanln": "no input", "Scanf": "no input",
	},
	"maps": {"Keys": "its order differs each time; use slices.Sorted(maps.Keys(m))", "Values": "its order differs each time", "All": "its order differs each time"},
}

// TestImports checks every import of hand-written, non-test code.
func TestImports(t *testing.T) {
	used := map[[2]string]bool{}
	checkImports(t, code(t), used)
	for pair := range importExceptions {
		if !used[pair] {
			t.Errorf("importExceptions: %v is not needed any more", pair)
		}
	}
}

func checkImports(t reporter, files []file, used map[[2]string]bool) {
	t.Helper()
	for _, f := range files {
		for _, path := range f.imports() {
			own, isOwn := strings.CutPrefix(path, module)
			switch {
			case isOwn:
				to := strings.TrimPrefix(own, "/")
				if to == "" {
					to = "."
				}
				checkOwn(t, f, to, used)
			case isStd(path):
				if under(f.dir, "aggregate") && !slices.Contains(pureStd, path) {
					t.Errorf("%s imports %s: aggregate is pure, see pureStd", f.name, path)
				}
			default:
				checkLibrary(t, f, path)
			}
		}
	}
}

func checkOwn(t reporter, f file, to string, used map[[2]string]bool) {
	t.Helper()
	pair := [2]string{f.dir, to}
	if _, ok := importExceptions[pair]; ok {
		used[pair] = true
		return
	}
	from, _, _ := strings.Cut(f.dir, "/")
	into, _, _ := strings.Cut(to, "/")
	if from != into && !slices.Contains(folders[from], into) {
		t.Errorf("%s imports %s: %s may import only %v", f.name, to, from, folders[from])
		return
	}
	name, row, ok := roomOf(f.dir)
	if !ok {
		t.Errorf("%s: %s has no row in the table of rooms", f.name, f.dir)
		return
	}
	if !under(to, name) && !mayImport(row.may, to) {
		t.Errorf("%s imports %s: %s may import only %v", f.name, to, name, row.may)
	}
	if slices.ContainsFunc(testOnly, func(d string) bool { return under(to, d) }) &&
		!slices.ContainsFunc(testOnly, func(d string) bool { return under(f.dir, d) }) {
		t.Errorf("%s imports %s: it is for tests only", f.name, to)
	}
	if to == "node/config" && f.dir != "node" && from != "cmd" {
		t.Errorf("%s imports %s: only node and cmd read the file, others get their own section", f.name, to)
	}
	if strings.HasSuffix(to, "/catalog") && f.dir != "node" {
		t.Errorf("%s imports %s: only node imports a catalog", f.name, to)
	}
}

func checkLibrary(t reporter, f file, path string) {
	t.Helper()
	name, row, _ := roomOf(f.dir)
	granted := slices.ContainsFunc(row.libs, func(l string) bool { return under(path, l) })
	if under(f.dir, "aggregate") && !granted && !slices.ContainsFunc(pureLibs, func(l string) bool { return under(path, l) }) {
		t.Errorf("%s imports %s: %s may use only %v", f.name, path, name, append(row.libs, pureLibs...))
	}
	best, home := "", []string(nil)
	for lib, places := range homes {
		if under(path, lib) && len(lib) > len(best) {
			best, home = lib, places
		}
	}
	if best != "" && !slices.ContainsFunc(home, func(d string) bool { return under(f.dir, d) }) {
		t.Errorf("%s imports %s: only %v may import %s", f.name, path, home, best)
	}
}

// TestEveryPackageHasARow finds packages nobody has drawn on the plan.
func TestEveryPackageHasARow(t *testing.T) { checkRows(t, code(t)) }

func checkRows(t reporter, files []file) {
	t.Helper()
	seen := map[string]bool{}
	for _, f := range files {
		if seen[f.dir] {
			continue
		}
		seen[f.dir] = true
		top, _, _ := strings.Cut(f.dir, "/")
		if _, ok := folders[top]; !ok && f.dir != "." {
			t.Errorf("%s: there is no folder %s in the house", f.dir, top)
		}
		if _, _, ok := roomOf(f.dir); !ok {
			t.Errorf("%s has no row in the table of rooms", f.dir)
		}
	}
}

// TestAggregateIsPure checks what aggregate does, beyond what it imports.
// That no result depends on the order of a map or on fused floating point
// can't be seen here: property tests beside the code look for that.
func TestAggregateIsPure(t *testing.T) { checkPure(t, code(t)) }

func checkPure(t reporter, files []file) {
	t.Helper()
	for _, f := range files {
		if !under(f.dir, "aggregate") {
			continue
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			switch x := n.(type) {
			case *ast.GoStmt:
				t.Errorf("%s: go statement in aggregate", f.at(x))
			case *ast.SelectStmt:
				t.Errorf("%s: select statement in aggregate", f.at(x))
			case *ast.ChanType:
				t.Errorf("%s: channel in aggregate", f.at(x))
			case *ast.SelectorExpr:
				if id, ok := x.X.(*ast.Ident); ok {
					if why, bad := impureCalls[f.packageOf(id)][x.Sel.Name]; bad && !sorted(f, x) {
						t.Errorf("%s: %s.%s in aggregate: %s", f.at(x), id.Name, x.Sel.Name, why)
					}
				}
			case *ast.CallExpr:
				if id, ok := x.Fun.(*ast.Ident); ok && (id.Name == "print" || id.Name == "println") {
					t.Errorf("%s: %s in aggregate", f.at(x), id.Name)
				}
			}
			return true
		})
	}
}

// sorted reports whether an iterator over a map is sorted where it stands:
// slices.Sorted(maps.Keys(m)).
func sorted(f file, sel *ast.SelectorExpr) bool {
	found := false
	ast.Inspect(f.ast, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		fun, ok := call.Fun.(*ast.SelectorExpr)
		if !ok || !strings.HasPrefix(fun.Sel.Name, "Sorted") {
			return true
		}
		if id, ok := fun.X.(*ast.Ident); !ok || f.packageOf(id) != "slices" {
			return true
		}
		if len(call.Args) > 0 && call.Args[0].Pos() <= sel.Pos() && sel.End() <= call.Args[0].End() {
			found = true
		}
		return true
	})
	return found
}

// roomOf finds the row of a package: its own or that of the nearest folder
// above it. The bare folders node and cmd rule nobody below them.
func roomOf(dir string) (string, room, bool) {
	for name := dir; ; {
		if r, ok := rooms[name]; ok && (name == dir || name != "node") {
			return name, r, true
		}
		i := strings.LastIndexByte(name, '/')
		if i < 0 {
			return "", room{}, false
		}
		name = name[:i]
	}
}

func mayImport(may []string, to string) bool {
	return slices.ContainsFunc(may, func(m string) bool {
		if all, ok := strings.CutSuffix(m, "/..."); ok {
			return under(to, all)
		}
		return m == to
	})
}

func under(path, dir string) bool { return path == dir || strings.HasPrefix(path, dir+"/") }

func isStd(path string) bool {
	first, _, _ := strings.Cut(path, "/")
	return !strings.Contains(first, ".")
}

// imports lists what a file imports.
func (f file) imports() []string {
	out := make([]string, 0, len(f.ast.Imports))
	for _, im := range f.ast.Imports {
		if p, err := strconv.Unquote(im.Path.Value); err == nil {
			out = append(out, p)
		}
	}
	return out
}

// packageOf gives the import path an identifier names, "" if it names none.
func (f file) packageOf(id *ast.Ident) string {
	if id.Obj != nil { // declared in this file: a variable, not a package
		return ""
	}
	for _, im := range f.ast.Imports {
		p, err := strconv.Unquote(im.Path.Value)
		if err != nil {
			continue
		}
		name := p[strings.LastIndexByte(p, '/')+1:]
		if im.Name != nil {
			name = im.Name.Name
		}
		if name == id.Name {
			return p
		}
	}
	return ""
}
