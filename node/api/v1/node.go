package v1

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
)

type rulesInput struct {
	Group string `query:"group" maxLength:"1024" doc:"Only the group of this name."`
	Name  string `query:"name" maxLength:"1024" doc:"Only rules of this name."`
	Kind  string `query:"kind" enum:"alerting,recording,all" default:"all" doc:"Only rules of this kind."`
}

type rulesOutput struct{ Body RuleList }

type statusOutput struct{ Body Status }

// nodeCalls answers about the node itself.
type nodeCalls struct{ *API }

func (a nodeCalls) register(api huma.API) {
	huma.Register(api, operation(http.MethodGet, "/v1/rules", "list-rules", "node", "Rules and how they do"), a.rules)
	huma.Register(api, operation(http.MethodGet, "/v1/status", "status", "node", "How the node is"), a.status)
}

func (a nodeCalls) rules(ctx context.Context, in *rulesInput) (*rulesOutput, error) {
	groups, err := a.o.Node.Rules(ctx)
	if err != nil {
		return nil, a.fail(err)
	}
	out := &rulesOutput{Body: RuleList{Groups: []RuleGroup{}}}
	for _, g := range groups {
		if in.Group != "" && in.Group != g.Name {
			continue
		}
		rules := []Rule{}
		for _, r := range g.Rules {
			if (in.Name == "" || in.Name == r.Name) && (in.Kind == "all" || in.Kind == r.Kind) {
				rules = append(rules, r)
			}
		}
		if g.Rules = rules; len(rules) > 0 {
			out.Body.Groups = append(out.Body.Groups, g)
		}
	}
	return out, nil
}

func (a nodeCalls) status(ctx context.Context, _ *struct{}) (*statusOutput, error) {
	s, err := a.o.Node.Status(ctx)
	if err != nil {
		return nil, a.fail(err)
	}
	s.Now = a.o.Now().UTC()
	s.UptimeSeconds = s.Now.Sub(s.StartedAt).Seconds()
	if s.Parts == nil {
		s.Parts = []Part{}
	}
	return &statusOutput{s}, nil
}
