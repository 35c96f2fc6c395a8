package kernel

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/fenghuo-mesh/fenghuo/collectors/host/metric"
)

var (
	mdState    = metric.New("node_md_state", "Indicates the state of md-device.", metric.Gauge, "device", "state")
	mdDisks    = metric.New("node_md_disks", "Number of active/failed/spare disks of device.", metric.Gauge, "device", "state")
	mdRequired = metric.New("node_md_disks_required", "Total number of disks of device.", metric.Gauge, "device")
	mdBlocks   = metric.New("node_md_blocks", "Total number of blocks on device.", metric.Gauge, "device")
	mdSynced   = metric.New("node_md_blocks_synced", "Number of blocks synced on device.", metric.Gauge, "device")

	mdStates = []string{"active", "inactive", "recovering", "resync", "check"}
	mdRatio  = regexp.MustCompile(`\[(\d+)/(\d+)\]`)
	mdBlock  = regexp.MustCompile(`^\s*(\d+) blocks`)
	mdSync   = regexp.MustCompile(`(recovery|resync|check|reshape) *= *[\d.]+% \((\d+)/\d+\)`)
)

// mdArray is one software RAID.
type mdArray struct {
	name, state                                     string
	active, failed, spare, required, blocks, synced int
}

// mdadm reports software RAIDs from /proc/mdstat; the file exists where the driver is loaded.
func (t *tree) mdadm(_ context.Context, b *metric.Batch) error {
	text, err := t.optional(filepath.Join(t.proc, "mdstat"))
	if err != nil {
		return err
	}
	for _, a := range parseMdstat(text) {
		for _, state := range mdStates {
			b.Add(mdState, metric.Bool(state == a.state), a.name, state)
		}
		b.Add(mdDisks, float64(a.active), a.name, "active")
		b.Add(mdDisks, float64(a.failed), a.name, "failed")
		b.Add(mdDisks, float64(a.spare), a.name, "spare")
		b.Add(mdRequired, float64(a.required), a.name)
		b.Add(mdBlocks, float64(a.blocks), a.name)
		b.Add(mdSynced, float64(a.synced), a.name)
	}
	return nil
}

func parseMdstat(text string) []mdArray {
	var out []mdArray
	var a *mdArray
	for line := range strings.Lines(text) {
		if name, rest, ok := strings.Cut(line, " : "); ok && strings.HasPrefix(strings.TrimSpace(name), "md") {
			out = append(out, mdHead(strings.TrimSpace(name), rest))
			a = &out[len(out)-1]
			continue
		}
		if a == nil {
			continue
		}
		if m := mdBlock.FindStringSubmatch(line); m != nil {
			a.blocks, _ = strconv.Atoi(m[1]) // digits by the pattern; too many of them give the largest number
			a.synced = a.blocks
		}
		if m := mdRatio.FindStringSubmatch(line); m != nil && a.state != "inactive" {
			a.required, _ = strconv.Atoi(m[1])
			a.active, _ = strconv.Atoi(m[2])
		}
		if m := mdSync.FindStringSubmatch(line); m != nil {
			a.state = map[string]string{"recovery": "recovering", "reshape": "recovering"}[m[1]]
			if a.state == "" {
				a.state = m[1]
			}
			a.synced, _ = strconv.Atoi(m[2])
		} else if strings.Contains(line, "resync=") {
			a.state, a.synced = "resync", 0 // PENDING or DELAYED
		}
	}
	return out
}

// mdHead reads "active raid1 sdb2[2](F) sdc[1](S) sda2[0]". Where no ratio follows (raid0), every sound disk is active.
func mdHead(name, rest string) mdArray {
	words := strings.Fields(rest)
	a := mdArray{name: name, state: "inactive"}
	if len(words) > 0 && words[0] == "active" {
		a.state = "active"
	}
	for _, w := range words {
		switch {
		case !strings.Contains(w, "["):
		case strings.HasSuffix(w, "(F)"):
			a.failed++
		case strings.HasSuffix(w, "(S)"):
			a.spare++
		case a.state == "active": // an array that doesn't run has no active disks and requires none
			a.active++
		}
	}
	a.required = a.active
	return a
}

var (
	bondSlaves = metric.New("node_bonding_slaves", "Number of configured slaves per bonding interface.", metric.Gauge, "master")
	bondActive = metric.New("node_bonding_active", "Number of active slaves per bonding interface.", metric.Gauge, "master")
)

// bonding reports how many links of each bond are up.
func (t *tree) bonding(_ context.Context, b *metric.Batch) error {
	dir := filepath.Join(t.sys, "class/net")
	masters, err := t.optional(filepath.Join(dir, "bonding_masters"))
	if err != nil {
		return err
	}
	for master := range strings.FieldsSeq(masters) {
		slaves := strings.Fields(line(filepath.Join(dir, master, "bonding/slaves")))
		active := 0
		for _, slave := range slaves {
			state := line(filepath.Join(dir, master, "lower_"+slave, "bonding_slave/mii_status"))
			if state == "" { // older kernels
				state = line(filepath.Join(dir, master, "slave_"+slave, "bonding_slave/mii_status"))
			}
			if state == "up" {
				active++
			}
		}
		b.Add(bondSlaves, float64(len(slaves)), master)
		b.Add(bondActive, float64(active), master)
	}
	return nil
}

var (
	edacCorrected   = metric.New("node_edac_correctable_errors_total", "Total correctable memory errors.", metric.Counter, "controller")
	edacUncorrected = metric.New("node_edac_uncorrectable_errors_total", "Total uncorrectable memory errors.", metric.Counter, "controller")
)

