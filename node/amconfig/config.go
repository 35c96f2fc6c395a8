// Package amconfig owns the alertmanager.yml: it reads Alertmanager's own
// configuration file, checks it as Alertmanager does, and turns it into the
// routing tree, receivers, inhibition rules and time intervals that telling
// works with.
//
// Reading is strict: an unknown key, an unsupported receiver kind that a route
// leads to, or a reference to something undefined is an error that names file,
// line and field. Nothing is silently ignored; what has no effect is a warning.
package amconfig

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/fenghuo-mesh/fenghuo/aggregate/inhibit"
	"github.com/fenghuo-mesh/fenghuo/aggregate/notice"
	"github.com/fenghuo-mesh/fenghuo/aggregate/route"
	"github.com/fenghuo-mesh/fenghuo/aggregate/window"
)

// DefaultResolveTimeout is how long an alert without an end is taken to fire.
const DefaultResolveTimeout = 5 * time.Minute

// Config is a checked configuration file. It is immutable and safe for
// concurrent use.
type Config struct {
	// ResolveTimeout ends alerts whose sender sets no end.
	ResolveTimeout time.Duration
	// Tree is the routing tree.
	Tree *route.Tree
	// Receivers are all receivers, in the order of the file.
	Receivers []Receiver
	// Inhibit are the inhibition rules.
	Inhibit []inhibit.Rule
	// Intervals are the time intervals, muting and active ones alike.
	Intervals window.Set
	// Templates are glob patterns of template files, resolved against the
	// file's directory.
	Templates []string
	// Warnings name what has no effect in this version, with file and line.
	Warnings []string

	redacted string
}

// Receiver is a named list of ways to tell somebody.
type Receiver struct {
	Name string
	// Labels are for filtering receivers; "name" is always among them.
	Labels map[string]string
	// Used says whether a route leads to it. Others are not built.
	Used     bool
	Webhooks []Webhook
	Logs     []Log
}

// Webhook is an entry of webhook_configs.
type Webhook struct {
	// Key is "receiver/webhook/index".
	Key string
	// SendResolved says whether ends are told. Default true.
	SendResolved bool
	// URL or URLFile (read at each send) is where to post.
	URL, URLFile string
	// MaxAlerts bounds the alerts of one body; 0 means all.
	MaxAlerts uint64
	// Timeout bounds one attempt; 0 means only the notice's deadline.
	Timeout time.Duration
	// HTTP is how to connect.
	HTTP HTTP
}

// Log is an entry of log_configs, which is Fenghuo's own: the notification is
// written to the node's log. For development.
type Log struct {
	// Key is "receiver/log/index".
	Key          string
	SendResolved bool
}

