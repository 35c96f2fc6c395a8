package v1

import (
	"github.com/fenghuo-mesh/fenghuo/aggregate/alert"
	"github.com/fenghuo-mesh/fenghuo/aggregate/incident"
	"github.com/fenghuo-mesh/fenghuo/aggregate/silence"
	"github.com/fenghuo-mesh/fenghuo/aggregate/trail"
)

// statuses of an alert and of an incident.
const (
	firing   = "firing"
	resolved = "resolved"
	open     = "open"
	closed   = "closed"
)

// FromAlert writes an alert in the API's words, as it stands at now. s may be
// nil.
func FromAlert(a *alert.Alert, s *Standing, now alert.Time) Alert {
	out := Alert{
		ID: a.ID(), Fingerprint: a.Labels.Fingerprint().String(), Tenant: a.Tenant, Name: a.Name(), Status: firing,
		Priority: a.Priority.String(), SeverityRaw: a.SeverityRaw(), Service: a.Service(), Resource: a.Resource(),
		ErrorCode: a.ErrorCode(), Summary: a.Summary(), Description: a.Description(), Labels: a.Labels.Map(),
		StartsAt: a.StartsAt.Std(), EndsAt: a.EndsAt.Std(),
		Timing: Timing{
			OnsetAt: a.Onset.Std(), ReceivedAt: a.ReceivedAt.Std(), UpdatedAt: a.UpdatedAt.Std(),
			Count: a.Count, Timeout: a.Timeout, Version: a.Version,
		},
		Origin: Origin{GeneratorURL: a.GeneratorURL, DedupeKey: a.DedupeKey()},
	}
	if a.ResolvedAt(now) {
		out.Status = resolved
	}
	if !a.Annotations.Empty() {
		out.Annotations = a.Annotations.Map()
	}
	if o := a.Origin; o != nil {
		out.Origin.Source, out.Origin.Integration, out.Origin.Node, out.Origin.Datacenter = o.Source, o.Integration, o.Node, o.Datacenter
	}
	if e := a.Extra; e != nil {
		out.Origin.ExternalID, out.Origin.ExternalURL, out.Origin.RuleGroup = e.ExternalID, e.ExternalURL, e.RuleGroup
	}
	if s != nil {
		out.Receivers, out.SilencedBy, out.InhibitedBy, out.MutedBy = s.Receivers, s.SilencedBy, s.InhibitedBy, s.MutedBy
		out.Incident, out.Muted = s.Incident, s.muted()
	}
	return out
}

func (s *Standing) muted() bool { return len(s.SilencedBy)+len(s.InhibitedBy)+len(s.MutedBy) > 0 }

func fromTrail(l trail.Log) []TrailEvent {
	out := make([]TrailEvent, 0, len(l.Events()))
	for _, e := range l.Events() {
		out = append(out, TrailEvent{At: e.At.Std(), Kind: string(e.Kind), Subject: e.Subject, Detail: e.Detail})
	}
	return out
}

// FromIncident writes an incident in the API's words.
func FromIncident(in *incident.Incident) Incident {
	out := Incident{
		ID: in.ID, Tenant: in.Tenant, Title: in.Title, Status: open, Priority: in.Priority.String(), Worst: in.Worst.String(),
		Active: in.Active, Rollups: in.Rollups, OnsetAt: in.Onset.Std(), UpdatedAt: in.Updated.Std(), EndedAt: in.EndedAt.Std(),
	}
	if !in.Open() {
		out.Status = closed
	}
	return out
}

func fromMembers(in *incident.Incident) []Member {
	out := make([]Member, 0, len(in.Members))
	for _, m := range in.Members {
		out = append(out, Member{
			Rollup: m.Key.Hash.String(), Name: m.Name, Service: m.Service, Resource: m.Resource, Summary: m.Summary,
			OnsetAt: m.Onset.Std(), Evidence: m.Evidence,
		})
	}
	return out
}

func fromSilence(s *silence.Silence, now alert.Time) Silence {
	out := Silence{
		ID: s.ID, Tenant: s.Tenant, State: s.StateAt(now).String(), Matchers: make([]string, 0, len(s.Matchers)),
		StartsAt: s.StartsAt.Std(), EndsAt: s.EndsAt.Std(), UpdatedAt: s.UpdatedAt.Std(), CreatedBy: s.CreatedBy, Comment: s.Comment,
	}
	for _, m := range s.Matchers {
		out.Matchers = append(out.Matchers, m.String())
	}
	if !s.Annotations.Empty() {
		out.Annotations = s.Annotations.Map()
	}
	return out
}
