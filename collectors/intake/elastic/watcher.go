package elastic

import (
	"fmt"
	"strings"

	"github.com/fenghuo-mesh/fenghuo/aggregate/alert"
	"github.com/fenghuo-mesh/fenghuo/collectors/intake"
	"github.com/fenghuo-mesh/fenghuo/collectors/intake/document"
	"github.com/fenghuo-mesh/fenghuo/collectors/intake/draft"
)

// Watcher reads a body of a watch's webhook action: the whole context as JSON
// ({"payload": ctx} or {"ctx": ctx}), or a few fields of the author's choice.
// A watch never says that its problem has ended.
func Watcher(r intake.Request) (intake.Result, error) {
	doc, err := object(r.Body)
	if err != nil {
		return intake.Result{}, err
	}
	ctx := doc
	for _, name := range []string{"payload", "ctx"} {
		c, err := inner(doc.Get(name))
		if err != nil {
			return intake.Result{}, err
		}
		if c.Get("watch_id").Present() || c.Get("metadata").Present() || c.Get("execution_time").Present() {
			ctx = c
			break
		}
	}
	id := draft.First(find(ctx, "watch_id", "watch.id"), find(doc, "watch_id", "watch", "name"))
	name := draft.First(find(doc, "name", "title"), find(ctx, "metadata.name"), id)
	if name == "" {
		return intake.Result{}, fmt.Errorf("watch_id: %w: neither watch_id nor a name is there", intake.ErrContent)
	}
	hit := ctx.Find("payload.hits.hits").At(0)
	src := hit.Get("_source")
	d := draft.Draft{
		Resolved: draft.Resolves(find(doc, "status", "state")),
		Extra: alert.Extra{
			Name: name, DedupeKey: "es_watcher:" + draft.First(id, name),
			SeverityRaw: draft.First(find(doc, "severity", "level", "priority"), find(ctx, "metadata.severity", "metadata.level", "metadata.priority")),
			Service:     draft.First(find(doc, "service", "service.name", "app"), find(ctx, "metadata.service", "metadata.app"), find(src, "service.name", "service", "app")),
			Resource:    draft.First(host(doc), find(ctx, "metadata.host", "metadata.resource"), host(src)),
			ErrorCode:   draft.First(code(doc), find(ctx, "metadata.error_code"), code(src)),
			Summary:     draft.First(find(doc, "summary", "message", "text"), find(ctx, "metadata.summary"), find(src, "message")),
			Description: draft.First(find(doc, "description"), find(ctx, "metadata.description")),
			ExternalID:  find(ctx, "id"), ExternalURL: draft.First(find(doc, "url", "link"), find(ctx, "metadata.url", "metadata.link")),
		},
	}
	if d.Extra.ErrorCode == "" {
		d.Extra.ErrorCode = draft.Code(d.Extra.Summary)
	}
	at := moment(ctx, r.Location(), "execution_time", "trigger.triggered_time", "trigger.scheduled_time", "time", "timestamp", "@timestamp", "date")
	if at.IsZero() {
		at = r.ReceivedAt
	}
	if d.Resolved {
		d.EndsAt = at
	} else {
		d.StartsAt = at
	}
	d.Label("watch_id", id)
	for n, v := range ctx.Get("metadata").Members() {
		switch n {
		case "name", "severity", "description", "summary", "url", "link":
		default:
			d.Label(n, v.Scalar())
		}
	}
	d.Volatile("hits", draft.First(find(doc, "hits.total.value", "hits.total", "hits", "num_hits"), find(ctx, "payload.hits.total.value", "payload.hits.total")))
	routing(&d, doc)
	return single(&d)
}

// inner parses an object that a template has rendered as a text.
func inner(v *document.Value) (*document.Value, error) {
	if v.Kind() != document.Text || !strings.HasPrefix(strings.TrimSpace(v.Scalar()), "{") {
		return v, nil
	}
	doc, err := document.ParseText(v.Scalar(), document.Limits{})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", v.Path(), err)
	}
	return doc, nil
}

// routing makes labels of the fields of a record by which alerts are routed.
func routing(d *draft.Draft, v *document.Value) {
	for n, m := range v.Members() {
		if draft.Routing(n) {
			d.Label(n, m.Loose())
		}
	}
	for n, m := range v.Get("labels").Members() {
		d.Label(n, m.Loose())
	}
}

// single finishes a result of one event.
func single(d *draft.Draft) (intake.Result, error) {
	e, err := d.Event()
	if err != nil {
		return intake.Result{}, fmt.Errorf("labels: %w: %w", intake.ErrContent, err)
	}
	return intake.Result{Events: []intake.Event{e}}, nil
}

// host names what a record is about, in the words of the Elastic Common Schema
// and its older relatives.
func host(v *document.Value) string {
	if h := find(v, "host.name", "host.hostname", "host", "hostname", "beat.hostname", "agent.hostname", "ident"); h != "" {
		return h
	}
	if pod := find(v, "kubernetes.pod.name", "pod", "pod_name"); pod != "" {
		if ns := find(v, "kubernetes.namespace", "kubernetes.namespace_name", "namespace"); ns != "" {
			return ns + "/" + pod
		}
		return pod
	}
	return find(v, "node", "instance", "device", "target", "cluster", "host.ip", "ip")
}

// code finds the code of a failure in a record's fields.
func code(v *document.Value) string {
	return find(v, "error_code", "errcode", "err_code", "code", "error.code", "status_code", "http.response.status_code", "http.status_code", "event.code")
}
