package v1

import "time"

// Alert is one condition on one resource: firing, or resolved.
type Alert struct {
	ID          string            `json:"id" doc:"Names this episode: the fingerprint and the time of its onset. The same on every node." example:"a3f08bc2d41e5f67-m9x2k1p0"`
	Fingerprint string            `json:"fingerprint" doc:"Hash of the labels, 16 hexadecimal digits, as Alertmanager computes it. The same for every episode."`
	Tenant      string            `json:"tenant" doc:"Business line that owns the alert."`
	Name        string            `json:"name" doc:"Name of the rule or condition; from a source without one, the label alertname."`
	Status      string            `json:"status" enum:"firing,resolved" doc:"Whether the condition holds."`
	Muted       bool              `json:"muted" doc:"Whether anything keeps notifications back just now: see silenced_by, inhibited_by, muted_by."`
	Priority    string            `json:"priority" enum:"P0,P1,P2,P3,P4" doc:"Rank for people; P0 is the worst."`
	SeverityRaw string            `json:"severity_raw,omitempty" doc:"Severity exactly as the sender wrote it."`
	Service     string            `json:"service,omitempty" doc:"Logical service, never a scrape job."`
	Resource    string            `json:"resource,omitempty" doc:"What the alert is about: host, namespace/pod, device..."`
	ErrorCode   string            `json:"error_code,omitempty" doc:"Code of the failure, if it has one."`
	Summary     string            `json:"summary,omitempty" doc:"One line for people."`
	Description string            `json:"description,omitempty" doc:"Longer text for people."`
	Labels      map[string]string `json:"labels" doc:"Labels; they are the alert's identity."`
	Annotations map[string]string `json:"annotations,omitempty" doc:"Texts that describe it and may change while it fires."`
	StartsAt    time.Time         `json:"starts_at" doc:"When the condition began, as the sender says; the earliest of merged reports."`
	EndsAt      time.Time         `json:"ends_at,omitzero" doc:"When it ended or, while in the future, when it is taken to have ended unless a report comes before. Absent: it fires until told."`
	Timing      Timing            `json:"timing" doc:"Further times, and how often it was reported."`
	Origin      Origin            `json:"origin" doc:"Where it entered the mesh, and what the sender calls it."`
	Receivers   []string          `json:"receivers,omitempty" doc:"Receivers that it is routed to."`
	SilencedBy  []string          `json:"silenced_by,omitempty" doc:"IDs of silences in force."`
	InhibitedBy []string          `json:"inhibited_by,omitempty" doc:"Fingerprints of alerts that inhibit it."`
	MutedBy     []string          `json:"muted_by,omitempty" doc:"Time intervals that mute it on all its routes."`
	Incident    string            `json:"incident,omitempty" doc:"ID of the incident it belongs to."`
}

// Timing is when an alert was seen.
type Timing struct {
	OnsetAt    time.Time `json:"onset_at" doc:"starts_at as first accepted; it never moves while the alert fires."`
	ReceivedAt time.Time `json:"received_at" doc:"When the first report of this episode arrived."`
	UpdatedAt  time.Time `json:"updated_at" doc:"When the latest report arrived."`
	Count      uint32    `json:"count" doc:"Reports folded into this episode. May lag after a crash."`
	Timeout    bool      `json:"timeout" doc:"Whether ends_at is the node's own (the sender named none)."`
	Version    uint64    `json:"version" doc:"Grows with each recorded change."`
}

// Origin is where an alert came from.
type Origin struct {
	Source       string `json:"source,omitempty" doc:"Kind of sender: prometheus_v2, zabbix, rule..."`
	Integration  string `json:"integration,omitempty" doc:"Configured name of the sender's entry."`
	Node         string `json:"node,omitempty" doc:"Node that accepted it."`
	Datacenter   string `json:"datacenter,omitempty" doc:"Datacenter of that node."`
	GeneratorURL string `json:"generator_url,omitempty" doc:"Leads to what raised the alert."`
	ExternalID   string `json:"external_id,omitempty" doc:"The sender's own number of the problem."`
	ExternalURL  string `json:"external_url,omitempty" doc:"Where the sender shows it."`
	DedupeKey    string `json:"dedupe_key,omitempty" doc:"Equal for a problem's begin and end; the fingerprint where the sender gives none."`
	RuleGroup    string `json:"rule_group,omitempty" doc:"Rule group of this node that owns it."`
}

// TrailEvent is one decision about an alert.
type TrailEvent struct {
	At      time.Time `json:"at" doc:"When it was decided."`
	Kind    string    `json:"kind" doc:"What was decided: received, ended, expired, routed, waiting, muted, unmuted, claimed, sent, retried, failed, not_sent, joined."`
	Subject string    `json:"subject,omitempty" doc:"What decided or was addressed: route, receiver, silence, incident..."`
	Detail  string    `json:"detail,omitempty" doc:"The reason, for people."`
}

