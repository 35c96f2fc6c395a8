package kernel

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/fenghuo-mesh/fenghuo/collectors/host/metric"
	"github.com/fenghuo-mesh/fenghuo/collectors/host/portable"
)

// values runs a collector once.
func values(t testing.TB, b *metric.Batch, collect func(context.Context, *metric.Batch) error) (map[string]float64, error) {
	b.Begin()
	err := collect(t.Context(), b)
	out := map[string]float64{}
	for _, p := range b.End().Points {
		out[p.Labels.String()] = p.V
	}
	return out, err
}

func batch() *metric.Batch { return metric.NewBatch(labels.EmptyLabels(), 1000) }

func TestProcStat(t *testing.T) {
	tail := " 1 7 7 0 -1 0 0 0 0 0 0 0 0 0 20 0 12 0 8"
	for text, want := range map[string]string{
		"7 (a) S" + tail:        "S 12",
		"7 (a) R (b)) D" + tail: "D 12",
		"7 (\n) Z" + tail:       "Z 12",
		"7 () I" + tail:         "I 12",
		"7 (a) SS" + tail:       "",
		"7 (a) S 1 2":           "",
		"":                      "",
		"7 a S" + tail:          "",
		"7 (a) \xff" + tail:     "",
		"7 (a) S 1 7 7 0 -1 0 0 0 0 0 0 0 0 0 20 0 many 0": "",
	} {
		state, n, ok := procStat(text)
		got := ""
		if ok {
			got = fmt.Sprintf("%c %d", state, n)
		}
		require.Equal(t, want, got, "%q", text)
	}
}

func TestParseMount(t *testing.T) {
	for text, want := range map[string]portable.Mount{
		`25 1 259:2 / / rw,relatime shared:1 - ext4 /dev/sda rw,errors=remount-ro`: {Device: "/dev/sda", Mountpoint: "/", Fstype: "ext4", Major: "259", Minor: "2"},
		`25 1 0:5 / /a\040b\134c ro - nfs srv:/x\011y rw`:                          {Device: "srv:/x\ty", Mountpoint: `/a b\c`, Fstype: "nfs", Major: "0", Minor: "5", ReadOnly: true},
		`25 1 0:5 / /x rw - ext4 /dev/sdb emergency_ro`:                            {Device: "/dev/sdb", Mountpoint: "/x", Fstype: "ext4", Major: "0", Minor: "5", ReadOnly: true},
		`25 1 0:5 / /x rw master:1 propagate_from:2 - tmpfs none`:                  {Device: "none", Mountpoint: "/x", Fstype: "tmpfs", Major: "0", Minor: "5"},
	} {
		got, ok := parseMount(text)
		require.True(t, ok, text)
		require.Equal(t, want, got)
	}
	for _, text := range []string{"", "25 1 0:5 / /x rw ext4 none rw", "25 1 5 / /x rw - ext4 none rw", "25 - ext4 none", "25 1 0:5 / /x rw - ext4"} {
		_, ok := parseMount(text)
		require.False(t, ok, text)
	}
}

const units = `proc-sys.automount  loaded    active   waiting   Arbitrary
cron.service        loaded    active   running   Regular background program processing daemon
● nginx.service     loaded    failed   failed    A high performance web server
* old.service       not-found inactive dead      old.service
ssh.socket          loaded    active   listening OpenBSD Secure Shell server socket
backup.timer        loaded    activating waiting Backup
short line
`

func newFakeSystemd(t *testing.T, answer func(args []string) (string, error)) *systemd {
	return &systemd{
		booted: t.TempDir(), types: map[string]string{},
		systemctl: func(_ context.Context, args ...string) (string, error) { return answer(args) },
	}
}

func TestSystemd(t *testing.T) {
	var asked [][]string
	s := newFakeSystemd(t, func(args []string) (string, error) {
		if args[0] == "list-units" {
			return units, nil
		}
		asked = append(asked, args[slices.Index(args, "--")+1:])
		return "Id=cron.service\nType=simple\n\nType=notify\nId=nginx.service\n\nId=other.service\nType=x\n", nil
	})
	b := batch()
	for range 2 {
		got, err := values(t, b, s.collect)
		require.NoError(t, err)
		require.Equal(t, 1.0, got[`{__name__="node_systemd_unit_state", name="cron.service", state="active", type="simple"}`])
		require.Equal(t, 0.0, got[`{__name__="node_systemd_unit_state", name="cron.service", state="failed", type="simple"}`])
		require.Equal(t, 1.0, got[`{__name__="node_systemd_unit_state", name="nginx.service", state="failed", type="notify"}`])
		require.Equal(t, 1.0, got[`{__name__="node_systemd_unit_state", name="ssh.socket", state="active"}`])
		require.Equal(t, 1.0, got[`{__name__="node_systemd_unit_state", name="backup.timer", state="activating"}`])
		require.Equal(t, 3.0, got[`{__name__="node_systemd_units", state="active"}`], "automounts count in the sum")
		require.Len(t, got, 4*5+5, "automounts and units not loaded are left out")
	}
	require.Equal(t, [][]string{{"cron.service", "nginx.service"}}, asked, "types are asked for once")
}

