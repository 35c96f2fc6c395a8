// Package catalog lists every kind of sender the node understands, in one
// place and without registration: to add one is to add a line here.
package catalog

import (
	"slices"
	"strings"

	"github.com/fenghuo-mesh/fenghuo/collectors/intake"
	"github.com/fenghuo-mesh/fenghuo/collectors/intake/grafana"
	"github.com/fenghuo-mesh/fenghuo/collectors/intake/prometheus"
	"github.com/fenghuo-mesh/fenghuo/collectors/intake/zabbix"
)

// Sources returns all sources, sorted by name.
func Sources() []intake.Source {
	all := []intake.Source{
		{Name: "alertmanager", Decoder: intake.DecodeFunc(prometheus.Alertmanager), Hold: true},
		{Name: "grafana", Decoder: intake.DecodeFunc(grafana.Decode), Methods: []string{"POST", "PUT"}, Hold: true},
		{Name: "zabbix", Decoder: intake.DecodeFunc(zabbix.Decode), Hold: true},
		{Name: "zabbix_sender", Decoder: zabbix.Sender{}, Hold: true},
		{Name: "prometheus_v2", Decoder: prometheus.Answer{DecodeFunc: prometheus.V2}},
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
