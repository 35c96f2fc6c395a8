package rulefile

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
	"go.yaml.in/yaml/v3"

	"github.com/fenghuo-mesh/fenghuo/aggregate/label"
	"github.com/fenghuo-mesh/fenghuo/aggregate/rule"
	"github.com/fenghuo-mesh/fenghuo/collectors/series"
)

// Bounds of the block `fenghuo:`.
const (
	MaxParameters  = 500
	MaxOverrides   = 200 // of one parameter
	maxTenantBytes = 128
)

// extension is the block `fenghuo:` of a rule file. A file with nothing else may
// hold zone and parameters for all files (see Load).
//
//	fenghuo:
//	  tenant: payments              # owner of the file's alerts
//	  zone: Asia/Shanghai           # zone of windows that name none; UTC
//	  parameters:
//	    cpu_high:                   # $cpu_high in expressions
//	      value: 80
//	      overrides:                # the last one that matches wins
//	        - when: [{days: mon-fri, hours: "09:00-18:00"}]
//	          factor: 1.5           # of value
//	        - match: 'role="db"'    # labels of the host
//	          tenant: payments
//	          value: 95
//	  rules:                        # settings of rules, by name
//	    - alert: HostCpuHigh
//	      group: host               # where several groups have the name
//	      tenant: infra
//	      flap: {high: 30, low: 20} # or true, or false
//	      schedule: [{days: mon-fri, hours: ["08:00-20:00"], zone: Europe/Berlin}]
type extension struct {
	tenant     string
	zone       *time.Location
	parameters map[string]*rule.Parameter
	rules      []*ruleSettings
}

// ruleSettings are the settings of the rules of one name.
type ruleSettings struct {
	place    *yaml.Node
	name     string
	alerting bool
	group    string
	tenant   string
	flap     *rule.Flap
	noFlap   bool
	schedule []rule.Window
	used     bool
}

func readExtension(r reporter, n *yaml.Node) *extension {
	ext := &extension{zone: time.UTC, parameters: map[string]*rule.Parameter{}}
	if n == nil || n.Tag == "!!null" {
		return ext
	}
	if n.Kind != yaml.MappingNode {
		r.at(n, Error, "fenghuo: want a mapping")
		return ext
	}
	if !knownKeys(r, n, "tenant", "zone", "parameters", "rules") {
		return ext
	}
	ext.tenant = readTenant(r, field(n, "tenant"))
	ext.zone = readZone(r, field(n, "zone"), time.UTC)
	ext.readParameters(r, field(n, "parameters"))
	ext.readRules(r, field(n, "rules"))
	return ext
}

func readTenant(r reporter, n *yaml.Node) string {
	if n == nil {
		return ""
	}
	if err := CheckTenant(n.Value); n.Kind != yaml.ScalarNode || err != nil {
		r.at(n, Error, fmt.Sprintf("tenant: %v", err))
	}
	return n.Value
}

// CheckTenant checks the name of a tenant.
func CheckTenant(t string) error {
	if t == "" || len(t) > maxTenantBytes {
		return fmt.Errorf("name has %d bytes, want 1 to %d", len(t), maxTenantBytes)
	}
	return nil
}

func readZone(r reporter, n *yaml.Node, fallback *time.Location) *time.Location {
	if n == nil {
		return fallback
	}
	zone, err := time.LoadLocation(valueOf(n))
	if err != nil || valueOf(n) == "" {
		r.at(n, Error, fmt.Sprintf("zone: %.60q is no time zone", n.Value))
		return fallback
	}
	return zone
}

func (e *extension) readParameters(r reporter, n *yaml.Node) {
	if n == nil {
		return
	}
	if n.Kind != yaml.MappingNode || len(n.Content)/2 > MaxParameters {
		r.at(n, Error, fmt.Sprintf("parameters: want a mapping of at most %d names", MaxParameters))
		return
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], resolve(n.Content[i+1])
		p := &rule.Parameter{Name: key.Value}
		switch {
		case e.parameters[key.Value] != nil:
			r.at(key, Error, fmt.Sprintf("parameter %q is given twice", key.Value))
			continue
		case value.Kind == yaml.ScalarNode:
			p.Base = value.Value
		case value.Kind != yaml.MappingNode:
			r.at(value, Error, fmt.Sprintf("parameter %q: want a value, or a mapping with value and overrides", key.Value))
			continue
		case !knownKeys(r, value, "value", "overrides"):
			continue
		default:
			p.Base = valueOf(field(value, "value"))
			p.Overrides = e.readOverrides(r, field(value, "overrides"))
		}
		if err := p.Validate(); err != nil {
			r.at(key, Error, err.Error())
		}
		e.parameters[key.Value] = p
	}
}

