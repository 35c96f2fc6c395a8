package am

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/fenghuo-mesh/fenghuo/aggregate/alert"
	"github.com/fenghuo-mesh/fenghuo/aggregate/label"
	"github.com/fenghuo-mesh/fenghuo/node/api/limit"
	"github.com/fenghuo-mesh/fenghuo/node/api/problem"
)

// fail answers as API v2 does: 400, 404 and 500 carry a JSON string, which is
// what Alertmanager's clients can read; whatever else goes wrong, which
// upstream has no form for, is a problem document.
func (a *API) fail(w http.ResponseWriter, r *http.Request, err error) {
	e := a.errors.Find(err)
	switch e.Status {
	case http.StatusBadRequest, http.StatusNotFound:
		writeString(w, e.Status, err.Error())
	case http.StatusInternalServerError:
		a.o.Logger.Error("request to API v2 failed", "method", r.Method, "path", r.URL.Path, "err", err)
		writeString(w, e.Status, err.Error())
	default:
		a.errors.Write(w, err)
	}
}

// writeString answers with a JSON string, as upstream's BadRequest.
func writeString(w http.ResponseWriter, status int, text string) {
	header(w)
	w.WriteHeader(status)
	// A failed write means that nobody listens any more.
	_, _ = w.Write(append(label.AppendQuoted(nil, text), '\n'))
}

// writeJSON answers 200 with v.
func (a *API) writeJSON(w http.ResponseWriter, r *http.Request, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	header(w)
	// A failed write means that nobody listens any more.
	_, _ = w.Write(append(b, '\n'))
}

// wantsJSON checks a body's media type. A missing one is taken as JSON.
func wantsJSON(r *http.Request) error {
	ct := r.Header.Get("Content-Type")
	if ct == "" || ct == "application/json" {
		return nil
	}
	if mt, _, err := mime.ParseMediaType(ct); err != nil || mt != "application/json" {
		return problem.Errorf(problem.ErrMediaType, "Content-Type %.60q; want application/json", ct)
	}
	return nil
}

func (a *API) postAlerts(w http.ResponseWriter, r *http.Request) {
	var b batch
	err := wantsJSON(r)
	if err == nil {
		err = a.bodies.Read(r, func(body []byte) (err error) {
			b, err = a.decode(body)
			return err
		})
	}
	if err != nil {
		reason := "malformed"
		if errors.Is(err, problem.ErrTooLarge) {
			reason = "too_large"
		}
		a.refused.WithLabelValues(reason).Inc()
		a.fail(w, r, err)
		return
	}
	var rejected []Rejection
	if len(b.alerts) > 0 {
		if rejected, err = a.o.Sink.Accept(r.Context(), b.alerts); err != nil {
			a.refused.WithLabelValues("unavailable").Inc()
			a.fail(w, r, err)
			return
		}
	}
	if len(rejected)+len(b.refused) > 0 {
		a.partly(w, r, &b, rejected)
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusOK)
}

func (a *API) decode(body []byte) (batch, error) {
	d, _ := a.decoders.Get().(*decoder)
	if d == nil {
		d = &decoder{origin: a.o.Origin}
	}
	defer a.decoders.Put(d)
	return d.decode(body)
}

// maxReasons bounds the reasons that one answer lists.
const maxReasons = 100

// partly answers a body of which some alerts were refused. The others are
// stored.
func (a *API) partly(w http.ResponseWriter, r *http.Request, b *batch, rejected []Rejection) {
	busy := false
	for _, re := range rejected {
		if b.indexes != nil {
			re.Index = b.indexes[re.Index]
		}
		busy = busy || re.Busy
		b.refused = append(b.refused, refusal{re.Index, re.Err})
	}
	slices.SortFunc(b.refused, func(x, y refusal) int { return cmp.Compare(x.index, y.index) })
	a.refused.WithLabelValues("invalid").Add(float64(len(b.refused)))
	var text strings.Builder
	for i, f := range b.refused {
		if i == maxReasons {
			fmt.Fprintf(&text, "\n... and %d more", len(b.refused)-i)
			break
		}
		if i > 0 {
			text.WriteByte('\n')
		}
		fmt.Fprintf(&text, "alerts[%d]: %v", f.index, f.err)
	}
	if busy {
		a.fail(w, r, problem.Errorf(problem.ErrUnavailable, "%s", text.String()))
		return
	}
	writeString(w, http.StatusBadRequest, text.String())
}

