package alert_test

import (
	"encoding/hex"
	"flag"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/fenghuo-mesh/fenghuo/aggregate/alert"
	"github.com/fenghuo-mesh/fenghuo/aggregate/label"
)

func at(minutes int) alert.Time {
	return alert.Time(time.Hour) + alert.Time(minutes)*alert.Time(time.Minute)
}

func full() *alert.Alert {
	return &alert.Alert{
		Tenant: "pay", Labels: label.FromStrings("alertname", "DiskFull", "host", "db1"),
		Annotations: label.FromStrings("summary", "磁盘将满"), GeneratorURL: "http://p/graph",
		Origin: &alert.Origin{Source: "zabbix", Integration: "zbx", Node: "n1", Datacenter: "d1"},
		Extra: &alert.Extra{
			Name: "Disk full", Service: "db", Resource: "db1", ErrorCode: "E17", SeverityRaw: "High", Summary: "s",
			Description: "d", ExternalID: "42", ExternalURL: "http://z/42", DedupeKey: "zabbix:42", RuleGroup: "f;g",
		},
		StartsAt: at(1), EndsAt: at(9), Onset: at(1), ReceivedAt: at(2), UpdatedAt: at(3), Lease: 6 * time.Minute,
		Version: 7, Count: 3, Priority: alert.P0, Timeout: true, Renewed: true,
	}
}

func TestMerge(t *testing.T) {
	now := at(10)
	report := func(from, to int, change func(*alert.Alert)) *alert.Alert {
		a := &alert.Alert{Tenant: "default", Labels: label.FromStrings("alertname", "A"), StartsAt: at(from)}
		if to != 0 {
			a.EndsAt = at(to)
		}
		if change != nil {
			change(a)
		}
		alert.Complete(a, now, 5*time.Minute, a.EndsAt == 0 && a.Extra != nil)
		return a
	}
	note := func(s string) func(*alert.Alert) {
		return func(a *alert.Alert) { a.Annotations = label.FromStrings("summary", s) }
	}
	hold := func(a *alert.Alert) { a.Extra = &alert.Extra{DedupeKey: "k"} }
	for _, c := range []struct {
		name            string
		old, in         *alert.Alert
		change          alert.Change
		starts, ends    alert.Time
		onset           alert.Time
		renewed, summed bool
	}{
		{"first", nil, report(5, 14, nil), alert.Began, at(5), at(14), at(5), false, false},
		{"first without end", nil, report(5, 0, nil), alert.Began, at(5), at(15), at(5), false, false},
		{"resolve of an unknown alert is kept", nil, report(5, 9, nil), alert.EndedUnknown, at(5), at(9), at(5), false, false},
		{"repeat that says nothing new", report(5, 14, nil), report(5, 14, nil), alert.Unchanged, at(5), at(14), at(5), false, true},
		{"first renewal is written", report(5, 14, nil), report(5, 15, nil), alert.Updated, at(5), at(15), at(5), true, true},
		{"new text", report(5, 14, note("a")), report(5, 14, note("b")), alert.Updated, at(5), at(14), at(5), false, true},
		{"earlier start wins, onset stays", report(5, 14, nil), report(3, 14, nil), alert.Updated, at(3), at(14), at(5), false, true},
		{"later start doesn't count", report(5, 14, nil), report(7, 14, nil), alert.Unchanged, at(5), at(14), at(5), false, true},
		{"end", report(5, 14, nil), report(5, 9, nil), alert.Ended, at(5), at(9), at(5), false, true},
		{"end of an earlier episode comes late", report(7, 14, nil), report(3, 6, nil), alert.Unchanged, at(7), at(14), at(7), false, false},
		{"end repeated", report(5, 9, nil), report(5, 9, nil), alert.Unchanged, at(5), at(9), at(5), false, true},
		{"later end of an ended alert", report(5, 8, nil), report(5, 9, nil), alert.Updated, at(5), at(9), at(5), false, true},
		{"fires anew after its end", report(1, 5, nil), report(7, 14, nil), alert.Began, at(7), at(14), at(7), false, false},
		{"fires again with the old start", report(1, 8, nil), report(1, 14, nil), alert.Began, at(1), at(14), at(8), false, false},
		{"explicit later end beats ours", report(5, 30, nil), report(5, 0, nil), alert.Unchanged, at(5), at(30), at(5), false, true},
		{"firing until told stays so", report(5, 0, hold), report(5, 0, hold), alert.Unchanged, at(5), 0, at(5), false, true},
		{"firing until told, told", report(5, 0, hold), report(5, 9, hold), alert.Ended, at(5), at(9), at(5), false, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, change := alert.Merge(c.old, c.in, now)
			require.Equal(t, c.change.String(), change.String())
			require.Equal(t, c.starts.Std(), got.StartsAt.Std(), "start")
			require.Equal(t, c.ends.Std(), got.EndsAt.Std(), "end")
			require.Equal(t, c.onset.Std(), got.Onset.Std(), "onset")
			require.Equal(t, c.renewed, got.Renewed, "renewed")
			if c.summed {
				require.Equal(t, uint32(2), got.Count, "count")
			}
			require.Equal(t, got.Fires(), !got.ResolvedAt(now), "lease and end disagree")
		})
	}
}

