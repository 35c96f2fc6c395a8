package scrape

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"
)

// accept asks for the formats that can be stored, text last.
const accept = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4," +
	"text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1"

const maxRedirects = 5

// errBodyLimit fails a scrape with a larger body than body_size_limit.
var errBodyLimit = errors.New("body_size_limit exceeded")

// newClient makes the client of a job. The proxies of the environment are not used: exporters are on this host.
func newClient(c *Config, transport http.RoundTripper) (*http.Client, error) {
	tlsConfig, err := c.TLSConfig.build()
	if err != nil {
		return nil, err
	}
	if transport == nil {
		transport = &http.Transport{
			TLSClientConfig:        tlsConfig,
			DisableCompression:     !*c.EnableCompression,
			MaxIdleConnsPerHost:    2,
			IdleConnTimeout:        5 * time.Minute,
			TLSHandshakeTimeout:    10 * time.Second,
			MaxResponseHeaderBytes: 64 << 10,
			ForceAttemptHTTP2:      true,
		}
	}
	client := &http.Client{Transport: transport}
	client.CheckRedirect = func(_ *http.Request, via []*http.Request) error {
		switch {
		case !*c.FollowRedirects:
			return http.ErrUseLastResponse
		case len(via) > maxRedirects:
			return fmt.Errorf("more than %d redirects", maxRedirects)
		}
		return nil
	}
	return client, nil
}

// fetch reads a target's exposition into buf and returns its content type.
func (t *target) fetch(ctx context.Context, client *http.Client, agent string, buf *bytes.Buffer) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, t.timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, t.url, http.NoBody)
	if err != nil {
		return "", err
	}
	req.Header.Set("Accept", accept)
	req.Header.Set("User-Agent", agent)
	req.Header.Set("X-Prometheus-Scrape-Timeout-Seconds", strconv.FormatFloat(t.timeout.Seconds(), 'f', -1, 64))
	if err := t.config.authorize(req); err != nil {
		return "", err
	}
	resp, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close() // read only
	if resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("server returned HTTP status %s", resp.Status)
	}
	limit := int64(t.config.BodySizeLimit)
	n, err := buf.ReadFrom(io.LimitReader(resp.Body, limit+1))
	if err != nil {
		return "", fmt.Errorf("read body: %w", err)
	}
	if n > limit {
		return "", fmt.Errorf("%w: more than %v", errBodyLimit, t.config.BodySizeLimit)
	}
	return resp.Header.Get("Content-Type"), nil
}
