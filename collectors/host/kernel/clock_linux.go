package kernel

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/fenghuo-mesh/fenghuo/collectors/host/metric"
	"github.com/fenghuo-mesh/fenghuo/collectors/host/portable"
)

var (
	clockAvailable = metric.New("node_time_clocksource_available_info", "Available clocksources read from '/sys/devices/system/clocksource'.", metric.Gauge, "device", "clocksource")
	clockCurrent   = metric.New("node_time_clocksource_current_info", "Current clocksource read from '/sys/devices/system/clocksource'.", metric.Gauge, "device", "clocksource")
)

func (t *tree) clockSources(b *metric.Batch) error {
	dir := filepath.Join(t.sys, "devices/system/clocksource")
	entries, err := names(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // a container's /sys may be empty
	}
	if err != nil {
		return err
	}
	for _, name := range entries {
		id, ok := strings.CutPrefix(name, "clocksource")
		if !ok {
			continue
		}
		for source := range strings.FieldsSeq(line(filepath.Join(dir, name, "available_clocksource"))) {
			b.Add(clockAvailable, 1, id, source)
		}
		if source := line(filepath.Join(dir, name, "current_clocksource")); source != "" {
			b.Add(clockCurrent, 1, id, source)
		}
	}
	return nil
}

// uname needs no file: the kernel answers.
func uname(_ context.Context, b *metric.Batch) error {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return fmt.Errorf("uname: %w", err)
	}
	b.Add(portable.UnameInfo, 1, unix.ByteSliceToString(u.Sysname[:]), unix.ByteSliceToString(u.Release[:]), unix.ByteSliceToString(u.Version[:]),
		unix.ByteSliceToString(u.Machine[:]), unix.ByteSliceToString(u.Nodename[:]), unix.ByteSliceToString(u.Domainname[:]))
	return nil
}

func timexGauge(name, help string) *metric.Metric {
	return metric.New("node_timex_"+name, help, metric.Gauge)
}

func timexCounter(name, help string) *metric.Metric {
	return metric.New("node_timex_"+name, help, metric.Counter)
}

var (
	timexSync     = timexGauge("sync_status", "Is clock synchronized to a reliable server (1 = yes, 0 = no).")
	timexOffset   = timexGauge("offset_seconds", "Time offset in between local system and reference clock.")
	timexFreq     = timexGauge("frequency_adjustment_ratio", "Local clock frequency adjustment.")
	timexMaxError = timexGauge("maxerror_seconds", "Maximum error in seconds.")
	timexError    = timexGauge("estimated_error_seconds", "Estimated error in seconds.")
	timexStatus   = timexGauge("status", "Value of the status array bits.")
	timexConstant = timexGauge("loop_time_constant", "Phase-locked loop time constant.")
	timexTick     = timexGauge("tick_seconds", "Seconds between clock ticks.")
	timexPPSFreq  = timexGauge("pps_frequency_hertz", "Pulse per second frequency.")
	timexJitter   = timexGauge("pps_jitter_seconds", "Pulse per second jitter.")
	timexShift    = timexGauge("pps_shift_seconds", "Pulse per second interval duration.")
	timexStable   = timexGauge("pps_stability_hertz", "Pulse per second stability, average of recent frequency changes.")
	timexTAI      = timexGauge("tai_offset_seconds", "International Atomic Time (TAI) offset.")
	timexJitters  = timexCounter("pps_jitter_total", "Pulse per second count of jitter limit exceeded events.")
	timexCalib    = timexCounter("pps_calibration_total", "Pulse per second count of calibration intervals.")
	timexErrors   = timexCounter("pps_error_total", "Pulse per second count of calibration errors.")
	timexUnstable = timexCounter("pps_stability_exceeded_total", "Pulse per second count of stability limit exceeded events.")
)

const (
	timeError = 5               // adjtimex(2): the clock is not synchronized
	staNano   = 0x2000          // status bit: offset and jitter are nanoseconds, not microseconds
	ppmScale  = 1000000 * 65536 // adjtimex(2): frequencies are ppm with 16 bits of fraction
)

