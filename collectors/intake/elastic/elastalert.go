package elastic

import (
	"github.com/fenghuo-mesh/fenghuo/aggregate/alert"
	"github.com/fenghuo-mesh/fenghuo/collectors/intake"
	"github.com/fenghuo-mesh/fenghuo/collectors/intake/document"
	"github.com/fenghuo-mesh/fenghuo/collectors/intake/draft"
)

// unnamed is the rule's name where neither body nor URL tells it.
const unnamed = "ElastAlert match"

// ElastAlert reads a match of ElastAlert 2 (alert: post or post2). The body is
// the matched document; the rule's name and severity come from a static
// payload, or from the URL: ?rule=NAME&severity=WORD. A rule never says that
// its problem has ended.
func ElastAlert(r intake.Request) (intake.Result, error) {
	doc, err := document.Parse(r.Body, document.Limits{})
	if err != nil {
		return intake.Result{}, err
	}
	if doc.Kind() == document.Array && doc.Len() == 1 {
		doc = doc.At(0)
	}
	if doc.Kind() != document.Object {
		return intake.Result{}, doc.Wrong("object")
	}
	rule := draft.First(find(doc, "rule_name", "rulename", "rule.name", "rule", "alert_name", "alertname", "name"), r.Query.Get("rule"), r.Query.Get("rule_name"))
	where := host(doc)
	if key := find(doc, "key"); where == "" && key != "all" {
		where = key // a flatline's group; "all" where it has none
	}
	d := draft.Draft{Extra: alert.Extra{
		Name: draft.First(rule, unnamed), Resource: where, DedupeKey: "elastalert2:" + rule + ":" + where,
		SeverityRaw: draft.First(find(doc, "alert_priority", "severity", "priority", "alert_severity"), r.Query.Get("severity"), r.Query.Get("priority")),
		Service:     draft.First(find(doc, "service.name", "service", "service_name", "app", "application"), r.Query.Get("service")),
		ErrorCode:   code(doc),
		Summary:     find(doc, "alert_subject", "summary", "title", "message", "log", "msg", "error.message", "alert_text"),
		Description: find(doc, "alert_text", "description"),
		ExternalID:  find(doc, "_id"),
		ExternalURL: find(doc, "kibana_discover_url", "kibana_link", "opensearch_discover_url", "kibana_url", "url"),
	}}
	if raw := d.Extra.SeverityRaw; len(raw) == 1 && raw[0] >= '0' && raw[0] <= '9' {
		d.Priority = new(alert.Priority(min(raw[0]-'0', 4)))
	}
	if d.Extra.ErrorCode == "" {
		d.Extra.ErrorCode = draft.Code(d.Extra.Summary)
	}
	d.StartsAt = moment(doc, r.Location(), "@timestamp", "timestamp", "time", "alert_time")
	if d.StartsAt.IsZero() {
		d.StartsAt = r.ReceivedAt
	}
	d.Label("host", where)
	routing(&d, doc)
	for _, n := range []string{"num_hits", "num_matches", "_index", "count", "key"} {
		d.Volatile(n, find(doc, n))
	}
	return single(&d)
}