// Load reads and checks a file. Relative paths in it count from its directory.
func Load(path string) (*Config, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.Size() > MaxFileBytes {
		return nil, fmt.Errorf("%s: %d bytes, at most %d", path, info.Size(), MaxFileBytes)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return parse(b, path, filepath.Dir(path))
}

// Parse is Load for bytes; dir is what relative paths count from.
func Parse(b []byte, dir string) (*Config, error) { return parse(b, "alertmanager.yml", dir) }

func parse(b []byte, file, dir string) (*Config, error) {
	r := &reader{file: file, dir: dir}
	doc, err := r.parse(b)
	if err != nil {
		return nil, err
	}
	if null(doc) {
		return nil, r.errorf(doc, "", "no route provided in config")
	}
	return (&builder{reader: r, doc: doc, c: &Config{ResolveTimeout: DefaultResolveTimeout}}).build()
}

// builder makes a Config of an expanded document.
type builder struct {
	*reader
	doc      *yaml.Node
	c        *Config
	http     HTTP // global.http_config
	route    *route.Spec
	nodes    []routeNode
	foreign  map[string][]*yaml.Node // receiver -> keys of kinds that aren't carried
	where    map[string]string       // receiver -> path
	interval map[string][]window.Interval
}

// routeNode remembers where a route stands in the file.
type routeNode struct {
	spec *route.Spec
	n    *yaml.Node
	path string
}

func (b *builder) build() (*Config, error) {
	b.http = defaultHTTP()
	b.foreign, b.where = map[string][]*yaml.Node{}, map[string]string{}
	b.interval = map[string][]window.Interval{}
	// global first: receivers fall back to it.
	if g := lookup(b.doc, "global"); !null(g) {
		if err := b.readGlobal(g, "global"); err != nil {
			return nil, err
		}
	}
	warn := func(n *yaml.Node, path string) error {
		b.warnf(n, path, "has no effect in this version")
		return nil
	}
	err := b.fields(b.doc, "", map[string]field{
		"global":              b.ignored, // read above
		"route":               b.readRoot,
		"inhibit_rules":       b.readInhibit,
		"receivers":           b.readReceivers,
		"templates":           b.readTemplates,
		"time_intervals":      b.readIntervals,
		"mute_time_intervals": b.readIntervals,
		"tracing":             warn,
		"event_recorder":      warn,
	})
	if err != nil {
		return nil, err
	}
	if err := b.check(); err != nil {
		return nil, err
	}
	b.c.Intervals = window.NewSet(b.interval)
	if b.c.Tree, err = route.New(b.route); err != nil {
		return nil, b.errorf(lookup(b.doc, "route"), "", "%w", err)
	}
	b.c.Warnings = b.warnings
	if b.c.redacted, err = redact(b.doc); err != nil {
		return nil, err
	}
	return b.c, nil
}

// check makes the checks across sections that Alertmanager makes.
func (b *builder) check() error {
	if b.route == nil {
		return b.errorf(b.doc, "", "no route provided in config")
	}
	for _, rn := range b.nodes {
		if name := rn.spec.Receiver; name != "" {
			i := slices.IndexFunc(b.c.Receivers, func(r Receiver) bool { return r.Name == name })
			if i < 0 {
				return b.errorf(at(rn.n, "receiver"), join(rn.path, "receiver"), "undefined receiver %q used in route", name)
			}
			b.c.Receivers[i].Used = true
		}
		for _, use := range []struct {
			key   string
			names []string
		}{{"active_time_intervals", rn.spec.ActiveIntervals}, {"mute_time_intervals", rn.spec.MuteIntervals}} {
			for _, name := range use.names {
				if _, ok := b.interval[name]; !ok {
					return b.errorf(at(rn.n, use.key), join(rn.path, use.key), "undefined time interval %q used in route", name)
				}
			}
		}
	}
	for i := range b.c.Receivers {
		r := &b.c.Receivers[i]
		for _, key := range b.foreign[r.Name] {
			path := join(b.where[r.Name], key.Value)
			if r.Used {
				return b.errorf(key, path, "receiver kind not supported by this version")
			}
			b.warnf(key, path, "receiver kind not supported by this version; no route leads to %q", r.Name)
		}
	}
	return nil
}

// at is the node to blame: the key's value, or the mapping.
func at(n *yaml.Node, key string) *yaml.Node {
	if v := lookup(n, key); v != nil {
		return v
	}
	return n
}

// Redacted is the configuration as YAML that Alertmanager's tools and Parse can
// load, with every secret replaced by <secret>, without comments, and without
// log_configs, which Alertmanager doesn't know.
func (c *Config) Redacted() string { return c.redacted }

// Notice is what a notice.Planner needs of the configuration.
func (c *Config) Notice() notice.Config {
	n := notice.Config{Tree: c.Tree, Inhibit: c.Inhibit, Intervals: c.Intervals}
	for _, r := range c.Receivers {
		out := notice.Receiver{Name: r.Name}
		for _, w := range r.Webhooks {
			out.Integrations = append(out.Integrations, notice.Integration{Key: w.Key, SendResolved: w.SendResolved})
		}
		for _, l := range r.Logs {
			out.Integrations = append(out.Integrations, notice.Integration{Key: l.Key, SendResolved: l.SendResolved})
		}
		n.Receivers = append(n.Receivers, out)
	}
	return n
}

func (b *builder) path(p string) string {
	if p == "" || filepath.IsAbs(p) {
		return p
	}
	return filepath.Join(b.dir, p)
}

func (b *builder) readTemplates(n *yaml.Node, path string) error {
	if err := b.strs(&b.c.Templates)(n, path); err != nil {
		return err
	}
	for i, t := range b.c.Templates {
		if _, err := filepath.Match(t, ""); err != nil {
			return b.errorf(n, path, "%q: %w", t, err)
		}
		b.c.Templates[i] = b.path(t)
	}
	return nil
}

// readGlobal reads the global section. Settings of receiver kinds that aren't
// carried are accepted: who uses such a receiver is refused there.
func (b *builder) readGlobal(n *yaml.Node, path string) error {
	known := map[string]field{
		"resolve_timeout": b.duration(func(d time.Duration) { b.c.ResolveTimeout = d }),
		"http_config": func(n *yaml.Node, path string) (err error) {
			b.http, err = b.readHTTP(n, path)
			return err
		},
	}
	for _, k := range globalKeys() {
		known[k] = b.ignored
	}
	return b.fields(n, path, known)
}

func globalKeys() []string {
	return []string{
		"jira_api_url", "smtp_from", "smtp_hello", "smtp_smarthost", "smtp_auth_username", "smtp_auth_password",
		"smtp_auth_password_file", "smtp_auth_secret", "smtp_auth_secret_file", "smtp_auth_identity", "smtp_require_tls",
		"smtp_tls_config", "smtp_force_implicit_tls", "slack_api_url", "slack_api_url_file", "slack_app_token",
		"slack_app_token_file", "slack_app_url", "pagerduty_url", "opsgenie_api_url", "opsgenie_api_key",
		"opsgenie_api_key_file", "wechat_api_url", "wechat_api_secret", "wechat_api_secret_file", "wechat_api_corp_id",
		"victorops_api_url", "victorops_api_key", "victorops_api_key_file", "telegram_api_url", "telegram_bot_token",
		"telegram_bot_token_file", "webex_api_url", "rocketchat_api_url", "rocketchat_token", "rocketchat_token_file",
		"rocketchat_token_id", "rocketchat_token_id_file", "mattermost_webhook_url", "mattermost_webhook_url_file",
	}
}
