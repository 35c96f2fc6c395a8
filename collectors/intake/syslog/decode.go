package syslog

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"github.com/fenghuo-mesh/fenghuo/aggregate/alert"
	"github.com/fenghuo-mesh/fenghuo/collectors/intake"
	"github.com/fenghuo-mesh/fenghuo/collectors/intake/draft"
)

// maxMessages is how many messages one body may hold.
const maxMessages = intake.MaxAlerts

// Decode5424 reads one or more messages. Each is an alert that fires, unless
// its structured data says status="resolved"; parameters of private elements
// (name@number) called name, severity, status, service and code say what a
// message alone can't.
func Decode5424(r intake.Request) (intake.Result, error) {
	lines, broken := split(r.Body)
	switch {
	case len(lines) == 0 && broken != nil:
		return intake.Result{}, broken
	case len(lines) == 0:
		return intake.Result{}, fmt.Errorf("body: %w: empty", ErrSyntax)
	case len(lines) > maxMessages:
		return intake.Result{}, fmt.Errorf("body: %w: more than %d", intake.ErrTooMany, maxMessages)
	}
	var res intake.Result
	for i, line := range lines {
		e, err := decode(line, r)
		if err != nil {
			res.Rejected = append(res.Rejected, intake.Rejection{Index: i, Err: fmt.Errorf("message %d: %w", i+1, err)})
			continue
		}
		res.Events = append(res.Events, e)
	}
	if broken != nil {
		res.Rejected = append(res.Rejected, intake.Rejection{Index: len(lines), Err: broken})
	}
	if len(res.Events) == 0 {
		return intake.Result{}, res.Rejected[0].Err
	}
	return res, nil
}

// own are the parameters of private elements, by name in lower case.
type own map[string]string

func (o own) get(names ...string) string {
	for _, n := range names {
		if !alert.Absent(o[n]) {
			return o[n]
		}
	}
	return ""
}

func decode(line string, r intake.Request) (intake.Event, error) {
	if len(line) > MaxMessage {
		return intake.Event{}, fmt.Errorf("%w: %d bytes, at most %d", ErrSyntax, len(line), MaxMessage)
	}
	m, err := parse(line, r.Location())
	if err != nil {
		return intake.Event{}, err
	}
	o := own{}
	for _, p := range m.params {
		// Elements without a number are IANA's (origin, timeQuality, meta): they
		// describe the sender, not the problem.
		if n := strings.ToLower(p.name); strings.Contains(p.element, "@") && o[n] == "" {
			o[n] = p.value
		}
	}
	what, pattern := kind(&m, o)
	host := draft.First(m.host, o.get("host", "hostname"), r.Peer)
	d := draft.Draft{
		Resolved: draft.Resolves(o.get("status", "state")),
		Extra: alert.Extra{
			Name: draft.First(o.get("name", "alertname"), m.id, m.app, "syslog"), Resource: host, Summary: m.text,
			Service: o.get("service", "service_name", "app", "application"), Description: o.get("description"),
			ErrorCode:   draft.First(o.get("error_code", "errcode", "err_code", "code", "status_code"), draft.Code(m.text)),
			ExternalURL: o.get("url"),
			DedupeKey:   draft.First(o.get("dedupe_key", "dedup_key"), "syslog:"+host+":"+m.app+":"+what),
		},
	}
	d.Extra.Summary = draft.First(m.text, d.Extra.Name)
	severity(&d, m.severity, o)
	at := m.time
	if at.IsZero() || alert.At(at) == 0 {
		at = r.ReceivedAt
	}
	if d.Resolved {
		d.EndsAt = at
	} else {
		d.StartsAt = at
	}
	d.Labels(
		"host", host, "appname", m.app, "msgid", m.id, "facility", strconv.Itoa(m.facility), "pattern", pattern,
		"dedupe_key", o.get("dedupe_key", "dedup_key"),
	)
	for _, p := range m.params {
		switch n := strings.ToLower(p.name); {
		case !strings.Contains(p.element, "@"):
			d.Annotation(p.element+"."+p.name, p.value)
		case n == "name" || n == "severity" || n == "status" || n == "state" || n == "url" || n == "dedupe_key" || n == "dedup_key":
		case draft.Routing(n):
			d.Label(p.name, p.value)
		default:
			d.Volatile(p.name, p.value)
		}
	}
	d.Volatile("procid", m.process)
	e, err := d.Event()
	e.Marked = o.get("status", "state", "severity") != ""
	return e, err
}

// severity reads the priority's severity; a parameter overrules it.
func severity(d *draft.Draft, number int, o own) {
	d.Extra.SeverityRaw = strconv.Itoa(number)
	if word := o.get("severity"); word != "" {
		d.Extra.SeverityRaw = word
		if len(word) != 1 || word[0] < '0' || word[0] > '0'+maxSeverity {
			d.Priority = new(alert.PriorityOf(word))
			return
		}
		number = int(word[0] - '0')
	}
	d.Priority = new([...]alert.Priority{
		alert.P0, alert.P0, alert.P1, alert.P2, alert.P3, alert.P4, alert.P4, alert.P4,
	}[number])
}

// kind is what a host's application reports: the message ID, a name, or the
// text's pattern: a hash of it without what differs each time.
func kind(m *message, o own) (kind, pattern string) {
	if k := draft.First(m.id, o.get("name", "alertname")); k != "" {
		return k, ""
	}
	sum := sha256.Sum256([]byte(draft.Mask(m.text)))
	pattern = hex.EncodeToString(sum[:8])
	return "~" + pattern, pattern
}
