package limit

import (
	"github.com/fenghuo-mesh/fenghuo/aggregate/label"
	"github.com/fenghuo-mesh/fenghuo/node/api/problem"
)

// MaxMatchers bounds the matchers of one request.
const MaxMatchers = 64

// Matchers reads the matchers of a request, one or several per value. Errors
// wrap problem.ErrInvalid.
func Matchers(values []string) (label.Matchers, error) {
	if len(values) > MaxMatchers {
		return nil, problem.Errorf(problem.ErrInvalid, "%d matchers, at most %d", len(values), MaxMatchers)
	}
	var out label.Matchers
	for _, v := range values {
		ms, err := label.ParseMatchers(v)
		if err != nil {
			return nil, problem.Errorf(problem.ErrInvalid, "%w", err)
		}
		if len(ms) == 0 {
			return nil, problem.Errorf(problem.ErrInvalid, "%w %q: empty", label.ErrMatcher, v)
		}
		if out = append(out, ms...); len(out) > MaxMatchers {
			return nil, problem.Errorf(problem.ErrInvalid, "%d matchers, at most %d", len(out), MaxMatchers)
		}
	}
	return out, nil
}
