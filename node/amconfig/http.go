package amconfig

import (
	"errors"
	"fmt"
	"net/http"
	"net/textproto"
	"net/url"
	"slices"
	"strings"

	"github.com/prometheus/alertmanager/pkg/labels"
	"go.yaml.in/yaml/v3"
)

type matchType = labels.MatchType

// Placeholder stands for a secret in a redacted configuration.
const Placeholder = "<secret>"

// HTTP is an http_config: how to connect to a receiver. Files are read by who
// connects; their paths are absolute or relative to the working directory.
type HTTP struct {
	// BasicAuth is nil for none.
	BasicAuth *BasicAuth
	// Authorization is nil for none; bearer_token is folded into it.
	Authorization *Authorization
	// TLS is how to check the server and to identify ourselves.
	TLS TLS
	// ProxyURL is nil for none. NoProxy lists hosts to reach directly.
	ProxyURL *url.URL
	NoProxy  string
	// ProxyFromEnvironment takes the proxy from the environment.
	ProxyFromEnvironment bool
	// ProxyConnectHeader is sent to the proxy.
	ProxyConnectHeader http.Header
	// FollowRedirects and EnableHTTP2 default to true.
	FollowRedirects, EnableHTTP2 bool
	// Headers are added to requests, by canonical name.
	Headers map[string]Header
}

// BasicAuth is a user and password, each given or in a file.
type BasicAuth struct {
	Username, UsernameFile string
	Password, PasswordFile string
}

// Authorization is an Authorization header: Type, a space, the credentials.
type Authorization struct {
	Type, Credentials, CredentialsFile string
}

// TLS is a tls_config. Versions are TLS10 to TLS13 or "".
type TLS struct {
	CA, CAFile, Cert, CertFile, Key, KeyFile string
	ServerName                               string
	InsecureSkipVerify                       bool
	MinVersion, MaxVersion                   string
}

// Header is the values of one header: given ones, secret ones, and the contents
// of files, in this order.
type Header struct{ Values, Secrets, Files []string }

func defaultHTTP() HTTP { return HTTP{FollowRedirects: true, EnableHTTP2: true} }

func (b *builder) readHTTP(n *yaml.Node, path string) (HTTP, error) {
	h := defaultHTTP()
	var token, tokenFile, proxy string
	err := b.fields(n, path, map[string]field{
		"basic_auth":             b.basicAuth(&h),
		"authorization":          b.authorization(&h),
		"oauth2":                 b.unsupported,
		"bearer_token":           b.str(&token),
		"bearer_token_file":      b.str(&tokenFile),
		"tls_config":             b.tls(&h.TLS),
		"follow_redirects":       b.bool(&h.FollowRedirects),
		"enable_http2":           b.bool(&h.EnableHTTP2),
		"proxy_url":              b.str(&proxy),
		"no_proxy":               b.str(&h.NoProxy),
		"proxy_from_environment": b.bool(&h.ProxyFromEnvironment),
		"proxy_connect_header":   b.proxyHeader(&h),
		"http_headers":           b.headers(&h),
	})
	if err != nil {
		return h, err
	}
	if proxy != "" {
		if h.ProxyURL, err = url.Parse(proxy); err != nil {
			return h, b.errorf(at(n, "proxy_url"), join(path, "proxy_url"), "not a URL") // the text may hold a password
		}
	}
	switch {
	case token != "" && tokenFile != "":
		err = errors.New("at most one of bearer_token & bearer_token_file must be configured")
	case h.BasicAuth != nil && token+tokenFile != "":
		err = errors.New("at most one of basic_auth, oauth2, bearer_token & bearer_token_file must be configured")
	case h.Authorization != nil && token+tokenFile != "":
		err = errors.New("authorization is not compatible with bearer_token & bearer_token_file")
	case h.BasicAuth != nil && h.Authorization != nil:
		err = errors.New("at most one of basic_auth, oauth2 & authorization must be configured")
	case h.ProxyConnectHeader != nil && !h.ProxyFromEnvironment && h.ProxyURL == nil:
		err = errors.New("if proxy_connect_header is configured, proxy_url or proxy_from_environment must also be configured")
	case h.ProxyFromEnvironment && h.ProxyURL != nil:
		err = errors.New("if proxy_from_environment is configured, proxy_url must not be configured")
	case h.ProxyFromEnvironment && h.NoProxy != "":
		err = errors.New("if proxy_from_environment is configured, no_proxy must not be configured")
	case h.ProxyURL == nil && h.NoProxy != "":
		err = errors.New("if no_proxy is configured, proxy_url must also be configured")
	}
	if err != nil {
		return h, b.errorf(n, path, "%w", err)
	}
	if token+tokenFile != "" {
		h.Authorization = &Authorization{Type: "Bearer", Credentials: token, CredentialsFile: b.path(tokenFile)}
	}
	return h, nil
}

