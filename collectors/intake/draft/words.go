package draft

import "strings"

// Resolves says whether a word, in the ways senders write it, means that a
// problem has ended.
func Resolves(word string) bool {
	switch strings.ToLower(strings.TrimSpace(word)) {
	case "resolved", "resolve", "ok", "recovered", "recovery", "normal", "closed", "cleared", "clear", "inactive", "up", "success",
		"恢复", "已恢复", "恢复正常", "正常", "已解决":
		return true
	}
	return false
}

// Routing says whether a field of a log record or event is one by which alerts
// are routed and grouped, and that stays the same for a sender: it makes a
// label. Other fields differ from record to record and become annotations.
func Routing(name string) bool {
	switch strings.ToLower(name) {
	case "service", "service_name", "app", "application", "team", "owner", "env", "environment", "region", "zone", "dc", "datacenter", "idc",
		"cluster", "namespace", "component", "system", "module", "role", "site", "rack", "store", "tenant", "business", "project", "product":
		return true
	}
	return false
}

// Code finds the code of a failure in a log line: error_code=PAY-5003,
// code: 502, "errcode":"42". It returns "" where there is none.
func Code(text string) string {
	for rest := text; ; {
		i := strings.Index(rest, "code")
		if i < 0 {
			return ""
		}
		word := strings.LastIndexFunc(rest[:i], func(r rune) bool { return r != '_' && r != '.' && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') }) + 1
		head, tail := strings.ToLower(rest[word:i]), strings.TrimPrefix(rest[i+len("code"):], `"`)
		rest = rest[i+len("code"):]
		switch head {
		case "", "error_", "err_", "err", "error", "status_", "http.status_", "error.":
		default:
			continue
		}
		value, ok := strings.CutPrefix(tail, "=")
		if !ok {
			continue
		}
		value = strings.TrimLeft(value, ` "'`)
		end := strings.IndexFunc(value, func(r rune) bool {
			return r != '-' && r != '_' && r != '.' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
		})
		if end < 0 {
			end = len(value)
		}
		if code := strings.TrimRight(value[:end], ".-_"); code != "" && len(code) <= maxCode {
			return code
		}
	}
}

// maxCode is the length of a code in a text, in bytes.
const maxCode = 64

// Mask replaces what differs between two records of one kind: numbers,
// addresses, hexadecimal ids. Texts that differ only there come out equal.
func Mask(text string) string {
	var b strings.Builder
	b.Grow(min(len(text), maxMask))
	for i := 0; i < len(text) && b.Len() < maxMask; {
		j := i
		digit := false
		for j < len(text) && wordByte(text[j]) {
			digit = digit || text[j] >= '0' && text[j] <= '9'
			j++
		}
		switch {
		case j == i:
			b.WriteByte(text[i])
			i++
			continue
		case digit:
			b.WriteByte('#')
		default:
			b.WriteString(text[i:j])
		}
		i = j
	}
	return b.String()
}

// maxMask is how much of a text counts.
const maxMask = 1 << 10

func wordByte(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z'
}
