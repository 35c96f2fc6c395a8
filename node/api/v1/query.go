package v1

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/fenghuo-mesh/fenghuo/aggregate/alert"
	"github.com/fenghuo-mesh/fenghuo/aggregate/label"
	"github.com/fenghuo-mesh/fenghuo/node/api/limit"
	"github.com/fenghuo-mesh/fenghuo/node/api/problem"
)

// Bounds of what can be asked.
const (
	maxTerms      = 16   // words of a text query
	maxKinds      = 64   // kinds of events that a request names
	maxCursor     = 2048 // bytes of a cursor
	timeUnitLimit = 1e12 // Unix seconds below it
	minID         = 8    // bytes of an ID that a text query must have to find it
)

// ParseDuration reads 90s, 2h30m, 3d, 1w2d: Go's units, and days and weeks.
func ParseDuration(text string) (time.Duration, error) {
	var total time.Duration
	rest := text
	for _, unit := range []struct {
		name   string
		length time.Duration
	}{{"w", 7 * 24 * time.Hour}, {"d", 24 * time.Hour}} {
		number, after, ok := strings.Cut(rest, unit.name)
		if !ok {
			continue
		}
		n, err := strconv.ParseUint(number, 10, 16)
		if err != nil {
			return 0, problem.Errorf(problem.ErrInvalid, "duration %.40q: want one like 90s, 2h30m, 3d", text)
		}
		total += time.Duration(n) * unit.length
		rest = after
	}
	if rest == "" && text != "" {
		return total, nil
	}
	d, err := time.ParseDuration(rest)
	if err != nil || d < 0 {
		return 0, problem.Errorf(problem.ErrInvalid, "duration %.40q: want one like 90s, 2h30m, 3d", text)
	}
	return total + d, nil
}

// ParseTime reads a time: RFC 3339, Unix seconds, or a duration before now.
func ParseTime(text string, now time.Time) (time.Time, error) {
	if t, err := time.Parse(time.RFC3339Nano, text); err == nil {
		return t, nil
	}
	if n, err := strconv.ParseFloat(text, 64); err == nil && n >= 0 && n < timeUnitLimit {
		return time.UnixMilli(int64(n * 1000)), nil
	}
	if d, err := ParseDuration(strings.TrimPrefix(text, "-")); err == nil {
		return now.Add(-d), nil
	}
	return time.Time{}, problem.Errorf(problem.ErrInvalid, "time %.40q: want RFC 3339, Unix seconds, or a time ago like 2h or 7d", text)
}

// AlertFilter is what can be asked about alerts, beside their labels.
type AlertFilter struct {
	Filter   []string `query:"filter,explode" maxItems:"64" doc:"Matcher on labels in Alertmanager's syntax; repeat it for several, all must match." example:"[\"severity=~\\\"critical|warning\\\"\"]"`
	Priority []string `query:"priority,explode" maxItems:"5" enum:"P0,P1,P2,P3,P4" doc:"Priority; repeat it for several, any may be."`
	Tenant   string   `query:"tenant" maxLength:"256" doc:"Business line."`
	Source   string   `query:"source" maxLength:"256" doc:"Kind of sender."`
	Service  string   `query:"service" maxLength:"1024" doc:"Logical service."`
	Resource string   `query:"resource" maxLength:"1024" doc:"What the alert is about."`
	Text     string   `query:"q" maxLength:"512" doc:"Words that all occur, in any case, in name, summary, description, service, resource, a label's value, or the ID (8 characters or more of it)."`
}

