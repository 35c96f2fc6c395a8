package v1

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/fenghuo-mesh/fenghuo/aggregate/alert"
	"github.com/fenghuo-mesh/fenghuo/aggregate/silence"
	"github.com/fenghuo-mesh/fenghuo/node/api/limit"
	"github.com/fenghuo-mesh/fenghuo/node/api/problem"
	"github.com/fenghuo-mesh/fenghuo/node/api/silences"
)

type listSilencesInput struct {
	State  []string `query:"state,explode" maxItems:"3" enum:"active,pending,expired" doc:"Repeat it for several; default: active and pending."`
	Filter []string `query:"filter,explode" maxItems:"64" doc:"Matcher that a silence must have, exactly so; repeat it for several."`
	Tenant string   `query:"tenant" maxLength:"256" doc:"Business line."`
}

type silencesOutput struct{ Body SilenceList }

type silenceOutput struct{ Body Silence }

type newSilenceInput struct{ Body NewSilence }

type changeSilenceInput struct {
	IDInput
	Body NewSilence
}

type silenceIDOutput struct{ Body SilenceID }

type previewInput struct{ Body PreviewRequest }

type previewOutput struct{ Body Preview }

// silenceCalls answers about silences.
type silenceCalls struct{ *API }

func (a silenceCalls) register(api huma.API) {
	const path, tag = "/v1/silences", "silences"
	huma.Register(api, operation(http.MethodGet, path, "list-silences", tag, "List silences"), a.listSilences)
	op := operation(http.MethodPost, path, "create-silence", tag, "Create a silence")
	op.DefaultStatus = http.StatusCreated
	huma.Register(api, op, a.createSilence)
	op = operation(http.MethodPost, path+"/preview", "preview-silence", tag, "What a silence would silence")
	op.Description = "Nothing is changed."
	huma.Register(api, op, a.preview)
	for _, one := range []struct{ method, id, summary string }{
		{http.MethodGet, "get-silence", "One silence"},
		{http.MethodPut, "change-silence", "Change a silence"},
		{http.MethodDelete, "expire-silence", "End a silence now"},
	} {
		op = operation(one.method, path+"/{id}", one.id, tag, one.summary)
		op.Errors = append(op.Errors, http.StatusNotFound)
		switch one.method {
		case http.MethodGet:
			huma.Register(api, op, a.getSilence)
		case http.MethodPut:
			op.Description = "Where the change would alter the past (other matchers, another begin of an active silence), the silence ends and a new one begins: mind the ID in the answer."
			huma.Register(api, op, a.changeSilence)
		default:
			op.Description = "The silence stays visible as expired. Ending an ended one is no error."
			huma.Register(api, op, a.expireSilence)
		}
	}
}

func (a silenceCalls) listSilences(ctx context.Context, in *listSilencesInput) (*silencesOutput, error) {
	ms, err := limit.Matchers(in.Filter)
	if err != nil {
		return nil, a.fail(err)
	}
	f := silence.Filter{Tenant: in.Tenant, Matchers: ms}
	if len(in.State) == 0 {
		f.Active, f.Pending = true, true
	}
	for _, state := range in.State {
		switch state {
		case silence.Active.String():
			f.Active = true
		case silence.Pending.String():
			f.Pending = true
		default:
			f.Expired = true
		}
	}
	list, err := a.o.Silences.Silences(ctx, f)
	if err != nil {
		return nil, a.fail(err)
	}
	out := &silencesOutput{Body: SilenceList{Silences: make([]Silence, len(list))}}
	now := a.now()
	for i := range list {
		out.Body.Silences[i] = fromSilence(&list[i], now)
	}
	return out, nil
}

func (a silenceCalls) getSilence(ctx context.Context, in *IDInput) (*silenceOutput, error) {
	s, err := a.o.Silences.Silence(ctx, in.ID)
	if err != nil {
		return nil, a.fail(err)
	}
	return &silenceOutput{fromSilence(&s, a.now())}, nil
}

// silence makes a silence of what was posted.
func (a silenceCalls) silence(in *NewSilence) (s silence.Silence, err error) {
	s = silence.Silence{Tenant: in.Tenant, StartsAt: alert.At(in.StartsAt), EndsAt: alert.At(in.EndsAt), CreatedBy: in.CreatedBy, Comment: in.Comment}
	if s.Tenant == "" {
		s.Tenant = a.o.Tenant
	}
	if s.StartsAt == 0 {
		s.StartsAt = a.now()
	}
	switch {
	case in.Duration != "" && !in.EndsAt.IsZero():
		return s, problem.Errorf(problem.ErrInvalid, "ends_at and duration: give one of them")
	case in.Duration != "":
		d, err := ParseDuration(in.Duration)
		if err != nil {
			return s, err
		}
		s.EndsAt = s.StartsAt.Add(d)
	case in.EndsAt.IsZero():
		return s, problem.Errorf(problem.ErrInvalid, "ends_at or duration is required")
	}
	if s.Matchers, err = limit.Matchers(in.Matchers); err != nil {
		return s, err
	}
	s.Annotations, err = silences.Annotations(in.Annotations)
	return s, err
}

func (a silenceCalls) put(ctx context.Context, id string, in *NewSilence) (*silenceIDOutput, error) {
	s, err := a.silence(in)
	if err != nil {
		return nil, a.fail(err)
	}
	s.ID = id
	if id, err = a.o.Silences.PutSilence(ctx, s); err != nil {
		return nil, a.fail(err)
	}
	return &silenceIDOutput{SilenceID{id}}, nil
}

func (a silenceCalls) createSilence(ctx context.Context, in *newSilenceInput) (*silenceIDOutput, error) {
	return a.put(ctx, "", &in.Body)
}

func (a silenceCalls) changeSilence(ctx context.Context, in *changeSilenceInput) (*silenceIDOutput, error) {
	return a.put(ctx, in.ID, &in.Body)
}

func (a silenceCalls) expireSilence(ctx context.Context, in *IDInput) (*struct{}, error) {
	if err := a.o.Silences.ExpireSilence(ctx, in.ID); err != nil {
		return nil, a.fail(err)
	}
	return nil, nil
}

func (a silenceCalls) preview(ctx context.Context, in *previewInput) (*previewOutput, error) {
	ms, err := limit.Matchers(in.Body.Matchers)
	if err != nil {
		return nil, a.fail(err)
	}
	tenant, now := in.Body.Tenant, a.now()
	if tenant == "" {
		tenant = a.o.Tenant
	}
	all, err := a.o.Alerts.Held(ctx, nil)
	if err != nil {
		return nil, a.fail(err)
	}
	out := &previewOutput{}
	var hit []*alert.Alert
	for _, x := range all {
		if x.Tenant != tenant || x.ResolvedAt(now) {
			continue
		}
		out.Body.Firing++
		if ms.Match(x.Labels) {
			hit = append(hit, x)
		}
	}
	out.Body.Total = len(hit)
	if out.Body.Alerts, err = a.worst(ctx, hit, previewAlerts); err != nil {
		return nil, a.fail(err)
	}
	return out, nil
}
