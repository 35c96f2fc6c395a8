package alert

import (
	"fmt"
	"strings"
)

// Priority ranks alerts for people: P0 is the worst, P4 is for information.
type Priority uint8

// The priorities.
const (
	P0 Priority = iota
	P1
	P2
	P3
	P4
)

// String is "P0" to "P4".
func (p Priority) String() string { return "P" + string(rune('0'+min(p, P4))) }

// MarshalText implements encoding.TextMarshaler.
func (p Priority) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (p *Priority) UnmarshalText(b []byte) error {
	if len(b) != 2 || b[0]|0x20 != 'p' || b[1] < '0' || b[1] > '4' {
		return fmt.Errorf("priority %.20q: want P0 to P4", b)
	}
	*p = Priority(b[1] - '0')
	return nil
}

// PriorityOf maps the words of the field's monitoring systems, English and
// Chinese, to a priority; a word nobody uses, and no word at all, is P3.
// Systems that speak P-numbers or Sev-numbers keep them; beyond 4 is P4.
func PriorityOf(severity string) Priority {
	w := strings.ToLower(strings.TrimSpace(severity))
	switch w {
	case "disaster", "emergency", "emerg", "fatal", "blocker", "灾难", "致命", "特别严重":
		return P0
	case "critical", "crit", "page", "high", "alert", "down", "unreachable", "严重", "紧急":
		return P1
	case "error", "err", "major", "average", "medium", "重要", "主要", "一般严重":
		return P2
	case "warning", "warn", "minor", "low", "unknown", "", "警告", "预警", "次要", "一般":
		return P3
	case "info", "informational", "information", "notice", "debug", "none", "ok", "no severity",
		"not classified", "提示", "提醒", "通知", "信息":
		return P4
	}
	digits := strings.TrimPrefix(strings.TrimPrefix(w, "sev"), "p")
	if digits != w && len(digits) >= 1 && len(digits) <= 2 && strings.Trim(digits, "0123456789") == "" {
		if len(digits) > 1 || digits[0] > '4' {
			return P4
		}
		return Priority(digits[0] - '0')
	}
	return P3
}
