package intake

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"slices"
	"time"

	"github.com/fenghuo-mesh/fenghuo/aggregate/alert"
	"github.com/fenghuo-mesh/fenghuo/aggregate/label"
	"github.com/fenghuo-mesh/fenghuo/collectors/intake/document"
)

// errDecoder: a decoder failed on a request; its own mistake, not the sender's.
var errDecoder = errors.New("the decoder failed")

// Deliver decodes what a listener took for one integration, hands the alerts
// to the sink in one batch, and answers the last request in the source's own
// form; ok false: nobody waits for an answer, or the source has no form.
//
// source is what the listener's protocol speaks. Where the integration's own
// is another (a Zabbix server whose scripts use the sender protocol too), its
// rules hold for that source all the same.
//
// err is why nothing could be taken: ErrBusy and ErrUnavailable mean that the
// same requests may be delivered again later.
func (h *Handler) Deliver(ctx context.Context, integration, source string, reqs []Request) (answer Response, ok bool, err error) {
	d := h.table.Load().byName[integration]
	if d == nil {
		return Response{}, false, fmt.Errorf("integration %q: %w", integration, ErrUnauthorized)
	}
	if d.Source != source {
		if d, err = h.speaking(d, source); err != nil {
			return Response{}, false, fmt.Errorf("integration %q: %w", integration, err)
		}
	}
	for i := range reqs {
		if reqs[i].Zone == nil {
			reqs[i].Zone = d.Zone
		}
	}
	req, res, out := h.deliver(ctx, d, reqs)
	if r, is := d.decoder.(Replier); is {
		answer, ok = r.Reply(req, res, out)
	}
	return answer, ok, out.Err
}

// speaking is the door of the same integration for another source. Doors live
// as long as their table, so each is made once.
func (h *Handler) speaking(d *door, source string) (*door, error) {
	if other, ok := d.others.Load(source); ok {
		return other.(*door), nil
	}
	in := d.Integration
	in.Source, in.Decoder, in.Ends = source, nil, false
	other, err := h.build(in, nil)
	if err != nil {
		return nil, err
	}
	kept, _ := d.others.LoadOrStore(source, other)
	return kept.(*door), nil
}

// Allows says whether an integration may be used from a peer's address, without
// port. An unknown integration allows nobody.
func (h *Handler) Allows(integration, peer string) bool {
	d := h.table.Load().byName[integration]
	return d != nil && d.allows(peer)
}

// deliver decodes requests and hands their alerts on. Where several requests
// come, one that can't be decoded is counted and left out.
func (h *Handler) deliver(ctx context.Context, d *door, reqs []Request) (last Request, all Result, out Outcome) {
	began := h.o.Now()
	defer func() { out.Took = h.o.Now().Sub(began) }()
	for _, r := range reqs {
		last = r
		res, err := h.decode(d, r)
		if err != nil {
			h.refused(d.Source, err)
			out.Err = err
			continue
		}
		h.control(ctx, d, res.Control)
		base := len(all.Events) + len(all.Rejected)
		for _, rej := range res.Rejected {
			all.Rejected = append(all.Rejected, Rejection{Index: base + rej.Index, Err: rej.Err})
		}
		all.Events = append(all.Events, res.Events...)
		all.Truncated, all.Failed, all.Echo, all.Control = all.Truncated+res.Truncated, all.Failed+res.Failed, res.Echo, res.Control
	}
	if len(reqs) > 1 {
		out.Err = nil
	}
	if out.Err != nil {
		out.Status = status(out.Err)
		return last, all, out
	}
	h.hand(ctx, d, &all, &out)
	return last, all, out
}

// decode runs a decoder. Its panic is a bug of ours that a sender must not be
// able to turn into the end of the node.
func (h *Handler) decode(d *door, r Request) (res Result, err error) {
	defer func() {
		if p := recover(); p != nil {
			h.o.Logger.Error("decoder panicked", "source", d.Source, "integration", d.Name, "panic", p, "stack", string(debug.Stack()))
			res, err = Result{}, fmt.Errorf("%w: %s", errDecoder, d.Source)
		}
	}()
	if err := media(r.ContentType); err != nil && r.Header != nil {
		return Result{}, err
	}
	return d.decoder.Decode(r)
}

// control tells the node about a message that is no alert.
func (h *Handler) control(ctx context.Context, d *door, c *Control) {
	if c == nil {
		return
	}
	h.m.controls.WithLabelValues(d.Source, string(c.Type)).Inc()
	if h.o.Control != nil {
		h.o.Control(ctx, d.origin, d.Tenant, *c)
	}
}

