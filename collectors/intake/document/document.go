// Package document owns the JSON that senders push: a bounded tree that knows
// where each of its values stood, so that a refusal can name the place.
//
// Everything about a body is checked while it is read: syntax, UTF-8, doubled
// names, depth and size. A parsed tree is never changed; it may be read from
// several goroutines.
package document

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// Reasons to refuse a body. They travel wrapped, with the place in front.
var (
	// ErrSyntax: the bytes are not JSON, not UTF-8, or name a member twice.
	ErrSyntax = errors.New("malformed JSON")
	// ErrLimit: the body nests deeper or holds more values than allowed.
	ErrLimit = errors.New("over the limit")
	// ErrType: a value is of another kind than this place needs.
	ErrType = errors.New("wrong type")
)

// Kind is what a value is.
type Kind uint8

// The kinds of values. Missing is the zero Kind: there is no such value.
const (
	Missing Kind = iota
	Null
	Bool
	Number
	Text
	Array
	Object
)

// String names the kind as error messages do.
func (k Kind) String() string {
	return [...]string{"nothing", "null", "boolean", "number", "text", "array", "object"}[min(k, Object)]
}

// Limits bound a document. A zero field means its default.
type Limits struct {
	// Depth is how deep arrays and objects may nest. Default 32.
	Depth int
	// Values is how many values a body may hold; each costs about 100 bytes of
	// memory beside its text. Default 400,000.
	Values int
	// Members is how many members one object may have: looking one up takes as
	// long. Default 2,048.
	Members int
}

// The default limits.
const (
	DefaultDepth   = 32
	DefaultValues  = 400_000
	DefaultMembers = 2048
)

// Value is a JSON value and its place in the document. Values are never nil:
// what isn't there is a value of kind Missing.
type Value struct {
	kind   Kind
	index  int32  // in the parent, if that is an array
	size   int32  // children
	name   string // in the parent, if that is an object
	text   string // of a text, number or boolean
	parent *Value
	first  *Value
	last   *Value
	next   *Value
}

// Parse reads a body that holds exactly one JSON value. A byte order mark in
// front is skipped.
func Parse(body []byte, lim Limits) (*Value, error) {
	if lim.Depth <= 0 {
		lim.Depth = DefaultDepth
	}
	if lim.Values <= 0 {
		lim.Values = DefaultValues
	}
	if lim.Members <= 0 {
		lim.Members = DefaultMembers
	}
	body = bytes.TrimPrefix(body, []byte("\xef\xbb\xbf"))
	if len(bytes.TrimSpace(body)) == 0 {
		return nil, fmt.Errorf("body: %w: empty", ErrSyntax)
	}
	p := parser{dec: jsontext.NewDecoder(bytes.NewBuffer(body)), lim: lim}
	root, err := p.document()
	if err != nil {
		return nil, err
	}
	return root, nil
}

// ParseText reads JSON that stands in a text of another document.
func ParseText(text string, lim Limits) (*Value, error) { return Parse([]byte(text), lim) }

type parser struct {
	dec   *jsontext.Decoder
	lim   Limits
	chunk []Value // values are made by the chunk
	count int
}

// chunkLength is how many values are made at once, at most.
const chunkLength = 256

func (p *parser) make() *Value {
	if len(p.chunk) == 0 {
		p.chunk = make([]Value, min(chunkLength, 8+p.count))
	}
	v := &p.chunk[0]
	p.chunk = p.chunk[1:]
	p.count++
	return v
}

func (p *parser) document() (*Value, error) {
	var root, open *Value // open is the array or object being filled
	for {
		name, named := "", false
		if open != nil && open.kind == Object && p.dec.PeekKind() == '"' {
			tok, err := p.dec.ReadToken()
			if err != nil {
				return nil, p.broken(open, err)
			}
			name, named = tok.String(), true
		}
		tok, err := p.dec.ReadToken()
		if err != nil {
			if named {
				open = &Value{kind: Missing, name: name, parent: open}
			}
			return nil, p.broken(open, err)
		}
		if k := tok.Kind(); k == '}' || k == ']' {
			open = open.parent
		} else {
			if p.count >= p.lim.Values {
				return nil, fmt.Errorf("%s: %w: more than %d values", open.Path(), ErrLimit, p.lim.Values)
			}
			if named && int(open.size) >= p.lim.Members {
				return nil, fmt.Errorf("%s: %w: more than %d members", open.Path(), ErrLimit, p.lim.Members)
			}
			v := p.make()
			v.name = name
			if open == nil {
				root = v
			} else {
				open.add(v)
			}
			if v.set(tok) {
				open = v
				if p.dec.StackDepth() > p.lim.Depth {
					return nil, fmt.Errorf("%s: %w: nested deeper than %d", v.Path(), ErrLimit, p.lim.Depth)
				}
			}
		}
		if open == nil {
			return root, p.rest()
		}
	}
}

// rest makes sure that nothing follows.
func (p *parser) rest() error {
	if _, err := p.dec.ReadToken(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("body: %w: something follows after the value, at byte %d", ErrSyntax, p.dec.InputOffset())
	}
	return nil
}

// broken says where the bytes stopped being JSON.
func (p *parser) broken(at *Value, err error) error {
	var syntax *jsontext.SyntacticError
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return fmt.Errorf("%s: %w: the body ends in the middle, at byte %d", at.Path(), ErrSyntax, p.dec.InputOffset())
	case errors.As(err, &syntax) && syntax.Err != nil:
		place := at.Path()
		if errors.Is(syntax.Err, jsontext.ErrDuplicateName) {
			place += "." + syntax.JSONPointer.LastToken()
		}
		return fmt.Errorf("%s: %w: %w, at byte %d", place, ErrSyntax, syntax.Err, syntax.ByteOffset)
	}
	return fmt.Errorf("%s: %w: %w", at.Path(), ErrSyntax, err)
}

