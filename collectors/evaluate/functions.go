package evaluate

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"text/template"
	"time"

	"github.com/prometheus/common/helpers/templates"
	"github.com/prometheus/common/model"
	"golang.org/x/text/cases"
	"golang.org/x/text/language"
)

// result is one sample of a query as templates see it.
type result struct {
	Labels map[string]string
	Value  any
}

// functions are Prometheus's template functions. They read the scope when they
// are called, so that one map serves all evaluations of a group.
func (s *scope) functions() template.FuncMap {
	title := cases.Title(language.AmericanEnglish, cases.NoLower)
	return template.FuncMap{
		"query":              s.runQuery,
		"first":              first,
		"label":              func(name string, r *result) string { return r.Labels[name] },
		"value":              func(r *result) any { return r.Value },
		"strvalue":           func(r *result) string { return r.Labels["__value__"] },
		"sortByLabel":        sortByLabel,
		"args":               args,
		"reReplaceAll":       replaceAll,
		"match":              regexp.MatchString,
		"safeHtml":           func(s string) string { return s },
		"title":              title.String,
		"toUpper":            strings.ToUpper,
		"toLower":            strings.ToLower,
		"graphLink":          func(expr string) string { return graphPath(expr, "0") },
		"tableLink":          func(expr string) string { return graphPath(expr, "1") },
		"stripPort":          stripPort,
		"stripDomain":        stripDomain,
		"humanize":           humanize,
		"humanize1024":       humanize1024,
		"humanizeDuration":   templates.HumanizeDuration,
		"humanizePercentage": humanizePercentage,
		"humanizeTimestamp":  templates.HumanizeTimestamp,
		"toTime":             toTime,
		"toDuration":         toDuration,
		"parseDuration":      parseDuration,
		"now":                func() float64 { return float64(s.at.UnixMilli()) / 1000 },
		"pathPrefix":         s.pathPrefix,
		"externalURL":        func() string { return s.externalURL },
		"urlQueryEscape":     url.QueryEscape,
	}
}

func (s *scope) runQuery(expr string) ([]*result, error) {
	if err := s.alive(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithDeadline(s.ctx, s.deadline)
	defer cancel()
	found, err := s.query(ctx, expr, s.at)
	if err != nil {
		return nil, err
	}
	out := make([]*result, len(found))
	for i := range found {
		out[i] = &found[i]
	}
	return out, nil
}

func (s *scope) pathPrefix() (string, error) {
	u, err := url.Parse(s.externalURL)
	if err != nil {
		return "", err
	}
	return u.Path, nil
}

func first(rs []*result) (*result, error) {
	if len(rs) == 0 {
		return nil, errors.New("first() called on vector with no elements")
	}
	return rs[0], nil
}

func sortByLabel(name string, rs []*result) []*result {
	slices.SortStableFunc(rs, func(a, b *result) int { return strings.Compare(a.Labels[name], b.Labels[name]) })
	return rs
}

func args(values ...any) map[string]any {
	out := make(map[string]any, len(values))
	for i, v := range values {
		out[fmt.Sprintf("arg%d", i)] = v
	}
	return out
}

func replaceAll(pattern, replacement, text string) (string, error) {
	re, err := regexp.Compile(pattern)
	if err != nil {
		return "", err
	}
	return re.ReplaceAllString(text, replacement), nil
}

// graphPath is the path of Prometheus's expression browser.
func graphPath(expr, tab string) string {
	return "/graph?g0.expr=" + url.QueryEscape(expr) + "&g0.tab=" + tab
}

func stripPort(hostPort string) string {
	host, _, err := net.SplitHostPort(hostPort)
	if err != nil {
		return hostPort
	}
	return host
}

func stripDomain(hostPort string) string {
	host, port, err := net.SplitHostPort(hostPort)
	if err != nil {
		host = hostPort
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return hostPort
	}
	host, _, _ = strings.Cut(host, ".")
	if port != "" {
		return net.JoinHostPort(host, port)
	}
	return host
}

func humanize(v any) (string, error) {
	f, err := templates.ConvertToFloat(v)
	if err != nil {
		return "", err
	}
	if f == 0 || math.IsNaN(f) || math.IsInf(f, 0) {
		return fmt.Sprintf("%.4g", f), nil
	}
	prefix := ""
	if math.Abs(f) >= 1 {
		for _, p := range [...]string{"k", "M", "G", "T", "P", "E", "Z", "Y"} {
			if math.Abs(f) < 1000 {
				break
			}
			prefix, f = p, f/1000
		}
	} else {
		for _, p := range [...]string{"m", "u", "n", "p", "f", "a", "z", "y"} {
			if math.Abs(f) >= 1 {
				break
			}
			prefix, f = p, f*1000
		}
	}
	return fmt.Sprintf("%.4g%s", f, prefix), nil
}

func humanize1024(v any) (string, error) {
	f, err := templates.ConvertToFloat(v)
	if err != nil {
		return "", err
	}
	if math.Abs(f) <= 1 || math.IsNaN(f) || math.IsInf(f, 0) {
		return fmt.Sprintf("%.4g", f), nil
	}
	prefix := ""
	for _, p := range [...]string{"ki", "Mi", "Gi", "Ti", "Pi", "Ei", "Zi", "Yi"} {
		if math.Abs(f) < 1024 {
			break
		}
		prefix, f = p, f/1024
	}
	return fmt.Sprintf("%.4g%s", f, prefix), nil
}

func humanizePercentage(v any) (string, error) {
	f, err := templates.ConvertToFloat(v)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%.4g%%", f*100), nil
}

func toTime(v any) (*time.Time, error) {
	f, err := templates.ConvertToFloat(v)
	if err != nil {
		return nil, err
	}
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return nil, errors.New("value is NaN or Inf")
	}
	nanos := f * 1e9
	if nanos > math.MaxInt64 || nanos < math.MinInt64 {
		return nil, fmt.Errorf("%v cannot be represented as a nanoseconds timestamp since it overflows int64", f)
	}
	t := model.TimeFromUnixNano(int64(nanos)).Time().UTC()
	return &t, nil
}

func toDuration(v any) (*time.Duration, error) {
	f, err := templates.ConvertToFloat(v)
	if err != nil {
		return nil, err
	}
	d := time.Duration(f * float64(time.Second))
	return &d, nil
}

func parseDuration(text string) (float64, error) {
	d, err := model.ParseDurationAllowNegative(text)
	if err != nil {
		return 0, err
	}
	return time.Duration(d).Seconds(), nil
}
