// Package elastic owns what the Elastic stack sends: Kibana's webhook
// connector, Elasticsearch's Watcher, and ElastAlert 2. All three post bodies
// their users write, so these decoders read the templates we publish and stay
// lenient about what surrounds them: objects may be nested or have dotted
// names, and what is missing is derived.
package elastic

import (
	"fmt"
	"strings"
	"time"

	"github.com/fenghuo-mesh/fenghuo/aggregate/alert"
	"github.com/fenghuo-mesh/fenghuo/collectors/intake"
	"github.com/fenghuo-mesh/fenghuo/collectors/intake/document"
	"github.com/fenghuo-mesh/fenghuo/collectors/intake/draft"
)

// Kibana reads a body of Kibana's webhook connector: one alert, or the summary
// of a rule's alerts.
func Kibana(r intake.Request) (intake.Result, error) {
	doc, err := object(r.Body)
	if err != nil {
		return intake.Result{}, err
	}
	k := kibana{doc: doc, r: r}
	k.id = find(doc, "rule.id", "kibana.alert.rule.uuid", "ruleId", "rule_id", "alertId")
	k.name = find(doc, "rule.name", "kibana.alert.rule.name", "ruleName", "rule_name", "alertName")
	if k.id == "" && k.name == "" {
		return intake.Result{}, fmt.Errorf("rule: %w: neither rule.id nor rule.name is there", intake.ErrContent)
	}
	if s := doc.Get("alerts"); s.Kind() == document.Object {
		return k.summary(s)
	}
	e, err := k.one(doc, find(doc, "alert.actionGroup", "actionGroup", "alertActionGroup", "alert.actionGroupName", "kibana.alert.status", "status", "state"))
	if err != nil {
		return intake.Result{}, err
	}
	return intake.Result{Events: []intake.Event{e}}, nil
}

// object parses a body that must be an object.
func object(body []byte) (*document.Value, error) {
	doc, err := document.Parse(body, document.Limits{})
	if err != nil {
		return nil, err
	}
	if doc.Kind() != document.Object {
		return nil, doc.Wrong("object")
	}
	return doc, nil
}

// find returns the first of the paths that holds a text.
func find(v *document.Value, paths ...string) string {
	for _, p := range paths {
		if t := strings.TrimSpace(v.Find(p).Loose()); !alert.Absent(t) {
			return t
		}
	}
	return ""
}

type kibana struct {
	doc      *document.Value
	r        intake.Request
	id, name string
}

// one reads one alert: v holds it, the body surrounds it.
func (k *kibana) one(v *document.Value, state string) (intake.Event, error) {
	instance := find(v, "alert.id", "kibana.alert.instance.id", "alertInstanceId", "alert_id")
	if instance == "" {
		instance = find(v, "alert.instance.id", "context.group", "kibana.alert.group.value")
	}
	d := draft.Draft{
		Resolved: draft.Resolves(state),
		Extra: alert.Extra{
			Name: draft.First(k.name, k.id), ExternalID: find(v, "alert.uuid", "kibana.alert.uuid"),
			Summary:     find(v, "context.message", "context.reason", "kibana.alert.reason", "reason", "message", "context.title"),
			Description: find(v, "context.conditions"),
			ExternalURL: k.link(v),
			DedupeKey:   "kibana:" + draft.First(k.id, k.name) + ":" + instance,
		},
	}
	d.Labels("rule_id", k.id, "alert_id", instance)
	k.tags(&d, v)
	d.Extra.SeverityRaw = draft.First(d.Get("severity"), d.Get("level"), d.Get("priority"), find(v, "severity", "context.severity", "kibana.alert.severity"))
	d.Extra.Service = draft.First(d.Get("service"), d.Get("service_name"), d.Get("app"), d.Get("application"),
		find(v, "service", "context.service.name", "context.serviceName", "service.name"))
	d.Extra.ErrorCode = draft.First(d.Get("error_code"), d.Get("code"), find(v, "error_code", "context.error.code", "error.code"))
	d.Extra.Resource = k.resource(&d, v, instance)
	k.times(&d, v)
	d.Volatile("value", find(v, "context.value", "kibana.alert.evaluation.value"))
	d.Annotation("title", find(v, "context.title"))
	d.Annotation("action_group", find(v, "alert.actionGroupName", "alert.actionGroup"))
	d.Annotation("rule_type", find(k.doc, "rule.type", "kibana.alert.rule.rule_type_id"))
	d.Annotation("space", find(k.doc, "rule.spaceId", "kibana.space_ids"))
	e, err := d.Event()
	if err != nil {
		return e, fmt.Errorf("rule.tags: %w: %w", intake.ErrContent, err)
	}
	return e, nil
}

// tags reads the rule's tags: k:v makes a label, other tags are listed. A tag
// list may have been rendered as a text.
func (k *kibana) tags(d *draft.Draft, v *document.Value) {
	var all []string
	for _, p := range []string{"rule.tags", "kibana.alert.rule.tags", "tags"} {
		list := v.Find(p)
		if !list.Present() {
			list = k.doc.Find(p)
		}
		for _, t := range list.Items() {
			all = append(all, t.Scalar())
		}
		if t := list.Scalar(); t != "" {
			all = append(all, strings.Split(strings.Trim(t, "[]"), ",")...)
		}
		if len(all) > 0 {
			break
		}
	}
	var plain []string
	for _, t := range all {
		t = strings.Trim(strings.TrimSpace(t), `"`)
		if name, value, ok := cutTag(t); ok {
			d.Label(name, value)
		} else if t != "" {
			plain = append(plain, t)
		}
	}
	d.Annotation("tags", strings.Join(plain, ", "))
}

