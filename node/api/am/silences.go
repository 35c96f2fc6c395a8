package am

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"unicode/utf8"

	"github.com/fenghuo-mesh/fenghuo/aggregate/alert"
	"github.com/fenghuo-mesh/fenghuo/aggregate/label"
	"github.com/fenghuo-mesh/fenghuo/aggregate/silence"
	"github.com/fenghuo-mesh/fenghuo/node/api/limit"
	"github.com/fenghuo-mesh/fenghuo/node/api/problem"
	"github.com/fenghuo-mesh/fenghuo/node/api/silences"
)

// instant is a time in upstream's form.
type instant alert.Time

// MarshalJSON implements json.Marshaler.
func (t instant) MarshalJSON() ([]byte, error) {
	return append(appendTime([]byte{'"'}, alert.Time(t)), '"'), nil
}

// UnmarshalJSON implements json.Unmarshaler.
func (t *instant) UnmarshalJSON(b []byte) error {
	var text string
	if err := json.Unmarshal(b, &text); err != nil {
		return fmt.Errorf("want a time, got %.40s", b)
	}
	if text == "" {
		return nil
	}
	std, err := parseTime(text)
	if err != nil {
		return fmt.Errorf("want a time like 2006-01-02T15:04:05Z, got %.40q", text)
	}
	at, err := toTime(std)
	*t = instant(at)
	return err
}

// matcher is one matcher of a silence as answered.
type matcher struct {
	IsEqual bool   `json:"isEqual"`
	IsRegex bool   `json:"isRegex"`
	Name    string `json:"name"`
	Value   string `json:"value"`
}

// wireMatcher is a matcher as posted. Value is required, IsEqual isn't.
type wireMatcher struct {
	Name    *string `json:"name"`
	Value   *string `json:"value"`
	IsRegex *bool   `json:"isRegex"`
	IsEqual *bool   `json:"isEqual"`
}

// wireSilence is a silence as posted.
type wireSilence struct {
	ID          string            `json:"id"`
	Matchers    []wireMatcher     `json:"matchers"`
	StartsAt    *instant          `json:"startsAt"`
	EndsAt      *instant          `json:"endsAt"`
	CreatedBy   *string           `json:"createdBy"`
	Comment     *string           `json:"comment"`
	Annotations map[string]string `json:"annotations"`
}

// shownSilence is a silence as answered, fields in upstream's order.
type shownSilence struct {
	ID     string `json:"id"`
	Status struct {
		State string `json:"state"`
	} `json:"status"`
	UpdatedAt   instant           `json:"updatedAt"`
	Annotations map[string]string `json:"annotations,omitempty"`
	Comment     string            `json:"comment"`
	CreatedBy   string            `json:"createdBy"`
	EndsAt      instant           `json:"endsAt"`
	Matchers    []matcher         `json:"matchers"`
	StartsAt    instant           `json:"startsAt"`
}

func show(s *silence.Silence, now alert.Time) shownSilence {
	out := shownSilence{
		ID: s.ID, UpdatedAt: instant(s.UpdatedAt), Annotations: s.Annotations.Map(), Comment: s.Comment,
		CreatedBy: s.CreatedBy, EndsAt: instant(s.EndsAt), StartsAt: instant(s.StartsAt),
		Matchers: make([]matcher, len(s.Matchers)),
	}
	for i, m := range s.Matchers {
		out.Matchers[i] = matcher{
			Name: m.Name, Value: m.Value,
			IsEqual: m.Type == label.Equal || m.Type == label.Regexp,
			IsRegex: m.Type == label.Regexp || m.Type == label.NotRegexp,
		}
	}
	out.Status.State = s.StateAt(now).String()
	return out
}

func (a *API) now() alert.Time { return alert.At(a.o.Now()) }

func (a *API) getSilences(w http.ResponseWriter, r *http.Request) {
	f := silence.Filter{Tenant: a.o.Tenant}
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		a.fail(w, r, problem.Errorf(problem.ErrInvalid, "query: %w", err))
		return
	}
	for _, state := range []struct {
		name string
		into *bool
	}{{"active", &f.Active}, {"pending", &f.Pending}, {"expired", &f.Expired}} {
		if *state.into, err = flag(values, state.name); err != nil {
			a.fail(w, r, err)
			return
		}
	}
	if f.Matchers, err = limit.Matchers(values["filter"]); err != nil {
		a.fail(w, r, err)
		return
	}
	var list []silence.Silence
	if f.Active || f.Pending || f.Expired { // a filter without states would mean all
		if list, err = a.o.Silences.Silences(r.Context(), f); err != nil {
			a.fail(w, r, err)
			return
		}
	}
	now := a.now()
	out := make([]shownSilence, len(list))
	for i := range list {
		out[i] = show(&list[i], now)
	}
	a.writeJSON(w, r, out)
}

// maxSilenceBytes bounds the body of one silence.
const maxSilenceBytes = 64 << 10

func (a *API) postSilence(w http.ResponseWriter, r *http.Request) {
	var in wireSilence
	err := wantsJSON(r)
	if err == nil {
		err = a.bodies.Read(r, func(body []byte) error { return decodeSilence(body, &in) })
	}
	var s silence.Silence
	if err == nil {
		s, err = in.silence(a.o.Tenant, a.now())
	}
	if err != nil {
		a.fail(w, r, err)
		return
	}
	id, err := a.o.Silences.PutSilence(r.Context(), s)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	a.writeJSON(w, r, struct {
		SilenceID string `json:"silenceID"`
	}{id})
}

