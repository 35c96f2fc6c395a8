package config

import (
	"os"
	"time"
)

// Ports a node uses unless it is told otherwise.
const (
	DefaultGossipPort = "7946" // UDP and TCP
	DefaultQUICPort   = "7947" // UDP
	DefaultHTTPPort   = "7948" // TCP
)

// day is a day of 24 hours, as in Prometheus's notation.
const day = 24 * time.Hour

// Default returns what holds where the file says nothing.
func Default() *Config {
	return &Config{
		Node: Node{Datacenter: "dc1", DataDir: "/var/lib/fenghuo", Tenant: "default"},
		HTTP: HTTP{
			Listen:      "127.0.0.1:" + DefaultHTTPPort,
			MaxRequests: 512,
			ClientRate:  0,
			ClientBurst: 1000,
			ReadTimeout: Duration(30 * time.Second),
		},
		Gossip: Gossip{Listen: "0.0.0.0:" + DefaultGossipPort},
		QUIC:   QUIC{Listen: "0.0.0.0:" + DefaultQUICPort},
		Log:    Log{Level: "info", Format: "text"},
		Host:   Host{Enabled: true, Interval: Duration(15 * time.Second), Deadline: Duration(5 * time.Second), Job: "node"},
		Series: Series{Retention: Duration(9 * day), MaxBytes: 512 << 20, MaxSeries: 50_000},
		Rules:  Rules{EvaluationInterval: Duration(15 * time.Second)},
		Journal: Journal{
			SegmentSize: 8 << 20,
			MaxBytes:    1 << 30,
			Keep:        64 << 20,
		},
		History:        History{Retention: Duration(30 * day), MaxBytes: 1 << 30},
		Disk:           Disk{MinFree: 128 << 20},
		Limits:         Limits{MaxActive: 200_000},
		ResolveTimeout: Duration(5 * time.Minute),
	}
}

// defaultSource is what an entry of intake.sources starts from.
func defaultSource() Source {
	return Source{HMAC: HMAC{Header: "X-Signature", Algorithm: "sha256"}}
}

// complete fills in what depends on the machine or on other settings.
func (c *Config) complete() {
	if c.Node.Name == "" {
		if h, err := os.Hostname(); err == nil {
			c.Node.Name = h
		}
	}
	for i := range c.Intake.Sources {
		if s := &c.Intake.Sources[i]; s.Key == "" {
			s.Key = s.Name
		}
	}
}
