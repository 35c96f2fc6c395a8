package syslog

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
)

// maxCount is how many digits an octet count may have.
const maxCount = 7

// ErrFrame: the stream isn't framed as RFC 6587 describes.
var ErrFrame = errors.New("malformed syslog frame")

// Frame reads the next message of a stream, whether its length is told in front
// ("LEN SP MSG") or it ends with a newline; it is an intake.FrameFunc. A sender
// may use either way for each message.
func Frame(r *bufio.Reader, limit int) ([]byte, error) {
	for {
		c, err := r.Peek(1)
		if err != nil {
			if errors.Is(err, io.EOF) {
				return nil, io.EOF
			}
			return nil, err
		}
		switch {
		case c[0] >= '1' && c[0] <= '9':
			return counted(r, limit)
		case c[0] == '\n' || c[0] == '\r' || c[0] == 0:
			if _, err := r.Discard(1); err != nil {
				return nil, err
			}
		default:
			return terminated(r, limit)
		}
	}
}

// counted reads a message whose length stands in front.
func counted(r *bufio.Reader, limit int) ([]byte, error) {
	digits := make([]byte, 0, maxCount)
	for {
		c, err := r.ReadByte()
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrFrame, io.ErrUnexpectedEOF)
		}
		if c == ' ' {
			break
		}
		if c < '0' || c > '9' || len(digits) == maxCount {
			return nil, fmt.Errorf("%w: the length is not a number", ErrFrame)
		}
		digits = append(digits, c)
	}
	n, err := strconv.Atoi(string(digits))
	if err != nil || n > limit {
		return nil, fmt.Errorf("%w: %s bytes, at most %d", ErrFrame, digits, limit)
	}
	msg := make([]byte, n)
	if _, err := io.ReadFull(r, msg); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFrame, io.ErrUnexpectedEOF)
	}
	return msg, nil
}

// terminated reads up to a newline, or NUL as some senders end messages.
func terminated(r *bufio.Reader, limit int) ([]byte, error) {
	var msg []byte
	for {
		part, err := r.ReadSlice('\n')
		if len(msg)+len(part) > limit+1 {
			return nil, fmt.Errorf("%w: a line of more than %d bytes", ErrFrame, limit)
		}
		msg = append(msg, part...)
		switch {
		case err == nil, errors.Is(err, io.EOF) && len(msg) > 0:
			return bytes.TrimRight(msg, "\r\n\x00"), nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, err
		}
	}
}

// split cuts a body into messages: octet-counted, or one that begins with each
// line that starts with a priority. Lines that don't belong to the message
// before them, as those of a stack trace do.
func split(body []byte) ([]string, error) {
	if len(body) > 0 && body[0] >= '1' && body[0] <= '9' {
		var out []string
		r := bufio.NewReader(bytes.NewReader(body))
		for {
			msg, err := Frame(r, MaxMessage)
			if errors.Is(err, io.EOF) {
				return out, nil
			}
			if err != nil {
				return out, fmt.Errorf("message %d: %w", len(out)+1, err)
			}
			if out = append(out, string(msg)); len(out) > maxMessages {
				return out, nil
			}
		}
	}
	var out []string
	start, at := -1, 0 // of the message being gathered; of the line
	for line := range bytes.Lines(body) {
		switch {
		case start < 0 && len(bytes.TrimSpace(line)) == 0:
		case start < 0:
			start = at
		case begins(line):
			if out = append(out, string(body[start:at])); len(out) > maxMessages {
				return out, nil
			}
			start = at
		}
		at += len(line)
	}
	if start >= 0 {
		out = append(out, string(body[start:]))
	}
	return out, nil
}

// begins says whether a line starts with a priority.
func begins(line []byte) bool {
	end := bytes.IndexByte(line[:min(len(line), 5)], '>')
	if end < 2 || line[0] != '<' {
		return false
	}
	return len(bytes.Trim(line[1:end], "0123456789")) == 0
}
