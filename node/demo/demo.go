// Package demo owns the receiver of a development node: an HTTP handler that
// takes Alertmanager webhooks and prints them for people.
package demo

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
)

// maxBody bounds what one notification may bring, in bytes.
const maxBody = 8 << 20

// shownAlerts is how many alerts of one notification are printed.
const shownAlerts = 20

// Receiver prints each notification to W. Safe for concurrent use.
type Receiver struct {
	mu sync.Mutex // guards W
	W  io.Writer
}

type message struct {
	Receiver    string            `json:"receiver"`
	Status      string            `json:"status"`
	Reason      string            `json:"notification_reason"`
	GroupLabels map[string]string `json:"groupLabels"`
	Alerts      []struct {
		Status      string            `json:"status"`
		Labels      map[string]string `json:"labels"`
		Annotations map[string]string `json:"annotations"`
		StartsAt    time.Time         `json:"startsAt"`
		EndsAt      time.Time         `json:"endsAt"`
	} `json:"alerts"`
}

// ServeHTTP implements http.Handler.
func (r *Receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	var m message
	if err := json.NewDecoder(http.MaxBytesReader(w, req.Body, maxBody)).Decode(&m); err != nil {
		http.Error(w, "not a webhook body: "+err.Error(), http.StatusBadRequest)
		return
	}
	var b strings.Builder
	fmt.Fprintf(&b, "\n>>> NOTIFICATION  %s  to %q  (%s)\n", strings.ToUpper(m.Status), m.Receiver, m.Reason)
	for i, a := range m.Alerts {
		if i == shownAlerts {
			fmt.Fprintf(&b, "    ... and %d more\n", len(m.Alerts)-i)
			break
		}
		text := a.Annotations["summary"]
		if text == "" {
			text = a.Annotations["description"]
		}
		fmt.Fprintf(&b, "    %-8s %-9s %s %s  %s\n", a.Status, a.Labels["severity"], a.Labels["alertname"], a.Labels["instance"], text)
		if a.Status == "resolved" {
			fmt.Fprintf(&b, "             from %s to %s\n", a.StartsAt.Local().Format(time.TimeOnly), a.EndsAt.Local().Format(time.TimeOnly))
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, err := io.WriteString(r.W, b.String()); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
	}
}
