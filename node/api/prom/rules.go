package prom

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/fenghuo-mesh/fenghuo/collectors/series"
)

// ruleFilter is what a request wants of the rules.
type ruleFilter struct {
	kind          string // KindAlerting, KindRecording or "" for both
	names         []string
	groups        []string
	files         []string
	matchers      [][]*series.Matcher
	excludeAlerts bool
	limit         int // groups a page; 0: all
	token         string
}

func parseRuleFilter(r *http.Request) (f ruleFilter, fail *apiError) {
	f = ruleFilter{names: r.Form["rule_name[]"], groups: r.Form["rule_group[]"], files: r.Form["file[]"]}
	for _, text := range r.Form["match[]"] {
		ms, err := series.ParseSelector(text)
		if err != nil {
			return f, &apiError{kindBadData, err}
		}
		if !slices.ContainsFunc(ms, func(m *series.Matcher) bool { return !m.Matches("") }) {
			return f, &apiError{kindBadData, errors.New("match[] must contain at least one non-empty matcher")}
		}
		f.matchers = append(f.matchers, ms)
	}
	switch kind := strings.ToLower(r.Form.Get("type")); kind {
	case "":
	case "alert":
		f.kind = KindAlerting
	case "record":
		f.kind = KindRecording
	default:
		return f, badParam("type", fmt.Errorf("not supported value %q", kind))
	}
	if v := strings.ToLower(r.Form.Get("exclude_alerts")); v != "" {
		var err error
		if f.excludeAlerts, err = strconv.ParseBool(v); err != nil {
			return f, badParam("exclude_alerts", fmt.Errorf("error converting exclude_alerts: %w", err))
		}
	}
	limit := r.Form.Get("group_limit")
	f.token = r.Form.Get("group_next_token")
	if limit == "" {
		if f.token != "" {
			return f, badParam("group_next_token", errors.New("group_limit needs to be present in order to paginate over the groups"))
		}
		return f, nil
	}
	n, err := strconv.ParseInt(limit, 10, 32)
	if err != nil {
		return f, badParam("group_limit", fmt.Errorf("group_limit needs to be a valid number: %w", err))
	}
	if n <= 0 {
		return f, badParam("group_limit", errors.New("group_limit needs to be greater than 0"))
	}
	f.limit = int(n)
	return f, nil
}

// wants says whether a rule passes the filter. With several match[] one is enough, as for series.
func (f *ruleFilter) wants(r *Rule) bool {
	if f.kind != "" && f.kind != r.Kind {
		return false
	}
	if len(f.names) > 0 && !slices.Contains(f.names, r.Name) {
		return false
	}
	return len(f.matchers) == 0 || slices.ContainsFunc(f.matchers, func(ms []*series.Matcher) bool {
		return !slices.ContainsFunc(ms, func(m *series.Matcher) bool { return !m.Matches(r.Labels[m.Name]) })
	})
}

// page picks groups and, in them, rules. The token names the group that the next page begins with.
func (f *ruleFilter) page(all []RuleGroup) (page []RuleGroup, next string, fail *apiError) {
	found := f.token == ""
	for _, g := range all {
		if !found {
			if groupToken(g) != f.token {
				continue
			}
			found = true
		}
		if len(f.groups) > 0 && !slices.Contains(f.groups, g.Name) || len(f.files) > 0 && !slices.Contains(f.files, g.File) {
			continue
		}
		var rules []Rule
		for i := range g.Rules {
			if f.wants(&g.Rules[i]) {
				rules = append(rules, g.Rules[i])
			}
		}
		if len(rules) == 0 {
			continue
		}
		if f.limit > 0 && len(page) == f.limit {
			return page, groupToken(g), nil
		}
		g.Rules = rules
		page = append(page, g)
	}
	if !found {
		return nil, "", badParam("group_next_token", fmt.Errorf("invalid group_next_token '%v'. were rule groups changed?", f.token))
	}
	return page, "", nil
}

