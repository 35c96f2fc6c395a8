package alert

import (
	"strings"

	"github.com/fenghuo-mesh/fenghuo/aggregate/label"
)

// Labels from which what a source doesn't say is derived, best first.
func serviceLabels() [4]string { return [4]string{"service", "service_name", "app", "application"} }

func codeLabels() [5]string {
	return [5]string{"error_code", "errcode", "err_code", "code", "status_code"}
}

func severityLabels() [3]string { return [3]string{"severity", "level", "priority"} }

// Name is the name of the rule or condition.
func (a *Alert) Name() string {
	if a.Extra != nil && a.Extra.Name != "" {
		return a.Extra.Name
	}
	return a.Labels.Get(label.AlertName)
}

// Service is the logical service, never the scrape job.
func (a *Alert) Service() string {
	if a.Extra != nil && a.Extra.Service != "" {
		return a.Extra.Service
	}
	for _, n := range serviceLabels() {
		if v := a.Labels.Get(n); !Absent(v) {
			return v
		}
	}
	return ""
}

// Resource is what the alert is about: host, pod, device...
func (a *Alert) Resource() string {
	if a.Extra != nil && a.Extra.Resource != "" {
		return a.Extra.Resource
	}
	return ResourceOf(a.Labels)
}

// ResourceOf derives the resource from labels: host > hostname > ident >
// namespace/pod > node > instance (with its port) > device > target > cluster.
func ResourceOf(l label.Set) string {
	for _, n := range [...]string{"host", "hostname", "ident"} {
		if v := l.Get(n); !Absent(v) {
			return v
		}
	}
	for _, n := range [...]string{"pod", "pod_name"} {
		if v := l.Get(n); !Absent(v) {
			if ns := l.Get("namespace"); !Absent(ns) {
				return ns + "/" + v
			}
			return v
		}
	}
	for _, n := range [...]string{"node", "instance", "device", "target", "cluster"} {
		if v := l.Get(n); !Absent(v) {
			return v
		}
	}
	return ""
}

// ErrorCode is the code of the failure, if it has one.
func (a *Alert) ErrorCode() string {
	if a.Extra != nil && a.Extra.ErrorCode != "" {
		return a.Extra.ErrorCode
	}
	for _, n := range codeLabels() {
		if v := a.Labels.Get(n); !Absent(v) {
			return v
		}
	}
	return ""
}

// SeverityRaw is the severity as the sender wrote it.
func (a *Alert) SeverityRaw() string {
	if a.Extra != nil && a.Extra.SeverityRaw != "" {
		return a.Extra.SeverityRaw
	}
	return SeverityOf(a.Labels)
}

// SeverityOf reads the severity from labels: severity > level > priority.
func SeverityOf(l label.Set) string {
	for _, n := range severityLabels() {
		if v := l.Get(n); v != "" {
			return v
		}
	}
	return ""
}

// Summary is one line for people: the source's, or the best annotation, or
// the name.
func (a *Alert) Summary() string {
	if a.Extra != nil && a.Extra.Summary != "" {
		return a.Extra.Summary
	}
	for _, n := range [...]string{"summary", "title", "description", "desc", "message"} {
		if v := a.Annotations.Get(n); v != "" {
			return v
		}
	}
	return a.Name()
}

// Description is the longer text, or "".
func (a *Alert) Description() string {
	if a.Extra != nil && a.Extra.Description != "" {
		return a.Extra.Description
	}
	return a.Annotations.Get("description")
}

// DedupeKey is equal for a problem's begin and end.
func (a *Alert) DedupeKey() string {
	if a.Extra != nil && a.Extra.DedupeKey != "" {
		return a.Extra.DedupeKey
	}
	return a.Labels.Fingerprint().String()
}

// Source is the kind of sender, "" where unknown.
func (a *Alert) Source() string {
	if a.Origin == nil {
		return ""
	}
	return a.Origin.Source
}

// Absent says whether a value means "nothing" in some monitoring system: empty,
// null, *UNKNOWN*, or a macro that was never filled in: {HOST.NAME}, $VAR.
func Absent(v string) bool {
	switch {
	case v == "", v == "null", v == "*UNKNOWN*":
		return true
	case strings.HasPrefix(v, "{") && strings.HasSuffix(v, "}"):
		return macroName(strings.TrimLeft(v[1:len(v)-1], "$#"))
	case strings.HasPrefix(v, "$"):
		return macroName(strings.TrimSuffix(strings.TrimPrefix(v[1:], "{"), "}"))
	}
	return false
}

func macroName(s string) bool {
	for i := range len(s) {
		c := s[i]
		if (c < 'A' || c > 'Z') && c != '.' && c != '_' && c != '$' && (c < '0' || c > '9') {
			return false
		}
	}
	return s != "" && s[0] >= 'A' && s[0] <= 'Z'
}
