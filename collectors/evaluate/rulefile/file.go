package rulefile

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/rulefmt"
	"go.yaml.in/yaml/v3"

	"github.com/fenghuo-mesh/fenghuo/aggregate/label"
	"github.com/fenghuo-mesh/fenghuo/collectors/series"
)

// Bounds of rule files. A file beyond them is refused.
const (
	MaxFileBytes   = 4 << 20
	MaxFileGroups  = 2_000
	MaxFileRules   = 20_000
	MaxRuleLabels  = label.MaxLabels - 8 // room for the labels of the result
	maxGroupKey    = 4 << 10             // alert.Extra.RuleGroup
	minInterval    = time.Second
	prometheusRule = "PrometheusRule"
)

// document is a file that has been read but not yet understood.
type document struct {
	name   string
	root   *yaml.Node // nil: nothing is in it, or nothing readable
	groups []*Group
	issues []Issue
}

// ParseFile reads the content of one rule file; name is what it is called in
// errors and in the groups' keys. It reports every fault it finds; with an
// error among them there are no groups. Safe for concurrent use.
//
// The content is Prometheus's format with the block `fenghuo:` beside `groups:`,
// or a PrometheusRule object of the Prometheus operator, whose spec has that form.
func ParseFile(name string, content []byte, interval time.Duration) ([]*Group, []Issue) {
	d := read(name, content)
	d.understand(newShared(), interval)
	return d.result()
}

// read reads a file's YAML.
func read(name string, content []byte) *document {
	d := &document{name: name}
	r := d.reporter()
	root := readDocument(r, content)
	if root == nil {
		return d
	}
	if kind := field(root, "kind"); kind != nil && kind.Value == prometheusRule {
		if !strings.HasPrefix(valueOf(field(root, "apiVersion")), "monitoring.coreos.com/") {
			r.at(kind, Error, "a PrometheusRule of an unknown apiVersion")
			return d
		}
		if root = field(root, "spec"); root == nil || root.Kind != yaml.MappingNode {
			r.at(kind, Error, "a PrometheusRule without spec")
			return d
		}
	}
	if knownKeys(r, root, "groups", "fenghuo") {
		d.root = root
	}
	return d
}

func (d *document) reporter() reporter { return reporter{file: d.name, issues: &d.issues} }

func (d *document) result() ([]*Group, []Issue) {
	sortIssues(d.issues)
	if len(Errors(d.issues)) > 0 {
		return nil, d.issues
	}
	return d.groups, d.issues
}

// readDocument returns the first document's mapping; nil if there is none.
func readDocument(r reporter, content []byte) *yaml.Node {
	if len(content) > MaxFileBytes {
		r.at(nil, Error, fmt.Sprintf("file has %d bytes, at most %d", len(content), MaxFileBytes))
		return nil
	}
	dec := yaml.NewDecoder(bytes.NewReader(content))
	var doc yaml.Node
	if err := dec.Decode(&doc); errors.Is(err, io.EOF) {
		return nil
	} else if err != nil {
		r.yaml(nil, err)
		return nil
	}
	var second yaml.Node
	if err := dec.Decode(&second); !errors.Is(err, io.EOF) {
		r.at(&second, Warning, "only the first document of a file is read")
	}
	root := resolve(doc.Content[0])
	if root.Kind == yaml.ScalarNode && root.Tag == "!!null" {
		return nil
	}
	if root.Kind != yaml.MappingNode {
		r.at(root, Error, "want a mapping with the key groups")
		return nil
	}
	return root
}

