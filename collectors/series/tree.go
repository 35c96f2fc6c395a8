package series

import (
	"fmt"
	"strconv"

	"github.com/prometheus/prometheus/promql/parser"
)

// Tree returns the syntax tree of an expression as values that encoding/json writes in the form of Prometheus's
// /api/v1/parse_query. The error is a *ParseError.
func Tree(expr string) (any, error) {
	node, err := parseNode(expr)
	if err != nil {
		return nil, err
	}
	return tree(node), nil
}

func tree(node parser.Expr) any {
	switch n := node.(type) {
	case nil:
		return nil
	case *parser.AggregateExpr:
		return map[string]any{
			"type": "aggregation", "op": n.Op.String(), "expr": tree(n.Expr), "param": tree(n.Param),
			"grouping": orEmpty(n.Grouping), "without": n.Without,
		}
	case *parser.BinaryExpr:
		return map[string]any{
			"type": "binaryExpr", "op": n.Op.String(), "lhs": tree(n.LHS), "rhs": tree(n.RHS),
			"matching": treeMatching(n.VectorMatching), "bool": n.ReturnBool,
		}
	case *parser.Call:
		args := make([]any, 0, len(n.Args))
		for _, a := range n.Args {
			args = append(args, tree(a))
		}
		return map[string]any{"type": "call", "args": args, "func": map[string]any{
			"name": n.Func.Name, "argTypes": n.Func.ArgTypes, "variadic": n.Func.Variadic, "returnType": n.Func.ReturnType,
		}}
	case *parser.MatrixSelector:
		out := treeSelector(n.VectorSelector.(*parser.VectorSelector))
		out["type"] = "matrixSelector"
		out["range"] = n.Range.Milliseconds()
		out["rangeExpr"] = treeDuration(n.RangeExpr)
		return out
	case *parser.VectorSelector:
		return treeSelector(n)
	case *parser.SubqueryExpr:
		return map[string]any{
			"type": "subquery", "expr": tree(n.Expr), "range": n.Range.Milliseconds(), "rangeExpr": treeDuration(n.RangeExpr),
			"offset": n.OriginalOffset.Milliseconds(), "offsetExpr": treeDuration(n.OriginalOffsetExpr),
			"step": n.Step.Milliseconds(), "stepExpr": treeDuration(n.StepExpr), "timestamp": n.Timestamp, "startOrEnd": treeEdge(n.StartOrEnd),
		}
	case *parser.DurationExpr:
		return treeDuration(n)
	case *parser.NumberLiteral:
		return map[string]any{"type": "numberLiteral", "val": strconv.FormatFloat(n.Val, 'f', -1, 64)}
	case *parser.ParenExpr:
		return map[string]any{"type": "parenExpr", "expr": tree(n.Expr)}
	case *parser.StringLiteral:
		return map[string]any{"type": "stringLiteral", "val": n.Val}
	case *parser.UnaryExpr:
		return map[string]any{"type": "unaryExpr", "op": n.Op.String(), "expr": tree(n.Expr)}
	}
	return map[string]any{"type": fmt.Sprintf("%T", node)}
}

func treeSelector(n *parser.VectorSelector) map[string]any {
	matchers := make([]map[string]string, 0, len(n.LabelMatchers))
	for _, m := range n.LabelMatchers {
		matchers = append(matchers, map[string]string{"name": m.Name, "value": m.Value, "type": m.Type.String()})
	}
	return map[string]any{
		"type": "vectorSelector", "name": n.Name, "offset": n.OriginalOffset.Milliseconds(), "offsetExpr": treeDuration(n.OriginalOffsetExpr),
		"matchers": matchers, "timestamp": n.Timestamp, "startOrEnd": treeEdge(n.StartOrEnd), "anchored": n.Anchored, "smoothed": n.Smoothed,
	}
}

func treeMatching(m *parser.VectorMatching) any {
	if m == nil {
		return nil
	}
	return map[string]any{
		"card": m.Card.String(), "labels": orEmpty(m.MatchingLabels), "on": m.On, "include": orEmpty(m.Include),
		"fillValues": map[string]*float64{"lhs": m.FillValues.LHS, "rhs": m.FillValues.RHS},
	}
}

func treeDuration(node parser.Expr) any {
	switch n := node.(type) {
	case *parser.DurationExpr:
		if n == nil {
			return nil
		}
		return map[string]any{"type": "durationExpr", "op": n.Op.String(), "lhs": treeDuration(n.LHS), "rhs": treeDuration(n.RHS), "wrapped": n.Wrapped}
	case *parser.NumberLiteral:
		if n == nil {
			return nil
		}
		return map[string]any{"type": "numberLiteral", "val": strconv.FormatFloat(n.Val, 'f', -1, 64), "duration": n.Duration}
	}
	return tree(node)
}

func treeEdge(t parser.ItemType) any {
	if t == 0 {
		return nil
	}
	return t.String()
}

func orEmpty(s []string) []string {
	if s == nil {
		return []string{}
	}
	return s
}
