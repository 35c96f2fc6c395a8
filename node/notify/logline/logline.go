// Package logline sends notifications to a writer, one line an alert: the
// receiver of a development node, and of whoever wants a file of what was told.
package logline

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/fenghuo-mesh/fenghuo/node/notify"
)

// Sender writes to W. Safe for concurrent use.
type Sender struct {
	mu sync.Mutex // guards W
	W  io.Writer
}

var _ notify.Sender = (*Sender)(nil)

// Send implements notify.Sender.
func (s *Sender) Send(_ context.Context, m *notify.Message) (bool, error) {
	var b strings.Builder
	fmt.Fprintf(&b, "%s NOTIFY receiver=%s status=%s reason=%q group=%s\n",
		m.At.Std().Format("2006-01-02T15:04:05.000Z07:00"), m.Receiver, m.Status(), m.Reason, m.GroupLabels)
	for _, a := range m.Alerts {
		state := "firing  "
		if a.ResolvedAt(m.At) {
			state = "resolved"
		}
		fmt.Fprintf(&b, "    %s %s %s %s: %s\n", state, a.Priority, a.Name(), a.Resource(), a.Summary())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, err := io.WriteString(s.W, b.String()); err != nil {
		return true, fmt.Errorf("write: %w", err)
	}
	return false, nil
}
