package series

import (
	"errors"
	"fmt"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
)

// MaxExprBytes bounds the source of an expression.
// The parser recurses, so a hostile expression costs stack in proportion to its length.
const MaxExprBytes = 64 << 10

// ParseError says where and why an expression can't be read or evaluated.
type ParseError struct {
	Query string
	// Start and End are the byte range of the fault in Query; both are -1 if the fault has no place.
	Start, End int
	// Line and Column count from 1; 0 if the fault has no place.
	Line, Column int
	Reason       string
}

// Error has the wording of Prometheus: "line:column: parse error: reason".
func (e *ParseError) Error() string {
	if e.Line == 0 {
		return "unknown position: parse error: " + e.Reason
	}
	return fmt.Sprintf("%d:%d: parse error: %s", e.Line, e.Column, e.Reason)
}

// maxDepth bounds the nesting of an expression: printing one costs its length times its depth.
const maxDepth = 500

// Expr is what can be known of an expression without evaluating it.
// It holds no syntax tree: the engine changes the trees it runs, so every evaluation parses anew (5 to 8 us).
type Expr struct {
	// Pretty is the source on one line in canonical form, as Prometheus shows it in rules.
	Pretty string
	// Type is the type of the value.
	Type Type
}

// NewParser returns a parser with the language this store evaluates.
// Its trees must not be kept or evaluated twice.
func NewParser() parser.Parser {
	return parser.NewParser(parser.Options{})
}

// Parse checks an expression and says what it is. The error is a *ParseError.
func Parse(expr string) (Expr, error) {
	node, err := parseNode(expr)
	if err != nil {
		return Expr{}, err
	}
	return Expr{Pretty: node.String(), Type: Type(node.Type())}, nil
}

// CheckExpr says whether an expression can be evaluated. The error is a *ParseError.
func CheckExpr(expr string) error {
	_, err := parseNode(expr)
	return err
}

// Format returns an expression in the canonical many-line form. The error is a *ParseError.
func Format(expr string) (string, error) {
	node, err := parseNode(expr)
	if err != nil {
		return "", err
	}
	return node.Pretty(0), nil
}

// ParseSelector reads one series selector such as `up{job="node"}`. The error is a *ParseError.
func ParseSelector(s string) ([]*labels.Matcher, error) {
	if len(s) > MaxExprBytes {
		return nil, tooLong(s)
	}
	ms, err := NewParser().ParseMetricSelector(s)
	if err != nil {
		return nil, asParseError(s, err)
	}
	return ms, nil
}

func parseNode(expr string) (parser.Expr, error) {
	if len(expr) > MaxExprBytes {
		return nil, tooLong(expr)
	}
	node, err := NewParser().ParseExpr(expr)
	if err != nil {
		return nil, asParseError(expr, err)
	}
	deep := false
	parser.Inspect(node, func(_ parser.Node, path []parser.Node) error {
		if len(path) > maxDepth {
			deep = true
			return errTooDeep
		}
		return nil
	})
	if deep {
		return nil, &ParseError{Query: expr, Start: -1, End: -1, Reason: errTooDeep.Error()}
	}
	return node, nil
}

// errTooDeep refuses an expression nested deeper than maxDepth.
var errTooDeep = fmt.Errorf("expression is nested deeper than %d", maxDepth)

func tooLong(expr string) error {
	return &ParseError{Start: -1, End: -1, Reason: fmt.Sprintf("expression of %d bytes is longer than %d", len(expr), MaxExprBytes)}
}

// asParseError turns the parser's errors, of which it reports the first, into ours.
func asParseError(query string, err error) error {
	first, ok := errors.AsType[*parser.ParseErr](err)
	if !ok {
		if all, many := errors.AsType[parser.ParseErrors](err); many && len(all) > 0 {
			first, ok = &all[0], true
		}
	}
	if !ok {
		return &ParseError{Query: query, Start: -1, End: -1, Reason: err.Error()}
	}
	out := &ParseError{Query: query, Start: int(first.PositionRange.Start), End: int(first.PositionRange.End), Reason: first.Err.Error()}
	if query == "" || out.Start < 0 || out.Start > len(query) {
		out.Start, out.End = -1, -1
		return out
	}
	out.Line, out.Column = 1, out.Start+1
	for i := range out.Start {
		if query[i] == '\n' {
			out.Line++
			out.Column = out.Start - i
		}
	}
	return out
}
