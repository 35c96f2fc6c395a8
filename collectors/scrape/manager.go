package scrape

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/labels"
	"go.yaml.in/yaml/v3"

	"github.com/fenghuo-mesh/fenghuo/collectors/metadata"
	"github.com/fenghuo-mesh/fenghuo/collectors/series"
)

// Sink stores samples. series.DB is one. It must not keep the batch after it has returned.
type Sink interface {
	Append(ctx context.Context, batch []series.Sample) (series.Appended, error)
}

// Options configure New. Zero fields take the default named beside them.
type Options struct {
	// Sink takes the samples of each scrape. Required.
	Sink Sink
	// Interval is the scrape_interval of jobs that name none: 15 s. At least 1 s.
	Interval time.Duration
	// MaxTargets bounds the targets of all jobs together: 1,000. More are left out, counted and logged.
	MaxTargets int
	// Seed makes hosts scrape equal targets at different moments: the host's name will do.
	Seed string
	// UserAgent is sent with every scrape: "fenghuo".
	UserAgent string

	// Transport carries the requests instead of a client per job; the jobs' TLS settings have no effect then.
	Transport http.RoundTripper

	// Logger says when targets go down or come back. Nil discards it.
	Logger *slog.Logger
	// Registerer receives the metrics of scraping itself. Nil skips them.
	Registerer prometheus.Registerer
	// Now is the clock: time.Now.
	Now func() time.Time
}

func (o Options) withDefaults() (Options, error) {
	o.Interval = cmp.Or(o.Interval, 15*time.Second)
	o.MaxTargets = cmp.Or(o.MaxTargets, 1000)
	o.UserAgent = cmp.Or(o.UserAgent, "fenghuo")
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	switch {
	case o.Sink == nil:
		return o, errors.New("scrape: Sink is nil")
	case o.Interval < minInterval || o.Interval > maxInterval:
		return o, fmt.Errorf("scrape: Interval %v is not between %v and %v", o.Interval, minInterval, maxInterval)
	case o.MaxTargets < 1:
		return o, fmt.Errorf("scrape: MaxTargets %d is not positive", o.MaxTargets)
	}
	return o, nil
}

// Manager scrapes the targets of a list of configurations. Make it with New; its methods are safe for concurrent use,
// Run may be called once.
type Manager struct {
	opts    Options
	book    *metadata.Book
	metrics *metrics
	buffers sync.Pool

	mu      sync.Mutex // guards what follows; held while targets are exchanged
	ctx     context.Context
	jobs    []*job
	loops   map[string]*loop // by the target's key
	dropped []*target        // by relabeling
	lost    map[string]bool  // targets that could not be made, logged once
	changed chan struct{}    // wakes Run after Apply
}

// job is one configuration in force.
type job struct {
	config Config // with defaults
	id     string // the configuration as text: equal means unchanged
	client *http.Client
	files  map[string]sdState
	looked []time.Time // of each file_sd_config
}

// maxMetadata bounds the metrics, of all targets together, whose metadata is kept.
const maxMetadata = 10_000

// New returns a manager without targets.
func New(opts Options) (*Manager, error) {
	o, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	return &Manager{
		opts: o, book: metadata.NewBook(maxMetadata, o.Now), metrics: newMetrics(o.Registerer), loops: map[string]*loop{}, lost: map[string]bool{},
		changed: make(chan struct{}, 1),
	}, nil
}

// Apply puts a list of configurations in the place of the one in force, or returns what is wrong with it and changes
// nothing. Targets that stay as they are go on undisturbed; series of those that are gone end. Before Run it takes effect
// when Run begins.
func (m *Manager) Apply(configs []Config) error {
	if err := Validate(configs, m.opts.Interval); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	old := map[string]*job{}
	for _, j := range m.jobs {
		old[j.id] = j
	}
	var jobs []*job
	for _, c := range configs {
		j, err := newJob(c.withDefaults(m.opts.Interval), old, m.opts.Transport)
		if err != nil {
			return fmt.Errorf("job_name %q: %w", c.JobName, err)
		}
		jobs = append(jobs, j)
	}
	before := m.jobs
	m.jobs = jobs
	for _, j := range jobs {
		j.look(m.opts.Now(), m.opts.Logger)
	}
	m.lost = map[string]bool{}
	m.exchange()
	for _, j := range before {
		if !slices.Contains(jobs, j) {
			j.client.CloseIdleConnections()
		}
	}
	select {
	case m.changed <- struct{}{}:
	default:
	}
	return nil
}

// newJob makes a job, or returns the old one if its configuration is the same word for word and needs no file that may
// have changed.
func newJob(c Config, old map[string]*job, transport http.RoundTripper) (*job, error) {
	text, err := yaml.Marshal(&c)
	if err != nil {
		return nil, err
	}
	id := strings.Join([]string{string(text), c.secrets()}, "\xff")
	if j, ok := old[id]; ok && c.TLSConfig == nil {
		return j, nil
	}
	j := &job{config: c, id: id, files: map[string]sdState{}, looked: make([]time.Time, len(c.FileSDConfigs))}
	j.client, err = newClient(&j.config, transport)
	return j, err
}

