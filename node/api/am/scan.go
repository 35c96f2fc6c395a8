package am

import (
	"fmt"
	"math/bits"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// maxDepth bounds how deep a value under an unknown key may nest.
const maxDepth = 64

// kind is what a JSON value looks like from its first byte.
type kind byte

const (
	kindNone kind = iota
	kindText
	kindNumber
	kindBool
	kindNull
	kindArray
	kindObject
)

func (k kind) String() string {
	return [...]string{"nothing", "text", "number", "bool", "null", "array", "object"}[k]
}

// scanner reads JSON (RFC 8259) front to back out of one body that is known to
// be UTF-8. The body is a string, so texts without escapes are parts of it and
// cost nothing.
type scanner struct {
	body string
	pos  int
	// cooked is the last text that held an escape.
	cooked []byte
	// path is the path to the value that is being read, for errors.
	path []string
}

// syntaxError says where a body is no JSON, or not the JSON that was asked for.
type syntaxError struct {
	path   string
	offset int
	what   string
}

func (e *syntaxError) Error() string {
	if e.path == "" {
		return fmt.Sprintf("%s (at byte %d)", e.what, e.offset)
	}
	return fmt.Sprintf("%s: %s (at byte %d)", e.path, e.what, e.offset)
}

// fail builds the error for the current position.
func (s *scanner) fail(format string, args ...any) error {
	return &syntaxError{strings.Join(s.path, ""), s.pos, fmt.Sprintf(format, args...)}
}

// enter adds a member's name to the path; leave takes it off again.
func (s *scanner) enter(name string) {
	s.path = append(s.path, name)
}

func (s *scanner) leave() { s.path = s.path[:len(s.path)-1] }

// member is a name as it stands in a path: .name or ["odd name"].
func member(name string) string {
	for i := range len(name) {
		if c := name[i]; c != '_' && (c|0x20 < 'a' || c|0x20 > 'z') && (i == 0 || c < '0' || c > '9') {
			return "[" + strconv.Quote(shorten(name)) + "]"
		}
	}
	if name == "" {
		return `[""]`
	}
	return "." + shorten(name)
}

// shorten keeps an error readable whatever the sender wrote.
func shorten(name string) string {
	if len(name) <= 64 {
		return name
	}
	return strings.ToValidUTF8(name[:64], "") + "..."
}

// space skips white space and returns the next byte, 0 at the end.
func (s *scanner) space() byte {
	for s.pos < len(s.body) {
		c := s.body[s.pos]
		if c > ' ' {
			return c
		}
		if c != ' ' && c != '\n' && c != '\t' && c != '\r' {
			return c
		}
		s.pos++
	}
	return 0
}

// peek says what comes next.
func (s *scanner) peek() kind {
	switch c := s.space(); {
	case c == '"':
		return kindText
	case c == '{':
		return kindObject
	case c == '[':
		return kindArray
	case c == 't', c == 'f':
		return kindBool
	case c == 'n':
		return kindNull
	case c == '-', c >= '0' && c <= '9':
		return kindNumber
	}
	return kindNone
}

// want reports that something else stands where a value of this kind should.
func (s *scanner) want(what string) error {
	k := s.peek()
	if k == kindNone {
		return s.unexpected("looking for " + what)
	}
	return s.fail("want %s, got %s", what, k)
}

// unexpected reports the byte at the current position.
func (s *scanner) unexpected(while string) error {
	if s.pos >= len(s.body) {
		return s.fail("unexpected end of JSON %s", while)
	}
	r, _ := utf8.DecodeRuneInString(s.body[s.pos:])
	return s.fail("invalid character %q %s", r, while)
}

// open steps into an array or object and says whether it is empty.
func (s *scanner) open(closing byte) (empty bool) {
	s.pos++
	if s.space() == closing {
		s.pos++
		return true
	}
	return false
}

// next steps to the next member; done is set after the last one.
func (s *scanner) next(closing byte) (done bool, err error) {
	switch s.space() {
	case ',':
		s.pos++
		return false, nil
	case closing:
		s.pos++
		return true, nil
	}
	return false, s.unexpected("after a value; want ',' or '" + string(closing) + "'")
}

// key reads the name of an object's member and the colon.
func (s *scanner) key() (string, error) {
	if s.space() != '"' {
		return "", s.unexpected("looking for a key")
	}
	name, err := s.text()
	if err != nil {
		return "", err
	}
	if s.space() != ':' {
		return "", s.unexpected("after a key; want ':'")
	}
	s.pos++
	return name, nil
}

// literal reads true, false or null.
func (s *scanner) literal(word string) error {
	if !strings.HasPrefix(s.body[s.pos:], word) {
		return s.unexpected("in a literal; want " + word)
	}
	s.pos += len(word)
	return nil
}

const (
	lowBits  = 0x0101010101010101
	highBits = 0x8080808080808080
)

// special marks the bytes of w that end a plain run of a text: the quote, the
// backslash and control characters. Eight bytes are looked at together; the
// lowest mark is exact.
func special(w uint64) uint64 {
	quote, back := w^lowBits*'"', w^lowBits*'\\'
	return (((quote - lowBits) &^ quote) | ((back - lowBits) &^ back) | ((w - lowBits*0x20) &^ w)) & highBits
}

// text reads a string; the position is at its opening quote.
func (s *scanner) text() (string, error) {
	plain, cooked, err := s.read()
	if cooked != nil {
		return string(cooked), err
	}
	return plain, err
}

// read is text without a copy: a text without escapes is part of the body, one
// with escapes is in a buffer that the next read overwrites.
func (s *scanner) read() (plain string, cooked []byte, err error) {
	start := s.pos + 1
	i := s.plain(start)
	if i < len(s.body) && s.body[i] == '"' {
		s.pos = i + 1
		return s.body[start:i], nil, nil
	}
	s.cooked, err = s.escaped(s.cooked[:0], start, i)
	return "", s.cooked, err
}

// plain returns the first position from i on that needs a look.
func (s *scanner) plain(i int) int {
	b := s.body
	for i+8 <= len(b) {
		w := uint64(b[i]) | uint64(b[i+1])<<8 | uint64(b[i+2])<<16 | uint64(b[i+3])<<24 |
			uint64(b[i+4])<<32 | uint64(b[i+5])<<40 | uint64(b[i+6])<<48 | uint64(b[i+7])<<56
		if m := special(w); m != 0 {
			return i + bits.TrailingZeros64(m)/8
		}
		i += 8
	}
	for i < len(b) && b[i] >= 0x20 && b[i] != '"' && b[i] != '\\' {
		i++
	}
	return i
}

// escaped reads on a text that holds an escape, or reports what is wrong. It
// never returns nil for the text.
func (s *scanner) escaped(buf []byte, start, i int) ([]byte, error) {
	if buf == nil {
		buf = make([]byte, 0, 256)
	}
	for {
		buf = append(buf, s.body[start:i]...)
		s.pos = i
		var err error
		switch {
		case i >= len(s.body):
			return buf, s.unexpected("in a text")
		case s.body[i] == '"':
			s.pos++
			return buf, nil
		case s.body[i] != '\\':
			return buf, s.unexpected("in a text; control characters must be escaped")
		}
		if buf, err = s.escape(buf); err != nil {
			return buf, err
		}
		start = s.pos
		i = s.plain(start)
	}
}

// escape reads one escape sequence, or two that make up one character.
func (s *scanner) escape(buf []byte) ([]byte, error) {
	if s.pos+1 >= len(s.body) {
		s.pos = len(s.body)
		return buf, s.unexpected("in an escape")
	}
	s.pos++
	c := s.body[s.pos]
	if c == 'u' {
		r, ok := s.hex(s.pos + 1)
		if !ok {
			return buf, s.fail(`invalid escape: \u wants four hexadecimal digits`)
		}
		s.pos += 5
		if utf16.IsSurrogate(r) {
			r = s.lowHalf(r)
		}
		return utf8.AppendRune(buf, r), nil
	}
	i := strings.IndexByte(`"\/bfnrt`, c)
	if i < 0 {
		return buf, s.unexpected("in an escape")
	}
	s.pos++
	return append(buf, "\"\\/\b\f\n\r\t"[i]), nil
}

// lowHalf joins a surrogate with the one that follows; a lone one is the
// replacement character, as encoding/json has it.
func (s *scanner) lowHalf(high rune) rune {
	if strings.HasPrefix(s.body[s.pos:], `\u`) {
		if low, ok := s.hex(s.pos + 2); ok {
			if r := utf16.DecodeRune(high, low); r != utf8.RuneError {
				s.pos += 6
				return r
			}
		}
	}
	return utf8.RuneError
}

// hex reads four hexadecimal digits.
func (s *scanner) hex(at int) (r rune, ok bool) {
	if at+4 > len(s.body) {
		return 0, false
	}
	for _, c := range []byte(s.body[at : at+4]) {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			c = c | 0x20 - 'a' + 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}

// number reads a number, checking RFC 8259's grammar.
func (s *scanner) number() error {
	b, i := s.body, s.pos
	digits := func() bool {
		start := i
		for i < len(b) && b[i] >= '0' && b[i] <= '9' {
			i++
		}
		return i > start
	}
	if b[i] == '-' {
		i++
	}
	ok := true
	if i < len(b) && b[i] == '0' {
		i++
	} else {
		ok = digits()
	}
	if ok && i < len(b) && b[i] == '.' {
		i++
		ok = digits()
	}
	if ok && i < len(b) && b[i]|0x20 == 'e' {
		i++
		if i < len(b) && (b[i] == '+' || b[i] == '-') {
			i++
		}
		ok = digits()
	}
	s.pos = i
	if !ok {
		return s.unexpected("in a number")
	}
	return nil
}

// skip reads over a value of any kind.
func (s *scanner) skip() error {
	var open [maxDepth]byte // closing brackets that are due
	depth := 0
	for {
		deeper, err := s.skipOne(&open, &depth)
		if err != nil {
			return err
		}
		for !deeper {
			if depth == 0 {
				return nil
			}
			done, err := s.next(open[depth-1])
			if err != nil {
				return err
			}
			if !done {
				if open[depth-1] == '}' {
					if _, err := s.key(); err != nil {
						return err
					}
				}
				break
			}
			depth--
		}
	}
}

// skipOne reads a scalar, an empty container or the begin of a container.
func (s *scanner) skipOne(open *[maxDepth]byte, depth *int) (deeper bool, err error) {
	closing := byte(']')
	switch s.peek() {
	case kindText:
		_, err = s.text()
		return false, err
	case kindNumber:
		return false, s.number()
	case kindBool:
		if s.body[s.pos] == 't' {
			return false, s.literal("true")
		}
		return false, s.literal("false")
	case kindNull:
		return false, s.literal("null")
	case kindArray:
	case kindObject:
		closing = '}'
	default:
		return false, s.unexpected("looking for a value")
	}
	if s.open(closing) {
		return false, nil
	}
	if *depth == maxDepth {
		return false, s.fail("nested deeper than %d", maxDepth)
	}
	open[*depth] = closing
	*depth++
	if closing == '}' {
		_, err = s.key()
	}
	return true, err
}