// hand filters the events and gives them to the sink.
func (h *Handler) hand(ctx context.Context, d *door, res *Result, out *Outcome) {
	now := h.o.Now()
	b := Batch{Tenant: d.Tenant, Origin: d.origin, Hold: d.hold && d.AutoExpiry == 0, Expiry: d.expiry}
	var index []int // in res.Events
	repeats, ids := 0, map[string]bool{}
	for i := range res.Events {
		e := &res.Events[i]
		switch {
		case e.ID != "" && (ids[e.ID] || d.seen.has(e.ID)):
			repeats++
		case d.lowest != nil && !e.Resolved && !e.Marked && e.Alert.Priority > *d.lowest:
			out.Filtered++
		default:
			if e.ID != "" {
				ids[e.ID] = true
			}
			if err := d.finish(e, alert.At(now)); err != nil {
				out.Rejected = append(out.Rejected, Rejection{Index: place(res, i), Err: err})
				continue
			}
			b.Alerts = append(b.Alerts, e.Alert)
			index = append(index, i)
		}
	}
	out.Rejected = append(out.Rejected, res.Rejected...)
	if len(b.Alerts) > 0 {
		receipt, err := h.o.Sink.Accept(ctx, b)
		if err != nil {
			h.refused(d.Source, err)
			out.Err, out.Status = err, status(err)
			return
		}
		out.Accepted = receipt.Accepted
		for _, r := range receipt.Rejected {
			if r.Index >= 0 && r.Index < len(index) {
				out.Rejected = append(out.Rejected, Rejection{Index: place(res, index[r.Index]), Err: r.Err})
				delete(ids, res.Events[index[r.Index]].ID)
			}
		}
	}
	for id := range ids {
		d.seen.add(id, now)
	}
	slices.SortStableFunc(out.Rejected, func(a, b Rejection) int { return a.Index - b.Index })
	out.Status = settled(out, repeats)
	h.counted(d.Source, out, repeats, res.Failed)
}

// settled is the status of a request whose alerts the sink has dealt with.
func settled(out *Outcome, repeats int) int {
	if len(out.Rejected) == 0 || out.Accepted+out.Filtered+repeats > 0 {
		return http.StatusOK
	}
	for _, r := range out.Rejected {
		if !errors.Is(r.Err, ErrBusy) {
			return http.StatusUnprocessableEntity
		}
	}
	return http.StatusServiceUnavailable
}

// place is where an event stood in the body: decoders leave rejected alerts
// out.
func place(res *Result, event int) int {
	at := event
	for _, r := range res.Rejected {
		if r.Index <= at {
			at++
		}
	}
	return at
}

// finish adds the integration's labels and makes times usable. A sender whose
// clock is ahead would end its alerts in our future and begin them after their
// expiry; both count as now.
func (d *door) finish(e *Event, now alert.Time) error {
	a := e.Alert
	if len(d.labels) > 0 {
		pairs := a.Labels.Pairs()
		for _, p := range d.labels {
			if a.Labels.Get(p.Name) == "" {
				pairs = append(pairs, p)
			}
		}
		set, err := label.New(pairs)
		if err != nil {
			return fmt.Errorf("labels: %w", err)
		}
		a.Labels = set
	}
	if d.Decoder != nil && a.Extra != nil && a.Extra.DedupeKey != "" {
		// Keys of the author's own making: two mappings may make the same.
		a.Extra.DedupeKey = d.Name + ":" + a.Extra.DedupeKey
	}
	if e.Resolved {
		if a.EndsAt == 0 || a.EndsAt > now {
			a.EndsAt = now
		}
		a.StartsAt = min(a.StartsAt, a.EndsAt)
	} else if a.EndsAt == 0 {
		a.StartsAt = min(a.StartsAt, now)
	}
	return nil
}

// status maps a reason to an HTTP status.
func status(err error) int {
	for _, e := range []struct {
		err    error
		status int
	}{
		{ErrUnavailable, http.StatusServiceUnavailable},
		{ErrBusy, http.StatusServiceUnavailable},
		{errRate, http.StatusTooManyRequests},
		{context.DeadlineExceeded, http.StatusServiceUnavailable},
		{context.Canceled, http.StatusServiceUnavailable},
		{errUnknown, http.StatusNotFound},
		{errMethod, http.StatusMethodNotAllowed},
		{ErrUnauthorized, http.StatusUnauthorized},
		{ErrForbidden, http.StatusForbidden},
		{errBodyTooLarge, http.StatusRequestEntityTooLarge},
		{document.ErrLimit, http.StatusRequestEntityTooLarge},
		{ErrTooMany, http.StatusRequestEntityTooLarge},
		{ErrMediaType, http.StatusUnsupportedMediaType},
		{document.ErrType, http.StatusUnprocessableEntity},
		{errDecoder, http.StatusInternalServerError},
	} {
		if errors.Is(err, e.err) {
			return e.status
		}
	}
	return http.StatusBadRequest
}

// retryAfter is how long a sender waits before it tries again; 0: it need not.
func retryAfter(status int) time.Duration {
	switch status {
	case http.StatusTooManyRequests:
		return time.Second
	case http.StatusServiceUnavailable:
		return 5 * time.Second
	}
	return 0
}
