package generic

import (
	"fmt"
	"math/big"
	"time"
)

// unixTime reads a number of seconds or parts of seconds; fractions count. It
// computes exactly, so that a millisecond is never lost to rounding.
func unixTime(text, format string) (time.Time, error) {
	const maxDigits = 32
	unit := map[string]int64{"unix": int64(time.Second), "unix_ms": int64(time.Millisecond), "unix_us": int64(time.Microsecond), "unix_ns": 1}[format]
	n, ok := new(big.Rat), false
	if len(text) <= maxDigits && plainNumber(text) {
		n, ok = n.SetString(text)
	}
	if !ok {
		return time.Time{}, fmt.Errorf("%.64q is not a number", text)
	}
	n.Mul(n, new(big.Rat).SetInt64(unit))
	nanos := new(big.Int).Quo(n.Num(), n.Denom())
	if !nanos.IsInt64() || nanos.Sign() < 0 {
		return time.Time{}, fmt.Errorf("%.64q is outside 1970 to 2262", text)
	}
	if nanos.Sign() == 0 {
		return time.Time{}, nil
	}
	return time.Unix(0, nanos.Int64()).UTC(), nil
}

// plainNumber says whether a text is digits with one dot at most: big.Rat
// would read exponents, which can be huge.
func plainNumber(s string) bool {
	dots := 0
	for i := range len(s) {
		switch c := s[i]; {
		case c == '.':
			dots++
		case c < '0' || c > '9':
			return false
		}
	}
	return s != "" && dots <= 1 && s != "."
}