func (e *extension) readOverrides(r reporter, n *yaml.Node) []rule.Override {
	if n == nil {
		return nil
	}
	if n.Kind != yaml.SequenceNode || len(n.Content) > MaxOverrides {
		r.at(n, Error, fmt.Sprintf("overrides: want a list of at most %d", MaxOverrides))
		return nil
	}
	var out []rule.Override
	for _, c := range n.Content {
		c = resolve(c)
		if c.Kind != yaml.MappingNode {
			r.at(c, Error, "an override must be a mapping")
			continue
		}
		if !knownKeys(r, c, "when", "tenant", "match", "value", "factor") {
			continue
		}
		o := rule.Override{When: e.readWindows(r, field(c, "when")), Tenant: readTenant(r, field(c, "tenant")), Value: valueOf(field(c, "value"))}
		if f := field(c, "factor"); f != nil {
			v, err := strconv.ParseFloat(valueOf(f), 64)
			if err != nil {
				r.at(f, Error, fmt.Sprintf("factor: %.40q is no number", f.Value))
			}
			o.Factor = v
		}
		if m := field(c, "match"); m != nil {
			ms, err := label.ParseMatchers(valueOf(m))
			switch {
			case err != nil:
				r.at(m, Error, "match: "+err.Error())
			case len(ms) == 0:
				r.at(m, Error, "match: no matchers; leave it out to match every host")
			}
			o.Match = ms
		}
		out = append(out, o)
	}
	return out
}

func (e *extension) readWindows(r reporter, n *yaml.Node) []rule.Window {
	if n == nil {
		return nil
	}
	list := []*yaml.Node{n}
	if n.Kind == yaml.SequenceNode {
		list = n.Content
	}
	var out []rule.Window
	for _, c := range list {
		c = resolve(c)
		if c.Kind != yaml.MappingNode {
			r.at(c, Error, "a window must be a mapping of days, hours and zone")
			continue
		}
		if !knownKeys(r, c, "days", "hours", "zone") {
			continue
		}
		w := rule.Window{Zone: readZone(r, field(c, "zone"), e.zone)}
		if d := field(c, "days"); d != nil {
			days, err := rule.ParseDays(strings.Join(texts(d), ","))
			if err != nil {
				r.at(d, Error, err.Error())
			}
			w.Days = days
		}
		for _, text := range texts(field(c, "hours")) {
			h, err := rule.ParseHours(text)
			if err != nil {
				r.at(field(c, "hours"), Error, err.Error())
			}
			w.Hours = append(w.Hours, h)
		}
		out = append(out, w)
	}
	if len(out) == 0 {
		r.at(n, Error, "want at least one window")
	}
	return out
}

// texts are the texts of a scalar or of a list of them.
func texts(n *yaml.Node) []string {
	switch {
	case n == nil:
		return nil
	case n.Kind == yaml.SequenceNode:
		out := make([]string, 0, len(n.Content))
		for _, c := range n.Content {
			out = append(out, valueOf(resolve(c)))
		}
		return out
	}
	return []string{valueOf(n)}
}

func (e *extension) readRules(r reporter, n *yaml.Node) {
	if n == nil {
		return
	}
	if n.Kind != yaml.SequenceNode {
		r.at(n, Error, "rules: want a list")
		return
	}
	for _, c := range n.Content {
		c = resolve(c)
		if c.Kind != yaml.MappingNode {
			r.at(c, Error, "a rule's settings must be a mapping")
			continue
		}
		if !knownKeys(r, c, "alert", "record", "group", "tenant", "flap", "schedule") {
			continue
		}
		s := &ruleSettings{place: c, name: valueOf(field(c, "alert")), group: valueOf(field(c, "group")), tenant: readTenant(r, field(c, "tenant"))}
		record := valueOf(field(c, "record"))
		if (s.name == "") == (record == "") {
			r.at(c, Error, "want either alert or record: the name of the rule")
			continue
		}
		if s.alerting = record == ""; !s.alerting {
			s.name = record
		}
		s.schedule = e.readWindows(r, field(c, "schedule"))
		s.readFlap(r, field(c, "flap"))
		e.rules = append(e.rules, s)
	}
}

func (s *ruleSettings) readFlap(r reporter, n *yaml.Node) {
	switch {
	case n == nil:
		return
	case !s.alerting:
		r.at(n, Error, "flap: a recording rule can't flap")
	case n.Kind == yaml.MappingNode:
		if !knownKeys(r, n, "high", "low") {
			return
		}
		text := valueOf(field(n, "high")) + "," + valueOf(field(n, "low"))
		s.setFlap(r, n, text)
	default:
		s.setFlap(r, n, valueOf(n))
	}
}

