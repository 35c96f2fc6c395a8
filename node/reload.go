package node

import (
	"context"
	"errors"
	"fmt"

	"github.com/fenghuo-mesh/fenghuo/node/config"
)

// Reload reads the configuration and everything it names anew: first all that
// can fail, then the swap, which can't. On an error the old one stays in force.
func (n *Node) Reload(ctx context.Context) error {
	n.reload.Lock()
	defer n.reload.Unlock()
	if err := n.Ready(); err != nil {
		return err
	}
	c := n.o.Config
	if n.o.Reread != nil {
		var err error
		if c, err = n.o.Reread(); err != nil {
			return err
		}
	}
	routes, err1 := buildRouting(n.o, c)
	measured, err2 := n.buildSamples(c)
	integrations, err3 := n.buildIntegrations(c)
	if err := errors.Join(err1, err2, err3); err != nil {
		return err
	}
	// The planner checks what it is given before it takes it, so it is first.
	if err := n.lead.configure(routes.file.Notice()); err != nil {
		return err
	}
	n.mu.Lock()
	old := n.conf
	n.conf, n.routes = c, routes
	n.mu.Unlock()
	n.dispatcher.Configure(routes.senders)
	n.applySamples(ctx, measured)
	n.doors.apply(n, integrations)
	setLevel(n.o, c)
	for _, what := range config.NeedRestart(old, c) {
		n.o.Logger.Warn("a changed setting takes effect at the next start", "setting", what)
	}
	n.o.Logger.Info("configuration reloaded")
	return nil
}

// setLevel follows log.level.
func setLevel(o Options, c *config.Config) {
	if o.Level == nil {
		return
	}
	if err := o.Level.UnmarshalText([]byte(c.Log.Level)); err != nil {
		o.Logger.Warn("log.level not changed", "err", err)
	}
}

// configText is the configuration in force as people may see it.
func configText(c *config.Config) string {
	text, err := c.Redacted()
	if err != nil {
		return fmt.Sprintf("# can't be shown: %v\n", err)
	}
	return text
}
