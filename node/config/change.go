package config

import (
	"fmt"
	"reflect"

	"go.yaml.in/yaml/v3"
)

// NeedRestart names the settings that differ between two configurations and
// take effect only when the node starts.
func NeedRestart(old, now *Config) []string {
	var out []string
	for _, s := range []struct {
		name string
		a, b any
	}{
		{"node.name", old.Node.Name, now.Node.Name},
		{"node.datacenter", old.Node.Datacenter, now.Node.Datacenter},
		{"node.data_dir", old.Node.DataDir, now.Node.DataDir},
		{"node.tenant", old.Node.Tenant, now.Node.Tenant},
		{"node.labels", old.Node.Labels, now.Node.Labels},
		{"http", old.HTTP, now.HTTP},
		{"gossip", old.Gossip, now.Gossip},
		{"quic", old.QUIC, now.QUIC},
		{"log.format", old.Log.Format, now.Log.Format},
		{"series", old.Series, now.Series},
		{"intake.listeners", old.Intake.Listeners, now.Intake.Listeners},
		{"journal", old.Journal, now.Journal},
		{"history", old.History, now.History},
		{"disk", old.Disk, now.Disk},
		{"limits", old.Limits, now.Limits},
		{"external_labels", old.ExternalLabels, now.ExternalLabels},
		{"external_url", old.ExternalURL, now.ExternalURL},
	} {
		if !reflect.DeepEqual(s.a, s.b) {
			out = append(out, s.name)
		}
	}
	return out
}

// Redacted is the configuration in force as YAML, secrets left out.
func (c *Config) Redacted() (string, error) {
	b, err := yaml.Marshal(c)
	if err != nil {
		return "", fmt.Errorf("configuration: %w", err)
	}
	return string(b), nil
}
