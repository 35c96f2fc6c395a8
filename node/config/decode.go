package config

import (
	"encoding"
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// maxNodes bounds the work one file can ask for: aliases let a short file
// stand for a long one.
const maxNodes = 100_000

// enough is how many mistakes the decoder collects before it gives up.
const enough = 1000

// decoder puts a tree of YAML nodes into the Config. Unlike the library's own
// it collects every mistake, names each setting by its path and remembers its
// line, so that later checks can point at it too.
type decoder struct {
	origin   origin
	problems Problems
	visited  int
}

func (d *decoder) fail(n *yaml.Node, field, format string, args ...any) {
	d.problems = append(d.problems, Problem{File: d.origin.file, Line: n.Line, Field: field, Reason: fmt.Sprintf(format, args...)})
	if len(d.problems) >= enough {
		d.visited = maxNodes + 1 // look at nothing more
	}
}

// value decodes one node into v and remembers where it stands.
func (d *decoder) value(field string, n *yaml.Node, v reflect.Value) {
	switch d.visited++; {
	case d.visited == maxNodes+1:
		d.fail(n, field, "the file is too large: more than %d values", maxNodes)
		return
	case d.visited > maxNodes:
		return
	}
	d.origin.line[field] = n.Line
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if n.Kind == yaml.ScalarNode && n.Tag == "!!null" {
		return // "key:" with nothing behind it keeps the default
	}
	switch t := v.Addr().Interface().(type) {
	case *Raw:
		t.node, t.file, t.field = n, d.origin.file, field
	case encoding.TextUnmarshaler:
		if d.scalar(field, n) {
			if err := t.UnmarshalText([]byte(n.Value)); err != nil {
				d.fail(n, field, "%s", err)
			}
		}
	default:
		d.kind(field, n, v)
	}
}

func (d *decoder) kind(field string, n *yaml.Node, v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		d.structure(field, n, v)
	case reflect.Map:
		d.table(field, n, v)
	case reflect.Slice:
		d.list(field, n, v)
	case reflect.String:
		if d.scalar(field, n) {
			v.SetString(n.Value)
		}
	case reflect.Bool:
		b, err := strconv.ParseBool(n.Value)
		if n.Kind != yaml.ScalarNode || n.Tag != "!!bool" || err != nil {
			d.fail(n, field, "true or false is wanted, not %s", shown(n))
			return
		}
		v.SetBool(b)
	case reflect.Int:
		i, err := strconv.ParseInt(n.Value, 10, 64)
		if n.Kind != yaml.ScalarNode || n.Tag != "!!int" || err != nil {
			d.fail(n, field, "a whole number is wanted, not %s", shown(n))
			return
		}
		v.SetInt(i)
	case reflect.Float64:
		f, err := strconv.ParseFloat(n.Value, 64)
		if n.Kind != yaml.ScalarNode || (n.Tag != "!!float" && n.Tag != "!!int") || err != nil {
			d.fail(n, field, "a number is wanted, not %s", shown(n))
			return
		}
		v.SetFloat(f)
	default:
		panic("config: no decoder for " + v.Type().String()) // a field this package declared
	}
}

func (d *decoder) scalar(field string, n *yaml.Node) bool {
	if n.Kind != yaml.ScalarNode {
		d.fail(n, field, "one value is wanted, not %s", shown(n))
		return false
	}
	return true
}

func (d *decoder) structure(field string, n *yaml.Node, v reflect.Value) {
	fields := map[string]reflect.Value{}
	var names []string
	for i := range v.NumField() {
		if name := v.Type().Field(i).Tag.Get("yaml"); name != "" {
			fields[name] = v.Field(i)
			names = append(names, name)
		}
	}
	d.pairs(field, n, func(key string, at, value *yaml.Node) {
		to, ok := fields[key]
		if !ok {
			d.fail(at, join(field, key), "there is no such setting%s", suggest(key, names))
			return
		}
		d.value(join(field, key), value, to)
	})
}

func (d *decoder) table(field string, n *yaml.Node, v reflect.Value) {
	m := reflect.MakeMap(v.Type())
	d.pairs(field, n, func(key string, _, value *yaml.Node) {
		item := reflect.New(v.Type().Elem()).Elem()
		d.value(join(field, key), value, item)
		m.SetMapIndex(reflect.ValueOf(key), item)
	})
	v.Set(m)
}

func (d *decoder) list(field string, n *yaml.Node, v reflect.Value) {
	if n.Kind != yaml.SequenceNode {
		d.fail(n, field, "a list is wanted, not %s", shown(n))
		return
	}
	v.SetZero()
	for i, c := range n.Content {
		item := reflect.New(v.Type().Elem()).Elem()
		if s, ok := reflect.TypeAssert[*Source](item.Addr()); ok {
			*s = defaultSource()
		}
		d.value(field+"["+strconv.Itoa(i)+"]", c, item)
		v.Set(reflect.Append(v, item))
		if d.visited > maxNodes {
			return
		}
	}
}

// pairs calls do for each key of a mapping and refuses what isn't one, keys
// that are no words, and keys that come twice.
func (d *decoder) pairs(field string, n *yaml.Node, do func(key string, at, value *yaml.Node)) {
	if n.Kind != yaml.MappingNode {
		d.fail(n, field, "settings of the form \"name: value\" are wanted, not %s", shown(n))
		return
	}
	seen := map[string]int{}
	for i := 0; i+1 < len(n.Content) && d.visited <= maxNodes; i += 2 {
		k := n.Content[i]
		switch {
		case k.Kind != yaml.ScalarNode:
			d.fail(k, field, "the name of a setting is one word, not %s", shown(k))
			continue
		case k.Tag == "!!merge":
			d.fail(k, field, "merge keys (<<) are not understood here; write the settings out")
			continue
		}
		if line, twice := seen[k.Value]; twice {
			d.fail(k, join(field, k.Value), "set twice, first on line %d", line)
			continue
		}
		seen[k.Value] = k.Line
		do(k.Value, k, n.Content[i+1])
	}
}

// shown describes a node in a message.
func shown(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a group of settings"
	case yaml.SequenceNode:
		return "a list"
	case yaml.ScalarNode:
		const most = 40
		if len(n.Value) > most {
			return strconv.Quote(n.Value[:most]) + "..."
		}
		return strconv.Quote(n.Value)
	default:
		return "an alias"
	}
}

func join(field, key string) string {
	if field == "" {
		return key
	}
	return field + "." + key
}

// suggest names the setting that was probably meant.
func suggest(key string, names []string) string {
	best, least := "", 3
	for _, n := range names {
		if d := distance(strings.ToLower(key), n); d < least {
			best, least = n, d
		}
	}
	if best == "" {
		return ""
	}
	return ": did you mean " + best + "?"
}

// distance counts the letters to insert, drop or change to turn a into b
// (Levenshtein). Long words are not compared.
func distance(a, b string) int {
	const longest = 64
	if len(a) > longest || len(b) > longest {
		return longest
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		left := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := left
			if a[i] != b[j] {
				cost = 1 + min(left, row[j], row[j+1])
			}
			left, row[j+1] = row[j+1], cost
		}
	}
	return row[len(b)]
}
