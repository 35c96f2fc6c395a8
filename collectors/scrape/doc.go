// Package scrape owns the fetching of metrics from exporters on this host, by a subset of Prometheus's scrape
// configuration with Prometheus's semantics: target and metric relabeling, honor_labels, up and the scrape_* series,
// staleness markers when a series or a target goes away.
//
// The text format 0.0.4 and OpenMetrics 1.0 are asked for. Native histograms can't be stored here: they are skipped and
// counted, the classic buckets beside them are kept. Exemplars are ignored.
//
// An exporter is not trusted: body, samples, labels, redirects, metadata and the number of targets are bounded.
package scrape
