package evaluate

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"text/template"
	"text/template/parse"
	"time"

	"github.com/fenghuo-mesh/fenghuo/aggregate/label"
)

// Prometheus's template package parses a text at every expansion and builds a
// map of thirty functions for it. Here a text is parsed when its rule has a
// result for the first time, and the functions of a group are shared. That the
// results are the same is tested against Prometheus's package.

// maxExpanded bounds what a template may write.
const maxExpanded = 2 * label.MaxAnnotationBytes

// ErrTemplate: a template ran too long or wrote too much. It becomes part of
// the text, as every error of a template does.
var ErrTemplate = errors.New("template stopped")

// scope is what the templates of one group see. It belongs to the goroutine that
// evaluates the group.
type scope struct {
	root  *template.Template // without text; carries the functions
	query func(ctx context.Context, expr string, at time.Time) ([]result, error)

	// Of the evaluation under way.
	ctx      context.Context //nolint:containedctx // template functions have no parameter for it
	at       time.Time       // milliseconds matter only
	deadline time.Time

	external    map[string]string
	externalURL string
	timeout     time.Duration
}

// data is what a template sees as dot, and through the variables of prefix.
type data struct {
	Labels         map[string]string
	ExternalLabels map[string]string
	ExternalURL    string
	Value          any
}

// prefix declares the variables of Prometheus's templates.
const prefix = "{{$labels := .Labels}}{{$externalLabels := .ExternalLabels}}{{$externalURL := .ExternalURL}}{{$value := .Value}}"

// text is one label's or annotation's value: plain, or a template.
type text struct {
	name, source string
	parsed       *template.Template
	err          error
	// usesValue: the result depends on the sample's value. volatile: it depends
	// on more than the sample: the time or other series.
	usesValue, volatile bool
}

func newText(name, source string) *text { return &text{name: name, source: source} }

func (t *text) plain() bool { return !strings.Contains(t.source, "{{") }

// compile parses the text once.
func (t *text) compile(s *scope, rule string) {
	if t.parsed != nil || t.err != nil {
		return
	}
	name := "__alert_" + rule
	root, alone := s.root, t.names()
	if alone { // named templates must not meet those of other texts
		root = s.newRoot()
	}
	parsed, err := root.New(name).Parse(prefix + t.source)
	if err == nil && alone {
		err = circle(parsed)
	}
	if err != nil {
		t.err = fmt.Errorf("error parsing template %s: %w", name, err)
		return
	}
	t.parsed = parsed
	t.look(parsed)
}

// names says whether the text may define or execute named templates.
func (t *text) names() bool {
	return strings.Contains(t.source, "define") || strings.Contains(t.source, "block") || strings.Contains(t.source, "template")
}

// newRoot makes a template that carries the functions of Prometheus.
func (s *scope) newRoot() *template.Template {
	return template.New("").Option("missingkey=zero").Funcs(s.functions())
}

// circle refuses templates that execute themselves: 100,000 levels, where
// text/template stops, take hundreds of megabytes.
func circle(root *template.Template) error {
	const (
		under = 1 // way
		done  = 2
	)
	state := map[string]int{}
	var visit func(name string) error
	visit = func(name string) error {
		t := root.Lookup(name)
		if t == nil || t.Tree == nil || state[name] == done {
			return nil
		}
		if state[name] == under {
			return fmt.Errorf("%w: template %q executes itself", ErrTemplate, name)
		}
		state[name] = under
		for _, called := range calls(t.Root, nil) {
			if err := visit(called); err != nil {
				return err
			}
		}
		state[name] = done
		return nil
	}
	for _, t := range root.Templates() {
		if err := visit(t.Name()); err != nil {
			return err
		}
	}
	return nil
}

// calls appends the names of the templates that a list of nodes executes.
func calls(l *parse.ListNode, names []string) []string {
	if l == nil {
		return names
	}
	branch := func(b *parse.BranchNode) { names = calls(b.ElseList, calls(b.List, names)) }
	for _, n := range l.Nodes {
		switch n := n.(type) {
		case *parse.TemplateNode:
			names = append(names, n.Name)
		case *parse.IfNode:
			branch(&n.BranchNode)
		case *parse.RangeNode:
			branch(&n.BranchNode)
		case *parse.WithNode:
			branch(&n.BranchNode)
		}
	}
	return names
}

