package scrape

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/relabel"
)

// Config is one entry of scrape_configs. Keys have Prometheus's names; the caller decodes strictly, so that a key that is
// not supported is an error.
type Config struct {
	// JobName is the job label of the targets. Required, and used once.
	JobName string `yaml:"job_name"`
	// ScrapeInterval is the time between two scrapes: the manager's Interval. At least 1 s.
	ScrapeInterval model.Duration `yaml:"scrape_interval,omitempty"`
	// ScrapeTimeout is the deadline of one scrape: 10 s, or the interval if that is shorter. At most the interval.
	ScrapeTimeout model.Duration `yaml:"scrape_timeout,omitempty"`
	// MetricsPath is where the metrics are: /metrics.
	MetricsPath string `yaml:"metrics_path,omitempty"`
	// Scheme is http (the default) or https.
	Scheme string `yaml:"scheme,omitempty"`
	// Params are added to the URL.
	Params url.Values `yaml:"params,omitempty"`
	// HonorLabels keeps an exporter's labels where they conflict with the target's; else they are renamed to exported_*.
	HonorLabels bool `yaml:"honor_labels,omitempty"`
	// HonorTimestamps keeps an exporter's timestamps: true.
	HonorTimestamps *bool `yaml:"honor_timestamps,omitempty"`
	// EnableCompression lets the exporter compress: true.
	EnableCompression *bool `yaml:"enable_compression,omitempty"`
	// FollowRedirects follows up to 5 redirects: true.
	FollowRedirects *bool `yaml:"follow_redirects,omitempty"`
	// FallbackScrapeProtocol is accepted for the sake of existing files; what has no known content type is read as text.
	FallbackScrapeProtocol string `yaml:"fallback_scrape_protocol,omitempty"`

	StaticConfigs []StaticConfig `yaml:"static_configs,omitempty"`
	FileSDConfigs []FileSDConfig `yaml:"file_sd_configs,omitempty"`

	// At most one of BasicAuth and Authorization may be set.
	BasicAuth     *BasicAuth     `yaml:"basic_auth,omitempty"`
	Authorization *Authorization `yaml:"authorization,omitempty"`
	TLSConfig     *TLSConfig     `yaml:"tls_config,omitempty"`

	RelabelConfigs       []*relabel.Config `yaml:"relabel_configs,omitempty"`
	MetricRelabelConfigs []*relabel.Config `yaml:"metric_relabel_configs,omitempty"`

	// SampleLimit fails a scrape with more samples after relabeling: 50,000.
	SampleLimit int `yaml:"sample_limit,omitempty"`
	// LabelLimit, LabelNameLengthLimit and LabelValueLengthLimit fail a scrape with such a series: 64, 256, 4,096, which
	// are also the highest values, as the store takes no more.
	LabelLimit            int `yaml:"label_limit,omitempty"`
	LabelNameLengthLimit  int `yaml:"label_name_length_limit,omitempty"`
	LabelValueLengthLimit int `yaml:"label_value_length_limit,omitempty"`
	// BodySizeLimit fails a scrape with a larger body, decompressed: 16MiB.
	BodySizeLimit Size `yaml:"body_size_limit,omitempty"`
}

// StaticConfig is a group of targets with common labels.
type StaticConfig struct {
	Targets []string          `yaml:"targets" json:"targets"`
	Labels  map[string]string `yaml:"labels,omitempty" json:"labels,omitempty"`
}

// FileSDConfig names files that list targets and are read again when they change.
type FileSDConfig struct {
	// Files are paths ending in .json, .yml or .yaml; the last element may be a pattern such as *.yml.
	Files []string `yaml:"files"`
	// RefreshInterval is how often the files are looked at: 30 s. At least 1 s.
	RefreshInterval model.Duration `yaml:"refresh_interval,omitempty"`
}

// Limits of a configuration, and defaults.
const (
	DefaultBodyLimit   Size = 16 << 20
	DefaultSampleLimit      = 50_000
	maxBodyLimit       Size = 256 << 20
	maxSampleLimit          = 1_000_000
	defaultTimeout          = 10 * time.Second
	minInterval             = time.Second
	maxInterval             = 24 * time.Hour
)

// withDefaults fills in what is not set.
func (c Config) withDefaults(interval time.Duration) Config {
	c.ScrapeInterval = cmp.Or(c.ScrapeInterval, model.Duration(interval))
	c.ScrapeTimeout = cmp.Or(c.ScrapeTimeout, model.Duration(min(defaultTimeout, time.Duration(c.ScrapeInterval))))
	c.MetricsPath = cmp.Or(c.MetricsPath, "/metrics")
	c.Scheme = cmp.Or(c.Scheme, "http")
	c.HonorTimestamps = orTrue(c.HonorTimestamps)
	c.EnableCompression = orTrue(c.EnableCompression)
	c.FollowRedirects = orTrue(c.FollowRedirects)
	c.SampleLimit = cmp.Or(c.SampleLimit, DefaultSampleLimit)
	c.LabelLimit = cmp.Or(c.LabelLimit, maxLabels)
	c.LabelNameLengthLimit = cmp.Or(c.LabelNameLengthLimit, maxLabelName)
	c.LabelValueLengthLimit = cmp.Or(c.LabelValueLengthLimit, maxLabelValue)
	c.BodySizeLimit = cmp.Or(c.BodySizeLimit, DefaultBodyLimit)
	c.FileSDConfigs = slices.Clone(c.FileSDConfigs)
	for i := range c.FileSDConfigs {
		f := &c.FileSDConfigs[i]
		f.RefreshInterval = cmp.Or(f.RefreshInterval, model.Duration(30*time.Second))
	}
	return c
}