// query is what the two lists of alerts can be asked.
type query struct {
	matchers                           label.Matchers
	active, silenced, inhibited, muted bool
	receiver                           *regexp.Regexp
	receivers                          label.Matchers
}

// flag reads a boolean as upstream does; absent is true.
func flag(q url.Values, name string) (bool, error) {
	if !q.Has(name) || q.Get(name) == "" {
		return true, nil
	}
	switch v := strings.ToLower(q.Get(name)); v {
	case "1", "t", "true", "yes", "y", "on", "ok", "enabled", "checked", "selected":
		return true, nil
	default:
		if _, err := strconv.ParseBool(v); err != nil {
			return false, problem.Errorf(problem.ErrInvalid, "%s: want true or false, got %.40q", name, v)
		}
		return false, nil
	}
}

func parseQuery(r *http.Request) (q query, err error) {
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return q, problem.Errorf(problem.ErrInvalid, "query: %w", err)
	}
	for _, f := range []struct {
		name string
		into *bool
	}{{"active", &q.active}, {"silenced", &q.silenced}, {"inhibited", &q.inhibited}, {"muted", &q.muted}, {"unprocessed", new(bool)}} {
		if *f.into, err = flag(values, f.name); err != nil {
			return q, err
		}
	}
	if q.matchers, err = limit.Matchers(values["filter"]); err != nil {
		return q, err
	}
	if q.receivers, err = limit.Matchers(values["receiver_matchers"]); err != nil {
		return q, fmt.Errorf("failed to parse receiver_matchers param: %w", err)
	}
	if re := values.Get("receiver"); values.Has("receiver") {
		if len(re) > label.MaxMatcherBytes {
			return q, problem.Errorf(problem.ErrInvalid, "receiver: %d bytes, at most %d", len(re), label.MaxMatcherBytes)
		}
		if q.receiver, err = regexp.Compile("^(?:" + re + ")$"); err != nil {
			return q, problem.Errorf(problem.ErrInvalid, "failed to parse receiver param: %w", err)
		}
	}
	return q, nil
}

// matchLabels is matchers against a plain map; an absent label is empty.
func matchLabels(ms label.Matchers, labels map[string]string) bool {
	for _, m := range ms {
		if !m.Matches(labels[m.Name]) {
			return false
		}
	}
	return true
}

// reaches says whether one of the receivers is asked for. known has the labels
// of the configured receivers.
func (q *query) reaches(receivers []string, known map[string]map[string]string) bool {
	if q.receiver != nil && !slices.ContainsFunc(receivers, q.receiver.MatchString) {
		return false
	}
	return len(q.receivers) == 0 || slices.ContainsFunc(receivers, func(name string) bool {
		labels, ok := known[name]
		return ok && matchLabels(q.receivers, labels)
	})
}

// shows says whether an alert of this status is asked for.
func (q *query) shows(v *View) bool {
	silenced, inhibited := len(v.SilencedBy) > 0, len(v.InhibitedBy) > 0
	return (q.active || silenced || inhibited) && (q.silenced || !silenced) && (q.inhibited || !inhibited)
}

func (a *API) receiverLabels() map[string]map[string]string {
	known := map[string]map[string]string{}
	for _, rc := range a.o.Node.Receivers() {
		known[rc.Name] = rc.Labels
	}
	return known
}

// ranked is a view with its fingerprint, computed once.
type ranked struct {
	fp label.Fingerprint
	v  *View
}

func (a *API) getAlerts(w http.ResponseWriter, r *http.Request) {
	q, err := parseQuery(r)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	views, err := a.o.Alerts.Alerts(r.Context(), q.matchers)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	known, now := a.receiverLabels(), alert.At(a.o.Now())
	list := make([]ranked, 0, len(views))
	for i := range views {
		if v := &views[i]; !v.Alert.ResolvedAt(now) && q.shows(v) && q.reaches(v.Receivers, known) {
			list = append(list, ranked{v.Alert.Labels.Fingerprint(), v})
		}
	}
	slices.SortFunc(list, func(x, y ranked) int {
		return cmp.Or(cmp.Compare(x.fp, y.fp), cmp.Compare(x.v.Alert.Tenant, y.v.Alert.Tenant))
	})
	a.stream(w, func(out *writer) {
		out.buf = append(out.buf, '[')
		for i, e := range list {
			if i > 0 {
				out.buf = append(out.buf, ',')
			}
			out.buf = appendAlert(out.buf, e.v, e.fp, nil)
			if out.flush(false); out.err != nil {
				return
			}
		}
		out.buf = append(out.buf, "]\n"...)
	})
}

