package generic

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/fenghuo-mesh/fenghuo/aggregate/alert"
	"github.com/fenghuo-mesh/fenghuo/aggregate/label"
)

// Bounds of a mapping.
const (
	maxFile   = 256 << 10
	maxFields = 48 // labels, and annotations
	maxCopies = 8
	maxExpiry = 30 * 24 * time.Hour
	version   = "1"
)

// ErrMapping: a mapping can't be used as it is. It travels wrapped, with file,
// line and field in front.
var ErrMapping = errors.New("invalid mapping")

// Load reads a mapping. name is how the file is called in errors.
func Load(name string, text []byte) (*Mapping, error) {
	l := loader{name: name}
	if len(text) > maxFile {
		return nil, l.fail(1, "", "more than %d bytes", maxFile)
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil {
		return nil, fmt.Errorf("%s: %w: %w", name, ErrMapping, err)
	}
	if doc.Kind != yaml.DocumentNode || len(doc.Content) != 1 || doc.Content[0].Kind != yaml.MappingNode {
		return nil, l.fail(1, "", "a mapping of fields is wanted")
	}
	m := &Mapping{zone: nil}
	if err := l.top(m, doc.Content[0]); err != nil {
		return nil, err
	}
	return m, nil
}

// loader reads YAML nodes and names places.
type loader struct{ name string }

func (l loader) fail(line int, field, format string, args ...any) error {
	at := fmt.Sprintf("%s:%d", l.name, line)
	if field != "" {
		at += ": " + field
	}
	return fmt.Errorf("%s: %w: %s", at, ErrMapping, fmt.Sprintf(format, args...))
}

// each calls use for every field of a YAML mapping; a field may occur once.
func (l loader) each(n *yaml.Node, field string, use func(name string, v *yaml.Node) error) error {
	if n.Kind != yaml.MappingNode {
		return l.fail(n.Line, field, "a mapping of fields is wanted")
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		if k.Kind != yaml.ScalarNode || v.Kind == yaml.AliasNode || k.Tag == "!!merge" {
			return l.fail(k.Line, field, "anchors and aliases are not understood")
		}
		if seen[k.Value] {
			return l.fail(k.Line, join(field, k.Value), "there twice")
		}
		seen[k.Value] = true
		if err := use(k.Value, v); err != nil {
			return err
		}
	}
	return nil
}

func join(field, name string) string {
	if field == "" {
		return name
	}
	return field + "." + name
}

func (l loader) top(m *Mapping, n *yaml.Node) error {
	var v, at string
	fields := m.values()
	err := l.each(n, "", func(name string, c *yaml.Node) (err error) {
		if to, ok := fields[name]; ok {
			*to, err = l.value(name, c)
			return err
		}
		switch name {
		case "version":
			v, err = l.scalar(name, c)
		case "alerts":
			if at, err = l.scalar(name, c); err == nil {
				if m.alerts, err = parsePath(at, true); err != nil {
					err = l.fail(c.Line, name, "%v", err)
				}
			}
		case "resolved":
			m.resolved, err = l.words(name, c)
		case "ignore":
			m.ignore, err = l.words(name, c)
		case "priority":
			err = l.priorities(m, c)
		case "time":
			err = l.time(m, c)
		case "expiry":
			m.expiry, err = l.expiry(name, c)
		case "labels":
			m.labels, err = l.named(name, c)
		case "annotations":
			m.annotations, err = l.named(name, c)
		case "copy":
			err = l.copies(m, c)
		default:
			err = l.fail(c.Line, name, "unknown field")
		}
		return err
	})
	switch {
	case err != nil:
		return err
	case v != version:
		return l.fail(n.Line, "version", "want %s", version)
	case m.name == nil:
		return l.fail(n.Line, "name", "missing")
	case m.resolved != nil && m.status == nil:
		return l.fail(n.Line, "resolved", "needs status")
	case m.ignore != nil && m.status == nil:
		return l.fail(n.Line, "ignore", "needs status")
	}
	return nil
}

func (l loader) scalar(field string, n *yaml.Node) (string, error) {
	if n.Kind != yaml.ScalarNode || n.Tag == "!!null" {
		return "", l.fail(n.Line, field, "a text is wanted")
	}
	return n.Value, nil
}

// words reads a list of words, folded.
func (l loader) words(field string, n *yaml.Node) (map[string]bool, error) {
	list, err := l.list(field, n, maxWords)
	if err != nil {
		return nil, err
	}
	out := map[string]bool{}
	for _, w := range list {
		out[fold(w)] = true
	}
	return out, nil
}

func (l loader) list(field string, n *yaml.Node, most int) ([]string, error) {
	if n.Kind != yaml.SequenceNode || len(n.Content) == 0 || len(n.Content) > most {
		return nil, l.fail(n.Line, field, "a list of 1 to %d texts is wanted", most)
	}
	var out []string
	for _, c := range n.Content {
		w, err := l.scalar(field, c)
		if err != nil {
			return nil, err
		}
		out = append(out, w)
	}
	return out, nil
}

// value reads a value: a text, a list of alternatives, or a mapping with from,
// map and default.
func (l loader) value(field string, n *yaml.Node) (*value, error) {
	v := &value{}
	var err error
	switch n.Kind {
	case yaml.ScalarNode, yaml.SequenceNode:
		v.alternatives, err = l.alternatives(field, n)
		return v, err
	}
	err = l.each(n, field, func(name string, c *yaml.Node) (err error) {
		switch name {
		case "from":
			v.alternatives, err = l.alternatives(join(field, name), c)
		case "default":
			v.fallback, err = l.scalar(join(field, name), c)
		case "map":
			v.words = map[string]string{}
			if len(c.Content) > 2*maxWords {
				return l.fail(c.Line, join(field, name), "more than %d words", maxWords)
			}
			err = l.each(c, join(field, name), func(word string, to *yaml.Node) error {
				text, err := l.scalar(join(field, name)+"."+word, to)
				v.words[fold(word)] = text
				return err
			})
		default:
			err = l.fail(c.Line, join(field, name), "unknown; from, map and default are understood")
		}
		return err
	})
	if err == nil && len(v.alternatives) == 0 {
		err = l.fail(n.Line, field, "from is missing")
	}
	return v, err
}

func (l loader) alternatives(field string, n *yaml.Node) ([]template, error) {
	nodes := []*yaml.Node{n}
	if n.Kind == yaml.SequenceNode {
		nodes = n.Content
	}
	if len(nodes) == 0 || len(nodes) > maxAlternatives {
		return nil, l.fail(n.Line, field, "1 to %d alternatives are wanted", maxAlternatives)
	}
	var out []template
	for _, c := range nodes {
		text, err := l.scalar(field, c)
		if err != nil {
			return nil, err
		}
		t, err := parseTemplate(text)
		if err != nil {
			return nil, l.fail(c.Line, field, "%v", err)
		}
		out = append(out, t)
	}
	return out, nil
}

// named reads labels or annotations, sorted by name.
func (l loader) named(field string, n *yaml.Node) ([]named, error) {
	var out []named
	err := l.each(n, field, func(name string, c *yaml.Node) error {
		at := join(field, name)
		if name == "" || len(name) > label.MaxNameBytes {
			return l.fail(c.Line, at, "a name of 1 to %d bytes is wanted", label.MaxNameBytes)
		}
		if name == label.AlertName && field == "labels" {
			return l.fail(c.Line, at, "it is the field name")
		}
		v, err := l.value(at, c)
		out = append(out, named{name, v})
		return err
	})
	if err == nil && len(out) > maxFields {
		err = l.fail(n.Line, field, "more than %d", maxFields)
	}
	slices.SortFunc(out, func(a, b named) int { return strings.Compare(a.name, b.name) })
	return out, err
}

func (l loader) priorities(m *Mapping, n *yaml.Node) error {
	m.priority = map[string]alert.Priority{}
	if len(n.Content) > 2*maxWords {
		return l.fail(n.Line, "priority", "more than %d words", maxWords)
	}
	return l.each(n, "priority", func(word string, c *yaml.Node) error {
		text, err := l.scalar(join("priority", word), c)
		if err != nil {
			return err
		}
		var p alert.Priority
		if err := p.UnmarshalText([]byte(text)); err != nil {
			return l.fail(c.Line, join("priority", word), "%v", err)
		}
		m.priority[fold(word)] = p
		return nil
	})
}

func (l loader) time(m *Mapping, n *yaml.Node) error {
	return l.each(n, "time", func(name string, c *yaml.Node) error {
		at := join("time", name)
		text, err := l.scalar(at, c)
		if err != nil {
			return err
		}
		switch name {
		case "zone":
			if m.zone, err = time.LoadLocation(text); err != nil || text == "Local" || text == "" {
				return l.fail(c.Line, at, "%.64q is not a zone like Asia/Shanghai", text)
			}
		case "format":
			if !slices.Contains(timeFormats(), text) && !layout(text) {
				return l.fail(c.Line, at, "%.64q is neither one of %s nor a layout of 2006-01-02 15:04:05", text, strings.Join(timeFormats(), ", "))
			}
			m.format = text
		default:
			return l.fail(c.Line, at, "unknown; zone and format are understood")
		}
		return nil
	})
}

func (l loader) expiry(field string, n *yaml.Node) (time.Duration, error) {
	text, err := l.scalar(field, n)
	if err != nil {
		return 0, err
	}
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 || d > maxExpiry {
		return 0, l.fail(n.Line, field, "a duration like 30m is wanted, at most %s", maxExpiry)
	}
	return d, nil
}

func (l loader) copies(m *Mapping, n *yaml.Node) error {
	if n.Kind != yaml.SequenceNode || len(n.Content) > maxCopies {
		return l.fail(n.Line, "copy", "a list of at most %d is wanted", maxCopies)
	}
	for i, c := range n.Content {
		at := fmt.Sprintf("copy[%d]", i)
		cp := pick{}
		from := ""
		err := l.each(c, at, func(name string, v *yaml.Node) (err error) {
			field := join(at, name)
			switch name {
			case "from":
				if from, err = l.scalar(field, v); err == nil {
					if cp.from, err = parsePath(from, false); err != nil {
						err = l.fail(v.Line, field, "%v", err)
					}
				}
			case "to":
				var to string
				if to, err = l.scalar(field, v); err == nil && to != "labels" && to != "annotations" {
					err = l.fail(v.Line, field, "want labels or annotations")
				}
				cp.labels = to == "labels"
			case "prefix":
				cp.prefix, err = l.scalar(field, v)
			case "only":
				cp.only, err = l.list(field, v, maxFields)
			case "except":
				cp.except, err = l.list(field, v, maxFields)
			case "rename":
				cp.rename = map[string]string{}
				err = l.each(v, field, func(old string, to *yaml.Node) (err error) {
					cp.rename[old], err = l.scalar(join(field, old), to)
					return err
				})
			default:
				err = l.fail(v.Line, field, "unknown; from, to, only, except, rename and prefix are understood")
			}
			return err
		})
		if err == nil && from == "" {
			err = l.fail(c.Line, at+".from", "missing")
		}
		if err != nil {
			return err
		}
		m.copies = append(m.copies, cp)
	}
	return nil
}