// A renewal after the first one is no change: nothing is written for it.
func TestRenewalsAreFree(t *testing.T) {
	var known *alert.Alert
	writes := 0
	for minute := range 20 {
		in := &alert.Alert{Tenant: "default", Labels: label.FromStrings("a", "b"), StartsAt: at(0), EndsAt: at(minute + 4)}
		alert.Complete(in, at(minute), time.Minute, false)
		var change alert.Change
		known, change = alert.Merge(known, in, at(minute))
		if change != alert.Unchanged {
			writes++
		}
	}
	require.Equal(t, 2, writes, "the begin, and that the sender renews")
	require.Equal(t, at(23), known.EndsAt)
}

func TestRecover(t *testing.T) {
	now := at(60)
	a := full()
	a.Renewed, a.Timeout = false, false
	require.Equal(t, at(9), alert.Recover(a, now).EndsAt, "an end the sender set once stands")
	a.Renewed = true
	require.Equal(t, at(66), alert.Recover(a, now).EndsAt, "a renewed lease begins anew")
	require.Equal(t, at(9), a.EndsAt, "the stored alert was changed")
	a.Lease = 0
	require.Equal(t, at(9), alert.Recover(a, now).EndsAt, "what had ended stays ended")
}

func TestExpire(t *testing.T) {
	a := full()
	require.Nil(t, alert.Expire(a, at(8)))
	ended := alert.Expire(a, at(9))
	require.False(t, ended.Fires())
	require.Nil(t, alert.Expire(ended, at(10)), "twice")
}

var update = flag.Bool("update", false, "rewrite golden files")

// The bytes of version 1 must be readable for ever.
func TestStoredFormVersion1(t *testing.T) {
	const file = "testdata/alert.v1.hex"
	if *update {
		b, err := full().AppendBinary(nil)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(file, []byte(hex.EncodeToString(b)+"\n"), 0o644))
	}
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	b, err := hex.DecodeString(strings.TrimSpace(string(text)))
	require.NoError(t, err)
	var a alert.Alert
	require.NoError(t, a.UnmarshalBinary(b))
	require.Equal(t, *full(), a)
}

func TestStoredFormToleratesUnknownFields(t *testing.T) {
	b, err := full().AppendBinary(nil)
	require.NoError(t, err)
	b = append(b, 0xC8, 0x01, 2, 'h', 'i') // tag 200: text
	b = append(b, 0xC9, 0x01, 5)           // tag 201: number
	var a alert.Alert
	require.NoError(t, a.UnmarshalBinary(b))
	require.Equal(t, *full(), a)
}

func TestStoredFormRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := full()
		a.Count = rapid.Uint32Min(1).Draw(t, "count")
		a.Version = rapid.Uint64().Draw(t, "version")
		a.Priority = alert.Priority(rapid.IntRange(0, 4).Draw(t, "priority"))
		a.Extra.Summary = rapid.StringN(0, 100, 400).Draw(t, "summary")
		if rapid.Bool().Draw(t, "plain") {
			a.Extra, a.Origin = nil, nil
		}
		b, err := a.AppendBinary(nil)
		require.NoError(t, err)
		var back alert.Alert
		require.NoError(t, back.UnmarshalBinary(b))
		require.Equal(t, *a, back)
	})
}

func FuzzUnmarshal(f *testing.F) {
	b, _ := full().AppendBinary(nil)
	f.Add(b)
	f.Add([]byte{1, 2, 255})
	f.Fuzz(func(t *testing.T, b []byte) {
		var a alert.Alert
		if a.UnmarshalBinary(b) == nil && a.Validate() != nil {
			t.Error("an invalid alert was read")
		}
	})
}

