package config

import (
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// typeError is one line of a yaml.TypeError.
var typeError = regexp.MustCompile(`^line (\d+): (?s:(.*))$`)

// Decode reads the section into v as yaml.v3 does, and refuses keys that v's
// structs don't have. The error is Problems, with the lines of the file.
func (r Raw) Decode(v any) error {
	if r.node == nil {
		return nil
	}
	s := strict{file: r.file, field: r.field}
	s.walk(r.node, reflect.TypeOf(v), r.field)
	var wrong *yaml.TypeError
	switch err := r.node.Decode(v); {
	case err == nil:
	case errors.As(err, &wrong):
		for _, text := range wrong.Errors {
			p := Problem{File: r.file, Line: r.node.Line, Field: r.field, Reason: text}
			if m := typeError.FindStringSubmatch(text); m != nil {
				p.Line, _ = strconv.Atoi(m[1]) // the form holds a number
				p.Reason = m[2]
			}
			s.problems = append(s.problems, p)
		}
	default: // what an Unmarshaler of v's says; it knows no lines
		s.problems = append(s.problems, Problem{File: r.file, Line: r.node.Line, Field: r.field, Reason: strings.TrimPrefix(err.Error(), "yaml: ")})
	}
	return s.problems.err()
}

// strict looks for keys that a type doesn't have.
type strict struct {
	file, field string
	problems    Problems
	visited     int
}

func (s *strict) walk(n *yaml.Node, t reflect.Type, field string) {
	if s.visited++; s.visited > maxNodes || len(s.problems) >= enough {
		return
	}
	for t != nil && t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	switch {
	case t == nil:
	case n.Kind == yaml.SequenceNode && t.Kind() == reflect.Slice:
		for i, c := range n.Content {
			s.walk(c, t.Elem(), fmt.Sprintf("%s[%d]", field, i))
		}
	case n.Kind == yaml.MappingNode && t.Kind() == reflect.Map:
		for i := 0; i+1 < len(n.Content); i += 2 {
			s.walk(n.Content[i+1], t.Elem(), join(field, n.Content[i].Value))
		}
	case n.Kind == yaml.MappingNode && t.Kind() == reflect.Struct:
		keys := map[string]reflect.Type{}
		if open := collectKeys(t, keys); open || len(keys) == 0 {
			return
		}
		s.keys(n, keys, field)
	}
}

func (s *strict) keys(n *yaml.Node, keys map[string]reflect.Type, field string) {
	for i := 0; i+1 < len(n.Content); i += 2 {
		k := n.Content[i]
		t, ok := keys[k.Value]
		switch {
		case ok:
			s.walk(n.Content[i+1], t, join(field, k.Value))
		case k.Tag != "!!merge":
			names := make([]string, 0, len(keys))
			for name := range keys {
				names = append(names, name)
			}
			s.problems = append(s.problems, Problem{
				File: s.file, Line: k.Line, Field: join(field, k.Value), Reason: "there is no such setting" + suggest(k.Value, names),
			})
		}
	}
}

// collectKeys lists the keys of a struct that names them by yaml tags, those
// of inlined structs included. open says that it takes any key, or doesn't say.
func collectKeys(t reflect.Type, keys map[string]reflect.Type) (open bool) {
	for f := range t.Fields() {
		name, flags, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		switch {
		case name == "-" || !f.IsExported() && !f.Anonymous:
		case strings.Contains(flags, "inline"):
			ft := f.Type
			if ft.Kind() == reflect.Pointer {
				ft = ft.Elem()
			}
			if ft.Kind() != reflect.Struct || collectKeys(ft, keys) {
				return true
			}
		case name == "":
			keys[strings.ToLower(f.Name)] = f.Type
		default:
			keys[name] = f.Type
		}
	}
	return false
}