// timex reports what the kernel knows of the clock's discipline. Reading needs no privilege, but sandboxes forbid it.
func timex(_ context.Context, b *metric.Batch) error {
	var x unix.Timex
	state, err := unix.Adjtimex(&x)
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, errors.ErrUnsupported) {
		return fmt.Errorf("%w: adjtimex: %w", metric.ErrUnavailable, err)
	}
	if err != nil {
		return fmt.Errorf("adjtimex: %w", err)
	}
	unit := 1e6
	if x.Status&staNano != 0 {
		unit = 1e9
	}
	b.Add(timexSync, metric.Bool(state != timeError))
	b.Add(timexOffset, float64(x.Offset)/unit)
	b.Add(timexFreq, 1+float64(x.Freq)/ppmScale)
	b.Add(timexMaxError, float64(x.Maxerror)/1e6)
	b.Add(timexError, float64(x.Esterror)/1e6)
	b.Add(timexStatus, float64(x.Status))
	b.Add(timexConstant, float64(x.Constant))
	b.Add(timexTick, float64(x.Tick)/1e6)
	b.Add(timexPPSFreq, float64(x.Ppsfreq)/ppmScale)
	b.Add(timexJitter, float64(x.Jitter)/unit)
	b.Add(timexShift, float64(x.Shift))
	b.Add(timexStable, float64(x.Stabil)/ppmScale)
	b.Add(timexJitters, float64(x.Jitcnt))
	b.Add(timexCalib, float64(x.Calcnt))
	b.Add(timexErrors, float64(x.Errcnt))
	b.Add(timexUnstable, float64(x.Stbcnt))
	b.Add(timexTAI, float64(x.Tai))
	return nil
}

var osKeys = []string{
	"build_id", "id", "id_like", "image_id", "image_version", "name", "pretty_name", "variant", "variant_id", "version",
	"version_codename", "version_id",
}

var (
	osInfo = metric.New("node_os_info", "A metric with a constant '1' value labeled by build_id, id, id_like, image_id, image_version, "+
		"name, pretty_name, variant, variant_id, version, version_codename, version_id.", metric.Gauge, osKeys...)
	osVersion = metric.New("node_os_version", "Metric containing the major.minor part of the OS version.", metric.Gauge, "id", "id_like", "name")
)

// osRelease reports /etc/os-release, read again every few ticks: it changes with an upgrade of the system.
type osRelease struct {
	t    *tree
	run  int
	vals map[string]string
}

func newOSRelease(t *tree) *osRelease { return &osRelease{t: t} }

func (r *osRelease) collect(_ context.Context, b *metric.Batch) error {
	if r.run%rarely == 0 {
		text, err := read(filepath.Join(r.t.root, "etc/os-release"))
		if errors.Is(err, fs.ErrNotExist) {
			text, err = r.t.optional(filepath.Join(r.t.root, "usr/lib/os-release"))
		}
		if err != nil {
			return err
		}
		r.vals = parseRelease(text)
	}
	r.run++
	values := make([]string, len(osKeys))
	for i, k := range osKeys {
		values[i] = r.vals[k]
	}
	b.Add(osInfo, 1, values...)
	// "12", "22.04" and "22.04.1 LTS" all begin with a number.
	major, rest, _ := strings.Cut(r.vals["version_id"], ".")
	minor, _, _ := strings.Cut(rest, ".")
	if v, err := strconv.ParseFloat(strings.TrimSuffix(major+"."+minor, "."), 64); err == nil {
		b.Add(osVersion, v, r.vals["id"], r.vals["id_like"], r.vals["name"])
	}
	return nil
}

// parseRelease reads KEY="value" lines; keys become lower case.
func parseRelease(text string) map[string]string {
	out := map[string]string{}
	for line := range strings.Lines(text) {
		key, value, ok := strings.Cut(strings.TrimSpace(line), "=")
		if !ok || strings.HasPrefix(key, "#") {
			continue
		}
		if n := len(value); n >= 2 && (value[0] == '"' || value[0] == '\'') && value[n-1] == value[0] {
			value = strings.NewReplacer(`\"`, `"`, `\$`, `$`, "\\`", "`", `\\`, `\`).Replace(value[1 : n-1])
		}
		out[strings.ToLower(key)] = value
	}
	return out
}
