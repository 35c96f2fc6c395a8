package v1

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/fenghuo-mesh/fenghuo/aggregate/alert"
	"github.com/fenghuo-mesh/fenghuo/aggregate/incident"
	"github.com/fenghuo-mesh/fenghuo/aggregate/rollup"
)

// shownAlerts bounds the alerts in an answer that is about something else.
const (
	incidentAlerts = 100
	previewAlerts  = 20
)

type listIncidentsInput struct {
	Paging
	State    string   `query:"state" enum:"open,closed,all" default:"open" doc:"Which incidents."`
	Tenant   string   `query:"tenant" maxLength:"256" doc:"Business line."`
	Priority []string `query:"priority,explode" maxItems:"5" enum:"P0,P1,P2,P3,P4" doc:"Priority; repeat it for several, any may be."`
	Sort     string   `query:"sort" enum:"newest,oldest,priority,updated" default:"newest" doc:"newest and oldest by onset_at; priority worst first, then newest; updated latest first."`
}

type incidentsOutput struct{ Body IncidentList }

type incidentOutput struct{ Body IncidentDetail }

// incidentCalls answers about incidents.
type incidentCalls struct{ *API }

func (a incidentCalls) register(api huma.API) {
	op := operation(http.MethodGet, "/v1/incidents", "list-incidents", "incidents", "List incidents")
	op.Description = "What people see: alerts that are judged to be one fault."
	huma.Register(api, op, a.listIncidents)
	op = operation(http.MethodGet, "/v1/incidents/{id}", "get-incident", "incidents", "One incident with what it consists of")
	op.Errors = append(op.Errors, http.StatusNotFound)
	huma.Register(api, op, a.getIncident)
}

func (a incidentCalls) listIncidents(ctx context.Context, in *listIncidentsInput) (*incidentsOutput, error) {
	all, err := a.o.Incidents.Incidents(ctx)
	if err != nil {
		return nil, a.fail(err)
	}
	wanted := map[string]bool{}
	for _, p := range in.Priority {
		wanted[p] = true
	}
	var items []ranked[*incident.Incident]
	for _, x := range all {
		if (in.State == "all" || x.Open() == (in.State == open)) && (in.Tenant == "" || in.Tenant == x.Tenant) &&
			(len(wanted) == 0 || wanted[x.Priority.String()]) {
			items = append(items, ranked[*incident.Incident]{rankOfIncident(x, in.Sort), x})
		}
	}
	total := len(items)
	chosen, next, err := page(items, "incidents "+in.Sort, in.Cursor, in.Limit)
	if err != nil {
		return nil, a.fail(err)
	}
	out := &incidentsOutput{Body: IncidentList{Incidents: make([]Incident, len(chosen)), Total: total, Next: next}}
	for i, x := range chosen {
		out.Body.Incidents[i] = FromIncident(x)
	}
	return out, nil
}

// rankOfIncident is an incident's place in an order: that of an alert like it.
func rankOfIncident(in *incident.Incident, order string) rank {
	r := rankOf(&alert.Alert{StartsAt: in.Onset, UpdatedAt: in.Updated, Priority: in.Priority}, order)
	r.id = in.ID
	return r
}

func rollupsOf(in *incident.Incident) map[rollup.Key]bool {
	out := make(map[rollup.Key]bool, len(in.Members))
	for _, m := range in.Members {
		out[m.Key] = true
	}
	return out
}

func (a incidentCalls) getIncident(ctx context.Context, in *IDInput) (*incidentOutput, error) {
	found, err := a.o.Incidents.Incident(ctx, in.ID)
	if err != nil {
		return nil, a.fail(err)
	}
	list, err := a.held(ctx, &AlertFilter{}, memberOf(rollupsOf(found)))
	if err != nil {
		return nil, a.fail(err)
	}
	out := &incidentOutput{IncidentDetail{Incident: FromIncident(found), Members: fromMembers(found), Total: len(list)}}
	if out.Body.Alerts, err = a.worst(ctx, list, incidentAlerts); err != nil {
		return nil, a.fail(err)
	}
	return out, nil
}

// worst shows the first n alerts, worst first.
func (a *API) worst(ctx context.Context, list []*alert.Alert, n int) ([]Alert, error) {
	items := make([]ranked[*alert.Alert], len(list))
	for i, x := range list {
		items[i] = ranked[*alert.Alert]{rankOf(x, "priority"), x}
	}
	chosen, _, err := page(items, "priority", "", n)
	if err != nil {
		return nil, err
	}
	return a.show(ctx, chosen, a.now())
}