func orTrue(p *bool) *bool {
	if p != nil {
		return p
	}
	yes := true
	return &yes
}

// Validate says whether a list of configurations can be applied with the manager's default interval. The error names
// job and key, and joins everything that is wrong.
func Validate(configs []Config, interval time.Duration) error {
	var errs []error
	seen := map[string]bool{}
	for i, c := range configs {
		name := fmt.Sprintf("scrape_configs[%d]", i)
		if c.JobName != "" {
			name = fmt.Sprintf("scrape_configs[%d] (job_name %q)", i, c.JobName)
		}
		if seen[c.JobName] && c.JobName != "" {
			errs = append(errs, fmt.Errorf("%s: job_name stands twice", name))
		}
		seen[c.JobName] = true
		c = c.withDefaults(interval)
		for _, err := range c.check() {
			errs = append(errs, fmt.Errorf("%s: %w", name, err))
		}
	}
	return errors.Join(errs...)
}

// check looks at a configuration with defaults.
func (c Config) check() []error {
	var errs []error
	bad := func(cond bool, format string, args ...any) {
		if cond {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	interval, timeout := time.Duration(c.ScrapeInterval), time.Duration(c.ScrapeTimeout)
	bad(c.JobName == "", "job_name: is empty")
	bad(!model.LabelValue(c.JobName).IsValid(), "job_name: is not UTF-8")
	bad(interval < minInterval || interval > maxInterval, "scrape_interval: %v is not between %v and %v", interval, minInterval, maxInterval)
	bad(timeout <= 0 || timeout > interval, "scrape_timeout: %v is not between 0 and scrape_interval %v", timeout, interval)
	bad(!strings.HasPrefix(c.MetricsPath, "/"), "metrics_path: %q does not begin with /", c.MetricsPath)
	bad(c.Scheme != "http" && c.Scheme != "https", "scheme: %q is neither http nor https", c.Scheme)
	bad(c.SampleLimit < 0 || c.SampleLimit > maxSampleLimit, "sample_limit: %d is not between 0 and %d", c.SampleLimit, maxSampleLimit)
	bad(c.LabelLimit < 0 || c.LabelLimit > maxLabels, "label_limit: %d is not between 0 and %d", c.LabelLimit, maxLabels)
	bad(c.LabelNameLengthLimit < 0 || c.LabelNameLengthLimit > maxLabelName,
		"label_name_length_limit: %d is not between 0 and %d", c.LabelNameLengthLimit, maxLabelName)
	bad(c.LabelValueLengthLimit < 0 || c.LabelValueLengthLimit > maxLabelValue,
		"label_value_length_limit: %d is not between 0 and %d", c.LabelValueLengthLimit, maxLabelValue)
	bad(c.BodySizeLimit < 0 || c.BodySizeLimit > maxBodyLimit, "body_size_limit: %v is not between 0 and %v", c.BodySizeLimit, maxBodyLimit)
	bad(c.BasicAuth != nil && c.Authorization != nil, "basic_auth: can't be used together with authorization")
	errs = append(errs, c.BasicAuth.check()...)
	errs = append(errs, c.Authorization.check()...)
	errs = append(errs, c.TLSConfig.check()...)
	errs = append(errs, checkRelabel("relabel_configs", c.RelabelConfigs)...)
	errs = append(errs, checkRelabel("metric_relabel_configs", c.MetricRelabelConfigs)...)
	errs = append(errs, c.checkTargets()...)
	return errs
}

func (c Config) checkTargets() []error {
	var errs []error
	for i, s := range c.StaticConfigs {
		for _, err := range s.check() {
			errs = append(errs, fmt.Errorf("static_configs[%d].%w", i, err))
		}
	}
	for i, f := range c.FileSDConfigs {
		if len(f.Files) == 0 {
			errs = append(errs, fmt.Errorf("file_sd_configs[%d].files: is empty", i))
		}
		if time.Duration(f.RefreshInterval) < minInterval {
			errs = append(errs, fmt.Errorf("file_sd_configs[%d].refresh_interval: %v is below %v", i, f.RefreshInterval, minInterval))
		}
		for j, name := range f.Files {
			if !sdFile.MatchString(name) {
				errs = append(errs, fmt.Errorf("file_sd_configs[%d].files[%d]: %q does not end in .json, .yml or .yaml, or has a * before its last element", i, j, name))
			}
		}
	}
	return errs
}

func (s StaticConfig) check() []error {
	var errs []error
	for i, t := range s.Targets {
		if err := checkAddress(t); err != nil {
			errs = append(errs, fmt.Errorf("targets[%d]: %w", i, err))
		}
	}
	for name, value := range s.Labels {
		if !model.UTF8Validation.IsValidLabelName(name) {
			errs = append(errs, fmt.Errorf("labels: %q is not a label name", name))
		}
		if !model.LabelValue(value).IsValid() {
			errs = append(errs, fmt.Errorf("labels: value of %q is not UTF-8", name))
		}
	}
	return errs
}

// checkAddress wants host:port without scheme and path.
func checkAddress(addr string) error {
	switch {
	case addr == "":
		return errors.New("address is empty")
	case strings.Contains(addr, "/"):
		return fmt.Errorf("%q is not a host and port: scheme and path have keys of their own", addr)
	case !model.LabelValue(addr).IsValid():
		return errors.New("address is not UTF-8")
	}
	return nil
}

func checkRelabel(key string, rules []*relabel.Config) []error {
	var errs []error
	for i, r := range rules {
		if r == nil {
			errs = append(errs, fmt.Errorf("%s[%d]: is empty", key, i))
			continue
		}
		if err := r.Validate(model.UTF8Validation); err != nil {
			errs = append(errs, fmt.Errorf("%s[%d]: %w", key, i, err))
		}
	}
	return errs
}