// understand reads the groups, with the parameters that are shared by all files.
func (d *document) understand(common *shared, interval time.Duration) {
	r, root := d.reporter(), d.root
	if root == nil || d.isShared() {
		return
	}
	if interval <= 0 {
		interval = DefaultInterval
	}
	block := field(root, "fenghuo")
	ext := readExtension(r, block)
	maps.Copy(ext.parameters, common.parameters)
	groups := field(root, "groups")
	if groups == nil || groups.Tag == "!!null" {
		return
	}
	if groups.Kind != yaml.SequenceNode {
		r.at(groups, Error, "groups: want a list")
		return
	}
	if len(groups.Content) > MaxFileGroups {
		r.at(groups, Error, fmt.Sprintf("file has %d groups, at most %d", len(groups.Content), MaxFileGroups))
		return
	}
	names, rules := map[string]bool{}, 0
	for _, n := range groups.Content {
		n = resolve(n)
		g := readGroup(r, n, ext, interval)
		if g == nil {
			continue
		}
		if names[g.Name] {
			r.at(n, Error, fmt.Sprintf("groupname: %q is repeated in the same file", g.Name))
		}
		names[g.Name] = true
		g.content = digest(interval, append([]*yaml.Node{n, block}, common.blocks...)...)
		d.groups = append(d.groups, g)
		if rules += len(g.Rules); rules > MaxFileRules {
			r.at(n, Error, fmt.Sprintf("file has more than %d rules", MaxFileRules))
			return
		}
	}
	ext.unused(r)
}

// groupHead is rulefmt.RuleGroup with the rules left for later, so that each of
// them gets its own errors and place.
type groupHead struct {
	Name        string            `yaml:"name"`
	Interval    model.Duration    `yaml:"interval"`
	QueryOffset *model.Duration   `yaml:"query_offset"`
	Limit       int               `yaml:"limit"`
	Labels      map[string]string `yaml:"labels"`
	Rules       []yaml.Node       `yaml:"rules"`
}

func readGroup(r reporter, n *yaml.Node, ext *extension, interval time.Duration) *Group {
	if n.Kind != yaml.MappingNode {
		r.at(n, Error, "a group must be a mapping")
		return nil
	}
	r.group = valueOf(field(n, "name"))
	if !knownKeys(r, n, "name", "interval", "query_offset", "limit", "rules", "labels") {
		return nil
	}
	var head groupHead
	if err := n.Decode(&head); err != nil {
		r.yaml(n, err)
		return nil
	}
	if head.Name == "" {
		r.at(n, Error, "Groupname must not be empty")
	}
	g := &Group{File: r.file, Name: head.Name, Interval: time.Duration(head.Interval), Limit: head.Limit}
	if g.Interval == 0 {
		g.Interval = interval
	}
	if g.Interval < minInterval {
		r.at(field(n, "interval"), Error, fmt.Sprintf("interval %v is below %v", g.Interval, minInterval))
	}
	if g.Limit < 0 {
		r.at(field(n, "limit"), Error, fmt.Sprintf("limit %d is negative", g.Limit))
	}
	if len(g.Key()) > maxGroupKey {
		r.at(n, Error, fmt.Sprintf("file and group name have %d bytes, at most %d", len(g.Key()), maxGroupKey))
	}
	if head.QueryOffset != nil {
		offset := time.Duration(*head.QueryOffset)
		g.QueryOffset = &offset
	}
	checkLabels(r, n, head.Labels)
	for i := range head.Rules {
		if spec := readRule(r, resolve(&head.Rules[i]), i, head, ext); spec != nil {
			g.Rules = append(g.Rules, spec)
		}
	}
	return g
}

// checkLabels checks a group's labels; rulefmt checks those of rules.
func checkLabels(r reporter, n *yaml.Node, ls map[string]string) {
	for _, name := range slices.Sorted(keys(ls)) {
		if !model.UTF8Validation.IsValidLabelName(name) || name == model.MetricNameLabel {
			r.at(n, Error, "invalid label name: "+name)
		}
		if !model.LabelValue(ls[name]).IsValid() {
			r.at(n, Error, "invalid label value: "+ls[name])
		}
	}
}

