package aliyun

import (
	"bytes"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/fenghuo-mesh/fenghuo/aggregate/alert"
	"github.com/fenghuo-mesh/fenghuo/aggregate/label"
	"github.com/fenghuo-mesh/fenghuo/collectors/intake"
	"github.com/fenghuo-mesh/fenghuo/collectors/intake/document"
	"github.com/fenghuo-mesh/fenghuo/collectors/intake/draft"
)

// Bounds of a callback's form.
const (
	maxFields     = 100
	maxDimensions = 30
	maxDimBytes   = 16 << 10
)

// CMS reads a callback of Cloud Monitor's threshold rules. The form may come
// without percent-encoding, as its documentation shows it.
func CMS(r intake.Request) (intake.Result, error) {
	f, err := form(r.Body)
	if err != nil {
		return intake.Result{}, err
	}
	if n := len(f["dimensions"]); n > maxDimBytes {
		return intake.Result{}, fmt.Errorf("dimensions: %w: %d bytes, at most %d", document.ErrLimit, n, maxDimBytes)
	}
	state := strings.ToUpper(f.get("alertState"))
	switch state {
	case "OK", "ALERT":
	case "INSUFFICIENT_DATA":
		return intake.Result{Control: &intake.Control{Type: intake.ControlIgnored, DedupeKey: key(f), Reason: "too little data neither fires nor resolves"}}, nil
	default:
		return intake.Result{}, fmt.Errorf("alertState: %w: want ALERT, OK or INSUFFICIENT_DATA, got %.32q", intake.ErrContent, state)
	}
	dims := dimensions(f.get("dimensions"))
	d := draft.Draft{
		Resolved: state == "OK",
		Extra: alert.Extra{
			Name: draft.First(f.get("alertName"), f.get("ruleName"), f.get("metricName"), f.get("ruleId")), SeverityRaw: severity(f, state),
			Resource: resource(f, dims), Summary: summary(f), ExternalID: f.get("transId"), DedupeKey: key(f),
		},
	}
	if d.Extra.Name == "" {
		return intake.Result{}, fmt.Errorf("alertName: %w: missing", intake.ErrContent)
	}
	d.Priority = new(levelPriority(d.Extra.SeverityRaw))
	at := draft.TimeOr(f.get("timestamp"), r.Location())
	if at.IsZero() {
		at = r.ReceivedAt
	}
	if d.Resolved {
		d.EndsAt = at
	} else {
		d.StartsAt = at
	}
	describe(&d, f, dims)
	e, err := d.Event()
	if err != nil {
		return intake.Result{}, fmt.Errorf("dimensions: %w: %w", intake.ErrContent, err)
	}
	return intake.Result{Events: []intake.Event{e}}, nil
}

// severity is the level that fired; a recovery tells it as the level before.
func severity(f fields, state string) string {
	now, before := f.get("triggerLevel"), f.get("preTriggerLevel")
	if state == "OK" && (now == "" || strings.EqualFold(now, "OK")) {
		if strings.EqualFold(before, "OK") {
			return ""
		}
		return before
	}
	return now
}

func resource(f fields, dims []label.Pair) string {
	name := f.get("instanceName")
	for _, n := range []string{"instanceId", "hostname", "host", "instance", "ip", "domain"} {
		for _, d := range dims {
			if d.Name == n {
				name = draft.First(name, d.Value)
			}
		}
	}
	return name
}

// summary says what the console would: metric, condition, value.
func summary(f fields) string {
	metric := draft.First(f.get("metricName"), f.get("rawMetricName"))
	text := strings.TrimSpace(metric + " " + f.get("expression"))
	if v := f.get("curValue"); v != "" {
		text += "，当前值 " + v + f.get("unit")
	}
	return text
}

// key names the problem: the rule and what it watches.
func key(f fields) string {
	parts := []string{}
	for _, d := range dimensions(f.get("dimensions")) {
		parts = append(parts, d.Name+"="+d.Value)
	}
	return "aliyun_cms:" + draft.First(f.get("ruleId"), f.get("alertName")) + ":" + strings.Join(parts, ",")
}

func describe(d *draft.Draft, f fields, dims []label.Pair) {
	for _, p := range dims {
		d.Label(p.Name, p.Value)
	}
	d.Labels(
		"metric", draft.First(f.get("rawMetricName"), f.get("metricName")), "regionId", f.get("regionId"), "groupName", f.get("productGroupName"),
		"groupId", f.get("groupId"), "namespace", draft.First(f.get("namespace"), f.get("metricProject")), "ruleId", f.get("ruleId"),
		"userId", f.get("userId"),
	)
	d.Volatile("value", f.get("curValue"))
	for _, n := range []string{"unit", "expression", "metricName", "instanceName", "regionName", "lastTime", "preTriggerLevel"} {
		d.Annotation(n, f.get(n))
	}
}

// fields are the form's values by name; literal null is absent.
type fields map[string]string