func (b *builder) basicAuth(h *HTTP) field {
	return func(n *yaml.Node, path string) error {
		a := &BasicAuth{}
		err := b.fields(n, path, map[string]field{
			"username": b.str(&a.Username), "username_file": b.str(&a.UsernameFile), "username_ref": b.unsupported,
			"password": b.str(&a.Password), "password_file": b.str(&a.PasswordFile), "password_ref": b.unsupported,
		})
		switch {
		case err != nil:
			return err
		case a.Username != "" && a.UsernameFile != "":
			return b.errorf(n, path, "at most one of basic_auth username, username_file & username_ref must be configured")
		case a.Password != "" && a.PasswordFile != "":
			return b.errorf(n, path, "at most one of basic_auth password, password_file & password_ref must be configured")
		}
		a.UsernameFile, a.PasswordFile = b.path(a.UsernameFile), b.path(a.PasswordFile)
		h.BasicAuth = a
		return nil
	}
}

func (b *builder) authorization(h *HTTP) field {
	return func(n *yaml.Node, path string) error {
		a := &Authorization{}
		err := b.fields(n, path, map[string]field{
			"type": b.str(&a.Type), "credentials": b.str(&a.Credentials),
			"credentials_file": b.str(&a.CredentialsFile), "credentials_ref": b.unsupported,
		})
		if a.Type = strings.TrimSpace(a.Type); a.Type == "" {
			a.Type = "Bearer"
		}
		switch {
		case err != nil:
			return err
		case a.Credentials != "" && a.CredentialsFile != "":
			return b.errorf(n, path, "at most one of authorization credentials & credentials_file must be configured")
		case strings.EqualFold(a.Type, "basic"):
			return b.errorf(n, path, `authorization type cannot be set to "basic", use "basic_auth" instead`)
		}
		a.CredentialsFile = b.path(a.CredentialsFile)
		h.Authorization = a
		return nil
	}
}

