package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/fenghuo-mesh/fenghuo/node"
	"github.com/fenghuo-mesh/fenghuo/node/config"
	"github.com/fenghuo-mesh/fenghuo/node/demo"
	"github.com/fenghuo-mesh/fenghuo/node/service"
)

// stopWithin is how long a node may take to stop.
const stopWithin = 30 * time.Second

// agentFlags is the command line of fenghuo agent.
type agentFlags struct {
	file string
	dev  bool
	over config.Overlay
}

func newAgentCommand() *cobra.Command {
	var f agentFlags
	cmd := &cobra.Command{
		Use:   "agent",
		Short: "Run a node",
		Long: `Run a node until it is told to stop.

Settings come from the configuration file, then from FENGHUO_... variables, then
from flags; the later ones win. SIGHUP reads the file and everything it names
again; a mistake keeps the old configuration. SIGTERM and SIGINT stop the node in
order.

--dev runs a node for trying things out: everything on loopback, data in
./fenghuo-dev, example rules, and a receiver that prints notifications.`,
		Example: `  fenghuo agent --dev
  fenghuo agent --config /etc/fenghuo/fenghuo.yml
  fenghuo agent --config fenghuo.yml --http 127.0.0.1:0 --log-level debug`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return f.run(cmd) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.file, "config", "", "configuration `file`")
	flags.BoolVar(&f.dev, "dev", false, "run a development node")
	o := &f.over
	flags.StringVar(&o.Data, "data", "", "`directory` where everything is kept (node.data_dir)")
	flags.StringVar(&o.HTTP, "http", "", "`address` to serve HTTP on (http.listen)")
	flags.StringVar(&o.Gossip, "gossip", "", "`address` for gossip, once in a mesh (gossip.listen)")
	flags.StringVar(&o.QUIC, "quic", "", "`address` for QUIC, once in a mesh (quic.listen)")
	flags.StringVar(&o.Name, "name", "", "`name` of this node (node.name)")
	flags.StringVar(&o.Datacenter, "datacenter", "", "`name` of its datacenter (node.datacenter)")
	flags.StringArrayVar(&o.Rules, "rules", nil, "rule files, as a path or `glob`; may be repeated (rules.files)")
	flags.StringVar(&o.AlertmanagerConfig, "alertmanager-config", "", "`file` with routes and receivers (alertmanager.config_file)")
	flags.StringVar(&o.LogLevel, "log-level", "", "`level` of the log: debug, info, warn, error (log.level)")
	_ = cmd.MarkFlagFilename("config", "yml", "yaml")
	_ = cmd.MarkFlagDirname("data")
	return cmd
}

// devDir is where a development node keeps its data unless --data says else.
const devDir = "fenghuo-dev"

// load reads the configuration as the flags say.
func (f *agentFlags) load() (*config.Config, error) {
	env := config.Environment(os.Getenv)
	switch {
	case f.dev && f.file != "":
		return nil, fmt.Errorf("%w: --dev and --config exclude each other", errUsage)
	case f.dev:
		dir := f.over.Data
		if dir == "" {
			dir = devDir
		}
		dir, err := filepath.Abs(dir)
		if err != nil {
			return nil, err
		}
		c := config.Dev(dir)
		return c, c.With(env, f.over)
	case f.file != "":
		return config.Load(f.file, env, f.over)
	}
	return nil, fmt.Errorf("%w: which configuration? Give --config FILE, or --dev to try things out", errUsage)
}

func (f *agentFlags) run(cmd *cobra.Command) error {
	tuneMemory()
	out := cmd.OutOrStdout()
	var receiver string
	if f.dev {
		url, stop, err := startDemo(out)
		if err != nil {
			return err
		}
		defer stop()
		receiver = url
		// The example files must be there before they are read.
		c, err := f.load()
		if err != nil {
			return err
		}
		if err := config.WriteDev(c.Node.DataDir, receiver); err != nil {
			return err
		}
	}
	c, err := f.load()
	if err != nil {
		return err
	}
	level := new(slog.LevelVar)
	if err := level.UnmarshalText([]byte(c.Log.Level)); err != nil {
		return fmt.Errorf("log.level: %w", err)
	}
	logger := newLogger(cmd.ErrOrStderr(), c.Log.Format, level)
	n, err := node.New(node.Options{Config: c, Reread: f.load, Version: Version(), Out: out, Logger: logger, Level: level})
	if err != nil {
		return err
	}
	notifier, err := service.NewNotifier(service.Options{Logger: logger, Healthy: func(context.Context) error { return n.Ready() }})
	if err != nil {
		return err
	}
	ctx, cancel := signal.NotifyContext(context.Background(), stopSignals()...)
	defer cancel()
	if err := n.Start(ctx); err != nil {
		return err
	}
	notifier.Notify(service.Ready, "serving on "+n.Addr().String())
	if f.dev {
		printWelcome(out, n.Addr(), receiver)
	}
	err = f.live(ctx, n, notifier, logger)
	notifier.Notify(service.Stopping, "")
	logger.Info("stopping")
	wait, stop := context.WithTimeout(context.Background(), stopWithin)
	defer stop()
	return errors.Join(err, n.Stop(wait))
}

// live reloads when asked, until the node is to stop or fails.
func (f *agentFlags) live(ctx context.Context, n *node.Node, notifier *service.Notifier, logger *slog.Logger) error {
	hup := make(chan os.Signal, 1)
	if signals := reloadSignals(); len(signals) > 0 { // none would mean all
		signal.Notify(hup, signals...)
		defer signal.Stop(hup)
	}
	beat, stop := context.WithCancel(ctx)
	defer stop()
	done := make(chan error, 1)
	go func() { done <- notifier.Run(beat) }() // ends with beat
	defer func() {
		stop()
		<-done
	}()
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-n.Failed():
			return err
		case <-hup:
			notifier.Notify(service.Reloading, "")
			if err := n.Reload(ctx); err != nil {
				logger.Error("configuration not reloaded, the old one stays in force", "err", err)
			}
			notifier.Notify(service.Ready, "")
		}
	}
}

func newLogger(w io.Writer, format string, level slog.Leveler) *slog.Logger {
	o := &slog.HandlerOptions{Level: level}
	if format == "json" {
		return slog.New(slog.NewJSONHandler(w, o))
	}
	return slog.New(slog.NewTextHandler(w, o))
}

// startDemo serves the receiver that prints notifications.
func startDemo(out io.Writer) (url string, stop func(), err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, fmt.Errorf("demo receiver: %w", err)
	}
	srv := &http.Server{Handler: &demo.Receiver{W: out}, ReadHeaderTimeout: 10 * time.Second}
	done := make(chan struct{})
	go func() { // ends with the server
		defer close(done)
		_ = srv.Serve(l)
	}()
	return "http://" + l.Addr().String() + "/", func() {
		_ = srv.Close()
		<-done
	}, nil
}

func printWelcome(out io.Writer, addr net.Addr, receiver string) {
	fmt.Fprintf(out, `
Fenghuo development node. Notifications are printed here as they arrive
(demo receiver: %[2]s). Stop with Ctrl-C.

  What fires:     http://%[1]s/v1/alerts        or: fenghuo alerts
  Incidents:      http://%[1]s/v1/incidents
  Metrics:        http://%[1]s/api/v1/query?query=node_load1   (Grafana: a Prometheus data source at http://%[1]s)
  Alertmanager:   http://%[1]s/api/v2/alerts    (Prometheus: alerting.alertmanagers)
  Everything:     http://%[1]s/

`, addr, receiver)
}
