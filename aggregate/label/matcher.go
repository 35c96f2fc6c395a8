package label

import (
	"errors"
	"fmt"
	"strings"

	"github.com/prometheus/alertmanager/matcher/parse"
	"github.com/prometheus/alertmanager/pkg/labels"
)

// MaxMatcherBytes bounds the text of a list of matchers.
const MaxMatcherBytes = 16 << 10

// ErrMatcher: a text is no matcher.
var ErrMatcher = errors.New("invalid matcher")

// Matcher is Alertmanager's matcher: name, one of = != =~ !~, value; regular
// expressions are anchored. An absent label counts as empty. It is immutable
// and safe for concurrent use.
type Matcher = labels.Matcher

// MatchType is how a matcher compares.
type MatchType = labels.MatchType

// Kinds of matchers.
const (
	Equal     = labels.MatchEqual
	NotEqual  = labels.MatchNotEqual
	Regexp    = labels.MatchRegexp
	NotRegexp = labels.MatchNotRegexp
)

// NewMatcher makes one matcher; it fails on a bad regular expression.
func NewMatcher(kind MatchType, name, value string) (*Matcher, error) {
	if err := checkName(name); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMatcher, err)
	}
	m, err := labels.NewMatcher(kind, name, value)
	if err != nil {
		return nil, fmt.Errorf("%w on label %q: %w", ErrMatcher, name, err)
	}
	return m, nil
}

// Matchers is a conjunction: all must match. No matchers match everything.
type Matchers []*Matcher

// ParseMatchers reads one or more matchers, with or without braces, as
// Alertmanager does: its UTF-8 syntax first, the classic one as fallback.
func ParseMatchers(text string) (Matchers, error) {
	if len(text) > MaxMatcherBytes {
		return nil, fmt.Errorf("%w: %d bytes, at most %d", ErrMatcher, len(text), MaxMatcherBytes)
	}
	ms, err := parse.Matchers(text)
	if err != nil {
		// What the classic syntax reads isn't an error, as with Alertmanager.
		if classic, classicErr := labels.ParseMatchers(text); classicErr == nil {
			ms, err = classic, nil
		}
	}
	if err != nil {
		return nil, fmt.Errorf("%w %.200q: %w", ErrMatcher, text, err)
	}
	// Upstream's classic parser finds nothing wrong with a lone brace, and no
	// matchers at all match everything.
	if t := strings.TrimSpace(text); len(ms) == 0 && t != "" && t != "{}" {
		return nil, fmt.Errorf("%w %.200q: no matcher in it", ErrMatcher, text)
	}
	return Matchers(ms), nil
}

// Match says whether every matcher matches the set.
func (ms Matchers) Match(s Set) bool {
	for _, m := range ms {
		if !m.Matches(s.Get(m.Name)) {
			return false
		}
	}
	return true
}

// String joins the matchers as Alertmanager prints them: {a="b",c=~"d"}.
func (ms Matchers) String() string { return labels.Matchers(ms).String() }
