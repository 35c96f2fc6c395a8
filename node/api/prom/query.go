package prom

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/prometheus/common/model"

	"github.com/fenghuo-mesh/fenghuo/collectors/series"
)

func (a *API) query(r *http.Request) (answer, *apiError) {
	o, fail := optionsParams(r)
	if fail != nil {
		return answer{}, fail
	}
	at, fail := timeParam(r, "time", a.o.Now())
	if fail != nil {
		return answer{}, fail
	}
	res, err := a.o.Querier.Instant(r.Context(), r.Form.Get("query"), at, o)
	if err != nil {
		return answer{}, queryError(err, "query")
	}
	return resultAnswer(res), nil
}

func (a *API) queryRange(r *http.Request) (answer, *apiError) {
	var w series.Window
	var err error
	if w.Start, err = parseTime(r.Form.Get("start")); err != nil {
		return answer{}, badParam("start", err)
	}
	if w.End, err = parseTime(r.Form.Get("end")); err != nil {
		return answer{}, badParam("end", err)
	}
	if w.End.Before(w.Start) {
		return answer{}, badParam("end", errors.New("end timestamp must not be before start time"))
	}
	if w.Step, err = parseDuration(r.Form.Get("step")); err != nil {
		return answer{}, badParam("step", err)
	}
	if w.Step <= 0 {
		return answer{}, badParam("step", errors.New("zero or negative query resolution step widths are not accepted. Try a positive integer"))
	}
	if w.End.Sub(w.Start)/w.Step > maxPoints {
		return answer{}, &apiError{kindBadData, errors.New("exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX)")}
	}
	o, fail := optionsParams(r)
	if fail != nil {
		return answer{}, fail
	}
	res, err := a.o.Querier.Range(r.Context(), r.Form.Get("query"), w, o)
	if err != nil {
		return answer{}, queryError(err, "query")
	}
	return resultAnswer(res), nil
}

// queryExemplars checks its parameters and finds nothing: the store keeps no exemplars.
func (a *API) queryExemplars(r *http.Request) (answer, *apiError) {
	start, fail := timeParam(r, "start", minTime)
	if fail != nil {
		return answer{}, fail
	}
	end, fail := timeParam(r, "end", maxTime)
	if fail != nil {
		return answer{}, fail
	}
	if end.Before(start) {
		return answer{}, &apiError{kindBadData, errors.New("end timestamp must not be before start timestamp")}
	}
	if err := series.CheckExpr(r.Form.Get("query")); err != nil {
		return answer{}, queryError(err, "")
	}
	return answer{data: func(s *stream) { s.raw(`[]`) }}, nil
}

func (a *API) formatQuery(r *http.Request) (answer, *apiError) {
	pretty, err := series.Format(r.Form.Get("query"))
	if err != nil {
		return answer{}, queryError(err, "query")
	}
	return answer{data: func(s *stream) { s.str(pretty) }}, nil
}

func (a *API) parseQuery(r *http.Request) (answer, *apiError) {
	tree, err := series.Tree(r.Form.Get("query"))
	if err != nil {
		return answer{}, queryError(err, "query")
	}
	return valueAnswer(tree)
}

func (a *API) series(r *http.Request) (answer, *apiError) {
	if len(r.Form["match[]"]) == 0 {
		return answer{}, &apiError{kindBadData, errors.New("no match[] parameter provided")}
	}
	sel, fail := selectionParams(r)
	if fail != nil {
		return answer{}, fail
	}
	sets, warnings, err := a.o.Querier.Series(r.Context(), sel)
	if err != nil {
		return answer{}, queryError(err, "match[]")
	}
	return answer{warnings: warnings, data: func(s *stream) { writeList(s, sets, (*stream).labels) }}, nil
}

func (a *API) labelNames(r *http.Request) (answer, *apiError) {
	sel, fail := selectionParams(r)
	if fail != nil {
		return answer{}, fail
	}
	names, warnings, err := a.o.Querier.LabelNames(r.Context(), sel)
	if err != nil {
		return answer{}, queryError(err, "")
	}
	return answer{warnings: warnings, data: func(s *stream) { s.strings(names) }}, nil
}

func (a *API) labelValues(r *http.Request) (answer, *apiError) {
	name := r.PathValue("name")
	if strings.HasPrefix(name, "U__") {
		name = model.UnescapeName(name, model.ValueEncodingEscaping)
	}
	if !model.UTF8Validation.IsValidLabelName(name) {
		return answer{}, &apiError{kindBadData, fmt.Errorf("invalid label name: %q", name)}
	}
	sel, fail := selectionParams(r)
	if fail != nil {
		return answer{}, fail
	}
	values, warnings, err := a.o.Querier.LabelValues(r.Context(), name, sel)
	if err != nil {
		return answer{}, queryError(err, "")
	}
	return answer{warnings: warnings, data: func(s *stream) { s.strings(values) }}, nil
}

// writeList writes a JSON list.
func writeList[T any](s *stream, list []T, write func(*stream, T)) {
	s.raw(`[`)
	for i, e := range list {
		if i > 0 {
			s.raw(`,`)
		}
		write(s, e)
	}
	s.raw(`]`)
}

// resultAnswer writes {"resultType":...,"result":...,"stats":...}.
func resultAnswer(res series.Result) answer {
	return answer{warnings: res.Warnings, infos: res.Infos, data: func(s *stream) {
		s.raw(`{"resultType":"`)
		s.raw(string(res.Type))
		s.raw(`","result":`)
		switch res.Type {
		case series.TypeVector:
			writeList(s, res.Vector, writeSample)
		case series.TypeMatrix:
			writeList(s, res.Matrix, writeSeries)
		case series.TypeScalar:
			s.point(res.Scalar.T, res.Scalar.V)
		case series.TypeString:
			s.buf = append(s.buf, '[')
			s.buf = appendMillis(s.buf, res.Scalar.T)
			s.raw(`,`)
			s.str(res.String)
			s.raw(`]`)
		default:
			s.raw(`null`)
		}
		if res.Stats != nil {
			s.field("stats", false)
			s.value(res.Stats)
		}
		s.raw(`}`)
	}}
}

func writeSample(s *stream, v series.Sample) {
	writeMetric(s, v.Labels)
	s.raw(`,"value":`)
	s.point(v.T, v.V)
	s.raw(`}`)
}

func writeSeries(s *stream, v series.Series) {
	writeMetric(s, v.Labels)
	if len(v.Points) > 0 {
		s.raw(`,"values":[`)
		for i, p := range v.Points {
			if i > 0 {
				s.raw(`,`)
			}
			s.point(p.T, p.V)
		}
		s.raw(`]`)
	}
	s.raw(`}`)
}

func writeMetric(s *stream, ls series.Labels) {
	s.raw(`{"metric":`)
	s.labels(ls)
}