func (b *builder) tls(t *TLS) field {
	return func(n *yaml.Node, path string) error {
		err := b.fields(n, path, map[string]field{
			"ca": b.str(&t.CA), "ca_file": b.str(&t.CAFile), "ca_ref": b.unsupported,
			"cert": b.str(&t.Cert), "cert_file": b.str(&t.CertFile), "cert_ref": b.unsupported,
			"key": b.str(&t.Key), "key_file": b.str(&t.KeyFile), "key_ref": b.unsupported,
			"server_name":          b.str(&t.ServerName),
			"insecure_skip_verify": b.bool(&t.InsecureSkipVerify),
			"min_version":          b.str(&t.MinVersion),
			"max_version":          b.str(&t.MaxVersion),
		})
		if err != nil {
			return err
		}
		versions := []string{"", "TLS10", "TLS11", "TLS12", "TLS13"}
		cert, key := t.Cert != "" || t.CertFile != "", t.Key != "" || t.KeyFile != ""
		switch {
		case t.CA != "" && t.CAFile != "":
			err = errors.New("at most one of ca, ca_file & ca_ref must be configured")
		case t.Cert != "" && t.CertFile != "":
			err = errors.New("at most one of cert, cert_file & cert_ref must be configured")
		case t.Key != "" && t.KeyFile != "":
			err = errors.New("at most one of key, key_file & key_ref must be configured")
		case cert && !key:
			err = errors.New("exactly one of key or key_file must be configured when a client certificate is configured")
		case key && !cert:
			err = errors.New("exactly one of cert or cert_file must be configured when a client key is configured")
		case !slices.Contains(versions, t.MinVersion):
			err = fmt.Errorf("min_version: unknown TLS version: %s", t.MinVersion)
		case !slices.Contains(versions, t.MaxVersion):
			err = fmt.Errorf("max_version: unknown TLS version: %s", t.MaxVersion)
		case t.MaxVersion != "" && t.MinVersion > t.MaxVersion:
			err = errors.New("tls_config.max_version must be greater than or equal to tls_config.min_version if both are specified")
		}
		if err != nil {
			return b.errorf(n, path, "%w", err)
		}
		t.CAFile, t.CertFile, t.KeyFile = b.path(t.CAFile), b.path(t.CertFile), b.path(t.KeyFile)
		return nil
	}
}

func (b *builder) proxyHeader(h *HTTP) field {
	return func(n *yaml.Node, path string) error {
		if n.Kind != yaml.MappingNode {
			return b.errorf(n, path, "want a mapping, got %s", kind(n))
		}
		h.ProxyConnectHeader = http.Header{}
		for i := 0; i+1 < len(n.Content); i += 2 {
			k, v := n.Content[i], n.Content[i+1]
			var values []string
			if err := b.strs(&values)(v, join(path, k.Value)); err != nil {
				return err
			}
			if !validHeader(k.Value, values) {
				return b.errorf(k, join(path, k.Value), "not a header")
			}
			h.ProxyConnectHeader[textproto.CanonicalMIMEHeaderKey(k.Value)] = values
		}
		return nil
	}
}

func (b *builder) headers(h *HTTP) field {
	return func(n *yaml.Node, path string) error {
		if n.Kind != yaml.MappingNode {
			return b.errorf(n, path, "want a mapping, got %s", kind(n))
		}
		h.Headers = map[string]Header{}
		for i := 0; i+1 < len(n.Content); i += 2 {
			k, v := n.Content[i], n.Content[i+1]
			name, where := textproto.CanonicalMIMEHeaderKey(k.Value), join(path, k.Value)
			var hd Header
			err := b.fields(v, where, map[string]field{
				"values": b.strs(&hd.Values), "secrets": b.strs(&hd.Secrets), "files": b.strs(&hd.Files),
			})
			_, twice := h.Headers[name]
			switch {
			case err != nil:
				return err
			case twice:
				return b.errorf(k, where, "header %q occurs twice", name)
			case reserved(name):
				return b.errorf(k, where, "setting header %q is not allowed", name)
			case !validHeader(k.Value, hd.Values) || !validHeader(k.Value, hd.Secrets):
				return b.errorf(k, where, "not a header")
			}
			for j, f := range hd.Files {
				hd.Files[j] = b.path(f)
			}
			h.Headers[name] = hd
		}
		return nil
	}
}

// reserved headers are set by other options or by the connection itself, as in
// prometheus/common.
func reserved(name string) bool {
	return slices.Contains([]string{
		"Authorization", "Host", "Content-Encoding", "Content-Length", "Content-Type", "User-Agent", "Connection",
		"Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization", "Www-Authenticate", "Accept-Encoding",
		"X-Prometheus-Remote-Write-Version", "X-Prometheus-Remote-Read-Version", "X-Prometheus-Scrape-Timeout-Seconds",
		"X-Amz-Date", "X-Amz-Security-Token", "X-Amz-Content-Sha256",
	}, name)
}

