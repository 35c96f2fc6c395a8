package amconfig

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"go.yaml.in/yaml/v3"

	"github.com/fenghuo-mesh/fenghuo/aggregate/inhibit"
	"github.com/fenghuo-mesh/fenghuo/aggregate/label"
	"github.com/fenghuo-mesh/fenghuo/aggregate/route"
	"github.com/fenghuo-mesh/fenghuo/aggregate/window"
)

// readRoot reads the root route and makes the checks that only it is under.
func (b *builder) readRoot(n *yaml.Node, path string) (err error) {
	b.route, err = b.readRoute(n, path, 0)
	if err != nil {
		return err
	}
	s := b.route
	switch {
	case s.Receiver == "":
		return b.errorf(n, path, "root route must specify a default receiver")
	case len(s.Matchers) > 0:
		return b.errorf(n, path, "root route must not have any matchers")
	case len(s.MuteIntervals) > 0:
		return b.errorf(at(n, "mute_time_intervals"), path, "root route must not have any mute time intervals")
	case len(s.ActiveIntervals) > 0:
		return b.errorf(at(n, "active_time_intervals"), path, "root route must not have any active time intervals")
	case s.Continue:
		return b.errorf(at(n, "continue"), path, "cannot have continue in root route")
	}
	return nil
}

func (b *builder) readRoute(n *yaml.Node, path string, depth int) (*route.Spec, error) {
	if null(n) {
		return nil, b.errorf(n, path, "empty route")
	}
	if depth > route.MaxDepth {
		return nil, b.errorf(n, "", "routes nested deeper than %d", route.MaxDepth)
	}
	s := &route.Spec{}
	b.nodes = append(b.nodes, routeNode{s, n, path})
	timer := func(to **time.Duration, zero bool) field {
		return func(n *yaml.Node, path string) error {
			var d time.Duration
			if err := b.duration(func(v time.Duration) { d = v })(n, path); err != nil {
				return err
			}
			if d == 0 && !zero {
				return b.errorf(n, path, "%s cannot be zero", path[strings.LastIndexByte(path, '.')+1:])
			}
			*to = &d
			return nil
		}
	}
	err := b.fields(n, path, map[string]field{
		"receiver":              b.str(&s.Receiver),
		"group_by":              b.groupBy(s),
		"match":                 b.matchMap(&s.Matchers, label.Equal),
		"match_re":              b.matchMap(&s.Matchers, label.Regexp),
		"matchers":              b.matchers(&s.Matchers),
		"mute_time_intervals":   b.strs(&s.MuteIntervals),
		"active_time_intervals": b.strs(&s.ActiveIntervals),
		"continue":              b.bool(&s.Continue),
		"group_wait":            timer(&s.GroupWait, true),
		"group_interval":        timer(&s.GroupInterval, false),
		"repeat_interval":       timer(&s.RepeatInterval, false),
		"labels":                b.routeLabels(s),
		"routes": func(n *yaml.Node, path string) error {
			return b.list(n, path, func(n *yaml.Node, path string, _ int) error {
				kid, err := b.readRoute(n, path, depth+1)
				s.Routes = append(s.Routes, kid)
				return err
			})
		},
	})
	return s, err
}

func (b *builder) groupBy(s *route.Spec) field {
	return func(n *yaml.Node, path string) error {
		if err := b.strs(&s.GroupBy)(n, path); err != nil {
			return err
		}
		for i, name := range s.GroupBy {
			if !model.UTF8Validation.IsValidLabelName(name) {
				return b.errorf(n, path, "invalid label name %q in group_by list", name)
			}
			if name == route.GroupByAll && len(s.GroupBy) > 1 {
				return b.errorf(n, path, "cannot have wildcard group_by (`...`) and other labels at the same time")
			}
			if slices.Contains(s.GroupBy[:i], name) {
				return b.errorf(n, path, "duplicated label %q in group_by", name)
			}
		}
		return nil
	}
}

func (b *builder) routeLabels(s *route.Spec) field {
	return func(n *yaml.Node, path string) error {
		if err := b.texts(&s.Labels)(n, path); err != nil {
			return err
		}
		for _, name := range slices.Sorted(maps.Keys(s.Labels)) {
			if !model.UTF8Validation.IsValidLabelName(name) {
				return b.errorf(n, path, "invalid label name %q in route labels", name)
			}
			if strings.Contains(s.Labels[name], "{{") {
				b.warnf(n, join(path, name), "templates in route labels are not supported by this version; the text is sent as it stands")
			}
		}
		if _, err := label.FromMap(s.Labels); err != nil {
			return b.errorf(n, path, "%w", err)
		}
		return nil
	}
}