func (f fields) get(name string) string {
	if v := strings.TrimSpace(f[name]); v != "null" {
		return v
	}
	return ""
}

// form reads the body: a form with or without percent-encoding, or the same
// fields as a JSON object.
func form(body []byte) (fields, error) {
	body = bytes.TrimSpace(bytes.TrimPrefix(body, []byte("\xef\xbb\xbf")))
	if len(body) == 0 {
		return nil, fmt.Errorf("body: %w: empty", intake.ErrContent)
	}
	if body[0] == '{' {
		return object(body)
	}
	text := string(body)
	plain := strings.ContainsAny(text, "{}[] \"") || strings.IndexFunc(text, func(r rune) bool { return r >= utf8.RuneSelf }) >= 0
	f := fields{}
	for _, pair := range pairs(text) {
		name, value, ok := strings.Cut(pair, "=")
		if !ok {
			continue
		}
		if !plain {
			value = unescape(value)
		} else if once, err := url.PathUnescape(value); err == nil {
			value = once // a mixed form: some values are encoded
		}
		if !utf8.ValidString(name) || !utf8.ValidString(value) {
			return nil, fmt.Errorf("%.64q: %w: not UTF-8", name, intake.ErrContent)
		}
		if _, twice := f[name]; twice {
			return nil, fmt.Errorf("%.64q: %w: there twice", name, intake.ErrContent)
		}
		if len(f) >= maxFields {
			return nil, fmt.Errorf("body: %w: more than %d fields", document.ErrLimit, maxFields)
		}
		f[name] = value
	}
	return f, nil
}

func object(body []byte) (fields, error) {
	doc, err := document.Parse(body, document.Limits{Values: 10 * maxFields})
	if err != nil {
		return nil, err
	}
	f := fields{}
	var r document.Reader
	for n, v := range doc.Members() {
		if n == "dimensions" && (v.Kind() == document.Object || v.Kind() == document.Array) {
			f[n] = written(v)
			continue
		}
		f[n] = r.Text(v)
	}
	return f, r.Err
}

// pairs splits a form at the '&' that begin a field: in a form that isn't
// encoded a value may hold others.
func pairs(text string) []string {
	var out []string
	start := 0
	for i := range len(text) {
		if text[i] != '&' {
			continue
		}
		rest := text[i+1:]
		n := strings.IndexFunc(rest, func(r rune) bool {
			return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '_'
		})
		if n > 0 && rest[n] == '=' {
			if out = append(out, text[start:i]); len(out) > maxFields {
				return out // too many; the caller says so
			}
			start = i + 1
		}
	}
	return append(out, text[start:])
}

// unescape decodes a value; an escape that isn't one stays as it is.
func unescape(s string) string {
	if out, err := url.QueryUnescape(s); err == nil {
		return out
	}
	return strings.ReplaceAll(s, "+", " ")
}

// dimensions reads what a rule watches, sorted and without the account: a
// printed Java map {k=v, k=v}, or JSON: an object, or an array of objects.
func dimensions(text string) []label.Pair {
	var out []label.Pair
	add := func(name, value string) {
		name, value = strings.TrimSpace(name), strings.TrimSpace(value)
		if name == "" || alert.Absent(value) || strings.EqualFold(name, "userId") || len(out) >= maxDimensions {
			return
		}
		if !slices.ContainsFunc(out, func(p label.Pair) bool { return p.Name == name }) {
			out = append(out, label.Pair{Name: name, Value: value})
		}
	}
	if doc, err := document.ParseText(text, document.Limits{Depth: 4, Values: 10 * maxDimensions}); err == nil && doc.Present() {
		for n, v := range doc.Members() {
			add(n, v.Scalar())
		}
		for _, o := range doc.Items() {
			for n, v := range o.Members() {
				add(n, v.Scalar())
			}
		}
	} else {
		for _, part := range mapParts(strings.Trim(strings.TrimSpace(text), "[]{}")) {
			name, value, _ := strings.Cut(part, "=")
			add(name, value)
		}
	}
	slices.SortFunc(out, func(a, b label.Pair) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// mapParts splits a printed Java map. A comma inside a value belongs to it:
// only a part with an equals sign begins a new entry.
func mapParts(text string) []string {
	var out []string
	for part := range strings.SplitSeq(text, ",") {
		if len(out) > 0 && !strings.Contains(part, "=") {
			out[len(out)-1] += "," + part
			continue
		}
		out = append(out, part)
	}
	return out
}

// written prints dimensions that came as JSON the way the form has them.
func written(v *document.Value) string {
	var parts []string
	for n, m := range v.Members() {
		parts = append(parts, n+"="+m.Scalar())
	}
	for _, o := range v.Items() {
		for n, m := range o.Members() {
			parts = append(parts, n+"="+m.Scalar())
		}
	}
	return "{" + strings.Join(parts, ", ") + "}"
}
