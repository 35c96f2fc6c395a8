package rulefile

import (
	"fmt"

	"go.yaml.in/yaml/v3"

	"github.com/fenghuo-mesh/fenghuo/aggregate/rule"
)

// shared are the parameters of parameter files.
type shared struct {
	parameters map[string]*rule.Parameter
	places     map[string]string // file of each parameter
	blocks     []*yaml.Node
}

func newShared() *shared {
	return &shared{parameters: map[string]*rule.Parameter{}, places: map[string]string{}}
}

// isShared says whether a document is a parameter file.
func (d *document) isShared() bool {
	return d.root != nil && field(d.root, "groups") == nil && field(d.root, "fenghuo") != nil
}

// add takes the parameters of a parameter file.
func (s *shared) add(d *document) {
	r, block := d.reporter(), field(d.root, "fenghuo")
	for _, key := range []string{"rules", "tenant"} {
		if n := field(block, key); n != nil {
			r.at(n, Error, fmt.Sprintf("%s: a file without groups has only parameters", key))
			return
		}
	}
	ext := readExtension(r, block)
	for name, p := range ext.parameters { // each by itself, so the order doesn't matter
		if other, twice := s.places[name]; twice {
			r.at(block, Error, fmt.Sprintf("parameter %q is given in %s too", name, other))
			continue
		}
		s.places[name], s.parameters[name] = d.name, p
	}
	s.blocks = append(s.blocks, block)
}
