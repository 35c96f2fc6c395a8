package config

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"go.yaml.in/yaml/v3"
)

// Duration is a span of time in Prometheus's notation: 15s, 5m, 1h30m, 8d, 1w.
type Duration time.Duration

// Std returns the duration as the standard library has it.
func (d Duration) Std() time.Duration { return time.Duration(d) }

// String writes the duration in Prometheus's notation.
func (d Duration) String() string { return model.Duration(d).String() }

// MarshalText writes the duration in Prometheus's notation.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads Prometheus's notation; a negative duration is an error.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := model.ParseDuration(string(text))
	if err != nil {
		return fmt.Errorf("%q is not a duration like 15s, 5m or 8d", text)
	}
	*d = Duration(v)
	return nil
}

// Size is a number of bytes: 1048576, 512KiB, 64MiB, 1GiB, or decimal 500MB.
type Size int64

// units are the endings of a Size, longest first so that KiB isn't read as B.
var units = []struct {
	name  string
	bytes int64
}{
	{"KiB", 1 << 10},
	{"MiB", 1 << 20},
	{"GiB", 1 << 30},
	{"TiB", 1 << 40},
	{"KB", 1e3},
	{"MB", 1e6},
	{"GB", 1e9},
	{"TB", 1e12},
	{"B", 1},
}

// Int64 returns the number of bytes.
func (s Size) Int64() int64 { return int64(s) }

// String writes the size in the largest binary unit that divides it.
func (s Size) String() string {
	for i := 3; i >= 0; i-- {
		if u := units[i]; s != 0 && int64(s)%u.bytes == 0 {
			return strconv.FormatInt(int64(s)/u.bytes, 10) + u.name
		}
	}
	return strconv.FormatInt(int64(s), 10)
}

// MarshalText writes the size as String does.
func (s Size) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads a whole number with or without a unit.
func (s *Size) UnmarshalText(text []byte) error {
	number, factor := strings.TrimSpace(string(text)), int64(1)
	for _, u := range units {
		if n, ok := strings.CutSuffix(number, u.name); ok {
			number, factor = strings.TrimSpace(n), u.bytes
			break
		}
	}
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || n < 0 {
		return fmt.Errorf("%q is not a size like 64MiB, 500MB or 1048576", text)
	}
	if n > math.MaxInt64/factor {
		return fmt.Errorf("%q is too large", text)
	}
	*s = Size(n * factor)
	return nil
}

// Secret is a text that must not be shown. Its String and its marshalled forms
// hide it.
type Secret string

const hidden = "<secret>"

// String hides the secret; Reveal returns it.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return hidden
}

// GoString hides the secret from %#v.
func (s Secret) GoString() string { return strconv.Quote(s.String()) }

// MarshalText hides the secret.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText takes the secret as it stands. The text that stands for a
// hidden one is refused: it comes from a copied display, not from a person.
func (s *Secret) UnmarshalText(text []byte) error {
	if string(text) == hidden {
		return errors.New(hidden + " stands for a secret and is none")
	}
	*s = Secret(text)
	return nil
}

// Reveal returns the secret itself.
func (s Secret) Reveal() string { return string(s) }

// Raw is a section that another package reads: this one keeps it as it stands.
type Raw struct {
	node        *yaml.Node
	file, field string
}

// IsZero reports whether the section is missing or empty.
func (r Raw) IsZero() bool { return r.node == nil }

// MarshalYAML writes the section as it was read.
func (r Raw) MarshalYAML() (any, error) { return r.node, nil }
