// Package config owns the node's file: what may stand in it, what holds where
// nothing is said, and the sentence a reader gets for a mistake. It knows no
// other package of the module; node hands each part its own section.
//
// The comments on the fields below are the configuration reference: make
// generated writes them to docs/configuration.md.
package config

// Config is the whole file. A Config is not changed after Validate; a reload
// makes a new one.
type Config struct {
	// Who this node is and where it keeps its data.
	Node Node `yaml:"node"`
	// The port operators, senders and dashboards use.
	HTTP HTTP `yaml:"http"`
	// The port by which nodes learn of each other.
	Gossip Gossip `yaml:"gossip"`
	// The port by which nodes hand each other data.
	QUIC QUIC `yaml:"quic"`
	// What the node says about itself.
	Log Log `yaml:"log"`
	// The metrics of this machine.
	Host Host `yaml:"host"`
	// The store of samples.
	Series Series `yaml:"series"`
	// Exporters to scrape, in the form of Prometheus's scrape_configs: job_name, scrape_interval, scrape_timeout, metrics_path, scheme,
	// params, static_configs, basic_auth, authorization, tls_config, relabel_configs, metric_relabel_configs, sample_limit. Applied on reload.
	ScrapeConfigs Raw `yaml:"scrape_configs"`
	// Rules on this host's samples.
	Rules Rules `yaml:"rules"`
	// Who is told what.
	Alertmanager Alertmanager `yaml:"alertmanager"`
	// What other systems may send here.
	Intake Intake `yaml:"intake"`
	// The log on disk that an accepted alert is in before it is answered.
	Journal Journal `yaml:"journal"`
	// What is kept of alerts that are over.
	History History `yaml:"history"`
	// What the node does when the disk fills.
	Disk Disk `yaml:"disk"`
	// What all alerts together may take.
	Limits Limits `yaml:"limits"`
	// Labels added to every alert of this node's rules, where it does not have them already. At most 32.
	ExternalLabels map[string]string `yaml:"external_labels"`
	// The URL under which people reach this node, used for links in notifications. Empty: http:// and the address of http.listen.
	ExternalURL string `yaml:"external_url"`
	// How long an alert without an end holds after its sender last repeated it, unless its source has an auto_expiry. Where there is an
	// alertmanager.config_file, its global.resolve_timeout holds instead. 10s to 30d. Applied on reload.
	ResolveTimeout Duration `yaml:"resolve_timeout"`

	origin origin
}

// Node says who this node is.
type Node struct {
	// The name of this host in labels and lists: letters, digits, '.', '_' and '-', at most 63. Empty: the host's name.
	Name string `yaml:"name"`
	// The datacenter this host stands in: lower-case letters, digits and '-', at most 63.
	Datacenter string `yaml:"datacenter"`
	// Where everything is kept. One node uses it at a time. It is made, readable by its owner only, where it is missing.
	DataDir string `yaml:"data_dir"`
	// Who owns what arrives without a tenant: letters, digits, '.', '_' and '-', at most 63.
	Tenant string `yaml:"tenant"`
	// What kind of host this is, for example {role: db}: labels by which the parameters of rules are chosen, beside host and datacenter. They
	// are not added to alerts. At most 32.
	Labels map[string]string `yaml:"labels"`
}

// HTTP is the port for people and programs.
type HTTP struct {
	// Address and port to listen on. There is no login yet: whoever reaches this port may read alerts and write silences, so keep it on
	// loopback or behind a proxy that checks who asks. Port 0 takes a free one.
	Listen string `yaml:"listen"`
	// How many requests may be served at once; more are answered 503. 1 to 100000.
	MaxRequests int `yaml:"max_requests"`
	// How many requests a second one client address may send; more are answered 429. 0: no limit.
	ClientRate float64 `yaml:"client_rate"`
	// How many requests one client address may send at once, above the rate. 1 to 1000000.
	ClientBurst int `yaml:"client_burst"`
	// How long a client may take to send a request's headers and body. 1s to 10m.
	ReadTimeout Duration `yaml:"read_timeout"`
}

