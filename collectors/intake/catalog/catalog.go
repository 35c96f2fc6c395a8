// Package catalog lists every kind of sender the node understands, in one
// place and without registration: to add one is to add a line here.
package catalog

import (
	"slices"
	"strings"
	"time"

	"github.com/fenghuo-mesh/fenghuo/aggregate/alert"
	"github.com/fenghuo-mesh/fenghuo/collectors/intake"
	"github.com/fenghuo-mesh/fenghuo/collectors/intake/aliyun"
	"github.com/fenghuo-mesh/fenghuo/collectors/intake/cloudevents"
	"github.com/fenghuo-mesh/fenghuo/collectors/intake/elastic"
	"github.com/fenghuo-mesh/fenghuo/collectors/intake/grafana"
	"github.com/fenghuo-mesh/fenghuo/collectors/intake/pagerduty"
	"github.com/fenghuo-mesh/fenghuo/collectors/intake/prometheus"
	"github.com/fenghuo-mesh/fenghuo/collectors/intake/syslog"
	"github.com/fenghuo-mesh/fenghuo/collectors/intake/zabbix"
)

// How long a report of a sender holds that never says when its problem ends.
const (
	quiet    = 30 * time.Minute // searches that run every few minutes
	logQuiet = 15 * time.Minute // log messages
)

// Sources returns all sources, sorted by name.
func Sources() []intake.Source {
	all := []intake.Source{
		{Name: "alertmanager", Decoder: intake.DecodeFunc(prometheus.Alertmanager), Hold: true},
		{Name: "aliyun_arms", Decoder: intake.DecodeFunc(aliyun.ARMS), Hold: true},
		{Name: "aliyun_cms", Decoder: intake.DecodeFunc(aliyun.CMS), Hold: true},
		{Name: "cloudevents", Decoder: intake.DecodeFunc(cloudevents.Decode), Hold: true},
		{Name: "elastalert2", Decoder: intake.DecodeFunc(elastic.ElastAlert), Expiry: quiet},
		{Name: "es_watcher", Decoder: intake.DecodeFunc(elastic.Watcher), Expiry: quiet},
		{Name: "generic", Methods: []string{"POST", "PUT"}}, // each integration brings a mapping
		{Name: "grafana", Decoder: intake.DecodeFunc(grafana.Decode), Methods: []string{"POST", "PUT"}, Hold: true},
		{Name: "kibana", Decoder: intake.DecodeFunc(elastic.Kibana), Methods: []string{"POST", "PUT"}, Hold: true},
		{Name: "pagerduty_events_v2", Decoder: pagerduty.Events{}, Tails: []string{intake.EnqueuePath}, Hold: true},
		{
			Name: "prometheus_v2", Decoder: prometheus.Answer{DecodeFunc: prometheus.V2}, Tails: []string{"/api/v2/alerts"},
			Probes: map[string]string{"/api/v2/status": prometheus.Status},
		},
		{Name: "syslog_rfc5424", Decoder: intake.DecodeFunc(syslog.Decode5424), Expiry: logQuiet, Lowest: new(alert.P3)},
		{Name: "zabbix", Decoder: intake.DecodeFunc(zabbix.Decode), Hold: true},
		{Name: "zabbix_sender", Decoder: zabbix.Sender{}, Hold: true},
	}
	slices.SortFunc(all, func(a, b intake.Source) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// Find returns the source of a name.
func Find(name string) (intake.Source, bool) {
	for _, s := range Sources() {
		if s.Name == name {
			return s, true
		}
	}
	return intake.Source{}, false
}

// Protocols returns the ways in that aren't HTTP.
func Protocols() []intake.Protocol {
	return []intake.Protocol{
		{Name: "syslog_udp", Network: "udp", Source: "syslog_rfc5424"},
		{Name: "syslog_tcp", Network: "tcp", Source: "syslog_rfc5424", Frame: syslog.Frame},
		{Name: "zabbix_sender", Network: "tcp", Source: "zabbix_sender", Frame: zabbix.Frame, Dialog: true},
	}
}
