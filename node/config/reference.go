package config

import (
	_ "embed" // the comments of config.go are the reference
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"reflect"
	"strings"
)

//go:generate go test -count=1 -run ^TestReferenceIsCurrent$ . -update

//go:embed config.go
var source string

const referenceHead = `<!-- Made from node/config/config.go by make generated. Don't edit it here. -->
# Configuration reference

One YAML file describes one node: ` + "`fenghuo agent --config FILE`" + `. docs/fenghuo.example.yml is one to start from, and
` + "`fenghuo config check FILE`" + ` says what is wrong with one: file, line, setting, reason, all mistakes at once.

- Every setting has a default; an empty file is a valid one. A setting that doesn't exist is an error.
- Durations are written as in Prometheus: ` + "`15s`, `5m`, `1h30m`, `8d`" + `. Sizes are ` + "`64MiB`, `1GiB`, `500MB`" + ` or a number of bytes.
- Relative paths are taken from the folder the file lies in.
- What comes later wins: default, file, environment, flags.

| flag | variable | setting |
| --- | --- | --- |
| --data DIR | FENGHUO_DATA | node.data_dir |
| --http ADDR | FENGHUO_HTTP | http.listen |
| --gossip ADDR | FENGHUO_GOSSIP | gossip.listen |
| --quic ADDR | FENGHUO_QUIC | quic.listen |
| --name NAME | FENGHUO_NAME | node.name |
| --datacenter NAME | FENGHUO_DATACENTER | node.datacenter |
| --rules GLOB | FENGHUO_RULES | rules.files |
| --alertmanager-config FILE | FENGHUO_ALERTMANAGER_CONFIG | alertmanager.config_file |
| --log-level LEVEL | FENGHUO_LOG_LEVEL | log.level |

--rules may be given several times, and FENGHUO_RULES may hold several globs separated like the entries of PATH. Paths given this way are
relative to the working directory. SIGHUP reads the file again: what is marked "applied on reload" then holds at once, the rest at the
next start. A file with a mistake changes nothing.

Some limits belong to the model and are the same on every node: 64 labels per alert, names of 256 bytes, values of 4 KiB, annotations of
32 KiB each and 64 KiB together; a request of 5 MiB as it comes and 20 MiB unpacked. What is larger is refused with the reason.
`

// Reference returns the configuration reference as Markdown: every setting
// with its kind, its default and the comment on its field.
func Reference() string {
	r := reference{docs: comments()}
	r.out.WriteString(referenceHead)
	r.section("", reflect.ValueOf(*Default()))
	return r.out.String()
}

// comments maps Type.Field to the comment on the field.
func comments() map[string]string {
	f, err := parser.ParseFile(token.NewFileSet(), "config.go", source, parser.ParseComments)
	if err != nil {
		panic(err) // the file was compiled into this program
	}
	docs := map[string]string{}
	ast.Inspect(f, func(n ast.Node) bool {
		t, ok := n.(*ast.TypeSpec)
		if !ok {
			return true
		}
		if s, ok := t.Type.(*ast.StructType); ok {
			for _, field := range s.Fields.List {
				for _, name := range field.Names {
					docs[t.Name.Name+"."+name.Name] = strings.Join(strings.Fields(field.Doc.Text()), " ")
				}
			}
		}
		return true
	})
	return docs
}

// reference writes one section after another.
type reference struct {
	docs map[string]string
	out  strings.Builder
}

// section writes a table of the plain settings of a struct, then a section
// for each struct in it.
func (r *reference) section(prefix string, v reflect.Value) {
	type part struct {
		name, doc string
		value     reflect.Value
	}
	var parts []part
	var rows []string
	for i := range v.NumField() {
		f := v.Type().Field(i)
		key := f.Tag.Get("yaml")
		if key == "" {
			continue
		}
		doc := r.docs[v.Type().Name()+"."+f.Name]
		name := join(prefix, key)
		kind := kindOf(f.Type)
		switch {
		case kind == "group":
			parts = append(parts, part{name, doc, v.Field(i)})
			continue
		case kind == "list of groups":
			item := reflect.New(f.Type.Elem())
			if s, ok := reflect.TypeAssert[*Source](item); ok {
				*s = defaultSource()
			}
			parts = append(parts, part{name + "[]", doc, item.Elem()})
			continue
		}
		rows = append(rows, fmt.Sprintf("| `%s` | %s | %s | %s |\n", name, kind, shownDefault(v.Field(i)), strings.ReplaceAll(doc, "|", `\|`)))
	}
	if prefix == "" {
		r.out.WriteString("\n## Settings of the node as a whole\n")
	}
	if len(rows) > 0 {
		r.out.WriteString("\n| setting | kind | default | meaning |\n| --- | --- | --- | --- |\n")
	}
	for _, row := range rows {
		r.out.WriteString(row)
	}
	for _, p := range parts {
		fmt.Fprintf(&r.out, "\n%s %s\n\n%s\n", strings.Repeat("#", 2+strings.Count(p.name, ".")), p.name, p.doc)
		r.section(p.name, p.value)
	}
}

// kindOf names the type of a setting for a reader.
func kindOf(t reflect.Type) string {
	switch t {
	case reflect.TypeFor[Duration]():
		return "duration"
	case reflect.TypeFor[Size]():
		return "size"
	case reflect.TypeFor[Secret]():
		return "secret"
	case reflect.TypeFor[Raw]():
		return "list"
	}
	switch t.Kind() {
	case reflect.Struct:
		return "group"
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Float64:
		return "number"
	case reflect.Map:
		return "name: " + kindOf(t.Elem())
	case reflect.Slice:
		return "list of " + kindOf(t.Elem()) + "s"
	default:
		return "text"
	}
}

func shownDefault(v reflect.Value) string {
	if v.IsZero() && v.Kind() != reflect.Bool && v.Kind() != reflect.Int && v.Kind() != reflect.Float64 && v.Kind() != reflect.Int64 {
		return "–"
	}
	return fmt.Sprintf("`%v`", v.Interface())
}