// Gossip is the port by which nodes learn of each other.
type Gossip struct {
	// Address and port, UDP and TCP. Checked, and used once the node joins a mesh.
	Listen string `yaml:"listen"`
}

// QUIC is the port by which nodes hand each other data.
type QUIC struct {
	// Address and port, UDP. Checked, and used once the node joins a mesh.
	Listen string `yaml:"listen"`
}

// Log says what the node writes to its standard error.
type Log struct {
	// The least that is written: debug, info, warn or error. Applied on reload.
	Level string `yaml:"level"`
	// text (key=value) or json.
	Format string `yaml:"format"`
}

// Host is about the metrics of this machine, under node_exporter's names.
type Host struct {
	// Whether this machine is measured at all. Applied on reload.
	Enabled bool `yaml:"enabled"`
	// How often. 1s to 1h. Applied on reload.
	Interval Duration `yaml:"interval"`
	// How long one collector may take before it counts as failed; it must be less than the interval. A collector that hangs (a dead mount)
	// holds up nobody else. Applied on reload.
	Deadline Duration `yaml:"deadline"`
	// The job label of this machine's series, as rules and dashboards at hand select it: node in most of them, node-exporter in those of
	// kube-prometheus. 1 to 63 bytes. Applied on reload.
	Job string `yaml:"job"`
	// Collectors to switch on or off by name, for example {systemd: false}. What is not named keeps its default. Applied on reload.
	Collectors map[string]bool `yaml:"collectors"`
}

// Series is the store of samples.
type Series struct {
	// How long samples are kept. 8d or more lets rules compare with the same hour a week ago. 2h to 400d.
	Retention Duration `yaml:"retention"`
	// The disk it may take; the oldest samples go first. 64MiB or more.
	MaxBytes Size `yaml:"max_bytes"`
	// How many series may be written to at a time; samples of others are refused and counted. 100 to 10000000.
	MaxSeries int `yaml:"max_series"`
}

// Rules says which rule files are judged here.
type Rules struct {
	// Rule files in Prometheus's format, as paths or globs, relative to this file. Applied on reload.
	Files []string `yaml:"files"`
	// How often a group without an interval of its own is evaluated. 1s to 1h. Applied on reload.
	EvaluationInterval Duration `yaml:"evaluation_interval"`
	// Files with the values of parameters ($name in a rule) by time, tenant and labels, as paths or globs, relative to this file. Applied on reload.
	Parameters []string `yaml:"parameters"`
}

// Alertmanager says who is told what.
type Alertmanager struct {
	// A file in Alertmanager's own format with routes, receivers and time intervals, relative to this file. Empty: every alert is written to
	// the log and nobody else is told. Applied on reload.
	ConfigFile string `yaml:"config_file"`
}

// Intake is about alerts that other systems send.
type Intake struct {
	// Who may send, and how their words are understood. POST /api/v2/alerts needs no entry. At most 1000. Applied on reload.
	Sources []Source `yaml:"sources"`
	// Ports for senders that don't speak HTTP. At most 64.
	Listeners []Listener `yaml:"listeners"`
}

