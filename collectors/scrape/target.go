package scrape

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/relabel"

	"github.com/fenghuo-mesh/fenghuo/collectors/series"
)

// Bounds of labels: what the store takes.
const (
	maxLabels     = series.MaxLabels
	maxLabelName  = series.MaxLabelNameBytes
	maxLabelValue = series.MaxLabelValueBytes
)

// target is one URL to scrape, with everything relabeling has decided.
type target struct {
	config     *Config // with defaults
	discovered labels.Labels
	labels     labels.Labels // of its series
	url        string
	interval   time.Duration
	timeout    time.Duration
}

// errDropped says that relabeling left a target out.
var errDropped = errors.New("dropped by relabel_configs")

// newTarget does what Prometheus does: labels of the group, the configuration as labels, relabeling, then
// everything is read back from the labels.
func newTarget(c *Config, addr string, group map[string]string) (*target, error) {
	b := labels.NewBuilder(labels.EmptyLabels())
	for _, name := range slices.Sorted(maps.Keys(group)) {
		b.Set(name, group[name])
	}
	b.Set(model.AddressLabel, addr)
	for _, l := range []labels.Label{
		{Name: model.JobLabel, Value: c.JobName},
		{Name: model.ScrapeIntervalLabel, Value: c.ScrapeInterval.String()},
		{Name: model.ScrapeTimeoutLabel, Value: c.ScrapeTimeout.String()},
		{Name: model.MetricsPathLabel, Value: c.MetricsPath},
		{Name: model.SchemeLabel, Value: c.Scheme},
	} {
		if b.Get(l.Name) == "" {
			b.Set(l.Name, l.Value)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(c.Params)) {
		if v := c.Params[key]; len(v) > 0 && b.Get(model.ParamLabelPrefix+key) == "" {
			b.Set(model.ParamLabelPrefix+key, v[0])
		}
	}
	t := &target{config: c, discovered: b.Labels()}
	if !relabel.ProcessBuilder(b, c.RelabelConfigs...) {
		return t, errDropped
	}
	return t, t.finish(b)
}

// finish reads the target back from its labels.
func (t *target) finish(b *labels.Builder) error {
	addr := b.Get(model.AddressLabel)
	if err := checkAddress(addr); err != nil {
		return fmt.Errorf("address: %w", err)
	}
	var err error
	if t.interval, err = duration(b, model.ScrapeIntervalLabel); err != nil {
		return err
	}
	if t.timeout, err = duration(b, model.ScrapeTimeoutLabel); err != nil {
		return err
	}
	if t.interval < minInterval || t.timeout > t.interval {
		return fmt.Errorf("interval %v is below %v, or timeout %v above it", t.interval, minInterval, t.timeout)
	}
	if b.Get(model.InstanceLabel) == "" {
		b.Set(model.InstanceLabel, addr)
	}
	params := url.Values{}
	for key, v := range t.config.Params {
		params[key] = slices.Clone(v)
	}
	public := labels.NewScratchBuilder(8)
	b.Range(func(l labels.Label) {
		if key, ok := strings.CutPrefix(l.Name, model.ParamLabelPrefix); ok {
			if len(params[key]) > 0 {
				params[key][0] = l.Value
			} else {
				params[key] = []string{l.Value}
			}
		}
		if !strings.HasPrefix(l.Name, model.ReservedLabelPrefix) {
			public.Add(l.Name, l.Value)
		}
	})
	public.Sort()
	t.labels = public.Labels()
	err = t.labels.Validate(func(l labels.Label) error {
		if !model.LabelValue(l.Value).IsValid() {
			return fmt.Errorf("value of label %q is not UTF-8", l.Name)
		}
		return nil
	})
	if err != nil {
		return err
	}
	scheme := b.Get(model.SchemeLabel)
	if scheme != "http" && scheme != "https" {
		return fmt.Errorf("scheme %q is neither http nor https", scheme)
	}
	u := url.URL{Scheme: scheme, Host: addr, Path: b.Get(model.MetricsPathLabel), RawQuery: params.Encode()}
	t.url = u.String()
	if _, err := url.Parse(t.url); err != nil {
		return fmt.Errorf("address: %w", err)
	}
	return nil
}

func duration(b *labels.Builder, name string) (time.Duration, error) {
	d, err := model.ParseDuration(b.Get(name))
	if err != nil || d == 0 {
		return 0, fmt.Errorf("%s: %q is not a positive duration", name, b.Get(name))
	}
	return time.Duration(d), nil
}

// key tells targets apart: the same labels and URL are one target.
func (t *target) key() string {
	return t.config.JobName + "\xff" + t.labels.String() + "\xff" + t.url + "\xff" +
		strconv.FormatInt(int64(t.interval), 10) + "\xff" + strconv.FormatInt(int64(t.timeout), 10)
}

// mutate gives scraped labels the target's, and relabels them. Empty labels mean that the sample is dropped.
func (t *target) mutate(ls labels.Labels) labels.Labels {
	b := labels.NewBuilder(ls)
	var conflicts []labels.Label
	t.labels.Range(func(l labels.Label) {
		exposed := ls.Get(l.Name)
		switch {
		case t.config.HonorLabels && ls.Has(l.Name):
			return
		case exposed != "" && !t.config.HonorLabels:
			conflicts = append(conflicts, labels.Label{Name: l.Name, Value: exposed})
		}
		b.Set(l.Name, l.Value)
	})
	slices.SortStableFunc(conflicts, func(x, y labels.Label) int { return len(x.Name) - len(y.Name) })
	for _, l := range conflicts {
		name := model.ExportedLabelPrefix + l.Name
		for b.Get(name) != "" {
			name = model.ExportedLabelPrefix + name
		}
		b.Set(name, l.Value)
	}
	if !relabel.ProcessBuilder(b, t.config.MetricRelabelConfigs...) {
		return labels.EmptyLabels()
	}
	return b.Labels()
}

// admit checks the labels of a new series.
func (t *target) admit(ls labels.Labels) error {
	name := ls.Get(model.MetricNameLabel)
	switch c := t.config; {
	case name == "":
		return errors.New("a sample has no metric name after relabeling")
	case !ls.IsValid(model.UTF8Validation):
		return fmt.Errorf("metric %.100q has labels that are not valid", name)
	case ls.Len() > c.LabelLimit:
		return fmt.Errorf("label_limit: metric %.100q has %d labels, more than %d", name, ls.Len(), c.LabelLimit)
	default:
		return ls.Validate(func(l labels.Label) error {
			if len(l.Name) > c.LabelNameLengthLimit {
				return fmt.Errorf("label_name_length_limit: label %.50q of %.100q has %d bytes, more than %d", l.Name, name, len(l.Name), c.LabelNameLengthLimit)
			}
			if len(l.Value) > c.LabelValueLengthLimit {
				return fmt.Errorf("label_value_length_limit: value of %.50q of %.100q has %d bytes, more than %d", l.Name, name, len(l.Value), c.LabelValueLengthLimit)
			}
			return nil
		})
	}
}