// Run scrapes until ctx ends, and returns nil when every scrape has ended. Series are not ended then: the node is
// expected back.
func (m *Manager) Run(ctx context.Context) error {
	m.mu.Lock()
	m.ctx = ctx
	m.exchange()
	m.mu.Unlock()
	for {
		timer := time.NewTimer(m.untilLook())
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-m.changed:
		}
		timer.Stop()
		if ctx.Err() != nil {
			break
		}
		m.mu.Lock()
		again := false
		for _, j := range m.jobs {
			again = j.look(m.opts.Now(), m.opts.Logger) || again
		}
		if again {
			m.exchange()
		}
		m.mu.Unlock()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, l := range m.loops {
		l.stop()
	}
	for _, j := range m.jobs {
		j.client.CloseIdleConnections()
	}
	return nil
}

// untilLook is how long Run may sleep before a file of targets is due.
func (m *Manager) untilLook() time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	now, wait := m.opts.Now(), time.Hour
	for _, j := range m.jobs {
		for i, f := range j.config.FileSDConfigs {
			wait = min(wait, j.looked[i].Add(time.Duration(f.RefreshInterval)).Sub(now))
		}
	}
	return max(wait, 10*time.Millisecond)
}

// exchange makes the loops be those of the jobs' targets. It is called with mu held.
func (m *Manager) exchange() {
	if m.ctx == nil || m.ctx.Err() != nil {
		return
	}
	next := map[string]*loop{}
	m.dropped = m.dropped[:0]
	for _, j := range m.jobs {
		for _, t := range m.targets(j) {
			key := t.key() + "\xff" + j.id
			if _, twice := next[key]; twice {
				continue
			}
			if len(next) >= m.opts.MaxTargets {
				m.lose(t.url, fmt.Errorf("there are %d targets already", m.opts.MaxTargets))
				continue
			}
			next[key] = m.loops[key]
			if next[key] == nil || next[key].client != j.client {
				next[key] = newLoop(m, t, j.client)
			}
		}
	}
	// Whoever scrapes the same series next takes over what is known of them, so that only those that are gone end.
	heirs := map[string]*loop{}
	for _, key := range slices.Sorted(maps.Keys(next)) {
		if l := next[key]; m.loops[key] != l {
			heirs[l.target.labels.String()] = l
		}
	}
	for key, l := range m.loops {
		if next[key] == l {
			continue
		}
		l.stop()
		if heir := heirs[l.target.labels.String()]; heir != nil {
			heir.memory = l.memory
			heir.memory.series = map[string]*known{} // its relabeling may be another
			continue
		}
		l.store(m.ctx, l.farewell(m.opts.Now().UnixMilli()))
	}
	for key, l := range next {
		if m.loops[key] != l {
			l.start(m.ctx)
		}
	}
	m.loops = next
	m.metrics.targets.Set(float64(len(next)))
}

// targets makes the targets of a job; those that can't be made are counted and logged once.
func (m *Manager) targets(j *job) []*target {
	var out []*target
	groups := slices.Concat(j.config.StaticConfigs, j.discovered())
	for _, g := range groups {
		for _, addr := range g.Targets {
			t, err := newTarget(&j.config, addr, g.Labels)
			switch {
			case errors.Is(err, errDropped):
				if len(m.dropped) < m.opts.MaxTargets {
					m.dropped = append(m.dropped, t)
				}
			case err != nil:
				m.lose(j.config.JobName+" "+addr, err)
			default:
				out = append(out, t)
			}
		}
	}
	return out
}

func (m *Manager) lose(what string, err error) {
	m.metrics.refused.Inc()
	if !m.lost[what] && len(m.lost) < 100 {
		m.lost[what] = true
		m.opts.Logger.Warn("target is left out", "target", what, "err", err)
	}
}

// Metadata lists what exporters have said of their metrics, sorted by name, at most 10,000 of them.
func (m *Manager) Metadata() []metadata.Metric { return m.book.List() }

// Target is the state of one target, in the words of Prometheus's targets API.
type Target struct {
	// Job is the scrape pool.
	Job string
	// Discovered are the labels before relabeling, Labels those of its series; Dropped targets have none.
	Discovered, Labels labels.Labels
	URL                string
	// Health is up, down or unknown (not scraped yet); Dropped says that relabeling left the target out.
	Health  string
	Dropped bool
	// LastError is "" after a good scrape.
	LastError    string
	LastScrape   time.Time
	LastDuration time.Duration
	Interval     time.Duration
	Timeout      time.Duration
}

// Targets lists all targets, sorted by job and URL.
func (m *Manager) Targets() []Target {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := make([]Target, 0, len(m.loops)+len(m.dropped))
	for _, l := range m.loops {
		out = append(out, l.state())
	}
	for _, t := range m.dropped {
		out = append(out, Target{Job: t.config.JobName, Discovered: t.discovered, Health: "unknown", Dropped: true})
	}
	slices.SortFunc(out, func(a, b Target) int {
		return cmp.Or(strings.Compare(a.Job, b.Job), strings.Compare(a.URL, b.URL), labels.Compare(a.Discovered, b.Discovered))
	})
	return out
}

func (l *loop) state() Target {
	t := l.target
	l.mu.Lock()
	defer l.mu.Unlock()
	s := Target{
		Job: t.config.JobName, Discovered: t.discovered, Labels: t.labels, URL: t.url, Health: l.health,
		LastScrape: l.last, LastDuration: l.took, Interval: t.interval, Timeout: t.timeout,
	}
	if l.err != nil {
		s.LastError = l.err.Error()
	}
	return s
}