// look finds out what the result depends on. What it can't see through counts
// as depending on everything.
func (t *text) look(p *template.Template) {
	if p.Tree == nil || p.Root == nil {
		return
	}
	declarations := 4 // of prefix
	for _, n := range p.Root.Nodes[min(declarations, len(p.Root.Nodes)):] {
		t.lookAt(n)
	}
}

func (t *text) lookAt(n parse.Node) {
	switch n := n.(type) {
	case *parse.TextNode, *parse.CommentNode, *parse.StringNode, *parse.NumberNode, *parse.BoolNode, *parse.NilNode, *parse.BreakNode, *parse.ContinueNode:
	case *parse.ActionNode:
		t.lookAtPipe(n.Pipe)
	case *parse.PipeNode:
		t.lookAtPipe(n)
	case *parse.IfNode:
		t.lookAtBranch(&n.BranchNode)
	case *parse.VariableNode:
		switch n.Ident[0] {
		case "$value", "$":
			t.usesValue = true
		}
	case *parse.FieldNode:
		t.usesValue = t.usesValue || n.Ident[0] == "Value"
	case *parse.IdentifierNode:
		t.volatile = t.volatile || n.Ident == "query" || n.Ident == "now"
	default: // dot, range, with, template, chain: anything may come of them
		t.usesValue, t.volatile = true, true
	}
}

func (t *text) lookAtPipe(p *parse.PipeNode) {
	if p == nil {
		return
	}
	for _, c := range p.Cmds {
		for _, a := range c.Args {
			t.lookAt(a)
		}
	}
}

func (t *text) lookAtBranch(b *parse.BranchNode) {
	t.lookAtPipe(b.Pipe)
	for _, l := range []*parse.ListNode{b.List, b.ElseList} {
		if l != nil {
			for _, n := range l.Nodes {
				t.lookAt(n)
			}
		}
	}
}

// expand executes the text. An error becomes the text, with Prometheus's words,
// and is returned too.
func (t *text) expand(s *scope, rule string, d data) (string, error) {
	if t.plain() {
		return t.source, nil
	}
	t.compile(s, rule)
	out, err := t.execute(s, d)
	if err != nil {
		return fmt.Sprintf("<error expanding template: %s>", err), err
	}
	return out, nil
}

func (t *text) execute(s *scope, d data) (out string, err error) {
	if t.err != nil {
		return "", t.err
	}
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic expanding template %s: %v", t.parsed.Name(), p)
		}
	}()
	w := bounded{scope: s}
	if err := t.parsed.Execute(&w, d); err != nil {
		return "", fmt.Errorf("error executing template %s: %w", t.parsed.Name(), err)
	}
	return w.String(), nil
}

// bounded refuses to go on after too many bytes or too much time.
type bounded struct {
	strings.Builder
	scope *scope
}

// Write implements io.Writer.
func (b *bounded) Write(p []byte) (int, error) {
	if b.Len()+len(p) > maxExpanded {
		return 0, fmt.Errorf("%w: more than %d bytes", ErrTemplate, maxExpanded)
	}
	if err := b.scope.alive(); err != nil {
		return 0, err
	}
	return b.Builder.Write(p)
}

// begin opens the scope for the evaluation of one rule. The templates of all its
// results share one time limit.
func (s *scope) begin(ctx context.Context, at time.Time) {
	s.ctx, s.at, s.deadline = ctx, at.Truncate(time.Millisecond), time.Time{}
}

// alive is an error once the time is up. Time counts from the first call.
func (s *scope) alive() error {
	if s.deadline.IsZero() {
		s.deadline = time.Now().Add(s.timeout)
	}
	if err := s.ctx.Err(); err != nil {
		return fmt.Errorf("%w: %w", ErrTemplate, err)
	}
	if !time.Now().Before(s.deadline) {
		return fmt.Errorf("%w: the templates of this rule took more than %v", ErrTemplate, s.timeout)
	}
	return nil
}
