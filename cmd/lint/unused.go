package main

import (
	"go/token"

	"golang.org/x/tools/go/analysis"
	"honnef.co/go/tools/unused"
)

// dead reports what nothing uses. staticcheck's own command does this over
// the whole program at once; under go vet it goes package by package, so what
// only tests use counts as unused too: it belongs in a test file.
var dead = &analysis.Analyzer{
	Name:     "unused",
	Doc:      "report unexported code that nothing outside tests uses",
	Requires: []*analysis.Analyzer{unused.Analyzer.Analyzer},
	Run: func(pass *analysis.Pass) (any, error) {
		result, ok := pass.ResultOf[unused.Analyzer.Analyzer].(unused.Result)
		if !ok {
			return nil, nil
		}
		for _, o := range result.Unused {
			if o.Kind != "param" {
				pass.Reportf(position(pass.Fset, o.Position), "%s %s is unused", o.Kind, o.Name)
			}
		}
		return nil, nil
	},
}

// position finds the place in the file set again: a result holds places as
// text.
func position(fset *token.FileSet, at token.Position) token.Pos {
	found := token.NoPos
	fset.Iterate(func(f *token.File) bool {
		if f.Name() == at.Filename && at.Line <= f.LineCount() {
			found = f.LineStart(at.Line)
		}
		return found == token.NoPos
	})
	return found
}
