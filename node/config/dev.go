package config

import (
	"bytes"
	_ "embed" // the example files
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

//go:embed dev/rules.yml
var devRules []byte

//go:embed dev/alertmanager.yml
var devAlertmanager []byte

// devMark is the first line of an example file nobody has claimed.
const devMark = "# Made anew at each start of fenghuo agent --dev."

// DevKey is the key of every sender of a development node.
const DevKey = "dev"

// Dev returns the profile of a development node: everything on loopback, data
// in the given directory, short intervals, and the example files that WriteDev
// puts there.
func Dev(dir string) *Config {
	c := Default()
	c.Node.Name = "dev"
	c.Node.Datacenter = "dev"
	c.Node.DataDir = dir
	c.Gossip.Listen = "127.0.0.1:" + DefaultGossipPort
	c.QUIC.Listen = "127.0.0.1:" + DefaultQUICPort
	c.Host.Interval = Duration(5 * time.Second)
	c.Host.Deadline = Duration(2 * time.Second)
	c.Rules.EvaluationInterval = Duration(5 * time.Second)
	c.Rules.Files = []string{filepath.Join(dir, "rules", "*.yml")}
	c.Alertmanager.ConfigFile = filepath.Join(dir, "alertmanager.yml")
	c.Journal.SegmentSize = 4 << 20
	c.Journal.MaxBytes = 64 << 20
	c.Journal.Keep = 8 << 20
	c.Disk.MinFree = 64 << 20
	// Every kind of sender may knock, on loopback: /v1/ingest/zabbix/dev and so
	// on. A generic source needs a mapping first.
	for _, t := range SourceTypes() {
		if t != "generic" {
			s := defaultSource()
			s.Name, s.Type, s.Key = t, t, DevKey
			c.Intake.Sources = append(c.Intake.Sources, s)
		}
	}
	return c
}

// WriteDev writes the example rules and routes of a development node into dir,
// where Dev expects them. Notifications go to the webhook at receiver. A file
// whose first line was deleted belongs to the user and is left alone.
func WriteDev(dir, receiver string) error {
	for name, text := range map[string][]byte{
		filepath.Join("rules", "example.yml"): devRules,
		"alertmanager.yml":                    bytes.ReplaceAll(devAlertmanager, []byte("RECEIVER_URL"), []byte(strconv.Quote(receiver))),
	} {
		path := filepath.Join(dir, name)
		old, err := os.ReadFile(path)
		switch {
		case err == nil && (bytes.Equal(old, text) || !bytes.HasPrefix(old, []byte(devMark))):
			continue
		case err != nil && !errors.Is(err, fs.ErrNotExist):
			return fmt.Errorf("example file: %w", err)
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return fmt.Errorf("example file: %w", err)
		}
		if err := os.WriteFile(path, text, 0o600); err != nil {
			return fmt.Errorf("example file: %w", err)
		}
	}
	return nil
}
