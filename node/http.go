package node

import (
	"context"
	"errors"
	"net"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/fenghuo-mesh/fenghuo/aggregate/alert"
	"github.com/fenghuo-mesh/fenghuo/node/api"
	"github.com/fenghuo-mesh/fenghuo/node/api/am"
	"github.com/fenghuo-mesh/fenghuo/node/api/prom"
	v1 "github.com/fenghuo-mesh/fenghuo/node/api/v1"
)

// serve builds the HTTP interface and begins to listen.
func (n *Node) serve(context.Context) error {
	if err := n.buildHandler(); err != nil {
		return err
	}
	c := n.o.Config.HTTP
	if c.Listen == "" {
		return nil
	}
	var err error
	if n.listener, err = net.Listen("tcp", c.Listen); err != nil {
		return err
	}
	srv := &http.Server{Handler: n.handler, ReadTimeout: c.ReadTimeout.Std()}
	api.Configure(srv)
	done := make(chan struct{})
	go func() { // joined by the stop below
		defer close(done)
		if err := srv.Serve(n.listener); err != nil && !errors.Is(err, http.ErrServerClosed) {
			n.fatal("http", err)
		}
	}()
	n.lives.Started("http", func(ctx context.Context) error {
		n.events.Close() // a server that drains waits for its streams
		err := srv.Shutdown(ctx)
		if err != nil {
			err = errors.Join(err, srv.Close())
		}
		<-done
		return err
	})
	return nil
}

// buildHandler assembles the faces.
func (n *Node) buildHandler() error {
	c := n.o.Config
	origin := &alert.Origin{Source: "prometheus_v2", Node: c.Node.Name, Datacenter: c.Node.Datacenter}
	face := amFace{n, origin}
	alertmanager, err := am.New(am.Options{
		Sink: face, Alerts: face, Silences: silenceFace{n}, Node: face, Origin: origin,
		Now: n.o.Now, Logger: n.o.Logger, Registerer: n.o.Registry,
	})
	if err != nil {
		return err
	}
	own := v1Face{n}
	version1, err := v1.New(v1.Options{
		Alerts: own, History: own, Incidents: own, Silences: silenceFace{n}, Node: own, Feed: n.events,
		Tenant: c.Node.Tenant, Now: n.o.Now, Logger: n.o.Logger,
	})
	if err != nil {
		return err
	}
	metrics, err := prom.New(prom.Options{
		Querier: n.samples.db, Rules: promFace{n}, Targets: promFace{n}, Metadata: promFace{n},
		Build: prom.BuildInfo{Fenghuo: n.o.Version}, Started: n.started, Hostname: n.o.Config.Node.Name,
		Config: func() string { return configText(n.config()) }, TSDB: n.samples.db.Status, Ready: n.Ready,
		Logger: n.o.Logger, Registerer: n.o.Registry, Now: n.o.Now,
	})
	if err != nil {
		return err
	}
	n.o.Registry.MustRegister(
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), routeMetrics(n), buildMetric(n),
	)
	front, err := api.New(api.Options{
		Mounts: []api.Mount{
			{Pattern: "/api/v2/", Handler: alertmanager},
			{Pattern: "/api/v1/", Handler: metrics},
			{Pattern: "POST /api/v1/write", Handler: n.samples.remote},
			{Pattern: "/v1/", Handler: version1},
			{Pattern: "GET /v1/events", Handler: version1, Streams: true},
			{Pattern: "/openapi.json", Handler: version1},
			{Pattern: "/openapi.yaml", Handler: version1},
			{Pattern: "/v1/ingest/", Handler: n.doors.handler},
			{Pattern: "POST /v2/enqueue", Handler: n.doors.handler},
		},
		Lifecycle: n, Metrics: promhttp.HandlerFor(prometheus.Gatherers{n.o.Registry, n.samples}, promhttp.HandlerOpts{EnableOpenMetrics: true, Registry: n.o.Registry}),
		Profiling: true, PerClient: c.HTTP.ClientRate, Burst: c.HTTP.ClientBurst, MaxReads: c.HTTP.MaxRequests,
		Now: n.o.Now, Logger: n.o.Logger, Registerer: n.o.Registry,
	})
	if err != nil {
		return err
	}
	n.handler = front
	return nil
}

// Ready implements api.Lifecycle.
func (n *Node) Ready() error {
	if !n.ready.Load() {
		return errors.New("starting or stopping")
	}
	return nil
}
