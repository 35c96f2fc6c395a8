package rulefile

import (
	"fmt"
	"iter"
	"maps"
	"slices"

	"go.yaml.in/yaml/v3"
)

// resolve follows an alias.
func resolve(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode && n.Alias != nil {
		return n.Alias
	}
	return n
}

// field returns a mapping's value of a key, nil if it has none.
func field(n *yaml.Node, key string) *yaml.Node {
	if n == nil || n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return resolve(n.Content[i+1])
		}
	}
	return nil
}

// valueOf is a scalar's text; "" for everything else.
func valueOf(n *yaml.Node) string {
	if n == nil || n.Kind != yaml.ScalarNode {
		return ""
	}
	return n.Value
}

// maxMerges bounds how deep mappings may be merged into each other: a mapping
// can contain itself.
const maxMerges = 8

// knownKeys reports every key of a mapping that is unknown or comes twice. Keys
// merged in by << are checked too, as Prometheus's strict reading does.
func knownKeys(r reporter, n *yaml.Node, known ...string) bool {
	return knownMerged(r, n, known, maxMerges)
}

func knownMerged(r reporter, n *yaml.Node, known []string, depth int) bool {
	if depth == 0 {
		r.at(n, Error, "mappings are merged too deep")
		return false
	}
	ok, seen := true, map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], resolve(n.Content[i+1])
		switch {
		case key.Tag == "!!merge":
			sources := []*yaml.Node{value}
			if value.Kind == yaml.SequenceNode {
				sources = value.Content
			}
			for _, s := range sources {
				if s = resolve(s); s.Kind == yaml.MappingNode {
					ok = knownMerged(r, s, known, depth-1) && ok
				}
			}
		case !slices.Contains(known, key.Value):
			r.at(key, Error, fmt.Sprintf("unknown field %q", key.Value))
			ok = false
		case seen[key.Value]:
			r.at(key, Error, fmt.Sprintf("field %q is given twice", key.Value))
			ok = false
		}
		seen[key.Value] = true
	}
	return ok
}

func keys[V any](m map[string]V) iter.Seq[string] { return maps.Keys(m) }