// set takes over a token and says whether it opens an array or object.
func (v *Value) set(tok jsontext.Token) bool {
	switch tok.Kind() {
	case 'n':
		v.kind = Null
	case 't', 'f':
		v.kind, v.text = Bool, strconv.FormatBool(tok.Bool())
	case '"':
		v.kind, v.text = Text, tok.String()
	case '0':
		v.kind, v.text = Number, tok.String()
	case '[':
		v.kind = Array
		return true
	case '{':
		v.kind = Object
		return true
	}
	return false
}

func (v *Value) add(child *Value) {
	child.parent, child.index = v, v.size
	v.size++
	if v.last == nil {
		v.first = child
	} else {
		v.last.next = child
	}
	v.last = child
}

// Kind says what the value is.
func (v *Value) Kind() Kind { return v.kind }

// Present says whether there is a value other than null.
func (v *Value) Present() bool { return v.kind > Null }

// Len counts the elements of an array or the members of an object.
func (v *Value) Len() int { return int(v.size) }

// Name is the value's name in its object, or "".
func (v *Value) Name() string { return v.name }

// Items yields the elements of an array; nothing for other kinds.
func (v *Value) Items() iter.Seq2[int, *Value] {
	return func(yield func(int, *Value) bool) {
		if v.kind != Array {
			return
		}
		for c := v.first; c != nil && yield(int(c.index), c); c = c.next {
		}
	}
}

// Members yields the members of an object in the body's order; nothing for
// other kinds.
func (v *Value) Members() iter.Seq2[string, *Value] {
	return func(yield func(string, *Value) bool) {
		if v.kind != Object {
			return
		}
		for c := v.first; c != nil && yield(c.name, c); c = c.next {
		}
	}
}

// Get returns a member of an object, or a Missing value that knows its place.
func (v *Value) Get(name string) *Value {
	if c := v.member(name); c != nil {
		return c
	}
	return &Value{name: name, parent: v}
}

func (v *Value) member(name string) *Value {
	if v.kind != Object {
		return nil
	}
	for c := v.first; c != nil; c = c.next {
		if c.name == name {
			return c
		}
	}
	return nil
}

// First returns the first of the named members that is there and not null.
func (v *Value) First(names ...string) *Value {
	for _, n := range names {
		if c := v.member(n); c != nil && c.Present() {
			return c
		}
	}
	return &Value{name: names[0], parent: v}
}

// At returns an element of an array, or a Missing value. A negative index
// counts from the end. It takes as long as the index is large.
func (v *Value) At(i int) *Value {
	if i < 0 {
		i += v.Len()
	}
	if v.kind == Array && i == v.Len()-1 && v.last != nil {
		return v.last
	}
	if v.kind == Array && i >= 0 {
		for j, c := range v.Items() {
			if j == i {
				return c
			}
		}
	}
	return &Value{index: int32(min(max(i, 0), 1<<30)), parent: v}
}

// maxDots bounds the ways in which a dotted path may be cut.
const maxDots = 8

// Find returns the value at a dotted path like "host.name", whether the sender
// nests objects, writes dotted names, or mixes both ({"a.b": {"c": 1}}).
func (v *Value) Find(path string) *Value {
	if strings.Count(path, ".") > maxDots {
		return v.Get(path)
	}
	if c := v.find(path); c != nil {
		return c
	}
	return &Value{name: path, parent: v}
}

func (v *Value) find(path string) *Value {
	if v.kind != Object {
		return nil
	}
	if c := v.member(path); c != nil {
		return c
	}
	for i := range len(path) {
		if path[i] != '.' {
			continue
		}
		if c := v.member(path[:i]); c != nil {
			if d := c.find(path[i+1:]); d != nil {
				return d
			}
		}
	}
	return nil
}

// Scalar is the text of a text, number or boolean; "" for everything else.
func (v *Value) Scalar() string { return v.text }

// Loose is Scalar, or that of the first element where a sender wraps values in
// arrays, as Elasticsearch's fields are.
func (v *Value) Loose() string {
	if v.kind == Array && v.first != nil {
		return v.first.text
	}
	return v.text
}

// Path names the value's place: alerts[3].labels.severity. The whole body is
// "body".
func (v *Value) Path() string {
	if v == nil || v.parent == nil {
		return "body"
	}
	var steps []string
	length := 0
	for ; v.parent != nil && length < maxPath; v = v.parent {
		step := v.name
		switch {
		case v.parent.kind == Array:
			step = "[" + strconv.Itoa(int(v.index)) + "]"
		case !plain(step):
			step = "[" + strconv.Quote(cut(step, maxName)) + "]"
		case v.parent.parent != nil:
			step = "." + step
		}
		steps = append(steps, step)
		length += len(step)
	}
	var b strings.Builder
	for _, step := range slices.Backward(steps) {
		b.WriteString(step)
	}
	return b.String()
}

// Bounds of a printed place, so that a body can't make its own refusal large.
const (
	maxPath = 512
	maxName = 64
)

func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + "..."
}

// plain says whether a name can stand in a path without quotes.
func plain(s string) bool {
	for i := range len(s) {
		c := s[i]
		if c != '_' && c != '-' && c != '@' && (c|0x20 < 'a' || c|0x20 > 'z') && (c < '0' || c > '9') {
			return false
		}
	}
	return s != "" && len(s) <= maxName
}

// Wrong is the error for a value of another kind than wanted.
func (v *Value) Wrong(want string) error {
	return fmt.Errorf("%s: %w: want %s, got %s", v.Path(), ErrType, want, v.kind)
}
