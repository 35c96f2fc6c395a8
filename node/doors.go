package node

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"time"

	"github.com/fenghuo-mesh/fenghuo/aggregate/alert"
	"github.com/fenghuo-mesh/fenghuo/collectors/intake"
	"github.com/fenghuo-mesh/fenghuo/collectors/intake/catalog"
	"github.com/fenghuo-mesh/fenghuo/collectors/intake/generic"
	"github.com/fenghuo-mesh/fenghuo/collectors/intake/listen"
	"github.com/fenghuo-mesh/fenghuo/node/config"
	"github.com/fenghuo-mesh/fenghuo/node/ledger"
)

// doors are the ways in for senders other than API v2.
type doors struct {
	handler *intake.Handler
}

// mappingLook is how often mapping files are looked at for changes.
const mappingLook = 5 * time.Second

// startDoors opens the doors for configured senders.
func (n *Node) startDoors(context.Context) error {
	c := n.o.Config
	h, err := intake.New(intake.Options{
		Sources: catalog.Sources(), Sink: n.ledger, Node: c.Node.Name, Datacenter: c.Node.Datacenter,
		Control: n.heard, Now: n.o.Now, Logger: n.o.Logger, Registerer: n.o.Registry,
	})
	if err != nil {
		return err
	}
	n.doors = &doors{handler: h}
	integrations, err := n.buildIntegrations(c)
	if err != nil {
		return err
	}
	if err := h.Apply(integrations); err != nil {
		return err
	}
	n.lives.Run("mapping files", n.watchMappings)
	metrics := listen.NewMetrics(n.o.Registry)
	for _, l := range c.Intake.Listeners {
		protocol, ok := protocolOf(l.Protocol)
		if !ok {
			return fmt.Errorf("listener %s: protocol not known", l.Protocol)
		}
		listener, err := listen.New(listen.Options{
			Protocol: protocol, Address: l.Listen, Integration: l.Source, Deliverer: h,
			Now: n.o.Now, Metrics: metrics, Logger: n.o.Logger,
		})
		if err != nil {
			return fmt.Errorf("listener %s on %s: %w", l.Protocol, l.Listen, err)
		}
		if err := listener.Listen(); err != nil {
			return fmt.Errorf("listener %s on %s: %w", l.Protocol, l.Listen, err)
		}
		n.o.Logger.Info("listening", "protocol", l.Protocol, "on", listener.Addr())
		n.lives.Run("listener "+l.Protocol+" "+l.Listen, listener.Run)
	}
	return nil
}

// heard notes what a sender said that is no alert: somebody acknowledged a
// problem at its source, or pressed a test button.
func (n *Node) heard(_ context.Context, from *alert.Origin, tenant string, c intake.Control) {
	n.o.Logger.Info("a source said something that is no alert", "source", from.Source, "integration", from.Integration, "tenant", tenant,
		"kind", c.Type, "action", c.Action, "about", c.DedupeKey, "user", c.User, "reason", c.Reason)
}

func protocolOf(name string) (intake.Protocol, bool) {
	all := catalog.Protocols()
	i := slices.IndexFunc(all, func(p intake.Protocol) bool { return p.Name == name })
	if i < 0 {
		return intake.Protocol{}, false
	}
	return all[i], true
}

// buildIntegrations turns the file's sources into integrations, and tries them,
// so that applying them afterwards can't fail.
func (n *Node) buildIntegrations(c *config.Config) ([]intake.Integration, error) {
	var out []intake.Integration
	var bad []error
	for i := range c.Intake.Sources {
		in, field, err := integration(&c.Intake.Sources[i])
		if err != nil {
			bad = append(bad, c.At(fmt.Sprintf("intake.sources[%d].%s", i, field), err))
			continue
		}
		out = append(out, in)
	}
	if len(bad) > 0 {
		return nil, errors.Join(bad...)
	}
	trial, err := intake.New(intake.Options{Sources: catalog.Sources(), Sink: n.ledger})
	if err != nil {
		return nil, err
	}
	if err := trial.Apply(out); err != nil {
		return nil, err
	}
	return out, nil
}