// AlertDetail is an alert with its why-trail.
type AlertDetail struct {
	Alert
	Trail        []TrailEvent `json:"trail" doc:"Every decision about this episode, oldest first."`
	TrailDropped int          `json:"trail_dropped,omitempty" doc:"Decisions left out between the first four and the newest ones."`
}

// AlertList is one page of alerts.
type AlertList struct {
	Alerts []Alert `json:"alerts" doc:"The page."`
	Total  int     `json:"total" doc:"How many alerts match, on all pages."`
	Next   string  `json:"next,omitempty" doc:"Cursor of the next page; absent on the last."`
}

// SearchResult is one page of the history.
type SearchResult struct {
	Alerts  []Alert `json:"alerts" doc:"The page, newest onset first."`
	Next    string  `json:"next,omitempty" doc:"Cursor of the next page; absent on the last."`
	Partial string  `json:"partial,omitempty" doc:"Why the answer may lack something; absent if it doesn't."`
}

// Incident is one fault as people see it.
type Incident struct {
	ID        string    `json:"id" doc:"ULID."`
	Tenant    string    `json:"tenant" doc:"Business line that owns it."`
	Title     string    `json:"title" doc:"One line for people."`
	Status    string    `json:"status" enum:"open,closed" doc:"Whether anything of it still fires."`
	Priority  string    `json:"priority" enum:"P0,P1,P2,P3,P4" doc:"The worst that fires; once closed, the worst it ever was."`
	Worst     string    `json:"worst" enum:"P0,P1,P2,P3,P4" doc:"The worst it ever was."`
	Active    int       `json:"active" doc:"Firing alerts."`
	Rollups   int       `json:"rollups" doc:"Rollups (alerts that differ only in host, pod...) that fire."`
	OnsetAt   time.Time `json:"onset_at" doc:"When the first of its alerts began."`
	UpdatedAt time.Time `json:"updated_at" doc:"When it last changed."`
	EndedAt   time.Time `json:"ended_at,omitzero" doc:"When it closed; absent while open."`
}

// Member is a rollup as an incident lists it.
type Member struct {
	Rollup   string    `json:"rollup" doc:"Fingerprint of the labels that its alerts share."`
	Name     string    `json:"name" doc:"Name of the rule or condition."`
	Service  string    `json:"service,omitempty" doc:"Logical service."`
	Resource string    `json:"resource,omitempty" doc:"One of the resources affected."`
	Summary  string    `json:"summary,omitempty" doc:"One line for people."`
	OnsetAt  time.Time `json:"onset_at" doc:"When the first of its alerts began."`
	Evidence string    `json:"evidence,omitempty" doc:"Why it belongs to the incident."`
}

// IncidentDetail is an incident with what it consists of.
type IncidentDetail struct {
	Incident
	Members []Member `json:"members" doc:"The first 100 rollups, in order of joining."`
	Alerts  []Alert  `json:"alerts" doc:"The first 100 of its alerts that the node holds, worst first. For all: GET /v1/alerts?incident=ID."`
	Total   int      `json:"total" doc:"How many of its alerts the node holds."`
}

// IncidentList is one page of incidents.
type IncidentList struct {
	Incidents []Incident `json:"incidents" doc:"The page."`
	Total     int        `json:"total" doc:"How many match, on all pages."`
	Next      string     `json:"next,omitempty" doc:"Cursor of the next page; absent on the last."`
}

// Silence keeps notifications about matching alerts back for a time.
type Silence struct {
	ID          string            `json:"id" doc:"UUID."`
	Tenant      string            `json:"tenant" doc:"Business line whose alerts are silenced."`
	State       string            `json:"state" enum:"active,pending,expired" doc:"Where it is in its life."`
	Matchers    []string          `json:"matchers" doc:"All must match, in Alertmanager's syntax." example:"[\"alertname=\\\"DiskFull\\\"\"]"`
	StartsAt    time.Time         `json:"starts_at" doc:"Begin."`
	EndsAt      time.Time         `json:"ends_at" doc:"End."`
	UpdatedAt   time.Time         `json:"updated_at" doc:"When it was last written."`
	CreatedBy   string            `json:"created_by" doc:"Author."`
	Comment     string            `json:"comment" doc:"Reason."`
	Annotations map[string]string `json:"annotations,omitempty" doc:"Free texts."`
}

// NewSilence is a silence to be created or changed.
type NewSilence struct {
	Tenant      string            `json:"tenant,omitempty" maxLength:"256" doc:"Business line; default: the node's."`
	Matchers    []string          `json:"matchers" minItems:"1" maxItems:"256" doc:"All must match; at least one must not match the empty text." example:"[\"alertname=\\\"DiskFull\\\"\"]"`
	StartsAt    time.Time         `json:"starts_at,omitzero" doc:"Begin; default: now."`
	EndsAt      time.Time         `json:"ends_at,omitzero" doc:"End; or give duration."`
	Duration    string            `json:"duration,omitempty" maxLength:"32" doc:"Length from the begin on, as 2h30m or 3d; instead of ends_at." example:"2h"`
	CreatedBy   string            `json:"created_by" minLength:"1" maxLength:"256" doc:"Author."`
	Comment     string            `json:"comment" minLength:"1" maxLength:"4096" doc:"Reason; those who come after want to know."`
	Annotations map[string]string `json:"annotations,omitempty" doc:"Free texts."`
}

