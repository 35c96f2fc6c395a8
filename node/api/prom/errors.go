package prom

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/fenghuo-mesh/fenghuo/collectors/series"
)

// Error types of the API.
const (
	kindBadData     = "bad_data"
	kindExecution   = "execution"
	kindTimeout     = "timeout"
	kindCanceled    = "canceled"
	kindInternal    = "internal"
	kindUnavailable = "unavailable"
)

// statusClientClosed is what Prometheus and nginx answer a caller that went away.
const statusClientClosed = 499

// apiError is a failed request.
type apiError struct {
	kind string
	err  error
}

// status is the HTTP status of an error type, as Prometheus chooses it; a body that is too long has its own.
func (e *apiError) status() int {
	if _, ok := errors.AsType[*http.MaxBytesError](e.err); ok {
		return http.StatusRequestEntityTooLarge
	}
	switch e.kind {
	case kindBadData:
		return http.StatusBadRequest
	case kindExecution:
		return http.StatusUnprocessableEntity
	case kindTimeout, kindUnavailable:
		return http.StatusServiceUnavailable
	case kindCanceled:
		return statusClientClosed
	}
	return http.StatusInternalServerError
}

// badParam refuses a parameter.
func badParam(name string, err error) *apiError {
	return &apiError{kindBadData, fmt.Errorf("invalid parameter %q: %w", name, err)}
}

// queryError sorts an error of the querier. param names the parameter that a malformed expression came in; empty leaves it out.
func queryError(err error, param string) *apiError {
	_, parse := errors.AsType[*series.ParseError](err)
	switch {
	case parse, errors.Is(err, series.ErrBadQuery):
		if param != "" {
			return badParam(param, err)
		}
		return &apiError{kindBadData, err}
	case errors.Is(err, series.ErrTimeout):
		return &apiError{kindTimeout, err}
	case errors.Is(err, series.ErrCanceled):
		return &apiError{kindCanceled, err}
	case errors.Is(err, series.ErrBusy), errors.Is(err, series.ErrClosed):
		return &apiError{kindUnavailable, err}
	case errors.Is(err, series.ErrStorage):
		return &apiError{kindInternal, err}
	}
	return &apiError{kindExecution, err}
}
