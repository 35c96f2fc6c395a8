package amconfig

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"go.yaml.in/yaml/v3"
)

// Bounds on a file.
const (
	MaxFileBytes = 16 << 20 // of the file
	maxNodes     = 1 << 20  // YAML nodes once aliases are expanded
	maxDepth     = 200      // nesting of YAML nodes
)

// reader walks a YAML tree strictly: what it isn't told about is an error that
// names file, line and field.
type reader struct {
	file     string
	dir      string
	warnings []string
	nodes    int
}

// errorf is an error at a node.
func (r *reader) errorf(n *yaml.Node, path, format string, args ...any) error {
	line := 1
	if n != nil && n.Line > 0 {
		line = n.Line
	}
	err := fmt.Errorf(format, args...)
	if path == "" {
		return fmt.Errorf("%s:%d: %w", r.file, line, err)
	}
	return fmt.Errorf("%s:%d: %s: %w", r.file, line, path, err)
}

func (r *reader) warnf(n *yaml.Node, path, format string, args ...any) {
	r.warnings = append(r.warnings, r.errorf(n, path, format, args...).Error())
}

// parse reads one document and expands aliases and merge keys, within bounds.
func (r *reader) parse(b []byte) (*yaml.Node, error) {
	if len(b) > MaxFileBytes {
		return nil, fmt.Errorf("%s: %d bytes, at most %d", r.file, len(b), MaxFileBytes)
	}
	dec := yaml.NewDecoder(bytes.NewReader(b))
	var doc, more yaml.Node
	if err := dec.Decode(&doc); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("%s:1: no route provided in config", r.file)
		}
		return nil, r.syntax(err)
	}
	if err := dec.Decode(&more); !errors.Is(err, io.EOF) {
		return nil, r.errorf(&more, "", "more than one YAML document")
	}
	if doc.Kind != yaml.DocumentNode || len(doc.Content) != 1 {
		return nil, r.errorf(&doc, "", "no route provided in config")
	}
	return r.expand(doc.Content[0], 0, nil)
}

// syntax brings the line of a YAML error to the front.
func (r *reader) syntax(err error) error {
	line, ok := strings.CutPrefix(err.Error(), "yaml: line ")
	if at, _, found := strings.Cut(line, ":"); ok && found {
		return fmt.Errorf("%s:%s: %w", r.file, at, err)
	}
	return fmt.Errorf("%s:1: %w", r.file, err)
}

func (r *reader) expand(n *yaml.Node, depth int, open []*yaml.Node) (*yaml.Node, error) {
	if r.nodes++; r.nodes > maxNodes {
		return nil, r.errorf(n, "", "more than %d YAML nodes", maxNodes)
	}
	if depth > maxDepth {
		return nil, r.errorf(n, "", "nested deeper than %d", maxDepth)
	}
	if n.Kind == yaml.AliasNode {
		if slices.Contains(open, n.Alias) {
			return nil, r.errorf(n, "", "anchor %q contains itself", n.Value)
		}
		out, err := r.expand(n.Alias, depth+1, append(open, n.Alias))
		if err != nil {
			return nil, err
		}
		out.Line = n.Line
		return out, nil
	}
	// Comments go, for they may hold secrets.
	out := &yaml.Node{Kind: n.Kind, Style: n.Style, Tag: n.Tag, Value: n.Value, Line: n.Line, Column: n.Column}
	for _, c := range n.Content {
		e, err := r.expand(c, depth+1, open)
		if err != nil {
			return nil, err
		}
		out.Content = append(out.Content, e)
	}
	if out.Kind == yaml.MappingNode {
		return out, r.merge(out)
	}
	return out, nil
}

// merge folds the maps under "<<" into their parent; its own keys win.
func (r *reader) merge(n *yaml.Node) error {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Tag != "!!merge" {
			continue
		}
		from := n.Content[i+1]
		n.Content = slices.Delete(n.Content, i, i+2)
		maps := []*yaml.Node{from}
		if from.Kind == yaml.SequenceNode {
			maps = from.Content
		}
		for _, m := range maps {
			if m.Kind != yaml.MappingNode {
				return r.errorf(m, "<<", "map merge requires a map or a list of maps")
			}
			for j := 0; j+1 < len(m.Content); j += 2 {
				if lookup(n, m.Content[j].Value) == nil {
					n.Content = append(n.Content, m.Content[j], m.Content[j+1])
				}
			}
		}
		return r.merge(n)
	}
	return nil
}

