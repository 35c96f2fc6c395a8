package node

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/fenghuo-mesh/fenghuo/aggregate/label"
	"github.com/fenghuo-mesh/fenghuo/collectors/evaluate"
	"github.com/fenghuo-mesh/fenghuo/collectors/evaluate/rulefile"
	"github.com/fenghuo-mesh/fenghuo/collectors/host"
	"github.com/fenghuo-mesh/fenghuo/collectors/remotewrite"
	"github.com/fenghuo-mesh/fenghuo/collectors/scrape"
	"github.com/fenghuo-mesh/fenghuo/collectors/series"
	"github.com/fenghuo-mesh/fenghuo/node/config"
)

// samples are the parts that measure this host and judge what they measured.
type samples struct {
	db     *series.DB
	rules  *evaluate.Manager
	scrape *scrape.Manager
	remote *remotewrite.Handler

	mu   sync.Mutex           // guards all following
	host *host.Host           // nil: this machine isn't measured
	reg  *prometheus.Registry // of host, which a reload replaces
	stop func()               // ends host's loop and waits for it
}

// pushedShare is how much of the room for series exporters and remote_write may
// take: the rest is for this host's own series and its rules.
const pushedShare = 0.8

// measured is everything about samples that can fail at a reload, made before
// anything is swapped.
type measured struct {
	rules *rulefile.Set
	jobs  []scrape.Config
	host  *host.Host
	reg   *prometheus.Registry
}

// startSamples opens the sample store and starts what fills and reads it.
func (n *Node) startSamples(ctx context.Context) error {
	c := n.o.Config
	s := &samples{}
	var err error
	s.db, err = series.Open(series.Options{
		Dir: filepath.Join(c.Node.DataDir, "series"), Retention: c.Series.Retention.Std(), MaxBytes: c.Series.MaxBytes.Int64(),
		MaxSeries: c.Series.MaxSeries, MinFreeBytes: c.Disk.MinFree.Int64(), Logger: n.o.Logger, Registerer: n.o.Registry, Now: n.o.Now,
	})
	if err != nil {
		return err
	}
	n.lives.Started("sample store", func(context.Context) error { return s.db.Close() })
	external, err := label.FromMap(c.ExternalLabels)
	if err != nil {
		return fmt.Errorf("external_labels: %w", err)
	}
	about, err := label.FromMap(c.Node.Labels)
	if err != nil {
		return fmt.Errorf("node.labels: %w", err)
	}
	for name, value := range map[string]string{"host": c.Node.Name, "datacenter": c.Node.Datacenter} {
		if about, err = about.With(name, value); err != nil {
			return fmt.Errorf("node.%s: %w", name, err)
		}
	}
	s.rules, err = evaluate.New(evaluate.Options{
		Querier: s.db, Appender: s.db, Reporter: n.ledger, ExternalURL: n.externalURL(), ExternalLabels: external,
		Host: about, Tenant: c.Node.Tenant,
		Node: c.Node.Name, Datacenter: c.Node.Datacenter, Now: n.o.Now, Logger: n.o.Logger, Registerer: n.o.Registry,
	})
	if err != nil {
		return err
	}
	s.scrape, err = scrape.New(scrape.Options{Sink: series.GuestOf(s.db, pushedShare), Seed: c.Node.Name, UserAgent: "Fenghuo/" + n.o.Version, Logger: n.o.Logger, Registerer: n.o.Registry, Now: n.o.Now})
	if err != nil {
		return err
	}
	s.remote, err = remotewrite.New(remotewrite.Options{Sink: series.GuestOf(s.db, pushedShare), Logger: n.o.Logger, Registerer: n.o.Registry, Now: n.o.Now})
	if err != nil {
		return err
	}
	n.samples = s
	m, err := n.buildSamples(c)
	if err != nil {
		return err
	}
	n.lives.Run("sample store", s.db.Run)
	n.applySamples(ctx, m)
	n.lives.Run("rules", s.rules.Run)
	n.lives.Run("scraping", s.scrape.Run)
	n.lives.Started("host metrics", func(context.Context) error {
		s.replaceHost(&measured{}, n)
		return nil
	})
	return nil
}

// buildSamples reads rule files and scrape jobs and makes the collectors.
func (n *Node) buildSamples(c *config.Config) (*measured, error) {
	var m measured
	var err error
	if m.rules, err = readRules(c); err != nil {
		return nil, err
	}
	if m.jobs, err = readJobs(c); err != nil {
		return nil, err
	}
	if c.Host.Enabled {
		m.reg = prometheus.NewRegistry()
		o := host.Options{
			Interval: c.Host.Interval.Std(), Timeout: c.Host.Deadline.Std(), Instance: c.Node.Name, Job: c.Host.Job, Sink: n.samples.db,
			Logger: n.o.Logger, Registerer: m.reg, Now: n.o.Now,
		}
		for name, on := range c.Host.Collectors {
			if !on {
				o.Disable = append(o.Disable, name)
			}
		}
		if m.host, err = host.New(o); err != nil {
			return nil, err
		}
	}
	return &m, nil
}

func readRules(c *config.Config) (*rulefile.Set, error) {
	patterns := append(append([]string{}, c.Rules.Files...), c.Rules.Parameters...)
	set, err := rulefile.Load(patterns, c.Rules.EvaluationInterval.Std())
	if err != nil {
		return nil, fmt.Errorf("rules: %w", err)
	}
	return set, nil
}

func readJobs(c *config.Config) ([]scrape.Config, error) {
	var jobs []scrape.Config
	if c.ScrapeConfigs.IsZero() {
		return nil, nil
	}
	if err := c.ScrapeConfigs.Decode(&jobs); err != nil {
		return nil, fmt.Errorf("scrape_configs: %w", err)
	}
	// A manager that never runs reads certificates and all else they name.
	trial, err := scrape.New(scrape.Options{Sink: new(series.DB)})
	if err == nil {
		err = trial.Apply(jobs)
	}
	if err != nil {
		return nil, fmt.Errorf("scrape_configs: %w", err)
	}
	return jobs, nil
}

// applySamples puts what buildSamples made in force. It can't fail.
func (n *Node) applySamples(ctx context.Context, m *measured) {
	n.samples.rules.Apply(ctx, m.rules)
	if err := n.samples.scrape.Apply(m.jobs); err != nil {
		n.o.Logger.Error("scrape jobs not changed", "err", err) // they were tried
	}
	n.samples.replaceHost(m, n)
}

// current is what measures this machine now, or nil.
func (s *samples) current() *host.Host {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.host
}

// Gather implements prometheus.Gatherer: the metrics of the collection itself.
func (s *samples) Gather() ([]*dto.MetricFamily, error) {
	s.mu.Lock()
	reg := s.reg
	s.mu.Unlock()
	if reg == nil {
		return nil, nil
	}
	return reg.Gather()
}

// replaceHost ends the collectors that run and starts the given ones.
func (s *samples) replaceHost(m *measured, n *Node) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stop != nil {
		s.stop()
		s.stop = nil
	}
	s.host, s.reg = m.host, m.reg
	if m.host == nil {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { // joined by stop
		defer close(done)
		if err := m.host.Run(ctx); err != nil && ctx.Err() == nil {
			n.fatal("host metrics", err)
		}
	}()
	s.stop = func() {
		cancel()
		<-done
	}
}