// SilenceID names a silence that was written.
type SilenceID struct {
	ID string `json:"id" doc:"ID that the silence has now. A change that would alter the past makes a new one."`
}

// SilenceList is all silences asked for.
type SilenceList struct {
	Silences []Silence `json:"silences" doc:"Active ones first, the next to end first; then pending, the next to begin first; then expired, the last ended first."`
}

// PreviewRequest is what a silence would match.
type PreviewRequest struct {
	Tenant   string   `json:"tenant,omitempty" maxLength:"256" doc:"Business line; default: the node's."`
	Matchers []string `json:"matchers" minItems:"1" maxItems:"256" doc:"All must match."`
}

// Preview is what a silence would silence if it were in force now.
type Preview struct {
	Alerts []Alert `json:"alerts" doc:"The first 20 firing alerts that it would silence, worst first."`
	Total  int     `json:"total" doc:"How many firing alerts it would silence."`
	Firing int     `json:"firing" doc:"How many alerts of the tenant fire in all."`
}

// RuleGroup is a group of rules that are evaluated together.
type RuleGroup struct {
	Name            string    `json:"name" doc:"Name of the group."`
	File            string    `json:"file" doc:"File it stands in."`
	IntervalSeconds float64   `json:"interval_seconds" doc:"Time between evaluations."`
	Rules           []Rule    `json:"rules" doc:"In order of evaluation."`
	EvaluatedAt     time.Time `json:"evaluated_at,omitzero" doc:"When it was last evaluated; absent: not yet."`
	EvaluateSeconds float64   `json:"evaluate_seconds" doc:"How long that took."`
}

// Rule is an alerting or recording rule.
type Rule struct {
	Name           string            `json:"name" doc:"Name of the alert or of the recorded metric."`
	Kind           string            `json:"kind" enum:"alerting,recording" doc:"What it makes."`
	Query          string            `json:"query" doc:"PromQL expression."`
	ForSeconds     float64           `json:"for_seconds,omitempty" doc:"How long it must hold before it fires."`
	KeepSeconds    float64           `json:"keep_firing_for_seconds,omitempty" doc:"How long it goes on after it stopped to hold."`
	Labels         map[string]string `json:"labels,omitempty" doc:"Labels it adds."`
	Annotations    map[string]string `json:"annotations,omitempty" doc:"Templates of the annotations."`
	State          string            `json:"state,omitempty" enum:"inactive,pending,firing,unknown" doc:"The furthest of its alerts; only of alerting rules."`
	Active         int               `json:"active" doc:"Alerts pending or firing."`
	Health         string            `json:"health" enum:"ok,err,unknown" doc:"How the last evaluation went."`
	Error          string            `json:"error,omitempty" doc:"Why it failed."`
	EvaluatedAt    time.Time         `json:"evaluated_at,omitzero" doc:"When it was last evaluated."`
	EvaluateMicros float64           `json:"evaluate_microseconds" doc:"How long that took."`
}

// RuleList is all rule groups.
type RuleList struct {
	Groups []RuleGroup `json:"groups" doc:"In the order of their files."`
}

// Status says how the node is.
type Status struct {
	Node          string    `json:"node" doc:"Name of the node."`
	NodeID        string    `json:"node_id,omitempty" doc:"Its stable ID."`
	Datacenter    string    `json:"datacenter,omitempty" doc:"Its datacenter."`
	Version       string    `json:"version" doc:"Version of the program."`
	GoVersion     string    `json:"go_version,omitempty" doc:"Version of Go it was built with."`
	StartedAt     time.Time `json:"started_at" doc:"When it started."`
	Now           time.Time `json:"now" doc:"Its clock."`
	UptimeSeconds float64   `json:"uptime_seconds" doc:"Time since it started."`
	Ready         bool      `json:"ready" doc:"Whether it serves."`
	Degraded      []string  `json:"degraded,omitempty" doc:"What doesn't work as it should, in words. Absent: all is well."`
	Firing        int       `json:"firing" doc:"Alerts that fire."`
	Incidents     int       `json:"open_incidents" doc:"Incidents that are open."`
	Parts         []Part    `json:"parts" doc:"The parts of the node: journal, store, series, rules, notify..."`
}

// Part is how one part of the node is.
type Part struct {
	Name    string             `json:"name" doc:"Name of the part."`
	State   string             `json:"state" enum:"ok,degraded,off" doc:"How it is."`
	Detail  string             `json:"detail,omitempty" doc:"In words."`
	Numbers map[string]float64 `json:"numbers,omitempty" doc:"Measures, in the units that their names say."`
}