func TestPriorityOf(t *testing.T) {
	for word, want := range map[string]alert.Priority{
		"Disaster": alert.P0, "灾难": alert.P0, "critical": alert.P1, "严重": alert.P1, "AVERAGE": alert.P2, "一般严重": alert.P2,
		"warning": alert.P3, "": alert.P3, "whatever": alert.P3, "提示": alert.P4, "ok": alert.P4, "Not classified": alert.P4,
		"P0": alert.P0, "p5": alert.P4, "P17": alert.P4, "Sev1": alert.P1, "sev4": alert.P4, "p": alert.P3, "page": alert.P1, "p1x": alert.P3,
	} {
		require.Equal(t, want, alert.PriorityOf(word), word)
	}
}

func TestDerived(t *testing.T) {
	a := &alert.Alert{Labels: label.FromStrings("alertname", "N", "app", "shop", "namespace", "ns", "pod", "p-1", "instance", "h:1", "code", "502", "severity", "page")}
	require.Equal(t, "N shop ns/p-1 502 page N", strings.Join([]string{a.Name(), a.Service(), a.Resource(), a.ErrorCode(), a.SeverityRaw(), a.Summary()}, " "))
	a.Labels = label.FromStrings("host", "{HOST.NAME}", "instance", "h:1", "service", "null")
	require.Equal(t, "h:1", a.Resource())
	require.Empty(t, a.Service())
	for _, v := range []string{"", "null", "*UNKNOWN*", "{EVENT.RECOVERY.DATE}", "$EVENT_TITLE", "{$HOST}", "${HOST}"} {
		require.True(t, alert.Absent(v), v)
	}
	for _, v := range []string{"{}", "$", "{a}", "nullable", "$5"} {
		require.False(t, alert.Absent(v), v)
	}
}

// Core reads the labels once and says what the three say one by one.
func TestCoreAgrees(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.SampledFrom([]string{"", "null", "a", "b", "{HOST.NAME}"})
		var pairs []label.Pair
		for _, n := range []string{"alertname", "app", "application", "code", "errcode", "error_code", "service", "service_name", "status_code", "host"} {
			pairs = append(pairs, label.Pair{Name: n, Value: text.Draw(t, n)})
		}
		l, err := label.New(pairs)
		require.NoError(t, err)
		a := &alert.Alert{Labels: l}
		if rapid.Bool().Draw(t, "extra") {
			a.Extra = &alert.Extra{Name: text.Draw(t, "Name"), Service: text.Draw(t, "Service"), ErrorCode: text.Draw(t, "Code")}
		}
		service, code, name := a.Core()
		require.Equal(t, []string{a.Service(), a.ErrorCode(), a.Name()}, []string{service, code, name})
	})
}

func TestTimeRange(t *testing.T) {
	require.Zero(t, alert.At(time.Time{}))
	require.Zero(t, alert.At(time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)))
	now := time.Date(2026, 11, 24, 1, 2, 3, 456789, time.UTC)
	require.Equal(t, now, alert.At(now).Std())
}

func TestInherit(t *testing.T) {
	known := full()
	in := &alert.Alert{Priority: alert.P3, Extra: &alert.Extra{DedupeKey: "zabbix:42", Summary: "over"}}
	given := in.Extra
	alert.Inherit(in, known)
	require.Equal(t, known.Priority, in.Priority, "no severity: the known priority stays")
	require.Equal(t, "over", in.Extra.Summary)
	require.Equal(t, "db", in.Extra.Service)
	require.Equal(t, known.Annotations, in.Annotations)
	require.Equal(t, alert.Extra{DedupeKey: "zabbix:42", Summary: "over"}, *given, "shared texts were changed")
	require.Equal(t, *full(), *known)

	in = &alert.Alert{Priority: alert.P4, Extra: &alert.Extra{SeverityRaw: "ok"}}
	alert.Inherit(in, known)
	require.Equal(t, alert.P4, in.Priority)
}

// A sender whose clock is behind ends an alert whose begin it never dated.
func TestEndBeforeAnUntoldStart(t *testing.T) {
	begin := &alert.Alert{Tenant: "default", Labels: label.FromStrings("a", "b")}
	alert.Complete(begin, at(10), time.Minute, true)
	known, change := alert.Merge(nil, begin, at(10))
	require.Equal(t, alert.Began, change)
	end := &alert.Alert{Tenant: "default", Labels: label.FromStrings("a", "b"), StartsAt: at(8), EndsAt: at(9)}
	alert.Complete(end, at(11), time.Minute, true)
	got, change := alert.Merge(known, end, at(11))
	require.Equal(t, alert.Ended, change)
	require.Equal(t, at(9), got.EndsAt)
}
