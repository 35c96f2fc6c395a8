package rule

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/fenghuo-mesh/fenghuo/aggregate/label"
)

// Bounds of parameters.
const (
	MaxParameterName  = 64   // bytes
	MaxParameterValue = 1024 // bytes
	MaxExpandedExpr   = 64 << 10
)

// Reasons why parameters can't be used. They travel wrapped.
var (
	// ErrParameter: a parameter is malformed.
	ErrParameter = errors.New("invalid parameter")
	// ErrUnknownParameter: an expression names a parameter that isn't defined.
	ErrUnknownParameter = errors.New("unknown parameter")
	// ErrExprTooLong: with its parameters an expression is longer than MaxExpandedExpr.
	ErrExprTooLong = errors.New("expression is too long")
)

// Parameter is a named text in expressions, written $name: a threshold, a
// duration, a selector's part. Base holds unless an override does.
//
// Precedence: overrides are looked at in the order in which they are written,
// and the last one that matches wins alone. Factors don't multiply: a factor
// always applies to Base.
type Parameter struct {
	// Name is a letter or _, then letters, digits and _.
	Name string
	// Base is the value as written: a number, or any text.
	Base      string
	Overrides []Override
}

// Override replaces a parameter's base where all of its conditions hold. An
// empty condition always holds.
type Override struct {
	// When are windows of time, of which one must hold.
	When []Window
	// Tenant is the tenant of the rule.
	Tenant string
	// Match are matchers on the labels of the host.
	Match label.Matchers
	// Value replaces the base; "" with a Factor.
	Value string
	// Factor multiplies the base, which must be a number; 0 with a Value.
	Factor float64
}

// Scope is where and when parameters are resolved.
type Scope struct {
	At     time.Time
	Tenant string
	Host   label.Set
}

// Validate checks a parameter by itself.
func (p *Parameter) Validate() error {
	if !isName(p.Name) || len(p.Name) > MaxParameterName {
		return fmt.Errorf("%w: name %.80q: want a letter or _, then letters, digits, _; at most %d bytes", ErrParameter, p.Name, MaxParameterName)
	}
	if p.Base == "" || len(p.Base) > MaxParameterValue {
		return fmt.Errorf("%w $%s: value has %d bytes, want 1 to %d", ErrParameter, p.Name, len(p.Base), MaxParameterValue)
	}
	for i := range p.Overrides {
		if err := p.Overrides[i].validate(p.Base); err != nil {
			return fmt.Errorf("%w $%s: override %d: %w", ErrParameter, p.Name, i+1, err)
		}
	}
	return nil
}

func (o *Override) validate(base string) error {
	switch {
	case (o.Value == "") == (o.Factor == 0):
		return errors.New("want either a value or a factor other than 0")
	case len(o.Value) > MaxParameterValue:
		return fmt.Errorf("value has %d bytes, at most %d", len(o.Value), MaxParameterValue)
	case math.IsNaN(o.Factor) || math.IsInf(o.Factor, 0):
		return fmt.Errorf("factor %v is no number", o.Factor)
	}
	if o.Factor != 0 {
		if _, err := strconv.ParseFloat(base, 64); err != nil {
			return fmt.Errorf("a factor needs a number as base, not %.40q", base)
		}
	}
	return nil
}

func (o *Override) holds(s Scope) bool {
	return (o.Tenant == "" || o.Tenant == s.Tenant) && InAny(o.When, s.At) && o.Match.Match(s.Host)
}

func (o *Override) value(base string) string {
	if o.Factor == 0 {
		return o.Value
	}
	f, err := strconv.ParseFloat(base, 64)
	if err != nil {
		return base // Validate has refused it
	}
	return strconv.FormatFloat(f*o.Factor, 'g', -1, 64)
}

// Resolve gives the value that holds in a scope.
func (p *Parameter) Resolve(s Scope) string {
	for i := len(p.Overrides) - 1; i >= 0; i-- {
		if p.Overrides[i].holds(s) {
			return p.Overrides[i].value(p.Base)
		}
	}
	return p.Base
}

// Values lists every value that the parameter can have, the base first.
func (p *Parameter) Values() []string {
	out := []string{p.Base}
	for i := range p.Overrides {
		out = append(out, p.Overrides[i].value(p.Base))
	}
	return out
}

// Template is an expression split at its parameters.
type Template struct {
	text  []string // one more than names
	names []string
}

// ParseTemplate splits an expression at $name. Inside quotes and comments a $
// stays as it is: regular expressions and label_replace have their own.
func ParseTemplate(expr string) Template {
	var t Template
	start := 0
	for i := 0; i < len(expr); {
		switch c := expr[i]; c {
		case '"', '\'', '`':
			i = skipQuoted(expr, i)
		case '#':
			for i < len(expr) && expr[i] != '\n' {
				i++
			}
		case '$':
			end := i + 1
			for end < len(expr) && isNameByte(expr[end], end == i+1) {
				end++
			}
			if end > i+1 {
				t.text = append(t.text, expr[start:i])
				t.names = append(t.names, expr[i+1:end])
				start = end
			}
			i = end
		default:
			i++
		}
	}
	t.text = append(t.text, expr[start:])
	return t
}

// skipQuoted returns the position after the quoted text that begins at i, or
// the end of an unfinished one.
func skipQuoted(s string, i int) int {
	quote := s[i]
	for i++; i < len(s); i++ {
		switch {
		case s[i] == '\\' && quote != '`':
			i++
		case s[i] == quote:
			return i + 1
		}
	}
	return len(s)
}

// Names are the parameters in order of appearance, with repeats.
func (t Template) Names() []string { return t.names }

// Expand replaces each parameter by what value returns for it.
func (t Template) Expand(value func(name string) (string, bool)) (string, error) {
	if len(t.names) == 0 {
		return t.text[0], nil
	}
	var b strings.Builder
	for i, name := range t.names {
		v, ok := value(name)
		if !ok {
			return "", fmt.Errorf("%w $%s", ErrUnknownParameter, name)
		}
		b.WriteString(t.text[i])
		b.WriteString(v)
		if b.Len() > MaxExpandedExpr {
			return "", fmt.Errorf("%w: more than %d bytes", ErrExprTooLong, MaxExpandedExpr)
		}
	}
	b.WriteString(t.text[len(t.names)])
	return b.String(), nil
}

func isName(s string) bool {
	for i := range len(s) {
		if !isNameByte(s[i], i == 0) {
			return false
		}
	}
	return s != ""
}

func isNameByte(c byte, first bool) bool {
	return c == '_' || c|0x20 >= 'a' && c|0x20 <= 'z' || !first && c >= '0' && c <= '9'
}