func TestSystemdFailures(t *testing.T) {
	s := newFakeSystemd(t, func([]string) (string, error) { return "", exec.ErrNotFound })
	_, err := values(t, batch(), s.collect)
	require.ErrorIs(t, err, metric.ErrUnavailable)
	s = newFakeSystemd(t, func([]string) (string, error) { return "", errors.New("timed out") })
	_, err = values(t, batch(), s.collect)
	require.NotErrorIs(t, err, metric.ErrUnavailable)
	require.Error(t, err)
	s.booted = filepath.Join(s.booted, "none")
	_, err = values(t, batch(), s.collect)
	require.ErrorIs(t, err, metric.ErrUnavailable, "systemd doesn't run this system")
	s = newFakeSystemd(t, func(args []string) (string, error) {
		if args[0] == "list-units" {
			return units, nil
		}
		return "", errors.New("no")
	})
	got, err := values(t, batch(), s.collect)
	require.Error(t, err)
	require.Equal(t, 1.0, got[`{__name__="node_systemd_unit_state", name="cron.service", state="active"}`], "the states are there nevertheless")
}

// TestSystemctlIsBounded runs a real command in the place of systemctl.
func TestSystemctlIsBounded(t *testing.T) {
	dir := t.TempDir()
	script := func(text string) {
		require.NoError(t, os.WriteFile(filepath.Join(dir, "systemctl"), []byte("#!/bin/sh\n"+text), 0o700)) //nolint:gosec // it must run
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	script("echo $1; echo oops >&2; exit 3")
	_, err := systemctl(t.Context(), "list-units")
	require.ErrorContains(t, err, "exit status 3: oops")
	script("sleep 100")
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	start := time.Now()
	_, err = systemctl(ctx, "list-units")
	require.Error(t, err)
	require.Less(t, time.Since(start), 5*time.Second)
	l := &limited{most: 3}
	n, err := l.Write([]byte("abcdef"))
	require.NoError(t, err)
	require.Equal(t, 6, n, "the command must not see a full pipe")
	require.Equal(t, "abc", l.String())
}

// TestNetclassRereads follows a device that changes: what is fast at once, what is slow within a few ticks, and a link
// that goes down takes its slow properties with it at once.
func TestNetclassRereads(t *testing.T) {
	sys := t.TempDir()
	dir := filepath.Join(sys, "class/net/eth0")
	require.NoError(t, os.MkdirAll(dir, 0o700))
	set := func(file, text string) {
		require.NoError(t, os.WriteFile(filepath.Join(dir, file), []byte(text+"\n"), 0o600))
	}
	set("operstate", "up")
	set("speed", "1000")
	set("mtu", "1500")
	set("carrier_changes", "1")
	c, b := newNetclass(&tree{sys: sys}), batch()
	speed, mtu := `{__name__="node_network_speed_bytes", device="eth0"}`, `{__name__="node_network_mtu_bytes", device="eth0"}`
	got, err := values(t, b, c.collect)
	require.NoError(t, err)
	require.Equal(t, 125e6, got[speed])

	set("mtu", "9000")
	set("carrier_changes", "2")
	ticks := 0
	for got[mtu] != 9000 {
		got, err = values(t, b, c.collect)
		require.NoError(t, err)
		require.Equal(t, 2.0, got[`{__name__="node_network_carrier_changes_total", device="eth0"}`])
		ticks++
		require.LessOrEqual(t, ticks, slowly)
	}
	set("operstate", "down")
	set("speed", "-1")
	got, err = values(t, b, c.collect)
	require.NoError(t, err)
	require.Equal(t, -125000.0, got[speed], "unknown, as node_exporter has it")
	require.NoError(t, os.RemoveAll(dir))
	got, err = values(t, b, c.collect)
	require.NoError(t, err)
	require.Empty(t, got)
	require.Empty(t, c.devices)
}

func TestReadIsWhole(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	for _, n := range []int{0, 1, 511, 512, 513, 2048, 100_000} {
		text := strings.Repeat("x", n)
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		got, err := read(path)
		require.NoError(t, err)
		require.Equal(t, text, got)
	}
	_, err := read(path + "none")
	require.ErrorIs(t, err, fs.ErrNotExist)
	_, err = read(filepath.Dir(path))
	require.Error(t, err)
}

// FuzzFiles puts the same text into every file that collectors read: whatever the kernel, or a container's idea of
// one, has in store, nothing may panic.
func FuzzFiles(f *testing.F) {
	fixture := "../testdata"
	dir := f.TempDir()
	text := filepath.Join(dir, "text")
	seeds := map[string]bool{}
	err := filepath.WalkDir(fixture, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(fixture, path)
		to := filepath.Join(dir, rel)
		if d.IsDir() {
			return os.MkdirAll(to, 0o700)
		}
		b, err := os.ReadFile(path)
		if err == nil && len(b) < 5000 {
			seeds[string(b)] = true
		}
		return errors.Join(err, os.Symlink(text, to))
	})
	require.NoError(f, err)
	for s := range seeds {
		f.Add(s)
	}
	f.Add(units)
	f.Add(" : active md")
	o := portable.Options{
		ProcFS: dir + "/proc", SysFS: dir + "/sys", RootFS: dir + "/root", MountTimeout: time.Second,
		Logger: slog.New(slog.DiscardHandler), Now: time.Now,
	}
	f.Fuzz(func(t *testing.T, s string) {
		require.NoError(t, os.WriteFile(text, []byte(s), 0o600))
		for _, c := range Collectors(o) {
			if slices.Contains([]string{"systemd", "timex", "uname"}, c.Name()) {
				continue
			}
			got, _ := values(t, batch(), c.Collect) // errors are expected
			require.LessOrEqual(t, len(got), 1000)
		}
		parseUnits(s)
	})
}