func cutTag(t string) (name, value string, ok bool) {
	name, value, ok = strings.Cut(t, ":")
	if !ok {
		name, value, ok = strings.Cut(t, "=")
	}
	name, value = strings.TrimSpace(name), strings.TrimSpace(value)
	return name, value, ok && name != "" && value != "" && !strings.ContainsAny(name, " /")
}

// resource is what the alert is about: a tag, what the context names, or the
// alert's id, which is the group of a rule that groups.
func (k *kibana) resource(d *draft.Draft, v *document.Value, instance string) string {
	switch {
	case instance == "*", instance == k.id, strings.EqualFold(instance, "query matched"), strings.EqualFold(instance, "recovered"):
		instance = "" // a rule without groups
	}
	return draft.First(d.Get("host"), d.Get("hostname"), find(v, "resource", "context.host.name", "host.name", "context.hostname", "context.groupByKeys.host.name", "context.group",
		"context.monitorName", "kibana.alert.group.value"), hostOf(v), instance)
}

func hostOf(v *document.Value) string { return find(v, "host", "hostname") }

func (k *kibana) times(d *draft.Draft, v *document.Value) {
	zone := k.r.Location()
	told := draft.TimeOr(find(v, "context.date", "context.timestamp", "kibana.alert.last_detected", "date", "@timestamp", "timestamp"), zone)
	if told.IsZero() {
		told = draft.TimeOr(find(k.doc, "date"), zone)
	}
	if told.IsZero() {
		told = k.r.ReceivedAt
	}
	begin := draft.TimeOr(find(v, "kibana.alert.start", "alert.start"), zone)
	if d.Resolved {
		d.StartsAt = begin
		if d.EndsAt = draft.TimeOr(find(v, "kibana.alert.end", "alert.end"), zone); d.EndsAt.IsZero() {
			d.EndsAt = told
		}
		return
	}
	if d.StartsAt = begin; begin.IsZero() {
		d.StartsAt = told
	}
}

// link leads to the alert; Kibana without a public base URL leaves it empty or
// writes only its path.
func (k *kibana) link(v *document.Value) string {
	base := strings.TrimRight(find(k.doc, "kibanaBaseUrl", "kibana_base_url"), "/")
	for _, p := range []string{
		"context.link", "context.viewInAppUrl", "context.alertDetailsUrl", "kibana.alert.url", "rule.url", "url",
	} {
		link := find(v, p)
		if link == "" {
			link = find(k.doc, p)
		}
		switch {
		case strings.HasPrefix(link, "/") && base != "":
			return base + link
		case strings.Contains(link, "://"):
			return link
		}
	}
	return ""
}

// summary reads the summary of a rule's alerts.
func (k *kibana) summary(s *document.Value) (intake.Result, error) {
	var res intake.Result
	counts := map[string]int64{}
	for _, part := range []struct{ name, state string }{{"new", "active"}, {"ongoing", "active"}, {"recovered", "recovered"}} {
		counts[part.name], _ = s.Find(part.name + ".count").Int()
		data, err := k.data(s.Find(part.name + ".data"))
		if err != nil {
			return intake.Result{}, err
		}
		if len(res.Events)+data.Len() > intake.MaxAlerts {
			return intake.Result{}, fmt.Errorf("%s: %w: at most %d", data.Path(), intake.ErrTooMany, intake.MaxAlerts)
		}
		for _, v := range data.Items() {
			e, err := k.one(v, part.state)
			if err != nil {
				return intake.Result{}, fmt.Errorf("%s: %w", v.Path(), err)
			}
			res.Events = append(res.Events, e)
		}
	}
	if len(res.Events) > 0 {
		return res, nil
	}
	state := "active"
	switch {
	case counts["new"]+counts["ongoing"] > 0:
	case counts["recovered"] > 0:
		state = "recovered"
	default:
		return intake.Result{Control: &intake.Control{Type: intake.ControlIgnored, Reason: "the summary holds no alert"}}, nil
	}
	// A template with the counts alone: the rule as a whole fires or recovers.
	e, err := k.one(k.doc, state)
	if err != nil {
		return intake.Result{}, err
	}
	return intake.Result{Events: []intake.Event{e}}, nil
}

// data reads a list of alert documents, which a template may have rendered as
// a text.
func (k *kibana) data(v *document.Value) (*document.Value, error) {
	if v.Kind() != document.Text || strings.TrimSpace(v.Scalar()) == "" {
		return v, nil
	}
	inner, err := document.ParseText(v.Scalar(), document.Limits{})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", v.Path(), err)
	}
	return inner, nil
}

// moment reads the first of the paths that holds a time; the zero time where
// none does.
func moment(v *document.Value, zone *time.Location, paths ...string) time.Time {
	for _, p := range paths {
		if t := draft.TimeOr(v.Find(p).Loose(), zone); !t.IsZero() {
			return t
		}
	}
	return time.Time{}
}