func groupToken(g RuleGroup) string {
	sum := sha256.Sum256([]byte(g.File + ";" + g.Name))
	return hex.EncodeToString(sum[:])
}

func (a *API) ruleGroups() []RuleGroup {
	if a.o.Rules == nil {
		return nil
	}
	return a.o.Rules.RuleGroups()
}

func (a *API) rules(r *http.Request) (answer, *apiError) {
	f, fail := parseRuleFilter(r)
	if fail != nil {
		return answer{}, fail
	}
	page, next, fail := f.page(a.ruleGroups())
	if fail != nil {
		return answer{}, fail
	}
	return answer{data: func(s *stream) {
		s.raw(`{"groups":`)
		writeList(s, page, func(s *stream, g RuleGroup) { writeGroup(s, g, f.excludeAlerts) })
		if next != "" {
			s.field("groupNextToken", false)
			s.str(next)
		}
		s.raw(`}`)
	}}, nil
}

func (a *API) alerts(*http.Request) (answer, *apiError) {
	var all []Alert
	for _, g := range a.ruleGroups() {
		for _, rule := range g.Rules {
			if rule.Kind == KindAlerting {
				all = append(all, rule.Alerts...)
			}
		}
	}
	return answer{data: func(s *stream) {
		s.raw(`{"alerts":`)
		writeList(s, all, writeAlert)
		s.raw(`}`)
	}}, nil
}

func writeGroup(s *stream, g RuleGroup, excludeAlerts bool) {
	s.raw(`{"name":`)
	s.str(g.Name)
	s.field("file", false)
	s.str(g.File)
	s.field("rules", false)
	writeList(s, g.Rules, func(s *stream, r Rule) { writeRule(s, r, excludeAlerts) })
	s.field("interval", false)
	s.seconds(g.Interval)
	s.field("limit", false)
	s.int(int64(g.Limit))
	writeEvaluation(s, g.EvaluationTime, g.LastEvaluation)
	s.raw(`}`)
}

func writeEvaluation(s *stream, took time.Duration, last time.Time) {
	s.field("evaluationTime", false)
	s.seconds(took)
	s.field("lastEvaluation", false)
	s.time(last)
}

func writeRule(s *stream, r Rule, excludeAlerts bool) {
	alerting := r.Kind == KindAlerting
	s.raw(`{`)
	if alerting {
		s.field("state", true)
		s.str(or(r.State, StateInactive))
	}
	s.field("name", !alerting)
	s.str(r.Name)
	s.field("query", false)
	s.str(r.Query)
	if alerting {
		s.field("duration", false)
		s.seconds(r.For)
		s.field("keepFiringFor", false)
		s.seconds(r.KeepFiringFor)
	}
	s.field("labels", false)
	s.mapping(r.Labels)
	if alerting {
		s.field("annotations", false)
		s.mapping(r.Annotations)
		s.field("alerts", false)
		if excludeAlerts {
			s.raw(`null`)
		} else {
			writeList(s, r.Alerts, writeAlert)
		}
	}
	s.field("health", false)
	s.str(or(r.Health, HealthUnknown))
	if r.LastError != "" {
		s.field("lastError", false)
		s.str(r.LastError)
	}
	writeEvaluation(s, r.EvaluationTime, r.LastEvaluation)
	s.field("type", false)
	s.str(or(r.Kind, KindRecording))
	s.raw(`}`)
}

func writeAlert(s *stream, a Alert) {
	s.raw(`{"labels":`)
	s.mapping(a.Labels)
	s.field("annotations", false)
	s.mapping(a.Annotations)
	s.field("state", false)
	s.str(a.State)
	s.field("activeAt", false)
	s.time(a.ActiveAt)
	if !a.KeepFiringSince.IsZero() {
		s.field("keepFiringSince", false)
		s.time(a.KeepFiringSince)
	}
	s.field("value", false)
	s.str(strconv.FormatFloat(a.Value, 'e', -1, 64))
	s.raw(`}`)
}

func or(v, otherwise string) string {
	if v == "" {
		return otherwise
	}
	return v
}
