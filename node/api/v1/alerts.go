package v1

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/fenghuo-mesh/fenghuo/aggregate/alert"
	"github.com/fenghuo-mesh/fenghuo/aggregate/label"
	"github.com/fenghuo-mesh/fenghuo/aggregate/rollup"
	"github.com/fenghuo-mesh/fenghuo/node/api/problem"
)

// Paging is where a page begins and how long it is. Like the other embedded
// inputs it is exported only because huma looks at exported fields.
type Paging struct {
	Limit  int    `query:"limit" minimum:"1" maximum:"1000" default:"100" doc:"Items of a page."`
	Cursor string `query:"cursor" maxLength:"2048" doc:"Value of next of the page before."`
}

type listAlertsInput struct {
	AlertFilter
	Paging
	State    string `query:"state" enum:"firing,resolved,all" default:"firing" doc:"Which alerts; resolved ones are held for a while, then see /v1/search."`
	Muted    string `query:"muted" enum:"any,true,false" default:"any" doc:"Whether something keeps notifications back."`
	Incident string `query:"incident" maxLength:"64" doc:"ID of an incident: only its alerts."`
	Sort     string `query:"sort" enum:"newest,oldest,priority,updated,name" default:"newest" doc:"newest and oldest by starts_at; priority worst first, then newest; updated latest first."`
}

type alertsOutput struct{ Body AlertList }

type alertOutput struct{ Body AlertDetail }

type searchInput struct {
	AlertFilter
	Paging
	From string `query:"from" maxLength:"64" default:"24h" doc:"Begin: RFC 3339, Unix seconds, or a time ago like 2h or 7d."`
	To   string `query:"to" maxLength:"64" default:"0s" doc:"End, written like from."`
}

type searchOutput struct{ Body SearchResult }

// alertCalls answers about alerts, held and past.
type alertCalls struct{ *API }

func (a alertCalls) register(api huma.API) {
	op := operation(http.MethodGet, "/v1/alerts", "list-alerts", "alerts", "List alerts")
	op.Description = "Alerts this node holds: all that fire, and those that ended lately."
	huma.Register(api, op, a.listAlerts)
	op = operation(http.MethodGet, "/v1/alerts/{id}", "get-alert", "alerts", "One alert and why")
	op.Description = "An alert with its why-trail: every decision about it, in order. Alerts that ended long ago come from the history."
	op.Errors = append(op.Errors, http.StatusNotFound)
	huma.Register(api, op, a.getAlert)
	op = operation(http.MethodGet, "/v1/search", "search", "alerts", "Search the history")
	op.Description = "Episodes that were active in a span of time, newest onset first."
	huma.Register(api, op, a.search)
}

// rankOf is an alert's place in an order.
func rankOf(a *alert.Alert, order string) rank {
	r := rank{id: a.Tenant + "/" + a.ID()}
	switch order {
	case "oldest":
		r.number = int64(a.StartsAt)
	case "priority":
		// Worse first; among equals the newest. Times fit below the priority: they
		// count milliseconds here.
		r.number = int64(a.Priority)<<45 - int64(a.StartsAt)/int64(time.Millisecond)
	case "updated":
		r.number = -int64(a.UpdatedAt)
	case "name":
		r.text = shorten(a.Name())
	default:
		r.number = -int64(a.StartsAt)
	}
	return r
}

// shorten bounds what a cursor carries.
func shorten(s string) string {
	if len(s) > 128 {
		s = strings.ToValidUTF8(s[:128], "")
	}
	return s
}

// held returns the alerts in memory that the filter and want select.
func (a *API) held(ctx context.Context, f *AlertFilter, want func(*alert.Alert) bool) ([]*alert.Alert, error) {
	ms, keep, err := f.compile()
	if err != nil {
		return nil, err
	}
	all, err := a.o.Alerts.Held(ctx, ms)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(slices.Clone(all), func(x *alert.Alert) bool { return !want(x) || !keep(x) }), nil
}

func (a alertCalls) listAlerts(ctx context.Context, in *listAlertsInput) (*alertsOutput, error) {
	now := a.now()
	mine := func(*alert.Alert) bool { return true }
	if in.Incident != "" {
		inc, err := a.o.Incidents.Incident(ctx, in.Incident)
		if err != nil {
			return nil, a.fail(err)
		}
		mine = memberOf(rollupsOf(inc))
	}
	list, err := a.held(ctx, &in.AlertFilter, func(x *alert.Alert) bool {
		return (in.State == "all" || x.ResolvedAt(now) == (in.State == resolved)) && mine(x)
	})
	if err != nil {
		return nil, a.fail(err)
	}
	if in.Muted != "any" {
		if list, err = a.muted(ctx, list, in.Muted == "true"); err != nil {
			return nil, a.fail(err)
		}
	}
	items := make([]ranked[*alert.Alert], len(list))
	for i, x := range list {
		items[i] = ranked[*alert.Alert]{rankOf(x, in.Sort), x}
	}
	chosen, next, err := page(items, "alerts "+in.Sort, in.Cursor, in.Limit)
	if err != nil {
		return nil, a.fail(err)
	}
	out := &alertsOutput{Body: AlertList{Total: len(list), Next: next}}
	if out.Body.Alerts, err = a.show(ctx, chosen, now); err != nil {
		return nil, a.fail(err)
	}
	return out, nil
}