// edac reports memory errors per controller.
func (t *tree) edac(_ context.Context, b *metric.Batch) error {
	dir := filepath.Join(t.sys, "devices/system/edac/mc")
	entries, err := names(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %w", metric.ErrUnavailable, err)
	}
	if err != nil {
		return err
	}
	for _, name := range entries {
		id, ok := strings.CutPrefix(name, "mc")
		if !ok {
			continue
		}
		for file, m := range map[string]*metric.Metric{"ce_count": edacCorrected, "ue_count": edacUncorrected} {
			if v, ok := lineNumber(filepath.Join(dir, name, file)); ok {
				b.Add(m, v, id)
			}
		}
	}
	return nil
}

func hwmonMetric(name, help string) *metric.Metric {
	return metric.New("node_hwmon_"+name, help, metric.Gauge, "chip", "sensor")
}

var (
	hwmonChip   = metric.New("node_hwmon_chip_names", "Annotation metric for human-readable chip names", metric.Gauge, "chip", "chip_name")
	hwmonSensor = metric.New("node_hwmon_sensor_label", "Label for given chip and sensor", metric.Gauge, "chip", "sensor", "label")
	hwmonFile   = regexp.MustCompile(`^((?:temp|fan)\d+)_(\w+)$`)
	hwmonBad    = regexp.MustCompile(`[^a-z0-9:_]`)
)

// hwmonElements are the readings of temperature and fan sensors. Voltages, currents and power are left out.
var hwmonElements = map[string]struct {
	m     *metric.Metric
	scale float64
}{
	"temp_input":      {hwmonMetric("temp_celsius", "Hardware monitor for temperature (input)"), 1000},
	"temp_max":        {hwmonMetric("temp_max_celsius", "Hardware monitor for temperature (max)"), 1000},
	"temp_crit":       {hwmonMetric("temp_crit_celsius", "Hardware monitor for temperature (crit)"), 1000},
	"temp_crit_alarm": {hwmonMetric("temp_crit_alarm_celsius", "Hardware monitor for temperature (crit_alarm)"), 1000},
	"temp_alarm":      {hwmonMetric("temp_alarm", "Hardware sensor alarm status (temp)"), 1},
	"temp_fault":      {hwmonMetric("temp_fault", "Hardware sensor fault status (temp)"), 1},
	"fan_input":       {hwmonMetric("fan_rpm", "Hardware monitor for fan revolutions per minute (input)"), 1},
	"fan_min":         {hwmonMetric("fan_min_rpm", "Hardware monitor for fan revolutions per minute (min)"), 1},
	"fan_alarm":       {hwmonMetric("fan_alarm", "Hardware sensor alarm status (fan)"), 1},
	"fan_fault":       {hwmonMetric("fan_fault", "Hardware sensor fault status (fan)"), 1},
}

// hwmon reports temperatures and fans. Which files there are is looked up now and then, not with every tick.
type hwmon struct {
	t     *tree
	run   int
	chips []hwmonChipFiles
}

type hwmonChipFiles struct {
	dir, id, name string
	files         []string
}

func newHwmon(t *tree) *hwmon { return &hwmon{t: t} }

func (h *hwmon) collect(_ context.Context, b *metric.Batch) error {
	if h.run%rarely == 0 {
		if err := h.find(); err != nil {
			return err
		}
	}
	h.run++
	for _, c := range h.chips {
		if c.name != "" {
			b.Add(hwmonChip, 1, c.id, c.name)
		}
		for _, file := range c.files {
			m := hwmonFile.FindStringSubmatch(file)
			sensor, element := m[1], strings.TrimRight(m[1], "0123456789")+"_"+m[2]
			if m[2] == "label" {
				b.Add(hwmonSensor, 1, c.id, sensor, line(filepath.Join(c.dir, file)))
				continue
			}
			if v, ok := lineNumber(filepath.Join(c.dir, file)); ok {
				e := hwmonElements[element]
				b.Add(e.m, v/e.scale, c.id, sensor)
			}
		}
	}
	return nil
}

func (h *hwmon) find() error {
	root := filepath.Join(h.t.sys, "class/hwmon")
	dirs, err := names(root)
	if err != nil || len(dirs) == 0 {
		return fmt.Errorf("%w: no sensors in %s", metric.ErrUnavailable, root)
	}
	slices.Sort(dirs)
	h.chips = h.chips[:0]
	for _, d := range dirs {
		dir := filepath.Join(root, d)
		files, err := names(dir)
		if err != nil {
			continue // the driver has just gone
		}
		c := hwmonChipFiles{dir: dir, id: hwmonID(dir, d), name: hwmonClean(line(dir + "/name"))}
		for _, f := range files {
			m := hwmonFile.FindStringSubmatch(f)
			if m == nil {
				continue
			}
			if _, ok := hwmonElements[strings.TrimRight(m[1], "0123456789")+"_"+m[2]]; ok || m[2] == "label" {
				c.files = append(c.files, f)
			}
		}
		h.chips = append(h.chips, c)
	}
	return nil
}

// hwmonID names a chip by its device, which is stable, as the numbering is not.
func hwmonID(dir, fallback string) string {
	path, err := filepath.EvalSymlinks(filepath.Join(dir, "device"))
	if err != nil {
		if name := hwmonClean(line(dir + "/name")); name != "" {
			return name
		}
		return fallback
	}
	device, kind := hwmonClean(filepath.Base(path)), hwmonClean(filepath.Base(filepath.Dir(path)))
	if kind != "" {
		return kind + "_" + device
	}
	return device
}

func hwmonClean(s string) string {
	return strings.Trim(hwmonBad.ReplaceAllLiteralString(strings.ToLower(s), "_"), "_")
}