// Source is one system that may send alerts to /v1/ingest/{type}/{key}.
type Source struct {
	// What the source is called in alerts and lists: letters, digits, '.', '_' and '-', at most 63. Unique.
	Name string `yaml:"name"`
	// What it speaks: alertmanager, prometheus_v2, grafana, zabbix, zabbix_sender, kibana, es_watcher, elastalert2, aliyun_arms,
	// aliyun_cms, syslog_rfc5424, pagerduty_events_v2, cloudevents or generic.
	Type string `yaml:"type"`
	// The last part of its URL. It is a secret where nothing else is asked: letters, digits, '.', '_' and '-', at most 128. Unique per
	// type. Empty: the name.
	Key string `yaml:"key"`
	// The tenant that owns its alerts. Empty: node.tenant.
	Tenant string `yaml:"tenant"`
	// A bearer token the sender must show.
	Token Secret `yaml:"token"`
	// A user and password the sender must show.
	Basic Basic `yaml:"basic"`
	// A signature of the body the sender must show.
	HMAC HMAC `yaml:"hmac"`
	// Networks it may send from, as 10.1.0.0/16. Empty: from anywhere. At most 64.
	Allow []string `yaml:"allow"`
	// How many requests a second it may send; more are answered 429. 0: no limit.
	Rate float64 `yaml:"rate"`
	// How many requests it may send at once, above the rate. 0: as many as in a second.
	Burst int `yaml:"burst"`
	// The largest body it may send, before it is unpacked. 0: 5MiB. At most 64MiB.
	MaxBody Size `yaml:"max_body"`
	// The zone of times that come without one. Empty: what the source's own documentation says, else Asia/Shanghai.
	Zone string `yaml:"zone"`
	// How long a firing alert of this source holds without being repeated. 0: the source's own default. At most 30d.
	AutoExpiry Duration `yaml:"auto_expiry"`
	// The mapping from JSON to the alert, for type generic, relative to this file. Read again when it changes.
	MappingFile string `yaml:"mapping_file"`
	// Labels added to each of its alerts where they are not there already. At most 32.
	Labels map[string]string `yaml:"labels"`
}

// Basic is a user and a password.
type Basic struct {
	// The user's name, without a colon. Empty: nothing is asked.
	Username string `yaml:"username"`
	// The password.
	Password Secret `yaml:"password"`
}

// HMAC is a signature over the body.
type HMAC struct {
	// The key both sides know. Empty: nothing is asked.
	Secret Secret `yaml:"secret"`
	// The header that holds the signature in hex or base64, with or without a prefix like sha256=.
	Header string `yaml:"header"`
	// sha256, sha512 or sha1.
	Algorithm string `yaml:"algorithm"`
	// The header that holds a Unix time which is signed before the body, with a colon between them, as Grafana does it. Empty: the body alone.
	TimestampHeader string `yaml:"timestamp_header"`
	// How old or new that time may be. 0: any. At most 1d.
	MaxAge Duration `yaml:"max_age"`
}

// Listener is a port for senders that don't speak HTTP.
type Listener struct {
	// syslog_udp, syslog_tcp or zabbix_sender.
	Protocol string `yaml:"protocol"`
	// Address and port to listen on.
	Listen string `yaml:"listen"`
	// The name of the entry of intake.sources whose rules hold for what arrives here.
	Source string `yaml:"source"`
}

// Journal is the log on disk that an accepted alert is in before it is answered.
type Journal struct {
	// The size of one file of it, reserved when it is made. 1MiB to 1GiB.
	SegmentSize Size `yaml:"segment_size"`
	// The disk it may take. When it is full of alerts that are still needed, new ones are refused. At least four segments.
	MaxBytes Size `yaml:"max_bytes"`
	// How much of what is no longer needed is kept for whoever reads late: the history while its disk was full, for one. 1MiB or more; it
	// goes first when room is short.
	Keep Size `yaml:"keep"`
}

// History is what is kept of alerts that are over.
type History struct {
	// How long. 1h to 1000d.
	Retention Duration `yaml:"retention"`
	// The disk it may take; the oldest goes first. 16MiB or more.
	MaxBytes Size `yaml:"max_bytes"`
}

// Disk is about free space where the data directory lies.
type Disk struct {
	// Below this much free space the node stops taking in alerts and samples (503) and goes on in memory; it starts again by itself when
	// there is room. 16MiB or more.
	MinFree Size `yaml:"min_free"`
}

// Limits bounds what alerts may take. What bounds a single alert is part of
// the model and the same on every node.
type Limits struct {
	// How many alerts may be held at once; further new ones are refused. 100 to 10000000.
	MaxActive int `yaml:"max_active"`
}