func (a *API) getGroups(w http.ResponseWriter, r *http.Request) {
	q, err := parseQuery(r)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	all, err := a.o.Alerts.Groups(r.Context(), q.matchers)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	groups := q.groups(all, a.receiverLabels(), alert.At(a.o.Now()))
	a.stream(w, func(out *writer) {
		out.buf = append(out.buf, '[')
		for i := range groups {
			if i > 0 {
				out.buf = append(out.buf, ',')
			}
			if out.group(groups[i]); out.err != nil {
				return
			}
		}
		out.buf = append(out.buf, "]\n"...)
	})
}

// groups chooses and orders what is asked for. An alert's receivers are those
// of the chosen groups that it stands in.
func (q *query) groups(all []Group, known map[string]map[string]string, now alert.Time) []*Group {
	out := make([]*Group, 0, len(all))
	receivers := map[label.Fingerprint][]string{}
	for i := range all {
		g := &all[i]
		if !q.reaches([]string{g.Receiver}, known) {
			continue
		}
		g.Alerts = slices.DeleteFunc(slices.Clone(g.Alerts), func(v View) bool {
			return v.Alert.ResolvedAt(now) || !q.shows(&v)
		})
		if len(g.Alerts) == 0 {
			continue
		}
		for _, v := range g.Alerts {
			fp := v.Alert.Labels.Fingerprint()
			receivers[fp] = append(receivers[fp], g.Receiver)
		}
		if q.muted || len(g.MutedBy) == 0 {
			out = append(out, g)
		}
	}
	for _, names := range receivers {
		slices.Sort(names)
	}
	for _, g := range out {
		for i := range g.Alerts {
			g.Alerts[i].Receivers = receivers[g.Alerts[i].Alert.Labels.Fingerprint()]
		}
		slices.SortStableFunc(g.Alerts, compareAlerts)
	}
	slices.SortStableFunc(out, func(x, y *Group) int {
		return cmp.Or(compareSets(x.Labels, y.Labels), cmp.Compare(x.Receiver, y.Receiver))
	})
	return out
}

// compareAlerts is the order within a group: by job, then by instance, then
// by all labels; whoever lacks one comes last.
func compareAlerts(x, y View) int {
	for _, name := range [...]string{"job", "instance"} {
		p, q := x.Alert.Labels.Get(name), y.Alert.Labels.Get(name)
		switch {
		case p == q:
		case p == "":
			return 1
		case q == "":
			return -1
		default:
			return cmp.Compare(p, q)
		}
	}
	return compareSets(x.Alert.Labels, y.Alert.Labels)
}

// compareSets is prometheus/common's order of label sets: fewer labels first;
// then whichever lacks the first name that only one of them has, then values.
func compareSets(x, y label.Set) int {
	if c := cmp.Compare(x.Len(), y.Len()); c != 0 {
		return c
	}
	p, q := x.Pairs(), y.Pairs()
	for i := range p {
		switch {
		case p[i].Name < q[i].Name:
			return 1
		case p[i].Name > q[i].Name:
			return -1
		case p[i].Value != q[i].Value:
			return cmp.Compare(p[i].Value, q[i].Value)
		}
	}
	return 0
}

// group writes one group in upstream's order of fields.
func (w *writer) group(g *Group) {
	w.buf = append(w.buf, `{"alerts":[`...)
	for i := range g.Alerts {
		if i > 0 {
			w.buf = append(w.buf, ',')
		}
		v := &g.Alerts[i]
		w.buf = appendAlert(w.buf, v, v.Alert.Labels.Fingerprint(), g.MutedBy)
		if w.flush(false); w.err != nil {
			return
		}
	}
	w.buf = append(w.buf, `],"labels":`...)
	w.buf = g.Labels.AppendJSON(w.buf)
	w.buf = append(w.buf, `,"receiver":{"name":`...)
	w.buf = label.AppendQuoted(w.buf, g.Receiver)
	w.buf = append(w.buf, `},"routeLabels":`...)
	w.buf = g.RouteLabels.AppendJSON(w.buf)
	w.buf = append(w.buf, '}')
}
