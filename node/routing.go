package node

import (
	"fmt"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	httpconfig "github.com/prometheus/common/config"

	"github.com/fenghuo-mesh/fenghuo/node/amconfig"
	"github.com/fenghuo-mesh/fenghuo/node/config"
	"github.com/fenghuo-mesh/fenghuo/node/notify"
	"github.com/fenghuo-mesh/fenghuo/node/notify/logline"
	"github.com/fenghuo-mesh/fenghuo/node/notify/webhook"
)

// routing is who is told what, ready to be put in force as a whole.
type routing struct {
	file    *amconfig.Config
	senders map[string]notify.Sender
}

// builtIn is the routing of a node without a file: everything to the log.
const builtIn = `
route: {receiver: log, group_by: [alertname], group_wait: 10s, group_interval: 1m}
receivers:
- name: log
  log_configs: [{}]
`

// buildRouting does everything about routes and receivers that can fail.
func buildRouting(o Options, c *config.Config) (*routing, error) {
	var file *amconfig.Config
	var err error
	if c.Alertmanager.ConfigFile != "" {
		file, err = amconfig.Load(c.Alertmanager.ConfigFile)
	} else {
		file, err = amconfig.Parse([]byte(builtIn), "")
	}
	if err != nil {
		return nil, err
	}
	for _, w := range file.Warnings {
		o.Logger.Warn("alertmanager configuration", "warning", w)
	}
	r := &routing{file: file, senders: map[string]notify.Sender{}}
	out := &logline.Sender{W: o.Out}
	for i := range file.Receivers {
		for _, l := range file.Receivers[i].Logs {
			r.senders[l.Key] = out
		}
		for j := range file.Receivers[i].Webhooks {
			w := &file.Receivers[i].Webhooks[j]
			client, err := receiverClient(o, w)
			if err != nil {
				return nil, fmt.Errorf("receiver %s: %w", w.Key, err)
			}
			r.senders[w.Key] = webhook.New(webhook.Options{
				URL: w.URL, URLFile: w.URLFile, MaxAlerts: int(w.MaxAlerts), Timeout: w.Timeout,
				Client: client, UserAgent: "Fenghuo/" + o.Version,
			})
		}
	}
	return r, nil
}

// receiverClient makes the HTTP client that a receiver's http_config asks for.
func receiverClient(o Options, w *amconfig.Webhook) (*http.Client, error) {
	if o.Transport != nil {
		return &http.Client{Transport: o.Transport}, nil
	}
	h := w.HTTP
	c := httpconfig.HTTPClientConfig{
		FollowRedirects: h.FollowRedirects, EnableHTTP2: h.EnableHTTP2,
		ProxyConfig: httpconfig.ProxyConfig{ProxyURL: httpconfig.URL{URL: h.ProxyURL}, NoProxy: h.NoProxy, ProxyFromEnvironment: h.ProxyFromEnvironment},
		TLSConfig: httpconfig.TLSConfig{
			CA: h.TLS.CA, CAFile: h.TLS.CAFile, Cert: h.TLS.Cert, CertFile: h.TLS.CertFile,
			Key: httpconfig.Secret(h.TLS.Key), KeyFile: h.TLS.KeyFile,
			ServerName: h.TLS.ServerName, InsecureSkipVerify: h.TLS.InsecureSkipVerify,
			MinVersion: httpconfig.TLSVersions[h.TLS.MinVersion], MaxVersion: httpconfig.TLSVersions[h.TLS.MaxVersion],
		},
	}
	if b := h.BasicAuth; b != nil {
		c.BasicAuth = &httpconfig.BasicAuth{
			Username: b.Username, UsernameFile: b.UsernameFile,
			Password: httpconfig.Secret(b.Password), PasswordFile: b.PasswordFile,
		}
	}
	if a := h.Authorization; a != nil {
		c.Authorization = &httpconfig.Authorization{
			Type: a.Type, Credentials: httpconfig.Secret(a.Credentials), CredentialsFile: a.CredentialsFile,
		}
	}
	if len(h.ProxyConnectHeader) > 0 {
		c.ProxyConnectHeader = httpconfig.ProxyHeader{}
		for name, values := range h.ProxyConnectHeader {
			for _, v := range values {
				c.ProxyConnectHeader[name] = append(c.ProxyConnectHeader[name], httpconfig.Secret(v))
			}
		}
	}
	if len(h.Headers) > 0 {
		c.HTTPHeaders = &httpconfig.Headers{Headers: map[string]httpconfig.Header{}}
		for name, v := range h.Headers {
			header := httpconfig.Header{Values: v.Values, Files: v.Files}
			for _, s := range v.Secrets {
				header.Secrets = append(header.Secrets, httpconfig.Secret(s))
			}
			c.HTTPHeaders.Headers[name] = header
		}
	}
	if err := c.Validate(); err != nil {
		return nil, err
	}
	return httpconfig.NewClientFromConfig(c, "webhook")
}

// routeMetrics shows which configuration is in force.
func routeMetrics(n *Node) prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "fenghuo_receivers", Help: "Receiver integrations in force.",
	}, func() float64 { return float64(len(n.routing().senders)) })
}
