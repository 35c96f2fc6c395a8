// Package node is one running host: it wires the parts below it, owns their
// lives, and speaks HTTP. It is the only package that knows its siblings.
//
// The alert's way through it is node/ledger (accept, merge, journal), lead.go
// (judge, tell, record) and back to the journal; recovery.go reads it all in
// again. Everything else feeds these or shows what they hold.
package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fenghuo-mesh/fenghuo/aggregate/alert"
	"github.com/fenghuo-mesh/fenghuo/aggregate/notice"
	v1 "github.com/fenghuo-mesh/fenghuo/node/api/v1"
	"github.com/fenghuo-mesh/fenghuo/node/config"
	"github.com/fenghuo-mesh/fenghuo/node/journal"
	"github.com/fenghuo-mesh/fenghuo/node/ledger"
	"github.com/fenghuo-mesh/fenghuo/node/lives"
	"github.com/fenghuo-mesh/fenghuo/node/notify"
	"github.com/fenghuo-mesh/fenghuo/node/service"
	"github.com/fenghuo-mesh/fenghuo/node/store"
	"github.com/fenghuo-mesh/fenghuo/node/store/history"
)

// Options of a Node. Config is required.
type Options struct {
	// Config is validated and not changed afterwards.
	Config *config.Config
	// Reread reads the configuration anew for Reload; nil: Config stays.
	Reread func() (*config.Config, error)
	// Version is the program's, for people and APIs.
	Version string
	// Now is the node's clock. Default time.Now.
	Now func() time.Time
	// Transport carries webhooks; nil: one made from each receiver's settings.
	Transport http.RoundTripper
	// Out is where the log receiver writes. Default os.Stdout.
	Out io.Writer
	// Registry collects the node's metrics. Default: one of its own.
	Registry *prometheus.Registry
	Logger   *slog.Logger
	// Level, if given, follows log.level on reload.
	Level *slog.LevelVar
}

// Node is one host of the mesh. Start and Stop are called once each; everything
// else is safe for concurrent use between them.
type Node struct {
	o       Options
	started time.Time
	lives   lives.List
	failed  chan error

	dir        *service.Lock
	journal    *journal.Journal
	store      *store.Store
	historian  *history.Historian
	inbox      *ledger.Inbox
	ledger     *ledger.Ledger
	lead       *lead
	dispatcher *notify.Dispatcher
	events     *v1.Feed
	samples    *samples // metrics, rules, scraping
	doors      *doors   // senders other than HTTP API v2

	handler  http.Handler
	listener net.Listener
	ready    atomic.Bool

	reload sync.Mutex // one reload at a time
	mu     sync.RWMutex
	conf   *config.Config // guarded by mu, as the next
	routes *routing
}

