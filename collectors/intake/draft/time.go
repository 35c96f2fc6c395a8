package draft

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Time reads a time as monitoring systems write it: RFC 3339 with any
// fraction, zones with and without colon, dates with dashes, dots, slashes or
// nothing between, and Unix time in seconds, milliseconds, microseconds or
// nanoseconds. zone is that of times without one. Empty texts and the year 1
// are the zero time; so is Unix time 0.
func Time(text string, zone *time.Location) (time.Time, error) {
	s := strings.TrimSpace(text)
	if s == "" || strings.HasPrefix(s, "0001-01-01") {
		return time.Time{}, nil
	}
	if t, ok := unix(s); ok {
		return t, nil
	}
	p := scanner{rest: s, zone: zone}
	t, ok := p.time()
	if !ok {
		return time.Time{}, fmt.Errorf("%.64q is not a time", text)
	}
	if y := t.Year(); y < 1970 || y > 2261 {
		return time.Time{}, fmt.Errorf("time %.64q is outside 1970 to 2261", text)
	}
	return t, nil
}

// TimeOr is Time for places where a garbled time must not lose the alert: the
// zero time then.
func TimeOr(text string, zone *time.Location) time.Time {
	t, err := Time(text, zone)
	if err != nil {
		return time.Time{}
	}
	return t
}

// unix reads Unix time; its unit shows by its size.
func unix(s string) (time.Time, bool) {
	whole, frac, dotted := strings.Cut(s, ".")
	if whole == "0" && strings.Trim(frac, "0") == "" {
		return time.Time{}, true
	}
	if len(whole) < 9 || len(whole) > 19 || !digits(whole) || dotted && (len(whole) > 10 || !digits(frac) || len(frac) > 9) {
		return time.Time{}, false
	}
	n, err := strconv.ParseInt(whole, 10, 64)
	if err != nil {
		return time.Time{}, false
	}
	switch {
	case len(whole) <= 10:
		nanos, _ := strconv.ParseInt((frac + "000000000")[:9], 10, 64)
		return time.Unix(n, nanos).UTC(), true
	case len(whole) <= 13:
		return time.UnixMilli(n).UTC(), true
	case len(whole) == 14:
		return time.Time{}, false // 20061102150405 without separators
	case len(whole) <= 16:
		return time.UnixMicro(n).UTC(), true
	}
	return time.Unix(0, n).UTC(), true
}

func digits(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

// scanner reads a written time from left to right.
type scanner struct {
	rest string
	zone *time.Location
}

func (p *scanner) time() (time.Time, bool) {
	year, ok1 := p.number(4)
	sep := p.any("-./")
	month, ok2 := p.field(sep)
	if sep != 0 && p.any("-./") != sep {
		return time.Time{}, false
	}
	day, ok3 := p.field(sep)
	if !ok1 || !ok2 || !ok3 {
		return time.Time{}, false
	}
	hour, minute, second, nanos, ok := p.clock()
	if !ok {
		return time.Time{}, false
	}
	zone, ok := p.offset()
	if !ok || p.rest != "" {
		return time.Time{}, false
	}
	if d := time.Date(year, time.Month(month), day, 0, 0, 0, 0, time.UTC); d.Day() != day || int(d.Month()) != month {
		return time.Time{}, false // 31 February
	}
	return time.Date(year, time.Month(month), day, hour, minute, second, nanos, zone).UTC(), true
}

// field is a number of two digits, or one where separators are written.
func (p *scanner) field(sep byte) (int, bool) {
	if n, ok := p.number(2); ok {
		return n, true
	}
	if sep == 0 {
		return 0, false
	}
	return p.number(1)
}

func (p *scanner) clock() (hour, minute, second, nanos int, ok bool) {
	if p.rest == "" {
		return 0, 0, 0, 0, true // a date alone is its midnight
	}
	p.any("Tt ")
	if hour, ok = p.number(2); !ok {
		return 0, 0, 0, 0, false
	}
	sep := p.any(":")
	if minute, ok = p.number(2); !ok {
		return 0, 0, 0, 0, false
	}
	if sep == 0 || p.any(":") == sep {
		if second, ok = p.number(2); !ok {
			return 0, 0, 0, 0, false
		}
	}
	if p.any(".,") != 0 {
		n := 0
		for n < len(p.rest) && p.rest[n] >= '0' && p.rest[n] <= '9' {
			n++
		}
		if n == 0 {
			return 0, 0, 0, 0, false
		}
		nanos, _ = strconv.Atoi((p.rest[:n] + "000000000")[:9])
		p.rest = p.rest[n:]
	}
	// 24:00:00 and leap seconds roll over, as time.Date does it.
	return hour, minute, second, nanos, hour <= 24 && minute < 60 && second <= 60
}

// offset reads the zone. Letters other than UTC's are ambiguous (CST): they
// mean the configured zone.
func (p *scanner) offset() (*time.Location, bool) {
	p.rest = strings.TrimLeft(p.rest, " ")
	for _, utc := range []string{"UTC", "GMT", "Z", "z"} {
		if rest, ok := strings.CutPrefix(p.rest, utc); ok {
			p.rest = strings.TrimLeft(rest, " ")
			if p.rest == "" {
				return time.UTC, true
			}
			break
		}
	}
	if p.rest == "" {
		return p.zone, true
	}
	sign := p.any("+-")
	if sign == 0 {
		if len(p.rest) <= 5 && strings.Trim(p.rest, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == "" {
			p.rest = ""
			return p.zone, true
		}
		return nil, false
	}
	hour, ok := p.number(2)
	if !ok || hour > 15 {
		return nil, false
	}
	minute := 0
	p.any(":")
	if p.rest != "" {
		if minute, ok = p.number(2); !ok || minute > 59 {
			return nil, false
		}
	}
	seconds := hour*3600 + minute*60
	if sign == '-' {
		seconds = -seconds
	}
	// A zone's letters may follow its offset: "+0800 CST".
	if rest := strings.TrimLeft(p.rest, " "); len(rest) <= 5 && strings.Trim(rest, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == "" {
		p.rest = ""
	}
	return time.FixedZone("", seconds), true
}

// number takes exactly n digits.
func (p *scanner) number(n int) (int, bool) {
	if len(p.rest) < n || !digits(p.rest[:n]) {
		return 0, false
	}
	v, err := strconv.Atoi(p.rest[:n])
	p.rest = p.rest[n:]
	return v, err == nil
}

// any takes one of the bytes, or nothing and returns 0.
func (p *scanner) any(set string) byte {
	if p.rest == "" || strings.IndexByte(set, p.rest[0]) < 0 {
		return 0
	}
	c := p.rest[0]
	p.rest = p.rest[1:]
	return c
}
