// Package aliyun owns what Alibaba Cloud sends: the webhook of ARMS, which is a
// dialect of Alertmanager's, and the callback of Cloud Monitor (CMS), a form.
package aliyun

import (
	"bytes"
	"strings"

	"github.com/fenghuo-mesh/fenghuo/aggregate/alert"
	"github.com/fenghuo-mesh/fenghuo/collectors/intake"
	"github.com/fenghuo-mesh/fenghuo/collectors/intake/document"
	"github.com/fenghuo-mesh/fenghuo/collectors/intake/draft"
	"github.com/fenghuo-mesh/fenghuo/collectors/intake/prometheus"
)

// levelLabel holds ARMS's own level of an alert.
const levelLabel = "_aliyun_arms_alert_level"

// ARMS reads a body of the template $alertmanager_content. Its endsAt is filled
// also while an alert fires and means nothing then.
func ARMS(r intake.Request) (intake.Result, error) {
	if bytes.HasPrefix(bytes.TrimSpace(r.Body), []byte("$alertmanager_content")) {
		return intake.Result{Control: &intake.Control{Type: intake.ControlTest, Reason: "the test button of ARMS doesn't fill its template"}}, nil
	}
	doc, err := document.Parse(r.Body, document.Limits{})
	if err != nil {
		return intake.Result{}, err
	}
	return prometheus.Group(doc, prometheus.Dialect{Prefix: "aliyun_arms", Request: r, Adjust: arms})
}

// arms reads ARMS's own level and the body's link into an alert.
func arms(e *intake.Event, v, doc *document.Value) error {
	var read document.Reader
	url := draft.First(read.Text(doc.Get("externalURL")))
	level := draft.First(e.Alert.Labels.Get(levelLabel), alert.SeverityOf(e.Alert.Labels), read.Text(v.Get("level")), read.Text(doc.Get("level")))
	if read.Err != nil {
		return read.Err
	}
	if level != "" {
		if e.Alert.Extra == nil {
			e.Alert.Extra = &alert.Extra{}
		}
		e.Alert.Extra.SeverityRaw = draft.Cut(level, alert.MaxIDBytes)
		e.Alert.Priority = levelPriority(level)
	}
	if e.Alert.GeneratorURL == "" && len(url) <= alert.MaxURLBytes {
		e.Alert.GeneratorURL = url
	}
	return nil
}

// levelPriority maps ARMS's and CMS's levels; both have words that mean
// something else elsewhere.
func levelPriority(level string) alert.Priority {
	switch strings.ToUpper(strings.TrimSpace(level)) {
	case "PAGE", "DEFAULT":
		return alert.P4
	}
	return alert.PriorityOf(level)
}
