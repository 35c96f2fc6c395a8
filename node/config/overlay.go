package config

import (
	"path/filepath"
	"strings"
)

// Overlay is a handful of settings given on the command line or in the
// environment. An empty field changes nothing.
type Overlay struct {
	Data               string   // node.data_dir
	HTTP               string   // http.listen
	Gossip             string   // gossip.listen
	QUIC               string   // quic.listen
	Name               string   // node.name
	Datacenter         string   // node.datacenter
	Rules              []string // rules.files
	AlertmanagerConfig string   // alertmanager.config_file
	LogLevel           string   // log.level

	// Source turns the name of a setting's flag ("log-level") into the name
	// used in messages. Nil: "--" and the flag.
	Source func(flag string) string
}

// Environment reads the overlay from variables: FENGHUO_DATA, FENGHUO_HTTP,
// FENGHUO_GOSSIP, FENGHUO_QUIC, FENGHUO_NAME, FENGHUO_DATACENTER,
// FENGHUO_RULES (several globs are separated like a PATH),
// FENGHUO_ALERTMANAGER_CONFIG and FENGHUO_LOG_LEVEL. get is os.Getenv.
func Environment(get func(string) string) Overlay {
	name := func(flag string) string {
		return "FENGHUO_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
	}
	return Overlay{
		Data:               get(name("data")),
		HTTP:               get(name("http")),
		Gossip:             get(name("gossip")),
		QUIC:               get(name("quic")),
		Name:               get(name("name")),
		Datacenter:         get(name("datacenter")),
		Rules:              filepath.SplitList(get(name("rules"))),
		AlertmanagerConfig: get(name("alertmanager-config")),
		LogLevel:           get(name("log-level")),
		Source:             name,
	}
}

func (o Overlay) apply(c *Config) {
	if c.origin.name == nil {
		c.origin.name = map[string]string{}
	}
	mark := func(field, flag string) {
		if o.Source != nil {
			c.origin.name[field] = o.Source(flag)
		} else {
			c.origin.name[field] = "--" + flag
		}
	}
	set := func(to *string, value, field, flag string) {
		if value != "" {
			*to = value
			mark(field, flag)
		}
	}
	set(&c.Node.DataDir, o.Data, "node.data_dir", "data")
	set(&c.HTTP.Listen, o.HTTP, "http.listen", "http")
	set(&c.Gossip.Listen, o.Gossip, "gossip.listen", "gossip")
	set(&c.QUIC.Listen, o.QUIC, "quic.listen", "quic")
	set(&c.Node.Name, o.Name, "node.name", "name")
	set(&c.Node.Datacenter, o.Datacenter, "node.datacenter", "datacenter")
	set(&c.Alertmanager.ConfigFile, o.AlertmanagerConfig, "alertmanager.config_file", "alertmanager-config")
	set(&c.Log.Level, o.LogLevel, "log.level", "log-level")
	if len(o.Rules) > 0 {
		// The lines of the file's list no longer say where these came from.
		for field := range c.origin.line {
			if strings.HasPrefix(field, "rules.files") {
				delete(c.origin.line, field)
			}
		}
		c.Rules.Files = o.Rules
		mark("rules.files", "rules")
	}
}
