package generic

import (
	"fmt"
	"strings"

	"github.com/fenghuo-mesh/fenghuo/aggregate/alert"
	"github.com/fenghuo-mesh/fenghuo/collectors/intake/document"
	"github.com/fenghuo-mesh/fenghuo/collectors/intake/draft"
)

// Bounds of one value.
const (
	maxAlternatives = 8
	maxTemplate     = 512     // bytes of a template
	maxParts        = 32      // parts of a template
	maxWords        = 256     // entries of a map
	maxOutput       = 8 << 10 // bytes a value may become
)

// value says where a text comes from: the first alternative that yields one,
// then the map of words, then the default.
type value struct {
	alternatives []template
	words        map[string]string // by the folded word
	fallback     string
}

// template is constants and paths in a row. A single path is a template of one
// part.
type template []part

// part is a constant, or a path where set.
type part struct {
	text string
	path *path
}

// parseTemplate reads a path ($.a), a text with paths in braces
// ("{$.host}:{$.port}", braces themselves doubled), or a constant.
func parseTemplate(text string) (template, error) {
	if len(text) > maxTemplate {
		return nil, fmt.Errorf("more than %d bytes", maxTemplate)
	}
	if strings.HasPrefix(text, "$") {
		p, err := parsePath(text, false)
		return template{{path: &p}}, err
	}
	var out template
	var b strings.Builder
	flush := func() {
		if b.Len() > 0 {
			out = append(out, part{text: b.String()})
			b.Reset()
		}
	}
	for rest := text; rest != ""; {
		switch {
		case strings.HasPrefix(rest, "{{"), strings.HasPrefix(rest, "}}"):
			b.WriteByte(rest[0])
			rest = rest[2:]
		case rest[0] == '{':
			inner, after, ok := cutBrace(rest[1:])
			if !ok {
				return nil, fmt.Errorf("%.64q: a brace is never closed", text)
			}
			p, err := parsePath(inner, false)
			if err != nil {
				return nil, err
			}
			flush()
			out = append(out, part{path: &p})
			rest = after
		case rest[0] == '}':
			return nil, fmt.Errorf("%.64q: a single } ; write }} for a brace", text)
		default:
			b.WriteByte(rest[0])
			rest = rest[1:]
		}
	}
	flush()
	if len(out) > maxParts {
		return nil, fmt.Errorf("%.64q: more than %d parts", text, maxParts)
	}
	return out, nil
}

// cutBrace finds the closing brace, which a quoted name may hold too.
func cutBrace(s string) (inner, rest string, ok bool) {
	quoted := false
	for i := 0; i < len(s); i++ {
		switch {
		case quoted && s[i] == '\\':
			i++
		case s[i] == '"':
			quoted = !quoted
		case s[i] == '}' && !quoted:
			return s[:i], s[i+1:], true
		}
	}
	return "", "", false
}

// text fills the template. It is "" where any path of it leads nowhere, so
// that the next alternative has its turn.
func (t template) text(body, item *document.Value) (string, error) {
	var b strings.Builder
	for _, p := range t {
		if p.path == nil {
			b.WriteString(p.text)
			continue
		}
		v := p.path.at(body, item)
		switch v.Kind() {
		case document.Array, document.Object:
			return "", v.Wrong("text")
		}
		if alert.Absent(v.Scalar()) {
			return "", nil
		}
		b.WriteString(v.Scalar())
		if b.Len() > maxOutput {
			return draft.Cut(b.String(), maxOutput), nil
		}
	}
	return b.String(), nil
}

// text evaluates the value; a nil value is "".
func (v *value) text(body, item *document.Value) (string, error) {
	if v == nil {
		return "", nil
	}
	got := ""
	for _, t := range v.alternatives {
		s, err := t.text(body, item)
		if err != nil {
			return "", err
		}
		if s = strings.TrimSpace(s); s != "" {
			got = s
			break
		}
	}
	if got != "" && v.words != nil {
		mapped, ok := v.words[fold(got)]
		switch {
		case ok:
			return mapped, nil
		case v.fallback != "":
			return v.fallback, nil
		}
	}
	if got == "" {
		return v.fallback, nil
	}
	return got, nil
}

func fold(word string) string { return strings.ToLower(strings.TrimSpace(word)) }