func (s *ruleSettings) setFlap(r reporter, n *yaml.Node, text string) {
	f, err := parseFlap(text)
	if err != nil {
		r.at(n, Error, "flap: "+err.Error())
	}
	s.flap, s.noFlap = f, f == nil
}

// parseFlap reads "true", "false" or "HIGH,LOW" in percent; "HIGH," and ",LOW"
// take the default for the other.
func parseFlap(text string) (*rule.Flap, error) {
	switch text {
	case "true":
		return &rule.Flap{High: rule.DefaultFlapHigh, Low: rule.DefaultFlapLow}, nil
	case "false":
		return nil, nil
	}
	high, low, ok := strings.Cut(text, ",")
	if !ok {
		return nil, fmt.Errorf("%.40q: want true, false or thresholds in percent: HIGH,LOW", text)
	}
	f := &rule.Flap{High: rule.DefaultFlapHigh, Low: rule.DefaultFlapLow}
	for _, part := range []struct {
		name, text string
		to         *float64
	}{{"high", high, &f.High}, {"low", low, &f.Low}} {
		if t := strings.TrimSpace(part.text); t != "" {
			v, err := strconv.ParseFloat(t, 64)
			if err != nil {
				return nil, fmt.Errorf("%s: %.40q is no number", part.name, t)
			}
			*part.to = v
		}
	}
	return f, f.Validate()
}

// apply gives a rule its labels, parameters and settings: the file's, then the
// labels', then those of the block's rules.
func (e *extension) apply(r reporter, n *yaml.Node, spec *Rule, head groupHead, own map[string]string) {
	spec.Tenant = e.tenant
	written := map[string]string{} // an empty one takes the result's label away
	for _, m := range []map[string]string{head.Labels, own} {
		for _, name := range slices.Sorted(keys(m)) {
			if isSetting(name) {
				e.applyLabel(r, n, spec, name, m[name])
			} else {
				written[name] = m[name]
			}
		}
	}
	spec.Labels = labels.FromMap(written)
	spec.template = rule.ParseTemplate(spec.Expr)
	for _, name := range spec.template.Names() {
		if p := e.parameters[name]; p != nil {
			if spec.parameters == nil {
				spec.parameters = map[string]*rule.Parameter{}
			}
			spec.parameters[name] = p
		}
	}
	for _, s := range e.rules {
		if s.name != spec.Name || s.alerting != spec.Alerting || (s.group != "" && s.group != head.Name) {
			continue
		}
		s.used = true
		if s.tenant != "" {
			spec.Tenant = s.tenant
		}
		if s.flap != nil || s.noFlap {
			spec.Flap = s.flap
		}
		if s.schedule != nil {
			spec.Schedule = s.schedule
		}
	}
	if !spec.Alerting {
		spec.Flap = nil
	}
}

func (e *extension) applyLabel(r reporter, n *yaml.Node, spec *Rule, name, value string) {
	var err error
	switch name {
	case labelFlap:
		spec.Flap, err = parseFlap(value)
	case labelTenant:
		spec.Tenant, err = value, CheckTenant(value)
	default:
		err = fmt.Errorf("unknown setting; there are %s and %s", labelFlap, labelTenant)
	}
	if err != nil {
		r.at(n, Error, fmt.Sprintf("label %s: %v", name, err))
	}
}

// unused reports settings of rules that aren't there.
func (e *extension) unused(r reporter) {
	for _, s := range e.rules {
		if !s.used {
			r.at(s.place, Error, fmt.Sprintf("fenghuo: rules: the file has no rule %q here", s.name))
		}
	}
}

// parser reads expressions with parameters at their base values.
func (e *extension) parser() parser.Parser { return baseParser{series.NewParser(), e.parameters} }

type baseParser struct {
	parser.Parser
	parameters map[string]*rule.Parameter
}

// ParseExpr implements parser.Parser.
func (p baseParser) ParseExpr(expr string) (parser.Expr, error) {
	if len(expr) > series.MaxExprBytes {
		return nil, fmt.Errorf("%d bytes, at most %d", len(expr), series.MaxExprBytes)
	}
	query, err := rule.ParseTemplate(expr).Expand(func(name string) (string, bool) {
		v, ok := p.parameters[name]
		if !ok {
			return "", false
		}
		return v.Base, true
	})
	if err != nil {
		return nil, err
	}
	return p.Parser.ParseExpr(query)
}