func decodeSilence(body []byte, in *wireSilence) error {
	if len(body) > maxSilenceBytes {
		return problem.Errorf(problem.ErrTooLarge, "%d bytes, a silence has at most %d", len(body), maxSilenceBytes)
	}
	if !utf8.Valid(body) {
		return problem.Errorf(ErrMalformed, "not UTF-8 (at byte %d)", validPrefix(body))
	}
	err := json.Unmarshal(body, in)
	var wrong *json.UnmarshalTypeError
	switch {
	case errors.As(err, &wrong):
		return problem.Errorf(ErrMalformed, "silence.%s: got %s", wrong.Field, wrong.Value)
	case err != nil:
		return problem.Errorf(ErrMalformed, "%w", err)
	}
	return nil
}

// silence checks what upstream's schema and handler check. What a silence may
// be beyond that is the store's to say.
func (in *wireSilence) silence(tenant string, now alert.Time) (s silence.Silence, err error) {
	for _, f := range []struct {
		name    string
		missing bool
	}{
		{"matchers", len(in.Matchers) == 0},
		{"startsAt", in.StartsAt == nil},
		{"endsAt", in.EndsAt == nil},
		{"createdBy", in.CreatedBy == nil},
		{"comment", in.Comment == nil},
	} {
		if f.missing {
			return s, problem.Errorf(problem.ErrInvalid, "silence.%s is required", f.name)
		}
	}
	s = silence.Silence{
		ID: in.ID, Tenant: tenant, StartsAt: alert.Time(*in.StartsAt), EndsAt: alert.Time(*in.EndsAt),
		CreatedBy: *in.CreatedBy, Comment: *in.Comment,
	}
	switch {
	case s.StartsAt >= s.EndsAt:
		return s, problem.Errorf(silence.ErrTimes, "Failed to create silence: %w", silence.ErrTimes)
	case s.EndsAt < now:
		return s, problem.Errorf(silence.ErrPast, "Failed to create silence: %w", silence.ErrPast)
	}
	if s.Annotations, err = silences.Annotations(in.Annotations); err != nil {
		return s, err
	}
	for i, m := range in.Matchers {
		if m.Name == nil || m.Value == nil || m.IsRegex == nil {
			return s, problem.Errorf(problem.ErrInvalid, "silence.matchers[%d]: name, value and isRegex are required", i)
		}
		made, err := newMatcher(*m.Name, *m.Value, *m.IsRegex, m.IsEqual == nil || *m.IsEqual)
		if err != nil {
			return s, fmt.Errorf("%w: invalid label matcher %d: %w", silence.ErrInvalid, i, err)
		}
		s.Matchers = append(s.Matchers, made)
	}
	return s, nil
}

func newMatcher(name, value string, regex, equal bool) (*label.Matcher, error) {
	kind := label.Equal
	switch {
	case regex && equal:
		kind = label.Regexp
	case regex:
		kind = label.NotRegexp
	case !equal:
		kind = label.NotEqual
	}
	return label.NewMatcher(kind, name, value)
}

func (a *API) getSilence(w http.ResponseWriter, r *http.Request) {
	s, err := a.o.Silences.Silence(r.Context(), r.PathValue("id"))
	if err != nil {
		a.fail(w, r, err)
		return
	}
	a.writeJSON(w, r, show(&s, a.now()))
}

func (a *API) deleteSilence(w http.ResponseWriter, r *http.Request) {
	if err := a.o.Silences.ExpireSilence(r.Context(), r.PathValue("id")); err != nil {
		a.fail(w, r, err)
		return
	}
	header(w)
}

// shownStatus is the status in upstream's order of fields.
type shownStatus struct {
	Cluster struct {
		Name   string `json:"name,omitempty"`
		Peers  []Peer `json:"peers"`
		Status string `json:"status"`
	} `json:"cluster"`
	Config struct {
		Original string `json:"original"`
	} `json:"config"`
	Uptime  instant `json:"uptime"`
	Version struct {
		Branch    string `json:"branch"`
		BuildDate string `json:"buildDate"`
		BuildUser string `json:"buildUser"`
		GoVersion string `json:"goVersion"`
		Revision  string `json:"revision"`
		Version   string `json:"version"`
	} `json:"versionInfo"`
}

func (a *API) getStatus(w http.ResponseWriter, r *http.Request) {
	s := a.o.Node.Status()
	var out shownStatus
	out.Cluster.Name, out.Cluster.Status = s.ClusterName, cmp.Or(s.ClusterStatus, "disabled")
	out.Cluster.Peers = slices.Clone(s.Peers)
	slices.SortFunc(out.Cluster.Peers, func(x, y Peer) int { return cmp.Compare(x.Name, y.Name) })
	if out.Cluster.Peers == nil {
		out.Cluster.Peers = []Peer{}
	}
	out.Config.Original, out.Uptime = s.Config, instant(alert.At(s.Started))
	v := &out.Version
	v.Branch, v.BuildDate, v.BuildUser = s.Branch, s.BuildDate, s.BuildUser
	v.GoVersion, v.Revision, v.Version = s.GoVersion, s.Revision, s.Version
	a.writeJSON(w, r, out)
}

func (a *API) getReceivers(w http.ResponseWriter, r *http.Request) {
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		a.fail(w, r, problem.Errorf(problem.ErrInvalid, "query: %w", err))
		return
	}
	ms, err := limit.Matchers(values["receiver_matchers"])
	if err != nil {
		a.fail(w, r, fmt.Errorf("failed to parse receiver_matchers param: %w", err))
		return
	}
	out := []Receiver{}
	for _, rc := range a.o.Node.Receivers() {
		if matchLabels(ms, rc.Labels) {
			out = append(out, rc)
		}
	}
	a.writeJSON(w, r, out)
}
