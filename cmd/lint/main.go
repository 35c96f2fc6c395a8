// Command lint runs every type-aware check of the house in one process, as
// the tool of go vet:
//
//	go vet -vettool=bin/lint ./...
//
// One tool under go vet, rather than four programs, because vet keeps its
// results in the build cache: only what changed is looked at again.
package main

import (
	"github.com/polyfloyd/go-errorlint/errorlint"
	"go-simpler.org/sloglint"
	"golang.org/x/tools/go/analysis"
	"golang.org/x/tools/go/analysis/passes/modernize"
	"golang.org/x/tools/go/analysis/suite/vet"
	"golang.org/x/tools/go/analysis/unitchecker"
	"honnef.co/go/tools/analysis/lint"
	"honnef.co/go/tools/simple"
	"honnef.co/go/tools/staticcheck"
	"honnef.co/go/tools/stylecheck"
)

// style names the checks of stylecheck that are wanted; the others repeat
// what revive and the root tests say.
var style = map[string]bool{
	"ST1005": true, // the text of an error
	"ST1006": true, // the name of a receiver
	"ST1008": true, // an error is the last result
	"ST1012": true, // the name of an error variable
	"ST1016": true, // one receiver name per type
	"ST1017": true, // no yoda conditions
	"ST1018": true, // no zero-width characters in strings
	"ST1019": true, // a package is imported once
}

func main() {
	var all []*analysis.Analyzer
	all = append(all, vet.Suite...)
	all = append(all, modernize.Suite...)
	all = append(all, errorlint.NewAnalyzer(), sloglint.New(&sloglint.Options{
		NoGlobalLogger:   "all",
		StaticMessage:    true,
		MessageStyle:     "lowercased",
		NoMixedArguments: true,
		KeyNamingCase:    "snake",
	}))
	for _, group := range [][]*lint.Analyzer{staticcheck.Analyzers, simple.Analyzers} {
		for _, a := range group {
			if !a.Doc.NonDefault {
				all = append(all, a.Analyzer)
			}
		}
	}
	for _, a := range stylecheck.Analyzers {
		if style[a.Analyzer.Name] {
			all = append(all, a.Analyzer)
		}
	}
	unitchecker.Main(append(all, dead)...)
}
