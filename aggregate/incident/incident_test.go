package incident_test

import (
	"flag"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/fenghuo-mesh/fenghuo/aggregate/alert"
	"github.com/fenghuo-mesh/fenghuo/aggregate/incident"
	"github.com/fenghuo-mesh/fenghuo/aggregate/label"
	"github.com/fenghuo-mesh/fenghuo/aggregate/rollup"
)

// desk joins fold, engine and book as a node does.
type desk struct {
	fold   *rollup.Fold
	engine *incident.MustLink
	book   *incident.Book
	known  map[label.Set]*alert.Alert
	log    []incident.Decision
}

func newDesk() *desk {
	return &desk{rollup.NewFold(), incident.NewMustLink(), incident.NewBook(), map[label.Set]*alert.Alert{}, nil}
}

func (d *desk) set(a *alert.Alert) {
	before := d.known[a.Labels]
	d.fold.Replace(before, a, before != nil && before.Fires(), a.Fires())
	d.known[a.Labels] = a
}

func (d *desk) look(now alert.Time) {
	for _, dec := range d.engine.Judge(d.book, d.fold.Changed(), now) {
		d.log = append(d.log, dec)
		d.book.Apply(dec)
	}
}

func one(host, service, name, code string, fires bool) *alert.Alert {
	a := &alert.Alert{
		Tenant: "t", StartsAt: 1000, Priority: alert.P2,
		Labels: label.FromStrings("alertname", name, "host", host, "service", service, "error_code", code),
	}
	if !fires {
		a.EndsAt = 2000
	}
	return a
}

func TestSameServiceAndCodeIsOneIncident(t *testing.T) {
	d := newDesk()
	d.set(one("h1", "shop", "Errors", "502", true))
	d.set(one("h2", "shop", "Errors", "502", true))
	d.set(one("h1", "shop", "Latency", "502", true)) // another rollup, same link
	d.set(one("h1", "cart", "Errors", "502", true))  // another service
	d.look(5000)
	open := d.book.List()
	require.Len(t, open, 2)
	shop := d.book.Get(incidentOf(t, d, one("h1", "shop", "Errors", "502", true)))
	require.Equal(t, 3, shop.Active)
	require.Equal(t, 2, shop.Rollups)
	require.Len(t, shop.Members, 2)
	require.Equal(t, "same service shop and error code 502", shop.Members[0].Evidence)

	for _, h := range []string{"h1", "h2"} {
		d.set(one(h, "shop", "Errors", "502", false))
	}
	d.look(6000)
	require.True(t, d.book.Get(shop.ID).Open())
	d.set(one("h1", "shop", "Latency", "502", false))
	d.look(7000)
	require.Equal(t, alert.Time(7000), d.book.Get(shop.ID).EndedAt)
	require.Equal(t, alert.P2, d.book.Get(shop.ID).Priority, "a closed incident shows its worst")
	require.Equal(t, shop.ID, incidentOf(t, d, one("h1", "shop", "Errors", "502", false)), "an ended alert knows where it belonged")
}

func incidentOf(t *testing.T, d *desk, a *alert.Alert) string {
	t.Helper()
	id, evidence := d.engine.Of(d.book, a)
	require.NotEmpty(t, id)
	require.NotEmpty(t, evidence)
	require.Len(t, id, 26)
	return id
}

// After a restart the book is read from disk and every alert is seen again:
// nothing is judged anew, and what ended meanwhile closes.
func TestRestart(t *testing.T) {
	d := newDesk()
	d.set(one("h1", "shop", "Errors", "502", true))
	d.set(one("h1", "cart", "Errors", "502", true))
	d.look(5000)
	after := newDesk()
	for _, in := range d.book.List() {
		b, err := in.MarshalBinary()
		require.NoError(t, err)
		var back incident.Incident
		require.NoError(t, back.UnmarshalBinary(b))
		require.Equal(t, *in, back)
		after.book.Put(&back)
	}
	after.set(one("h1", "shop", "Errors", "502", true))
	after.look(6000)
	require.Len(t, after.log, 1, "%v", after.log)
	require.Equal(t, incident.Close, after.log[0].Op)
	require.Equal(t, "cart: Errors", after.log[0].Title)
}

// Any history of alerts leaves exactly one open incident for each link that
// fires, with the right count; applying all decisions again gives the same
// book.
func TestAgreesWithRecount(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := newDesk()
		now := alert.Time(10_000)
		for range rapid.IntRange(0, 50).Draw(t, "steps") {
			now += 1000
			if rapid.IntRange(0, 3).Draw(t, "look") == 0 {
				d.look(now)
				continue
			}
			d.set(one(
				rapid.SampledFrom([]string{"h1", "h2"}).Draw(t, "host"),
				rapid.SampledFrom([]string{"s1", "s2"}).Draw(t, "service"),
				rapid.SampledFrom([]string{"A", "B"}).Draw(t, "name"),
				rapid.SampledFrom([]string{"", "500"}).Draw(t, "code"),
				rapid.Bool().Draw(t, "fires"),
			))
		}
		d.look(now + 1000)
		want := map[string]int{}
		for _, a := range d.known {
			if a.Fires() {
				code := a.ErrorCode()
				if code == "" {
					code = a.Name()
				}
				want[a.Service()+"/"+code]++
			}
		}
		open := 0
		for _, in := range d.book.List() {
			if in.Open() {
				open++
			}
		}
		require.Equal(t, len(want), open)
		for _, a := range d.known {
			if !a.Fires() {
				continue
			}
			code := a.ErrorCode()
			if code == "" {
				code = a.Name()
			}
			id, _ := d.engine.Of(d.book, a)
			require.Equal(t, want[a.Service()+"/"+code], d.book.Get(id).Active)
		}
		again := incident.NewBook()
		for _, dec := range d.log {
			again.Apply(dec)
			again.Apply(dec)
		}
		require.Equal(t, d.book.List(), again.List())
	})
}

var update = flag.Bool("update", false, "rewrite golden files")

func TestStoredFormVersion1(t *testing.T) {
	const file = "testdata/incident.v1.json"
	in := &incident.Incident{
		ID: "01JDEF0000000000000000000A", Tenant: "t", Title: "shop: Errors", Link: "t\x00shop\x00502", Onset: 1, EndedAt: 9,
		Updated: 9, Active: 0, Rollups: 0, Priority: alert.P1, Worst: alert.P1,
		Members: []incident.Member{{Key: rollup.Key{Tenant: "t", Hash: 7}, Onset: 1, Name: "Errors", Service: "shop", Resource: "h1", Summary: "s", Evidence: "e"}},
	}
	if *update {
		b, err := in.MarshalBinary()
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(file, b, 0o644))
	}
	b, err := os.ReadFile(file)
	require.NoError(t, err)
	var back incident.Incident
	require.NoError(t, back.UnmarshalBinary(b))
	require.Equal(t, *in, back)
}

func FuzzUnmarshal(f *testing.F) {
	f.Add([]byte(`{"v":1,"id":"x","members":[{"hash":"0000000000000007"}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		var in incident.Incident
		if in.UnmarshalBinary(b) == nil && in.ID == "" {
			t.Error("an incident without ID was read")
		}
	})
}
