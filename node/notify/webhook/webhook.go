// Package webhook sends notifications as Alertmanager's webhook body, version
// 4, so that receivers written for Alertmanager work unchanged.
package webhook

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/fenghuo-mesh/fenghuo/node/notify"
)

// maxErrorBytes is how much of a receiver's answer an error shows.
const maxErrorBytes = 2 << 10

// Options of one webhook.
type Options struct {
	URL       string
	URLFile   string // read at each attempt, so that a rotated secret counts
	MaxAlerts int    // 0: all
	Timeout   time.Duration
	Client    *http.Client
	UserAgent string
}

// Sender posts messages to one URL. Safe for concurrent use.
type Sender struct{ o Options }

var _ notify.Sender = (*Sender)(nil)

// New returns a sender.
func New(o Options) *Sender {
	if o.Client == nil {
		o.Client = &http.Client{}
	}
	if o.UserAgent == "" {
		o.UserAgent = "Fenghuo"
	}
	return &Sender{o}
}

// Send implements notify.Sender. Server errors, 429 and broken connections may
// be tried again, other refusals may not. Where the whole message was sent and
// no answer came, or only that a gateway waited in vain, the error is
// notify.ErrUnanswered.
func (s *Sender) Send(ctx context.Context, m *notify.Message) (bool, error) {
	target := s.o.URL
	if s.o.URLFile != "" {
		b, err := os.ReadFile(s.o.URLFile)
		if err != nil {
			return false, fmt.Errorf("url_file: %w", err)
		}
		target = strings.TrimSpace(string(b))
	}
	if s.o.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, s.o.Timeout, fmt.Errorf("configured webhook timeout of %s passed", s.o.Timeout))
		defer cancel()
	}
	var sent atomic.Bool
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		WroteRequest: func(w httptrace.WroteRequestInfo) { sent.Store(sent.Load() || w.Err == nil) },
	})
	body := m.AppendJSON(make([]byte, 0, 1024), s.o.MaxAlerts)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, target, bytes.NewReader(body))
	if err != nil {
		return false, withoutURL(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", s.o.UserAgent)
	// Receivers that care can drop a repeat of one notification by it.
	req.Header.Set("Idempotency-Key", m.ID)
	resp, err := s.o.Client.Do(req)
	if err != nil {
		err = withoutURL(err)
		if ctx.Err() != nil {
			err = fmt.Errorf("%w: %w", err, context.Cause(ctx))
		}
		if sent.Load() {
			err = fmt.Errorf("%w: %w", notify.ErrUnanswered, err)
		}
		return true, err
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(resp.Body, maxErrorBytes))
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10)) // lets the connection be used again
	if resp.StatusCode/100 == 2 {
		return false, nil
	}
	retry := resp.StatusCode/100 == 5 || resp.StatusCode == http.StatusTooManyRequests
	err = fmt.Errorf("unexpected status code %d", resp.StatusCode)
	if resp.StatusCode == http.StatusGatewayTimeout {
		err = fmt.Errorf("%w: %w", notify.ErrUnanswered, err)
	}
	if t := strings.TrimSpace(string(text)); t != "" {
		err = fmt.Errorf("%w: %s", err, t)
	}
	return retry, err
}

// withoutURL removes the address, which may hold a token, from an error.
func withoutURL(err error) error {
	if ue, ok := errors.AsType[*url.Error](err); ok {
		return fmt.Errorf("%s <redacted>: %w", ue.Op, ue.Err)
	}
	return err
}