// muted keeps the alerts that are (or aren't) kept back.
func (a alertCalls) muted(ctx context.Context, list []*alert.Alert, want bool) ([]*alert.Alert, error) {
	standing, err := a.o.Alerts.Standing(ctx, list)
	if err != nil {
		return nil, err
	}
	var out []*alert.Alert
	for i := range list {
		if standing[i].muted() == want {
			out = append(out, list[i])
		}
	}
	return out, nil
}

// show writes alerts in the API's words, as they stand.
func (a *API) show(ctx context.Context, list []*alert.Alert, now alert.Time) ([]Alert, error) {
	standing, err := a.o.Alerts.Standing(ctx, list)
	if err != nil {
		return nil, err
	}
	out := make([]Alert, len(list))
	for i := range list {
		out[i] = FromAlert(list[i], &standing[i], now)
	}
	return out, nil
}

// memberOf says whether an alert folds into one of the rollups.
func memberOf(rollups map[rollup.Key]bool) func(*alert.Alert) bool {
	return func(a *alert.Alert) bool { return rollups[rollup.KeyOf(a)] }
}

// IDInput names one thing.
type IDInput struct {
	ID string `path:"id" maxLength:"128" doc:"ID."`
}

type alertIDInput struct {
	ID string `path:"id" maxLength:"128" doc:"ID of an episode; or a fingerprint: the newest episode held of it."`
}

func (a alertCalls) getAlert(ctx context.Context, in *alertIDInput) (*alertOutput, error) {
	id, err := a.newestOf(ctx, in.ID)
	if err != nil {
		return nil, a.fail(err)
	}
	found, log, err := a.o.Alerts.Episode(ctx, id)
	if err != nil {
		return nil, a.fail(err)
	}
	shown, err := a.show(ctx, []*alert.Alert{found}, a.now())
	if err != nil {
		return nil, a.fail(err)
	}
	return &alertOutput{AlertDetail{Alert: shown[0], Trail: fromTrail(log), TrailDropped: log.Dropped}}, nil
}

// newestOf turns a fingerprint into the ID of its newest episode held.
func (a alertCalls) newestOf(ctx context.Context, id string) (string, error) {
	fp, err := label.ParseFingerprint(id)
	if err != nil {
		return id, nil // an ID then
	}
	all, err := a.o.Alerts.Held(ctx, nil)
	if err != nil {
		return "", err
	}
	var newest *alert.Alert
	for _, x := range all {
		if x.Labels.Fingerprint() == fp && (newest == nil || x.Onset > newest.Onset) {
			newest = x
		}
	}
	if newest == nil {
		return "", problem.Errorf(problem.ErrNotFound, "no alert with fingerprint %s is held; an ID also finds one in the history", id)
	}
	return newest.ID(), nil
}

func (a alertCalls) search(ctx context.Context, in *searchInput) (*searchOutput, error) {
	now := a.o.Now()
	from, err := ParseTime(in.From, now)
	if err != nil {
		return nil, a.fail(problem.Errorf(problem.ErrInvalid, "from: %w", err))
	}
	to, err := ParseTime(in.To, now)
	if err != nil {
		return nil, a.fail(problem.Errorf(problem.ErrInvalid, "to: %w", err))
	}
	if !from.Before(to) {
		return nil, a.fail(problem.Errorf(problem.ErrInvalid, "from: %s is not before to, %s", from.UTC().Format(time.RFC3339), to.UTC().Format(time.RFC3339)))
	}
	ms, keep, err := in.compile()
	if err != nil {
		return nil, a.fail(err)
	}
	found, err := a.o.History.Search(ctx, HistoryQuery{
		From: alert.At(from), To: alert.At(to), Matchers: ms, Limit: in.Limit, Cursor: in.Cursor,
		Keep: func(x *alert.Alert) bool { return ms.Match(x.Labels) && keep(x) },
	})
	if err != nil {
		return nil, a.fail(err)
	}
	out := &searchOutput{Body: SearchResult{Alerts: make([]Alert, 0, len(found.Alerts)), Next: found.Next, Partial: found.Partial}}
	for _, x := range found.Alerts {
		out.Body.Alerts = append(out.Body.Alerts, FromAlert(x, nil, alert.At(now)))
	}
	return out, nil
}