// matchers reads a list of matcher texts.
func (b *builder) matchers(to *label.Matchers) field {
	return func(n *yaml.Node, path string) error {
		return b.list(n, path, func(n *yaml.Node, path string, _ int) error {
			s, err := b.text(n, path)
			if err != nil {
				return err
			}
			ms, err := label.ParseMatchers(s)
			if err != nil {
				return b.errorf(n, path, "%w", err)
			}
			*to = append(*to, ms...)
			return nil
		})
	}
}

// matchMap reads the deprecated maps of label to value or regular expression.
func (b *builder) matchMap(to *label.Matchers, as matchType) field {
	return func(n *yaml.Node, path string) error {
		var m map[string]string
		if err := b.texts(&m)(n, path); err != nil {
			return err
		}
		for _, name := range slices.Sorted(maps.Keys(m)) {
			if as == label.Regexp && null(lookup(n, name)) {
				return b.errorf(n, path, "invalid regexp value for %q", name)
			}
			if !model.LegacyValidation.IsValidLabelName(name) {
				return b.errorf(n, path, "invalid label name %q", name)
			}
			matcher, err := label.NewMatcher(as, name, m[name])
			if err != nil {
				return b.errorf(lookup(n, name), join(path, name), "%w", err)
			}
			*to = append(*to, matcher)
		}
		return nil
	}
}

func (b *builder) readInhibit(n *yaml.Node, path string) error {
	return b.list(n, path, func(n *yaml.Node, path string, _ int) error {
		var r inhibit.Rule
		err := b.fields(n, path, map[string]field{
			"name":            b.str(&r.Name),
			"source_match":    b.matchMap(&r.Source, label.Equal),
			"source_match_re": b.matchMap(&r.Source, label.Regexp),
			"source_matchers": b.matchers(&r.Source),
			"target_match":    b.matchMap(&r.Target, label.Equal),
			"target_match_re": b.matchMap(&r.Target, label.Regexp),
			"target_matchers": b.matchers(&r.Target),
			"equal": func(n *yaml.Node, path string) error {
				if err := b.strs(&r.Equal)(n, path); err != nil {
					return err
				}
				for _, name := range r.Equal {
					if !model.UTF8Validation.IsValidLabelName(name) {
						return b.errorf(n, path, "invalid label name %q in equal list", name)
					}
				}
				slices.Sort(r.Equal)
				r.Equal = slices.Compact(r.Equal)
				return nil
			},
		})
		b.c.Inhibit = append(b.c.Inhibit, r)
		return err
	})
}

func (b *builder) readIntervals(n *yaml.Node, path string) error {
	return b.list(n, path, func(n *yaml.Node, path string, _ int) error {
		var name string
		var intervals []window.Interval
		err := b.fields(n, path, map[string]field{
			"name": b.str(&name),
			"time_intervals": func(n *yaml.Node, path string) error {
				return b.list(n, path, func(n *yaml.Node, path string, _ int) error {
					iv, err := b.readInterval(n, path)
					intervals = append(intervals, iv)
					return err
				})
			},
		})
		switch _, twice := b.interval[name]; {
		case err != nil:
			return err
		case name == "":
			return b.errorf(n, path, "missing name in time interval")
		case twice:
			return b.errorf(n, path, "time interval %q is not unique", name)
		}
		b.interval[name] = intervals
		return nil
	})
}

// readInterval checks the keys and leaves the values to upstream's types, which
// don't know lines.
func (b *builder) readInterval(n *yaml.Node, path string) (iv window.Interval, err error) {
	part := func(to any) field {
		return func(n *yaml.Node, path string) error {
			if err := decode(n, to); err != nil {
				return b.errorf(n, path, "%w", err)
			}
			return nil
		}
	}
	err = b.fields(n, path, map[string]field{
		"times": func(n *yaml.Node, path string) error {
			err := b.list(n, path, func(n *yaml.Node, path string, _ int) error {
				return b.fields(n, path, map[string]field{"start_time": b.ignored, "end_time": b.ignored})
			})
			if err != nil {
				return err
			}
			return part(&iv.Times)(n, path)
		},
		"weekdays":      part(&iv.Weekdays),
		"days_of_month": part(&iv.DaysOfMonth),
		"months":        part(&iv.Months),
		"years":         part(&iv.Years),
		"location":      part(&iv.Location),
	})
	return iv, err
}

// decode guards against a panic in a foreign unmarshaller.
func decode(n *yaml.Node, to any) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("malformed: %v", p)
		}
	}()
	return n.Decode(to)
}

