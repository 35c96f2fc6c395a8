package show

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/fenghuo-mesh/fenghuo/collectors/intake"
	"github.com/fenghuo-mesh/fenghuo/collectors/intake/generic"
)

// ErrOption: an option can't be understood. It travels wrapped, with the
// option in front.
var ErrOption = errors.New("invalid option")

// Options are a recorded request, as a person types it.
type Options struct {
	// Sources are all kinds of senders; see package catalog.
	Sources []intake.Source
	// Source is the kind of this one.
	Source string
	// Body is the request's body, or the frame a listener would take.
	Body []byte
	// Method is the HTTP method; empty: POST.
	Method string
	// Headers are of the form Name=Value.
	Headers []string
	// ContentType is the media type; empty: the header's, or none.
	ContentType string
	// Query is a URL's query, name=value&name=value.
	Query string
	// ReceivedAt is RFC 3339; empty: now.
	ReceivedAt string
	// Now is the time where ReceivedAt is empty.
	Now time.Time
	// Zone is a name like Asia/Shanghai; empty: the source's own.
	Zone string
	// Peer is the sender's address.
	Peer string
	// Mapping is the text of a mapping and MappingName its file, for source
	// generic.
	Mapping     []byte
	MappingName string
}

// Run decodes a recorded request and writes what it means. An error that wraps
// ErrOption is the caller's mistake, every other one the body's.
func Run(w io.Writer, o Options) error {
	r, err := o.request()
	if err != nil {
		return err
	}
	i := slices.IndexFunc(o.Sources, func(s intake.Source) bool { return s.Name == o.Source })
	if i < 0 {
		return fmt.Errorf("source: %w: %.64q is none of %s", ErrOption, o.Source, strings.Join(Names(o.Sources), ", "))
	}
	dec := o.Sources[i].Decoder
	switch {
	case dec == nil && o.Mapping == nil:
		return fmt.Errorf("mapping: %w: source %s needs one", ErrOption, o.Source)
	case dec != nil && o.Mapping != nil:
		return fmt.Errorf("mapping: %w: source %s has none", ErrOption, o.Source)
	case dec == nil:
		m, err := generic.Load(o.MappingName, o.Mapping)
		if err != nil {
			return fmt.Errorf("mapping: %w", err)
		}
		dec = m
	}
	return Write(w, o.Source, dec, r)
}

// Names lists the names of sources.
func Names(sources []intake.Source) []string {
	out := make([]string, len(sources))
	for i, s := range sources {
		out[i] = s.Name
	}
	return out
}

func (o *Options) request() (intake.Request, error) {
	r := intake.Request{
		Method: o.Method, ContentType: o.ContentType, Header: http.Header{}, Body: o.Body, ReceivedAt: o.Now, Peer: o.Peer,
	}
	if r.Method == "" {
		r.Method = http.MethodPost
	}
	for _, h := range o.Headers {
		name, value, ok := strings.Cut(h, "=")
		if !ok || strings.TrimSpace(name) == "" {
			return r, fmt.Errorf("header: %w: %.64q is not Name=Value", ErrOption, h)
		}
		r.Header.Add(strings.TrimSpace(name), strings.TrimSpace(value))
	}
	if r.ContentType == "" {
		r.ContentType = r.Header.Get("Content-Type")
	} else {
		r.Header.Set("Content-Type", r.ContentType)
	}
	var err error
	if r.Query, err = url.ParseQuery(strings.TrimPrefix(o.Query, "?")); err != nil {
		return r, fmt.Errorf("query: %w: %w", ErrOption, err)
	}
	if o.ReceivedAt != "" {
		if r.ReceivedAt, err = time.Parse(time.RFC3339Nano, o.ReceivedAt); err != nil {
			return r, fmt.Errorf("received-at: %w: %.64q is not an RFC 3339 time", ErrOption, o.ReceivedAt)
		}
	}
	if o.Zone != "" {
		if r.Zone, err = time.LoadLocation(o.Zone); err != nil {
			return r, fmt.Errorf("tz: %w: %.64q is not a zone like Asia/Shanghai", ErrOption, o.Zone)
		}
	}
	return r, nil
}
