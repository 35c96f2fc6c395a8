package rule

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// ErrWindow: a text is no weekday, range of weekdays or range of hours.
var ErrWindow = errors.New("invalid time window")

// Days is a set of weekdays, bit time.Weekday. 0 means every day.
type Days uint8

// ParseDays reads weekdays: "mon", "monday", "mon-fri", "sat,sun", and
// "weekdays", "weekend"; a range may run over the end of the week.
func ParseDays(text string) (Days, error) {
	var out Days
	for part := range strings.SplitSeq(strings.ToLower(text), ",") {
		part = strings.TrimSpace(part)
		switch part {
		case "weekdays":
			out |= 0b0111110
			continue
		case "weekend":
			out |= 0b1000001
			continue
		}
		from, to, isRange := strings.Cut(part, "-")
		a, okA := weekday(strings.TrimSpace(from))
		b := a
		okB := true
		if isRange {
			b, okB = weekday(strings.TrimSpace(to))
		}
		if !okA || !okB {
			return 0, fmt.Errorf("%w: %.40q is no weekday or range of them (mon, mon-fri, weekend)", ErrWindow, part)
		}
		for d := a; ; d = (d + 1) % 7 {
			out |= 1 << d
			if d == b {
				break
			}
		}
	}
	return out, nil
}

func weekday(s string) (int, bool) {
	for d := time.Sunday; d <= time.Saturday; d++ {
		full := strings.ToLower(d.String())
		if s == full || s == full[:3] {
			return int(d), true
		}
	}
	return 0, false
}

func (d Days) has(day time.Weekday) bool { return d == 0 || d&(1<<day) != 0 }

// Hours is a range of the clock in minutes since midnight: From is in it, To
// isn't. To <= From runs over midnight; equal ones are a whole day from From on.
type Hours struct{ From, To int }

// ParseHours reads "09:00-18:00", "22:00-06:00", "00:00-24:00".
func ParseHours(text string) (Hours, error) {
	from, to, ok := strings.Cut(text, "-")
	a, okA := clock(strings.TrimSpace(from))
	b, okB := clock(strings.TrimSpace(to))
	if !ok || !okA || !okB || a == minutesPerDay {
		return Hours{}, fmt.Errorf("%w: %.40q is no range of hours (09:00-18:00)", ErrWindow, text)
	}
	return Hours{a, b}, nil
}

const minutesPerDay = 24 * 60

func clock(s string) (int, bool) {
	if len(s) != 5 || s[2] != ':' {
		return 0, false
	}
	for _, i := range [...]int{0, 1, 3, 4} {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
	}
	h, m := int(s[0]-'0')*10+int(s[1]-'0'), int(s[3]-'0')*10+int(s[4]-'0')
	if m > 59 || h > 24 || (h == 24 && m > 0) {
		return 0, false
	}
	return h*60 + m, true
}

// Window is a recurring time of the week on the clock of a zone: on one of
// Days, in one of Hours. Empty Days are every day, empty Hours the whole day.
// Hours that run over midnight belong to the day on which they begin. On days
// when a clock is set, the hour that is missing or comes twice is as the clock
// on the wall shows it.
type Window struct {
	Days  Days
	Hours []Hours
	// Zone is the clock's; nil is UTC.
	Zone *time.Location
}

// Contains says whether t is in the window.
func (w Window) Contains(t time.Time) bool {
	zone := w.Zone
	if zone == nil {
		zone = time.UTC
	}
	t = t.In(zone)
	today := t.Weekday()
	if len(w.Hours) == 0 {
		return w.Days.has(today)
	}
	yesterday := (today + 6) % 7
	minute := t.Hour()*60 + t.Minute()
	for _, h := range w.Hours {
		switch {
		case h.From < h.To:
			if minute >= h.From && minute < h.To && w.Days.has(today) {
				return true
			}
		case minute >= h.From && w.Days.has(today), minute < h.To && w.Days.has(yesterday):
			return true
		}
	}
	return false
}

// InAny says whether t is in one of the windows; without windows it is.
func InAny(windows []Window, t time.Time) bool {
	for _, w := range windows {
		if w.Contains(t) {
			return true
		}
	}
	return len(windows) == 0
}
