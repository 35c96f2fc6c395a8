package intake

import (
	"context"
	"errors"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fenghuo-mesh/fenghuo/collectors/intake/document"
)

// metrics count what came in and what became of it.
type metrics struct {
	alerts, refusals, controls *prometheus.CounterVec
}

func newMetrics(reg prometheus.Registerer) metrics {
	m := metrics{
		alerts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "fenghuo_intake_alerts_total", Help: "Alerts that senders pushed, by source and what became of them.",
		}, []string{"source", "outcome"}),
		refusals: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "fenghuo_intake_refusals_total", Help: "Requests and messages refused as a whole, by source and reason.",
		}, []string{"source", "reason"}),
		controls: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "fenghuo_intake_controls_total", Help: "Messages that are no alerts, by source and type.",
		}, []string{"source", "type"}),
	}
	if reg != nil {
		reg.MustRegister(m.alerts, m.refusals, m.controls)
	}
	return m
}

// refused counts a request that was refused as a whole.
func (h *Handler) refused(source string, err error) {
	h.m.refusals.WithLabelValues(source, reason(err)).Inc()
	h.o.Logger.Debug("refused", "source", source, "reason", err)
}

// counted counts the alerts of a request.
func (h *Handler) counted(source string, out *Outcome, repeats, failed int) {
	for _, c := range []struct {
		outcome string
		n       int
	}{
		{"accepted", out.Accepted}, {"rejected", len(out.Rejected)}, {"filtered", out.Filtered}, {"repeated", repeats}, {"failed", failed},
	} {
		if c.n > 0 {
			h.m.alerts.WithLabelValues(source, c.outcome).Add(float64(c.n))
		}
	}
}

// reason is a refusal's label in metrics.
func reason(err error) string {
	for _, e := range []struct {
		err  error
		name string
	}{
		{ErrUnavailable, "unavailable"},
		{ErrBusy, "busy"},
		{errRate, "rate"},
		{errUnknown, "unknown_source"},
		{errMethod, "method"},
		{ErrUnauthorized, "unauthorized"},
		{ErrForbidden, "forbidden"},
		{errBodyTooLarge, "too_large"},
		{document.ErrLimit, "limit"},
		{ErrTooMany, "too_many"},
		{ErrMediaType, "media_type"},
		{errEncoding, "encoding"},
		{document.ErrSyntax, "syntax"},
		{document.ErrType, "type"},
		{errDecoder, "decoder"},
		{context.Canceled, "canceled"},
		{context.DeadlineExceeded, "timeout"},
	} {
		if errors.Is(err, e.err) {
			return e.name
		}
	}
	return "content"
}
