package rule

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fenghuo-mesh/fenghuo/aggregate/label"
)

func TestWindowContains(t *testing.T) {
	east := time.FixedZone("east", 8*3600)
	days := func(s string) Days {
		d, err := ParseDays(s)
		require.NoError(t, err)
		return d
	}
	hours := func(ss ...string) (out []Hours) {
		for _, s := range ss {
			h, err := ParseHours(s)
			require.NoError(t, err)
			out = append(out, h)
		}
		return out
	}
	utc := func(s string) time.Time {
		out, err := time.Parse("2006-01-02 15:04:05", s)
		require.NoError(t, err)
		return out
	}
	work := Window{Days: days("mon-fri"), Hours: hours("09:00-18:00"), Zone: east}
	night := Window{Days: days("fri"), Hours: hours("22:00-06:00")}
	for _, c := range []struct {
		name string
		w    Window
		at   string
		want bool
	}{
		{"always", Window{}, "2026-11-24 00:00:00", true},
		{"zone: 09:00 in the east is 01:00 UTC", work, "2026-11-24 01:00:00", true},
		{"just before", work, "2026-11-24 00:59:59", false},
		{"end is outside", work, "2026-11-24 10:00:00", false},
		{"last second", work, "2026-11-24 09:59:59", true},
		{"Saturday", work, "2026-11-28 03:00:00", false},
		{"Friday night", night, "2026-11-27 23:00:00", true},
		{"its morning is Saturday's", night, "2026-11-28 05:59:00", true},
		{"Friday's morning is Thursday's night", night, "2026-11-27 05:00:00", false},
		{"whole days", Window{Days: days("weekend")}, "2026-11-29 12:00:00", true},
		{"two ranges", Window{Hours: hours("08:00-09:00", "20:00-24:00")}, "2026-11-29 23:59:59", true},
		{"whole day from noon on, next morning", Window{Days: days("fri"), Hours: hours("12:00-12:00")}, "2026-11-28 11:59:00", true},
		{"over the weekend", Window{Days: days("sat-mon")}, "2026-11-29 12:00:00", true},
		{"not in it", Window{Days: days("sat-mon")}, "2026-11-24 12:00:00", false},
	} {
		t.Run(c.name, func(t *testing.T) { require.Equal(t, c.want, c.w.Contains(utc(c.at))) })
	}
	for _, s := range []string{"", "mo", "mon-", "mon-fri-sat", "mon;tue", "1"} {
		_, err := ParseDays(s)
		require.ErrorIs(t, err, ErrWindow, s)
	}
	for _, s := range []string{"", "9:00-18:00", "09:00", "24:00-01:00", "09:60-10:00", "09:00-25:00", "09:00-24:01", "aa:bb-cc:dd"} {
		_, err := ParseHours(s)
		require.ErrorIs(t, err, ErrWindow, s)
	}
}

func TestParameterPrecedence(t *testing.T) {
	peak := []Window{{Hours: []Hours{{9 * 60, 18 * 60}}}}
	db, err := label.ParseMatchers(`role="db"`)
	require.NoError(t, err)
	p := Parameter{Name: "cpu", Base: "80", Overrides: []Override{
		{When: peak, Factor: 1.5},
		{Match: db, Value: "95"},
		{When: peak, Tenant: "pay", Match: db, Value: "99"},
	}}
	require.NoError(t, p.Validate())
	noon := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	night := noon.Add(12 * time.Hour)
	web, dbHost := label.FromStrings("role", "web"), label.FromStrings("role", "db")
	require.Equal(t, "80", p.Resolve(Scope{At: night, Host: web}))
	require.Equal(t, "120", p.Resolve(Scope{At: noon, Host: web}))
	require.Equal(t, "95", p.Resolve(Scope{At: noon, Host: dbHost}), "the last that matches wins")
	require.Equal(t, "99", p.Resolve(Scope{At: noon, Host: dbHost, Tenant: "pay"}))
	require.Equal(t, "95", p.Resolve(Scope{At: night, Host: dbHost, Tenant: "pay"}))
	require.Equal(t, []string{"80", "120", "95", "99"}, p.Values())
}

func TestParameterValidate(t *testing.T) {
	for name, p := range map[string]Parameter{
		"no name":              {Base: "1"},
		"digit first":          {Name: "1a", Base: "1"},
		"dash":                 {Name: "a-b", Base: "1"},
		"long":                 {Name: strings.Repeat("a", 65), Base: "1"},
		"no value":             {Name: "a"},
		"long value":           {Name: "a", Base: strings.Repeat("1", 1025)},
		"value and factor":     {Name: "a", Base: "1", Overrides: []Override{{Value: "1", Factor: 2}}},
		"neither":              {Name: "a", Base: "1", Overrides: []Override{{}}},
		"factor of a duration": {Name: "a", Base: "5m", Overrides: []Override{{Factor: 2}}},
	} {
		require.ErrorIs(t, p.Validate(), ErrParameter, name)
	}
}

func TestTemplate(t *testing.T) {
	values := map[string]string{"t": "80", "w": "5m", "t2": "9"}
	get := func(n string) (string, bool) { v, ok := values[n]; return v, ok }
	for in, want := range map[string]string{
		`rate(x[$w]) > $t`:             `rate(x[5m]) > 80`,
		`$t`:                           `80`,
		`a > $t2 + $t`:                 `a > 9 + 80`,
		`x{a=~"foo$"} > $t # costs $t`: `x{a=~"foo$"} > 80 # costs $t`,
		"# $t\n$t":                     "# $t\n80",
		`label_replace(up, "a", "$1", "b", "(.*)$t") == $t`: `label_replace(up, "a", "$1", "b", "(.*)$t") == 80`,
		`x{a='\'$t', b="\"$t"} > $t`:                        `x{a='\'$t', b="\"$t"} > 80`,
		"x{a=~`\\$t`} > $t":                                 "x{a=~`\\$t`} > 80",
		`x{a="$t`:                                           `x{a="$t`,
		`$ $$ $1`:                                           `$ $$ $1`,
		``:                                                  ``,
	} {
		got, err := ParseTemplate(in).Expand(get)
		require.NoError(t, err, in)
		require.Equal(t, want, got, in)
	}
	_, err := ParseTemplate(`x > $nope`).Expand(get)
	require.ErrorIs(t, err, ErrUnknownParameter)
	_, err = ParseTemplate(strings.Repeat("$big ", 100)).Expand(func(string) (string, bool) { return strings.Repeat("1", 1024), true })
	require.ErrorIs(t, err, ErrExprTooLong)
}

func FuzzTemplate(f *testing.F) {
	f.Add(`rate(x{a=~"b$"}[$w]) > $t # $c`)
	f.Add("`$a` '\\'$b' $")
	f.Fuzz(func(t *testing.T, s string) {
		tmpl := ParseTemplate(s)
		same, err := tmpl.Expand(func(n string) (string, bool) { return "$" + n, true })
		if err == nil && same != s {
			t.Fatalf("%q became %q", s, same)
		}
	})
}
