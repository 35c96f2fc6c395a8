// Package prom speaks Prometheus's HTTP API v1, so that Grafana, promtool and people's habits work against a node.
//
// Envelope, error types, parameters and number formats are those of Prometheus 3; where a limit of this house is
// stricter, the error says so. What differs on purpose:
//
//   - No Access-Control headers: a node often listens on loopback, and a page on the web must not read it.
//   - Bodies of more than 1 MiB and more than 100 match[] are refused.
//   - The samples of native histograms don't exist here, so results never hold them.
//   - Overload answers 503 with type "unavailable".
//
// The package knows no sibling. The node hands in what answers the questions through the small interfaces of
// Options; a question nobody answers gets an empty, well-formed answer.
package prom
