package config

import (
	"fmt"
	"maps"
	"math"
	"net"
	"net/netip"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// What names may look like.
var (
	nameForm       = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$`)
	datacenterForm = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)
	keyForm        = regexp.MustCompile(`^[A-Za-z0-9._-]{1,128}$`)
	collectorForm  = regexp.MustCompile(`^[a-z0-9_]{1,63}$`)
	headerForm     = regexp.MustCompile(`^[A-Za-z0-9-]{1,64}$`)
	labelForm      = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,255}$`)
	hostForm       = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$`)
)

// Bounds of lists.
const (
	maxSources    = 1000
	maxListeners  = 64
	maxAdded      = 32   // labels added to alerts
	maxLabelValue = 4096 // bytes
	maxGlobs      = 1000
)

// SourceTypes are the kinds a source can be, in the order of the reference.
func SourceTypes() []string {
	return []string{
		"alertmanager", "prometheus_v2", "grafana", "zabbix", "zabbix_sender", "kibana", "es_watcher", "elastalert2", "aliyun_arms", "aliyun_cms", "syslog_rfc5424",
		"pagerduty_events_v2", "cloudevents", "generic",
	}
}

// listenerTypes says what a listener's source must speak.
func listenerTypes() map[string]string {
	return map[string]string{"syslog_udp": "syslog_rfc5424", "syslog_tcp": "syslog_rfc5424", "zabbix_sender": "zabbix"}
}

// checker collects what is wrong with a Config.
type checker struct {
	*Config
	problems Problems
}

// Validate checks every setting and how they go together. The error is
// Problems: each names the setting, its line or flag, and the reason.
func (c *Config) Validate() error {
	v := &checker{Config: c}
	v.identity()
	v.ports()
	v.measures()
	v.rules()
	v.sources()
	v.listeners()
	v.storage()
	return v.problems.err()
}

func (v *checker) fail(field, format string, args ...any) {
	v.problems = append(v.problems, v.origin.problem(field, fmt.Sprintf(format, args...)))
}

func (v *checker) form(field, value string, form *regexp.Regexp, want string) {
	if !form.MatchString(value) {
		v.fail(field, "%q is not a name: %s", value, want)
	}
}

func (v *checker) oneOf(field, value string, choices ...string) {
	if !slices.Contains(choices, value) {
		v.fail(field, "%q is not one of %s", value, strings.Join(choices, ", "))
	}
}

func (v *checker) duration(field string, d Duration, least, most time.Duration) {
	if d.Std() < least || d.Std() > most {
		v.fail(field, "%s is not between %s and %s", d, Duration(least), Duration(most))
	}
}

func (v *checker) size(field string, s, least, most Size) {
	if s < least || s > most {
		if most == math.MaxInt64 {
			v.fail(field, "%s is less than %s", s, least)
			return
		}
		v.fail(field, "%s is not between %s and %s", s, least, most)
	}
}

func (v *checker) count(field string, n, least, most int) {
	if n < least || n > most {
		v.fail(field, "%d is not between %d and %d", n, least, most)
	}
}

const nameWanted = "letters, digits, '.', '_' and '-', at most 63, first and last a letter or digit"

func (v *checker) identity() {
	v.form("node.name", v.Node.Name, nameForm, nameWanted)
	v.form("node.datacenter", v.Node.Datacenter, datacenterForm, "lower-case letters, digits and '-', at most 63")
	v.form("node.tenant", v.Node.Tenant, nameForm, nameWanted)
	v.path("node.data_dir", v.Node.DataDir)
	v.labels("node.labels", v.Node.Labels)
	v.oneOf("log.level", v.Log.Level, "debug", "info", "warn", "error")
	v.oneOf("log.format", v.Log.Format, "text", "json")
	v.labels("external_labels", v.ExternalLabels)
	v.duration("resolve_timeout", v.ResolveTimeout, 10*time.Second, 30*day)
	if v.ExternalURL == "" {
		return
	}
	u, err := url.Parse(v.ExternalURL)
	switch {
	case err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https"):
		v.fail("external_url", "%q is not a URL like https://alerts.example.com", v.ExternalURL)
	case u.RawQuery != "" || u.Fragment != "" || u.User != nil:
		v.fail("external_url", "a user, a query or a fragment can't stand in it")
	}
}

func (v *checker) path(field, value string) {
	switch {
	case value == "":
		v.fail(field, "a path is wanted")
	case strings.ContainsRune(value, 0):
		v.fail(field, "a path can't hold a zero byte")
	}
}

func (v *checker) labels(field string, labels map[string]string) {
	if len(labels) > maxAdded {
		v.fail(field, "%d labels, more than %d", len(labels), maxAdded)
	}
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		at, value := join(field, name), labels[name]
		switch {
		case !labelForm.MatchString(name):
			v.fail(at, "%q is not the name of a label: letters, digits and '_', first no digit", name)
		case strings.HasPrefix(name, "__"):
			v.fail(at, "names that begin with __ are for internal use")
		case name == "alertname":
			v.fail(at, "the name of an alert is not for everyone to share")
		case !utf8.ValidString(value):
			v.fail(at, "the value is not UTF-8")
		case value == "":
			v.fail(at, "an empty value is no label")
		case len(value) > maxLabelValue:
			v.fail(at, "the value has %d bytes, more than %d", len(value), maxLabelValue)
		}
	}
}

func (v *checker) ports() {
	v.listen("http.listen", v.HTTP.Listen)
	v.listen("gossip.listen", v.Gossip.Listen)
	v.listen("quic.listen", v.QUIC.Listen)
	v.count("http.max_requests", v.HTTP.MaxRequests, 1, 100_000)
	if r := v.HTTP.ClientRate; math.IsNaN(r) || r < 0 || r > 1e6 {
		v.fail("http.client_rate", "%v is not between 0 and 1000000", r)
	}
	v.count("http.client_burst", v.HTTP.ClientBurst, 1, 1_000_000)
	v.duration("http.read_timeout", v.HTTP.ReadTimeout, time.Second, 10*time.Minute)

	taken := map[string]string{}
	claim := func(network, address, field string) {
		if _, port, err := net.SplitHostPort(address); err != nil || port == "0" {
			return
		}
		if other, ok := taken[network+address]; ok {
			v.fail(field, "%s is taken by %s already", address, other)
			return
		}
		taken[network+address] = field
	}
	claim("tcp", v.HTTP.Listen, "http.listen")
	claim("tcp", v.Gossip.Listen, "gossip.listen")
	claim("udp", v.Gossip.Listen, "gossip.listen")
	claim("udp", v.QUIC.Listen, "quic.listen")
	for i, l := range v.Intake.Listeners {
		network := "tcp"
		if strings.HasSuffix(l.Protocol, "_udp") {
			network = "udp"
		}
		claim(network, l.Listen, fmt.Sprintf("intake.listeners[%d].listen", i))
	}
}

// listen checks an address without asking the network for names.
func (v *checker) listen(field, address string) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		v.fail(field, "%q is not an address and port like 127.0.0.1:%s", address, DefaultHTTPPort)
		return
	}
	if n, err := strconv.Atoi(port); err != nil || n < 0 || n > 65535 {
		v.fail(field, "port %q is not a number between 0 and 65535", port)
	}
	if _, err := netip.ParseAddr(host); host != "" && err != nil && !hostForm.MatchString(host) {
		v.fail(field, "%q is neither an address nor the name of a host", host)
	}
}

func (v *checker) measures() {
	v.duration("host.interval", v.Host.Interval, time.Second, time.Hour)
	v.duration("host.deadline", v.Host.Deadline, 100*time.Millisecond, time.Hour)
	if v.Host.Deadline >= v.Host.Interval {
		v.fail("host.deadline", "%s is not less than host.interval, %s", v.Host.Deadline, v.Host.Interval)
	}
	v.form("host.job", v.Host.Job, nameForm, "letters, digits, '.', '_' and '-', at most 63")
	for _, name := range slices.Sorted(maps.Keys(v.Host.Collectors)) {
		v.form(join("host.collectors", name), name, collectorForm, "lower-case letters, digits and '_'")
	}
	v.duration("series.retention", v.Series.Retention, 2*time.Hour, 400*day)
	v.size("series.max_bytes", v.Series.MaxBytes, 64<<20, math.MaxInt64)
	v.count("series.max_series", v.Series.MaxSeries, 100, 10_000_000)
}

func (v *checker) rules() {
	v.duration("rules.evaluation_interval", v.Rules.EvaluationInterval, time.Second, time.Hour)
	v.globs("rules.files", v.Rules.Files)
	v.globs("rules.parameters", v.Rules.Parameters)
	if v.Alertmanager.ConfigFile != "" {
		v.path("alertmanager.config_file", v.Alertmanager.ConfigFile)
	}
}

func (v *checker) globs(field string, globs []string) {
	if len(globs) > maxGlobs {
		v.fail(field, "%d entries, more than %d", len(globs), maxGlobs)
	}
	for i, g := range globs {
		at := fmt.Sprintf("%s[%d]", field, i)
		v.path(at, g)
		if _, err := filepath.Match(g, ""); err != nil {
			v.fail(at, "%q is not a path or a glob: %v", g, err)
		}
	}
}

func (v *checker) storage() {
	v.size("journal.segment_size", v.Journal.SegmentSize, 1<<20, 1<<30)
	if v.Journal.MaxBytes/4 < v.Journal.SegmentSize {
		v.fail("journal.max_bytes", "%s is less than four segments of %s", v.Journal.MaxBytes, v.Journal.SegmentSize)
	}
	v.size("journal.keep", v.Journal.Keep, 1<<20, v.Journal.MaxBytes)
	v.duration("history.retention", v.History.Retention, time.Hour, 1000*day)
	v.size("history.max_bytes", v.History.MaxBytes, 16<<20, math.MaxInt64)
	v.size("disk.min_free", v.Disk.MinFree, 16<<20, math.MaxInt64)
	v.count("limits.max_active", v.Limits.MaxActive, 100, 10_000_000)
}