// integration is what a source of the file means. With an error comes the field
// that it is about.
func integration(s *config.Source) (in intake.Integration, field string, err error) {
	in = intake.Integration{
		Name: s.Name, Source: s.Type, Key: s.Key, Token: s.Token.Reveal(),
		BasicUser: s.Basic.Username, BasicPassword: s.Basic.Password.Reveal(),
		Tenant: s.Tenant, AutoExpiry: s.AutoExpiry.Std(), Labels: s.Labels,
		Rate: s.Rate, Burst: s.Burst, MaxBody: s.MaxBody.Int64(),
	}
	for _, text := range s.Allow {
		network, err := netip.ParsePrefix(text)
		if err != nil {
			return in, "allow", err
		}
		in.Allow = append(in.Allow, network)
	}
	if s.HMAC.Secret != "" {
		in.HMAC = intake.HMAC{
			Secret: s.HMAC.Secret.Reveal(), Header: s.HMAC.Header, Algorithm: s.HMAC.Algorithm,
			TimestampHeader: s.HMAC.TimestampHeader, MaxAge: s.HMAC.MaxAge.Std(),
		}
	}
	if s.Zone != "" {
		zone, err := time.LoadLocation(s.Zone)
		if err != nil {
			return in, "zone", err
		}
		in.Zone = zone
	}
	if s.MappingFile != "" {
		text, err := os.ReadFile(s.MappingFile)
		if err != nil {
			return in, "mapping_file", err
		}
		m, err := generic.Load(s.MappingFile, text)
		if err != nil {
			return in, "mapping_file", err
		}
		in.Decoder, in.Ends = m, m.Ends()
		if in.AutoExpiry == 0 {
			in.AutoExpiry = m.Expiry()
		}
	}
	return in, "", nil
}

// apply puts tried integrations in force.
func (d *doors) apply(n *Node, integrations []intake.Integration) {
	if err := d.handler.Apply(integrations); err != nil {
		n.o.Logger.Error("intake sources not changed", "err", err) // they were tried
	}
}

// watchMappings applies changed mapping files without being told to reload.
func (n *Node) watchMappings(ctx context.Context) error {
	tick := time.NewTicker(mappingLook)
	defer tick.Stop()
	seen := mappingStamp(n.config())
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		stamp := mappingStamp(n.config())
		if stamp == seen {
			continue
		}
		seen = stamp
		n.reload.Lock()
		integrations, err := n.buildIntegrations(n.config())
		if err == nil {
			n.doors.apply(n, integrations)
			n.o.Logger.Info("intake mappings read again")
		} else {
			n.o.Logger.Error("changed intake mapping not in force, the old one stays", "err", err)
		}
		n.reload.Unlock()
	}
}

// mappingStamp changes when a mapping file does.
func mappingStamp(c *config.Config) string {
	var b []byte
	for i := range c.Intake.Sources {
		if f := c.Intake.Sources[i].MappingFile; f != "" {
			if info, err := os.Stat(f); err == nil {
				b = fmt.Appendf(b, "%s %d %d\n", f, info.Size(), info.ModTime().UnixNano())
			}
		}
	}
	return string(b)
}

// Check reads everything a configuration names, as a start would, and starts
// nothing.
func Check(c *config.Config) error {
	n, err := New(Options{Config: c})
	if err != nil {
		return err
	}
	_, err1 := buildRouting(n.o, c)
	_, err2 := readRules(c)
	_, err3 := readJobs(c)
	n.ledger = new(ledger.Ledger) // a sink is asked for, and nothing reaches it
	_, err4 := n.buildIntegrations(c)
	return errors.Join(err1, err2, err3, err4)
}