// compile checks the filter. keep doesn't look at what the matchers say.
func (f *AlertFilter) compile() (ms label.Matchers, keep func(*alert.Alert) bool, err error) {
	if ms, err = limit.Matchers(f.Filter); err != nil {
		return nil, nil, err
	}
	terms := strings.Fields(strings.ToLower(f.Text))
	if len(terms) > maxTerms {
		return nil, nil, problem.Errorf(problem.ErrInvalid, "q: %d words, at most %d", len(terms), maxTerms)
	}
	var wanted [5]bool
	for _, p := range f.Priority {
		var priority alert.Priority
		if err := priority.UnmarshalText([]byte(p)); err != nil {
			return nil, nil, problem.Errorf(problem.ErrInvalid, "%w", err)
		}
		wanted[priority] = true
	}
	q := *f
	return ms, func(a *alert.Alert) bool {
		return (len(q.Priority) == 0 || wanted[min(a.Priority, alert.P4)]) &&
			(q.Tenant == "" || q.Tenant == a.Tenant) &&
			(q.Source == "" || q.Source == a.Source()) &&
			(q.Service == "" || q.Service == a.Service()) &&
			(q.Resource == "" || q.Resource == a.Resource()) &&
			hasTerms(a, terms)
	}, nil
}

// hasTerms says whether each term occurs somewhere in the alert.
func hasTerms(a *alert.Alert, terms []string) bool {
	for _, t := range terms {
		if !hasTerm(a, t) {
			return false
		}
	}
	return true
}

func hasTerm(a *alert.Alert, term string) bool {
	has := func(s string) bool { return len(s) >= len(term) && strings.Contains(strings.ToLower(s), term) }
	for _, v := range a.Labels.All() {
		if has(v) {
			return true
		}
	}
	return has(a.Name()) || has(a.Summary()) || has(a.Description()) || has(a.Service()) || has(a.Resource()) || len(term) >= minID && has(a.ID())
}

// rank is an item's place in an order: a number, then a text.
type rank struct {
	number int64
	text   string
	id     string
}

func (r rank) compare(o rank) int {
	return cmp.Or(cmp.Compare(r.number, o.number), cmp.Compare(r.text, o.text), cmp.Compare(r.id, o.id))
}

// ranked is an item with its place.
type ranked[T any] struct {
	rank rank
	item T
}

// page sorts the items, and returns those behind the cursor, up to limit, and
// the cursor behind them. The order is total and depends on nothing else, so
// that pages neither repeat nor skip what doesn't change in between.
func page[T any](items []ranked[T], order, cursor string, limit int) (out []T, next string, err error) {
	slices.SortFunc(items, func(x, y ranked[T]) int { return x.rank.compare(y.rank) })
	if cursor != "" {
		after, err := parseCursor(cursor, order)
		if err != nil {
			return nil, "", err
		}
		from, _ := slices.BinarySearchFunc(items, after, func(e ranked[T], r rank) int {
			return cmp.Or(e.rank.compare(r), -1) // behind an equal one
		})
		items = items[from:]
	}
	more := len(items) > limit
	if more {
		items = items[:limit]
		next = makeCursor(items[limit-1].rank, order)
	}
	out = make([]T, len(items))
	for i, e := range items {
		out[i] = e.item
	}
	return out, next, nil
}

// makeCursor names a place in an order. Its form is nobody's business.
func makeCursor(r rank, order string) string {
	b, err := json.Marshal([]any{order, r.number, r.text, r.id})
	if err != nil {
		panic(err) // texts and numbers always have a form
	}
	return base64.RawURLEncoding.EncodeToString(b)
}

func parseCursor(text, order string) (r rank, err error) {
	bad := problem.Errorf(problem.ErrInvalid, "cursor: not one of this call and order; begin again without it")
	if len(text) > maxCursor {
		return r, bad
	}
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return r, bad
	}
	var of string
	parts := [4]any{&of, &r.number, &r.text, &r.id}
	var raw []json.RawMessage
	if json.Unmarshal(b, &raw) != nil || len(raw) != len(parts) {
		return r, bad
	}
	for i, p := range parts {
		if json.Unmarshal(raw[i], p) != nil {
			return r, bad
		}
	}
	if of != order {
		return r, bad
	}
	return r, nil
}