func (b *builder) readReceivers(n *yaml.Node, path string) error {
	names := map[string]bool{}
	return b.list(n, path, func(n *yaml.Node, path string, _ int) error {
		r, err := b.readReceiver(n, path)
		if err != nil {
			return err
		}
		if names[r.Name] {
			return b.errorf(at(n, "name"), path, "notification config name %q is not unique", r.Name)
		}
		names[r.Name] = true
		b.where[r.Name] = path
		b.c.Receivers = append(b.c.Receivers, r)
		return nil
	})
}

func (b *builder) readReceiver(n *yaml.Node, path string) (r Receiver, err error) {
	if name := lookup(n, "name"); !null(name) {
		if r.Name, err = b.text(name, join(path, "name")); err != nil {
			return r, err
		}
	}
	if r.Name == "" {
		return r, b.errorf(n, path, "missing name in receiver")
	}
	known := map[string]field{
		"name":   b.ignored, // read above
		"labels": b.texts(&r.Labels),
		"webhook_configs": func(n *yaml.Node, path string) error {
			return b.list(n, path, func(n *yaml.Node, path string, i int) error {
				w, err := b.readWebhook(n, path)
				w.Key = r.Name + "/webhook/" + strconv.Itoa(i)
				r.Webhooks = append(r.Webhooks, w)
				return err
			})
		},
		"log_configs": func(n *yaml.Node, path string) error {
			return b.list(n, path, func(n *yaml.Node, path string, i int) error {
				l := Log{Key: r.Name + "/log/" + strconv.Itoa(i), SendResolved: true}
				err := b.fields(n, path, map[string]field{"send_resolved": b.bool(&l.SendResolved)})
				r.Logs = append(r.Logs, l)
				return err
			})
		},
	}
	for _, k := range foreignKinds() {
		known[k+"_configs"] = func(v *yaml.Node, _ string) error {
			for i := 0; i+1 < len(n.Content); i += 2 {
				if n.Content[i+1] == v && (v.Kind != yaml.SequenceNode || len(v.Content) > 0) {
					b.foreign[r.Name] = append(b.foreign[r.Name], n.Content[i])
				}
			}
			return nil
		}
	}
	if err := b.fields(n, path, known); err != nil {
		return r, err
	}
	if v, ok := r.Labels["name"]; ok && v != r.Name {
		return r, b.errorf(at(n, "labels"), path, "receiver label \"name\" must match receiver name %q, got %q", r.Name, v)
	}
	if r.Labels == nil {
		r.Labels = map[string]string{}
	}
	r.Labels["name"] = r.Name
	return r, nil
}

// foreignKinds are Alertmanager's receiver kinds that this version doesn't carry.
func foreignKinds() []string {
	return []string{
		"discord", "email", "incidentio", "pagerduty", "slack", "opsgenie", "wechat", "pushover", "victorops", "sns",
		"telegram", "webex", "msteams", "msteamsv2", "jira", "rocketchat", "mattermost",
	}
}

func (b *builder) readWebhook(n *yaml.Node, path string) (w Webhook, err error) {
	if null(n) {
		return w, b.errorf(n, path, "missing webhook config")
	}
	w = Webhook{SendResolved: true, HTTP: b.http}
	err = b.fields(n, path, map[string]field{
		"send_resolved": b.bool(&w.SendResolved),
		"http_config": func(n *yaml.Node, path string) (err error) {
			w.HTTP, err = b.readHTTP(n, path)
			return err
		},
		"url": func(n *yaml.Node, path string) error {
			if err := b.str(&w.URL)(n, path); err != nil {
				return err
			}
			return b.checkURL(n, path, w.URL)
		},
		"url_file": b.str(&w.URLFile),
		"max_alerts": func(n *yaml.Node, path string) error {
			s, err := b.text(n, path)
			if err != nil {
				return err
			}
			if w.MaxAlerts, err = strconv.ParseUint(s, 10, 64); err != nil {
				return b.errorf(n, path, "want a whole number, at least 0, got %q", s)
			}
			return nil
		},
		"timeout": func(n *yaml.Node, path string) error {
			if err := n.Decode(&w.Timeout); err != nil || w.Timeout < 0 {
				return b.errorf(n, path, "want a duration such as 5s, got %s", kind(n))
			}
			return nil
		},
		"payload": b.unsupported,
	})
	switch {
	case err != nil:
		return w, err
	case w.URL == "" && w.URLFile == "":
		return w, b.errorf(n, path, "one of url or url_file must be configured")
	case w.URL != "" && w.URLFile != "":
		return w, b.errorf(n, path, "at most one of url & url_file must be configured")
	}
	w.URLFile = b.path(w.URLFile)
	return w, nil
}
