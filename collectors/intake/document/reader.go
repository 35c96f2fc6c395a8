package document

import (
	"fmt"
	"math"
	"strconv"
)

// Reader takes typed values out of a document and remembers the first
// mistake, so that a decoder checks once. What is missing or null reads as
// the zero value.
type Reader struct {
	// Err is the first mistake, or nil.
	Err error
}

func (r *Reader) wrong(v *Value, want string) {
	if r.Err == nil {
		r.Err = v.Wrong(want)
	}
}

// Text reads a text; numbers and booleans are taken as they are written, since
// many senders mix them.
func (r *Reader) Text(v *Value) string {
	switch v.kind {
	case Array, Object:
		r.wrong(v, "text")
	}
	return v.text
}

// Object checks that v is an object, missing or null.
func (r *Reader) Object(v *Value) *Value {
	if v.Present() && v.kind != Object {
		r.wrong(v, "object")
	}
	return v
}

// Required checks that v is an object.
func (r *Reader) Required(v *Value) *Value {
	if v.kind != Object {
		r.wrong(v, "object")
	}
	return v
}

// Array checks that v is an array, missing or null.
func (r *Reader) Array(v *Value) *Value {
	if v.Present() && v.kind != Array {
		r.wrong(v, "array")
	}
	return v
}

// Int reads a whole number, also written as text or with a zero fraction.
func (r *Reader) Int(v *Value) int64 {
	n, ok := v.Int()
	if !ok && v.Present() && v.text != "" {
		if v.kind == Array || v.kind == Object {
			r.wrong(v, "number")
		} else if r.Err == nil {
			r.Err = fmt.Errorf("%s: %w: want a whole number, got %.32q", v.Path(), ErrType, v.text)
		}
	}
	return n
}

// Int reads a whole number, also written as text or with a zero fraction.
func (v *Value) Int() (int64, bool) {
	if v.kind != Number && v.kind != Text {
		return 0, false
	}
	if n, err := strconv.ParseInt(v.text, 10, 64); err == nil {
		return n, true
	}
	f, err := strconv.ParseFloat(v.text, 64)
	if err != nil || f != math.Trunc(f) || math.Abs(f) > 1<<53 {
		return 0, false
	}
	return int64(f), true
}
