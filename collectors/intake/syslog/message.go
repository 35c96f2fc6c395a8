// Package syslog owns log messages that are alerts: the syntax of RFC 5424, its
// framing on streams (RFC 6587), and what a message means.
package syslog

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Bounds of a message, in bytes.
const (
	// MaxMessage is the largest message taken; RFC 5424 asks for 2 KiB.
	MaxMessage  = 64 << 10
	maxField    = 255 // of host, application, process and message ID
	maxElements = 16  // structured data elements
	maxParams   = 64  // parameters of all elements
	maxSeverity = 7
	maxPriority = 191
)

// ErrSyntax: the message isn't RFC 5424.
var ErrSyntax = errors.New("not an RFC 5424 message")

// message is a parsed message. Fields that are "-" in it are empty.
type message struct {
	facility, severity     int
	time                   time.Time
	host, app, process, id string
	params                 []param
	text                   string
}

// param is a parameter of structured data.
type param struct{ element, name, value string }

// parse reads one message. Times without a zone, which the RFC doesn't know
// but senders write, are in zone.
func parse(line string, zone *time.Location) (message, error) {
	var m message
	rest, err := m.priority(strings.TrimRight(line, "\r\n\x00"))
	if err != nil {
		return m, err
	}
	version, rest, ok := strings.Cut(rest, " ")
	if !ok || version != "1" {
		return m, fmt.Errorf("version: %w: want 1, got %.8q", ErrSyntax, version)
	}
	var stamp string
	for _, f := range []struct {
		name string
		to   *string
	}{{"timestamp", &stamp}, {"hostname", &m.host}, {"app-name", &m.app}, {"procid", &m.process}, {"msgid", &m.id}} {
		var v string
		if v, rest, ok = strings.Cut(rest, " "); !ok || v == "" || len(v) > maxField {
			return m, fmt.Errorf("%s: %w: missing, or longer than %d bytes", f.name, ErrSyntax, maxField)
		}
		if v != "-" {
			*f.to = strings.ToValidUTF8(v, "\ufffd")
		}
	}
	if m.time, err = parseTime(stamp, zone); err != nil {
		return m, err
	}
	if rest, err = m.structured(rest); err != nil {
		return m, err
	}
	text := strings.TrimPrefix(strings.TrimPrefix(rest, " "), "\ufeff")
	m.text = strings.ToValidUTF8(strings.TrimRight(text, "\r\n\x00 \t"), "\ufffd")
	return m, nil
}

func (m *message) priority(line string) (string, error) {
	end := strings.IndexByte(line, '>')
	if !strings.HasPrefix(line, "<") || end < 2 || end > 4 {
		return "", fmt.Errorf("priority: %w: it must begin with <0> to <%d>", ErrSyntax, maxPriority)
	}
	pri, err := strconv.ParseUint(line[1:end], 10, 8)
	if err != nil || pri > maxPriority {
		return "", fmt.Errorf("priority: %w: %.8q is not 0 to %d", ErrSyntax, line[1:end], maxPriority)
	}
	m.facility, m.severity = int(pri>>3), int(pri&maxSeverity)
	return line[end+1:], nil
}

// parseTime reads the timestamp; "" is the zero time.
func parseTime(s string, zone *time.Location) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999Z0700"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t, nil
		}
	}
	t, err := time.ParseInLocation("2006-01-02T15:04:05.999999999", s, zone)
	if err != nil {
		return time.Time{}, fmt.Errorf("timestamp: %w: %.40q", ErrSyntax, s)
	}
	return t, nil
}

// structured reads the structured data and returns what follows.
func (m *message) structured(s string) (string, error) {
	if rest, ok := strings.CutPrefix(s, "-"); ok {
		if rest != "" && rest[0] != ' ' {
			return "", fmt.Errorf("structured data: %w: a space is wanted after it", ErrSyntax)
		}
		return rest, nil
	}
	if !strings.HasPrefix(s, "[") {
		return "", fmt.Errorf("structured data: %w: want - or [, got %.8q", ErrSyntax, s)
	}
	for n := 0; strings.HasPrefix(s, "["); n++ {
		if n == maxElements {
			return "", fmt.Errorf("structured data: %w: more than %d elements", ErrSyntax, maxElements)
		}
		var err error
		if s, err = m.element(s[1:]); err != nil {
			return "", err
		}
	}
	if s != "" && s[0] != ' ' {
		return "", fmt.Errorf("structured data: %w: a space is wanted after it", ErrSyntax)
	}
	return s, nil
}

// element reads one element after its opening bracket.
func (m *message) element(s string) (string, error) {
	end := strings.IndexAny(s, " ]")
	if end < 1 || strings.ContainsAny(s[:end], "=\"") {
		return "", fmt.Errorf("structured data: %w: an element has no name", ErrSyntax)
	}
	element := s[:end]
	s = s[end:]
	for {
		if rest, ok := strings.CutPrefix(s, "]"); ok {
			return rest, nil
		}
		s = strings.TrimLeft(s, " ")
		name, rest, ok := strings.Cut(s, `="`)
		if !ok || name == "" || strings.ContainsAny(name, " ]\"=") || len(name) > maxField {
			if strings.HasPrefix(s, "]") {
				continue
			}
			return "", fmt.Errorf("structured data: %w: element %.40q: name=\"value\" is wanted", ErrSyntax, element)
		}
		value, after, err := quoted(rest)
		if err != nil {
			return "", fmt.Errorf("structured data: %w: element %.40q: the value of %.40q has no end", err, element, name)
		}
		if len(m.params) < maxParams {
			m.params = append(m.params, param{element, strings.ToValidUTF8(name, "\ufffd"), strings.ToValidUTF8(value, "\ufffd")})
		}
		s = after
	}
}

// quoted reads a value after its opening quote. A backslash escapes a quote, a
// backslash or a bracket; before anything else it stands for itself.
func quoted(s string) (value, rest string, err error) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"':
			return b.String(), s[i+1:], nil
		case c == '\\' && i+1 < len(s) && (s[i+1] == '"' || s[i+1] == '\\' || s[i+1] == ']'):
			i++
			b.WriteByte(s[i])
		default:
			b.WriteByte(c)
		}
	}
	return "", "", ErrSyntax
}