// New checks the options. Nothing is opened before Start.
func New(o Options) (*Node, error) {
	if o.Config == nil {
		return nil, errors.New("node: Options.Config is missing")
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Out == nil {
		o.Out = os.Stdout
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Registry == nil {
		o.Registry = prometheus.NewRegistry()
	}
	o.Now = steady(o.Now, o.Logger).now
	n := &Node{o: o, conf: o.Config, failed: make(chan error, 1)}
	n.lives = lives.List{Logger: o.Logger, Fatal: n.fatal}
	return n, nil
}

// fatal makes the node end because a part of it did.
func (n *Node) fatal(part string, err error) {
	select {
	case n.failed <- fmt.Errorf("%s: %w", part, err):
	default:
	}
}

// Failed delivers the error of a part that ended by itself. The node should be
// stopped then.
func (n *Node) Failed() <-chan error { return n.failed }

func (n *Node) now() alert.Time { return alert.At(n.o.Now()) }

func (n *Node) config() *config.Config {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return n.conf
}

func (n *Node) routing() *routing {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return n.routes
}

// resolveTimeout is how long an alert without an end holds: what the
// alertmanager.yml says, where there is one, else what the node's file says.
func (n *Node) resolveTimeout() time.Duration {
	if c := n.config(); c.Alertmanager.ConfigFile == "" {
		return c.ResolveTimeout.Std()
	}
	return n.routing().file.ResolveTimeout
}

// Addr is where HTTP is served, once started; nil where it isn't.
func (n *Node) Addr() net.Addr {
	if n.listener == nil {
		return nil
	}
	return n.listener.Addr()
}

// Handler serves the node's HTTP interface, once started.
func (n *Node) Handler() http.Handler { return n.handler }

// externalURL is how people reach this node.
func (n *Node) externalURL() string {
	if u := n.config().ExternalURL; u != "" {
		return u
	}
	if n.listener != nil {
		return "http://" + n.listener.Addr().String()
	}
	return "http://" + n.config().HTTP.Listen
}

// Start opens the data directory, reads what is there, and begins to work. It
// returns when the node is ready; after an error everything is stopped again.
func (n *Node) Start(ctx context.Context) error {
	n.started = n.o.Now()
	var err error
	if n.routes, err = buildRouting(n.o, n.o.Config); err != nil {
		return fmt.Errorf("routing: %w", err)
	}
	for _, step := range []struct {
		name string
		do   func(context.Context) error
	}{
		{"data directory", n.lock},
		{"alerts", n.startAlerts},
		{"samples", n.startSamples},
		{"intake", n.startDoors},
		{"http", n.serve},
	} {
		if err := step.do(ctx); err != nil {
			return errors.Join(fmt.Errorf("%s: %w", step.name, err), n.lives.Stop(context.WithoutCancel(ctx)))
		}
	}
	n.ready.Store(true)
	n.o.Logger.Info("ready", "node", n.o.Config.Node.Name, "datacenter", n.o.Config.Node.Datacenter, "http", n.externalURL(), "took", n.o.Now().Sub(n.started))
	return nil
}

// Stop ends intake first, lets what is under way finish, and closes the disk
// last.
func (n *Node) Stop(ctx context.Context) error {
	n.ready.Store(false)
	return n.lives.Stop(ctx)
}

func (n *Node) lock(context.Context) error {
	l, err := service.LockDir(n.o.Config.Node.DataDir)
	if err != nil {
		return err
	}
	n.dir = l
	n.lives.Started("data directory", func(context.Context) error { return l.Unlock() })
	return nil
}

// dirLook is how often it is checked that the data directory is still there.
const dirLook = time.Second

// watchDir shuts intake while the data directory is not where it was: an answer
// of 200 for what is written to a removed directory would be a lie.
func (n *Node) watchDir(ctx context.Context) error {
	tick := time.NewTicker(dirLook)
	defer tick.Stop()
	gone := false
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		err := n.dir.Check()
		if (err != nil) == gone {
			continue
		}
		gone = err != nil
		n.ledger.Gate.Shut(err)
		if gone {
			n.o.Logger.Error("nothing is accepted any more: what is told goes on from memory; restart the node", "err", err)
		}
	}
}

// startAlerts brings the spine up: journal, history, book, lead, dispatcher.
func (n *Node) startAlerts(context.Context) error {
	c := n.o.Config
	var err error
	n.store, err = store.Open(store.Options{
		Dir: filepath.Join(c.Node.DataDir, "history"), Retention: c.History.Retention.Std(), MaxBytes: c.History.MaxBytes.Int64(),
		MinFreeBytes: c.Disk.MinFree.Int64(), Logger: n.o.Logger, Registerer: n.o.Registry, Now: n.o.Now,
	})
	if err != nil {
		return err
	}
	n.lives.Started("history store", n.store.Stop)
	n.journal, err = journal.Open(journal.Options{
		Dir: filepath.Join(c.Node.DataDir, "journal"), SegmentBytes: c.Journal.SegmentSize.Int64(),
		MaxBytes: c.Journal.MaxBytes.Int64(), KeepBytes: c.Journal.Keep.Int64(), FirstPosition: journal.Position(n.store.Indexed()),
		MinFreeBytes: c.Disk.MinFree.Int64(),
		Logger:       n.o.Logger, Registerer: n.o.Registry, Now: n.o.Now,
	})
	if err != nil {
		return err
	}
	n.lives.Started("journal", n.journal.Stop)

	past := memory{n, map[alert.Origin]*alert.Origin{}}
	n.events, n.inbox = v1.NewFeed(0, n.started.UnixNano()), ledger.NewInbox()
	openSince := func(version uint64) []*alert.Alert { // what fires and changed after a version
		return n.ledger.Held(nil, func(a *alert.Alert) bool { return a.Version > version && a.Fires() })
	}
	n.historian = history.New(history.Options{Store: n.store, Replay: past.replay, Open: openSince, Logger: n.o.Logger, Now: n.o.Now})
	n.dispatcher = notify.NewDispatcher(notify.Options{Now: n.o.Now, Logger: n.o.Logger, Registerer: n.o.Registry})
	n.lead = newLead(leadOptions{
		Journal: n.journal, Inbox: n.inbox, Dispatcher: n.dispatcher, Historian: n.historian, Feed: feed{n.events},
		Planner:     notice.Options{IDPrefix: fmt.Sprintf("%s-%x", c.Node.Name, n.started.UnixNano())},
		ExternalURL: n.externalURL, Now: n.o.Now, Logger: n.o.Logger,
	})
	n.ledger = ledger.New(ledger.Options{
		Journal: n.journal, Now: n.o.Now, Tenant: c.Node.Tenant, ResolveTimeout: n.resolveTimeout, MaxAlerts: c.Limits.MaxActive,
		Changed: n.inbox.Put, Holds: n.lead.holds, Logger: n.o.Logger, Registerer: n.o.Registry,
	})
	if err := past.recover(); err != nil {
		return err
	}
	n.dispatcher.Configure(n.routes.senders)
	if err := n.lead.begin(n.routes.file.Notice()); err != nil {
		return err
	}
	n.lives.Run("history", n.historian.Run)
	n.lives.Run("ledger", n.ledger.Run)
	n.lives.Run("data directory", n.watchDir)
	n.lives.Started("results of notifications", func(context.Context) error {
		n.lead.settle()
		return nil
	})
	n.lives.Started("notifications", n.dispatcher.Stop)
	n.lives.Run("lead", n.lead.Run)
	n.lives.Run("snapshots", past.keepSnapshots)
	return nil
}
