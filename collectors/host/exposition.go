package host

import (
	"bufio"
	"cmp"
	"io"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/fenghuo-mesh/fenghuo/collectors/host/metric"
	"github.com/fenghuo-mesh/fenghuo/collectors/metadata"
)

const (
	textType        = "text/plain; version=0.0.4; charset=utf-8"
	openMetricsType = "application/openmetrics-text; version=1.0.0; charset=utf-8"
)

// Metadata lists the metrics of the last tick, sorted by name.
func (h *Host) Metadata() []metadata.Metric {
	h.mu.Lock()
	points := h.last
	h.mu.Unlock()
	seen := map[string]bool{}
	var out []metadata.Metric
	for _, p := range points {
		if m := p.Metric; !seen[m.Name] {
			seen[m.Name] = true
			out = append(out, metadata.Metric{Name: m.Name, Type: metadataType(m.Kind), Help: m.Help})
		}
	}
	slices.SortFunc(out, func(a, b metadata.Metric) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// metadataType is the name that Prometheus's API and OpenMetrics have for a type.
func metadataType(k metric.Kind) string {
	if k == metric.Untyped {
		return metadata.Unknown
	}
	return string(k)
}

// Last returns the number of series and the time of the last tick; zero before the first.
func (h *Host) Last() (int, time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.last), h.at
}

// ServeHTTP answers with the values of the last tick, in OpenMetrics if the client asks for it, else in the text
// format. Job and instance are left out, as whoever scrapes adds its own. Before the first tick it answers 503.
func (h *Host) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if n, _ := h.Last(); n == 0 {
		http.Error(w, "no tick yet", http.StatusServiceUnavailable)
		return
	}
	open := strings.Contains(r.Header.Get("Accept"), "application/openmetrics-text")
	w.Header().Set("Content-Type", textType)
	if open {
		w.Header().Set("Content-Type", openMetricsType)
	}
	_ = h.WriteText(w, open) // the client is gone; there is nobody to tell
}

// WriteText writes the values of the last tick in the text exposition format 0.0.4, or in OpenMetrics 1.0.
func (h *Host) WriteText(w io.Writer, openMetrics bool) error {
	h.mu.Lock()
	points := slices.Clone(h.last)
	h.mu.Unlock()
	sortPoints(points)
	buf := bufio.NewWriter(w) // keeps the first error until Flush
	var line []byte
	name := ""
	for _, p := range points {
		m := p.Metric
		if m == upMetric {
			continue // whoever scrapes makes its own
		}
		if m.Name != name {
			name = m.Name
			line = appendHeader(line[:0], m, openMetrics)
			buf.Write(line)
		}
		line = append(line[:0], name...)
		line = appendLabels(line, p.Labels)
		line = append(line, ' ')
		line = appendValue(line, p.V)
		buf.Write(append(line, '\n'))
	}
	if openMetrics {
		buf.WriteString("# EOF\n")
	}
	return buf.Flush()
}

func appendHeader(b []byte, m *Metric, openMetrics bool) []byte {
	name, kind := m.Name, string(m.Kind)
	if openMetrics {
		kind = metadataType(m.Kind)
		if m.Kind == metric.Counter {
			name = strings.TrimSuffix(name, "_total")
		}
	}
	b = append(b, "# HELP "...)
	b = append(b, name...)
	b = append(b, ' ')
	b = append(b, helpEscapes(openMetrics).Replace(m.Help)...)
	b = append(b, "\n# TYPE "...)
	b = append(b, name...)
	b = append(b, ' ')
	b = append(b, kind...)
	return append(b, '\n')
}

// helpEscapes are what each format asks for: OpenMetrics escapes quotes in help texts too.
func helpEscapes(openMetrics bool) *strings.Replacer {
	if openMetrics {
		return strings.NewReplacer(`\`, `\\`, "\n", `\n`, `"`, `\"`)
	}
	return strings.NewReplacer(`\`, `\\`, "\n", `\n`)
}

func appendLabels(b []byte, ls labels.Labels) []byte {
	open := false
	ls.Range(func(l labels.Label) {
		if l.Name == model.MetricNameLabel || l.Name == "job" || l.Name == "instance" {
			return
		}
		if open {
			b = append(b, ',')
		} else {
			b, open = append(b, '{'), true
		}
		b = append(b, l.Name...)
		b = append(b, '=', '"')
		for i := range len(l.Value) {
			switch c := l.Value[i]; c {
			case '\\', '"':
				b = append(b, '\\', c)
			case '\n':
				b = append(b, '\\', 'n')
			default:
				b = append(b, c)
			}
		}
		b = append(b, '"')
	})
	if open {
		b = append(b, '}')
	}
	return b
}

func appendValue(b []byte, v float64) []byte {
	switch {
	case math.IsInf(v, 1):
		return append(b, "+Inf"...)
	case math.IsInf(v, -1):
		return append(b, "-Inf"...)
	case math.IsNaN(v):
		return append(b, "NaN"...)
	}
	return strconv.AppendFloat(b, v, 'g', -1, 64)
}

// sortPoints orders points by metric and labels.
func sortPoints(ps []metric.Point) {
	slices.SortFunc(ps, func(x, y metric.Point) int {
		return cmp.Or(cmp.Compare(x.Metric.Name, y.Metric.Name), labels.Compare(x.Labels, y.Labels))
	})
}
