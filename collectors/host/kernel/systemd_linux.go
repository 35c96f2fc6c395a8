package kernel

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/fenghuo-mesh/fenghuo/collectors/host/metric"
	"github.com/fenghuo-mesh/fenghuo/collectors/host/portable"
)

// unitsExcluded is node_exporter's default.
var unitsExcluded = regexp.MustCompile(`.+\.(automount|device|mount|scope|slice)`)

// unitStates are the states of which each unit has one.
var unitStates = []string{"active", "activating", "deactivating", "inactive", "failed"}

var (
	unitState = metric.New("node_systemd_unit_state", "Systemd unit", metric.Gauge, "name", "state", "type")
	unitSum   = metric.New("node_systemd_units", "Summary of systemd unit states", metric.Gauge, "state")
)

const (
	// maxUnits bounds the units reported; each has five series.
	maxUnits = 1500
	// maxAsked bounds the services whose type is asked for at once: each is a call to process 1.
	maxAsked = 200
	// maxOutput bounds what systemctl may print.
	maxOutput = 8 << 20
)

// systemd reports the state of units. It asks systemctl, which talks to process 1, instead of linking a D-Bus library.
type systemd struct {
	booted    string // directory that exists where systemd runs the system
	systemctl func(ctx context.Context, args ...string) (string, error)
	types     map[string]string // service -> Type=
}

func newSystemd(o portable.Options) *systemd {
	return &systemd{booted: filepath.Join(o.RootFS, "run/systemd/system"), systemctl: systemctl, types: map[string]string{}}
}

// unit is one line of systemctl list-units.
type unit struct{ name, load, active string }

func (s *systemd) collect(ctx context.Context, b *metric.Batch) error {
	if _, err := os.Stat(s.booted); err != nil {
		return fmt.Errorf("%w: %w", metric.ErrUnavailable, err)
	}
	text, err := s.systemctl(ctx, "list-units", "--all", "--plain", "--full", "--no-legend", "--no-pager")
	if errors.Is(err, exec.ErrNotFound) {
		return fmt.Errorf("%w: %w", metric.ErrUnavailable, err)
	}
	if err != nil {
		return err
	}
	units, sums := parseUnits(text)
	for _, state := range unitStates {
		b.Add(unitSum, float64(sums[state]), state)
	}
	askErr := s.ask(ctx, units)
	for _, u := range units {
		for _, state := range unitStates {
			b.Add(unitState, metric.Bool(state == u.active), u.name, state, s.types[u.name])
		}
	}
	return askErr
}

// parseUnits returns the units to report and how many of all are in each state.
func parseUnits(text string) ([]unit, map[string]int) {
	var units []unit
	sums := map[string]int{}
	for line := range strings.Lines(text) {
		// Marked lines begin with a bullet, where --plain is not known.
		line = strings.TrimLeft(strings.TrimRight(line, "\n"), "●* ")
		var w [4]string
		if fields(line, w[:]) < 4 {
			continue
		}
		sums[w[2]]++
		if w[1] == "loaded" && !unitsExcluded.MatchString(w[0]) && len(units) < maxUnits {
			units = append(units, unit{strings.Clone(w[0]), w[1], w[2]})
		}
	}
	return units, sums
}

// ask learns the types of services not seen before. Types never change while a unit is loaded, or hardly ever.
func (s *systemd) ask(ctx context.Context, units []unit) error {
	args := []string{"show", "--no-pager", "--property=Id", "--property=Type", "--"}
	fixed := len(args)
	present := make(map[string]bool, len(units))
	for _, u := range units {
		present[u.name] = true
		if _, ok := s.types[u.name]; !ok && strings.HasSuffix(u.name, ".service") && len(args)-fixed < maxAsked {
			args = append(args, u.name)
		}
	}
	for name := range s.types {
		if !present[name] {
			delete(s.types, name)
		}
	}
	if len(args) == fixed {
		return nil
	}
	text, err := s.systemctl(ctx, args...)
	if err != nil {
		return fmt.Errorf("types of services: %w", err)
	}
	for _, name := range args[fixed:] {
		s.types[name] = "" // one whose answer is missing is not asked again
	}
	for block := range strings.SplitSeq(text, "\n\n") {
		var id, typ string
		for line := range strings.Lines(block) {
			key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
			switch key {
			case "Id":
				id = value
			case "Type":
				typ = value
			}
		}
		if _, ok := s.types[id]; ok { // an alias answers with another name
			s.types[id] = strings.Clone(typ)
		}
	}
	return nil
}

// systemctl runs the command and returns what it printed. It is killed when ctx ends.
func systemctl(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "systemctl", args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C", "SYSTEMD_COLORS=0", "SYSTEMD_PAGER=", "SYSTEMD_URLIFY=0")
	cmd.WaitDelay = time.Second
	out, stderr := &limited{most: maxOutput}, &limited{most: 1024}
	cmd.Stdout, cmd.Stderr = out, stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("systemctl %s: %w: %s", args[0], err, bytes.TrimSpace(stderr.Bytes()))
	}
	return out.String(), nil
}

// limited keeps the first bytes written to it and takes the rest without keeping it.
type limited struct {
	bytes.Buffer
	most int
}

// Write never fails, so that the command isn't ended by a full pipe.
func (l *limited) Write(p []byte) (int, error) {
	if room := l.most - l.Len(); room > 0 {
		l.Buffer.Write(p[:min(room, len(p))])
	}
	return len(p), nil
}