func validHeader(name string, values []string) bool {
	for i := range len(name) {
		if c := name[i]; c <= ' ' || c >= 0x7f || strings.IndexByte("\"(),/:;<=>?@[\\]{}", c) >= 0 {
			return false
		}
	}
	return name != "" && !slices.ContainsFunc(values, func(v string) bool { return strings.ContainsAny(v, "\r\n\x00") })
}

// checkURL checks a webhook's address without showing it: it may hold a token.
func (b *builder) checkURL(n *yaml.Node, path, s string) error {
	if s == "" {
		return nil
	}
	if s == Placeholder {
		b.warnf(n, path, "is a placeholder of a redacted file; nothing can be sent there")
		return nil
	}
	if strings.Contains(s, "{{") {
		return b.errorf(n, path, "templates in a URL are not supported by this version")
	}
	u, err := url.Parse(s)
	switch {
	case err != nil:
		return b.errorf(n, path, "invalid URL")
	case u.Scheme != "http" && u.Scheme != "https":
		return b.errorf(n, path, "unsupported scheme %q for URL", u.Scheme)
	case u.Host == "":
		return b.errorf(n, path, "missing host for URL")
	}
	return nil
}

// redact writes the document with placeholders for secrets. It changes doc.
func redact(doc *yaml.Node) (string, error) {
	hide(doc, "")
	out, err := yaml.Marshal(doc)
	return string(out), err
}

// hide replaces the secrets under a node that is the value of key.
func hide(n *yaml.Node, key string) {
	switch n.Kind {
	case yaml.MappingNode:
		if key == "proxy_connect_header" {
			hideAll(n)
			return
		}
		for i := 0; i+1 < len(n.Content); i += 2 {
			k, v := n.Content[i].Value, n.Content[i+1]
			switch {
			case k == "log_configs":
				n.Content = slices.Delete(n.Content, i, i+2)
				i -= 2
			case secret(key, k):
				hideAll(v)
			case k == "proxy_url":
				if u, err := url.Parse(v.Value); err != nil || u.User != nil {
					v.Value = hideUser(u)
				}
			default:
				hide(v, k)
			}
		}
	case yaml.SequenceNode:
		for _, e := range n.Content {
			hide(e, key)
		}
	}
}

func hideUser(u *url.URL) string {
	if u == nil {
		return "http://invalid.invalid"
	}
	c := *u
	c.User = url.User("secret")
	return c.String()
}

// hideAll replaces every text below.
func hideAll(n *yaml.Node) {
	if n.Kind == yaml.ScalarNode {
		if n.Value != "" && n.Tag != "!!null" {
			*n = yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: Placeholder, Line: n.Line}
		}
		return
	}
	for i, e := range n.Content {
		if n.Kind == yaml.SequenceNode || i%2 == 1 {
			hideAll(e)
		}
	}
}

// secret says whether a key's value is one, given the section it stands in.
func secret(section, key string) bool {
	switch key {
	case "url":
		return section == "webhook_configs"
	case "api_url":
		return section == "slack_configs"
	case "key":
		return section == "tls_config"
	case "service_key", "routing_key", "user_key", "secret_key", "client_certificate_key":
		return true
	}
	if strings.HasSuffix(key, "_file") || strings.HasSuffix(key, "_ref") {
		return false
	}
	return slices.Contains([]string{
		"password", "credentials", "bearer_token", "client_secret", "secrets", "smtp_auth_password", "smtp_auth_secret",
		"slack_api_url", "slack_app_token", "opsgenie_api_key", "victorops_api_key", "telegram_bot_token",
		"rocketchat_token", "rocketchat_token_id", "wechat_api_secret", "mattermost_webhook_url", "auth_password",
		"auth_secret", "webhook_url", "api_key", "api_secret", "token", "token_id", "app_token", "bot_token",
		"alert_source_token",
	}, key)
}
