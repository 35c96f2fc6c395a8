// Package series owns the host's samples: it stores them for days in Prometheus's time-series database and answers PromQL over them.
package series
