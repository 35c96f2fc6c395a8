package fenghuo

import (
	"go/ast"
	"path"
	"strings"
	"testing"
)

// waiting are settings that are read by nobody so far, with the reason. Their
// comments say the same.
var waiting = map[string]string{
	"Gossip.Listen": "used once the node joins a mesh",
	"QUIC.Listen":   "used once the node joins a mesh",
}

// TestEverySettingIsUsed finds settings of the configuration file that nobody
// outside node/config reads: a knob that turns nothing is a lie.
func TestEverySettingIsUsed(t *testing.T) {
	type setting struct{ section, name string }
	var settings []setting
	read := map[string]bool{}
	for _, f := range code(t) {
		switch {
		case f.name == "node/config/config.go":
			ast.Inspect(f.ast, func(n ast.Node) bool {
				spec, ok := n.(*ast.TypeSpec)
				if !ok {
					return true
				}
				if s, ok := spec.Type.(*ast.StructType); ok {
					for _, field := range s.Fields.List {
						for _, name := range field.Names {
							if field.Tag != nil {
								settings = append(settings, setting{spec.Name.Name, name.Name})
							}
						}
					}
				}
				return true
			})
		case f.dir == "node" || strings.HasPrefix(f.dir, "cmd"+"/"):
			ast.Inspect(f.ast, func(n ast.Node) bool {
				if s, ok := n.(*ast.SelectorExpr); ok {
					read[s.Sel.Name] = true
					if x, ok := s.X.(*ast.SelectorExpr); ok {
						read[path.Join(x.Sel.Name, s.Sel.Name)] = true
					}
				}
				return true
			})
		}
	}
	if len(settings) < 50 {
		t.Fatalf("only %d settings found", len(settings))
	}
	for _, s := range settings {
		key := s.section + "." + s.name
		if _, ok := waiting[key]; ok {
			continue
		}
		if !read[s.section+"/"+s.name] && !read[s.name] {
			t.Errorf("node/config: nobody reads %s", key)
		}
	}
}