// lookup returns a key's value in a mapping, or nil.
func lookup(n *yaml.Node, key string) *yaml.Node {
	if n == nil || n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i+1]
		}
	}
	return nil
}

func null(n *yaml.Node) bool {
	return n == nil || n.Kind == yaml.ScalarNode && n.Tag == "!!null"
}

// field reads the value of one key; path is the key's full name.
type field func(n *yaml.Node, path string) error

// fields reads a mapping. Unknown and repeated keys are errors; a null value is
// as if the key were absent, and a null mapping is empty.
func (r *reader) fields(n *yaml.Node, path string, known map[string]field) error {
	if null(n) {
		return nil
	}
	if n.Kind != yaml.MappingNode {
		return r.errorf(n, path, "want a mapping, got %s", kind(n))
	}
	seen := make(map[string]bool, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		if seen[k.Value] {
			return r.errorf(k, path, "key %q occurs twice", k.Value)
		}
		seen[k.Value] = true
		f := known[k.Value]
		if f == nil {
			return r.errorf(k, path, "unknown key %q", k.Value)
		}
		if null(v) {
			continue
		}
		if err := f(v, join(path, k.Value)); err != nil {
			return err
		}
	}
	return nil
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

func kind(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	}
	return strconv.Quote(n.Value)
}

// list reads a sequence; null elements are given to f.
func (r *reader) list(n *yaml.Node, path string, f func(n *yaml.Node, path string, i int) error) error {
	if n.Kind != yaml.SequenceNode {
		return r.errorf(n, path, "want a list, got %s", kind(n))
	}
	for i, e := range n.Content {
		if err := f(e, path+"["+strconv.Itoa(i)+"]", i); err != nil {
			return err
		}
	}
	return nil
}

func (r *reader) text(n *yaml.Node, path string) (string, error) {
	var s string
	if n.Kind != yaml.ScalarNode {
		return "", r.errorf(n, path, "want a text, got %s", kind(n))
	}
	if err := n.Decode(&s); err != nil {
		return "", r.errorf(n, path, "want a text: %w", err)
	}
	return s, nil
}

// str is a field that sets a text.
func (r *reader) str(to *string) field {
	return func(n *yaml.Node, path string) (err error) {
		*to, err = r.text(n, path)
		return err
	}
}

// bool is a field that sets a truth value.
func (r *reader) bool(to *bool) field {
	return func(n *yaml.Node, path string) error {
		if err := n.Decode(to); err != nil {
			return r.errorf(n, path, "want true or false, got %s", kind(n))
		}
		return nil
	}
}

// strs is a field that sets a list of texts; an empty list isn't nil.
func (r *reader) strs(to *[]string) field {
	return func(n *yaml.Node, path string) error {
		*to = []string{}
		return r.list(n, path, func(n *yaml.Node, path string, _ int) error {
			s, err := r.text(n, path)
			*to = append(*to, s)
			return err
		})
	}
}

// texts is a field that sets a map of texts.
func (r *reader) texts(to *map[string]string) field {
	return func(n *yaml.Node, path string) error {
		if n.Kind != yaml.MappingNode {
			return r.errorf(n, path, "want a mapping, got %s", kind(n))
		}
		*to = map[string]string{}
		for i := 0; i+1 < len(n.Content); i += 2 {
			k, v := n.Content[i], n.Content[i+1]
			if _, ok := (*to)[k.Value]; ok {
				return r.errorf(k, path, "key %q occurs twice", k.Value)
			}
			s, err := r.text(v, join(path, k.Value))
			if err != nil {
				return err
			}
			(*to)[k.Value] = s
		}
		return nil
	}
}

// duration is a field that sets a duration in Prometheus's form (1h30m, 1d).
func (r *reader) duration(set func(time.Duration)) field {
	return func(n *yaml.Node, path string) error {
		s, err := r.text(n, path)
		if err != nil {
			return err
		}
		d, err := model.ParseDuration(s)
		if err != nil {
			return r.errorf(n, path, "%w", err)
		}
		set(time.Duration(d))
		return nil
	}
}

// unsupported is a field of Alertmanager's that this version refuses.
func (r *reader) unsupported(n *yaml.Node, path string) error {
	return r.errorf(n, path, "not supported by this version")
}

// ignored is a field that is accepted and has no effect here.
func (r *reader) ignored(*yaml.Node, string) error { return nil }