func readRule(r reporter, n *yaml.Node, i int, head groupHead, ext *extension) *Rule {
	if n.Kind != yaml.MappingNode {
		r.at(n, Error, fmt.Sprintf("rule %d must be a mapping", i+1))
		return nil
	}
	if r.rule = valueOf(field(n, "alert")); r.rule == "" {
		r.rule = valueOf(field(n, "record"))
	}
	if !knownKeys(r, n, "record", "alert", "expr", "for", "keep_firing_for", "labels", "annotations") {
		return nil
	}
	var written rulefmt.Rule
	if err := n.Decode(&written); err != nil {
		r.yaml(n, err)
		return nil
	}
	var places rulefmt.RuleNode
	if err := n.Decode(&places); err != nil {
		r.yaml(n, err)
		return nil
	}
	bad := written.Validate(places, model.UTF8Validation, ext.parser())
	for i := range bad {
		r.err(n, &bad[i])
	}
	if len(bad) > 0 {
		return nil
	}
	spec := &Rule{
		Alerting: written.Alert != "", Name: r.rule, Expr: written.Expr,
		For: time.Duration(written.For), KeepFiringFor: time.Duration(written.KeepFiringFor),
		Annotations: labels.FromMap(written.Annotations), Line: n.Line, Column: n.Column,
	}
	checkBounds(r, n, &written)
	ext.apply(r, n, spec, head, written.Labels)
	checkExpr(r, &places.Expr, spec)
	return spec
}

// checkBounds refuses what no alert could carry.
func checkBounds(r reporter, n *yaml.Node, w *rulefmt.Rule) {
	if len(w.Labels) > MaxRuleLabels || len(w.Annotations) > MaxRuleLabels {
		r.at(n, Error, fmt.Sprintf("rule has %d labels and %d annotations, at most %d of each", len(w.Labels), len(w.Annotations), MaxRuleLabels))
	}
	for _, m := range []map[string]string{w.Labels, w.Annotations} {
		for _, name := range slices.Sorted(keys(m)) {
			if len(name) > label.MaxNameBytes {
				r.at(n, Error, fmt.Sprintf("name %.32q... has %d bytes, at most %d", name, len(name), label.MaxNameBytes))
			}
		}
	}
	if len(w.Alert) > label.MaxValueBytes {
		r.at(n, Error, fmt.Sprintf("alert: name has %d bytes, at most %d", len(w.Alert), label.MaxValueBytes))
	}
}

// checkExpr checks the expression with every value of every parameter.
func checkExpr(r reporter, n *yaml.Node, spec *Rule) {
	base := func(name string) (string, bool) {
		p, ok := spec.parameters[name]
		if !ok {
			return "", false
		}
		return p.Base, true
	}
	query, err := spec.template.Expand(base)
	if err != nil {
		r.at(n, Error, err.Error())
		return
	}
	expr, err := series.Parse(query)
	if err != nil {
		r.at(n, Error, "could not parse expression: "+err.Error())
		return
	}
	spec.Query = expr.Pretty
	if expr.Type != series.TypeVector && expr.Type != series.TypeScalar {
		r.at(n, Warning, fmt.Sprintf("the expression is a %s: the rule will always fail, it must be a vector or a scalar", expr.Type))
	}
	for _, name := range slices.Sorted(keys(spec.parameters)) {
		for _, v := range spec.parameters[name].Values()[1:] {
			query, err := spec.template.Expand(func(other string) (string, bool) {
				if other == name {
					return v, true
				}
				return base(other)
			})
			if err == nil {
				err = series.CheckExpr(query)
			}
			if err != nil {
				r.at(n, Error, fmt.Sprintf("could not parse expression with $%s = %s: %v", name, v, err))
			}
		}
	}
}

// digest tells groups apart that mean different things: aliases are followed,
// comments and order of keys don't count.
func digest(interval time.Duration, nodes ...*yaml.Node) string {
	h := sha256.New()
	fmt.Fprintln(h, interval)
	for _, n := range nodes {
		var v any
		if n != nil {
			if err := n.Decode(&v); err != nil {
				v = err.Error()
			}
		}
		text, err := yaml.Marshal(v)
		if err != nil {
			text = []byte(err.Error())
		}
		fmt.Fprintf(h, "%d\n%s", len(text), text)
	}
	return string(h.Sum(nil))
}
