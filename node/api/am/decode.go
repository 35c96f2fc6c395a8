package am

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
	"unsafe"

	"github.com/fenghuo-mesh/fenghuo/aggregate/alert"
	"github.com/fenghuo-mesh/fenghuo/aggregate/label"
	"github.com/fenghuo-mesh/fenghuo/node/api/problem"
)

// MaxAlertsPerBody bounds the alerts of one POST; more are refused, and
// nothing of the body is stored.
const MaxAlertsPerBody = 20_000

// maxPairs bounds the members of one labels or annotations object, counting
// those that don't survive: empty and repeated ones.
const maxPairs = 4 * label.MaxLabels

// ErrMalformed: a body is not the JSON that the call wants. Nothing of it was
// taken.
var ErrMalformed = errors.New("malformed body")

// refusal is one alert of a well-formed body that can't be taken.
type refusal struct {
	index int
	err   error
}

// batch is a decoded body: what may be stored, and what may not.
type batch struct {
	alerts  []*alert.Alert
	indexes []int // of alerts in the body; nil where nothing was refused
	refused []refusal
}

// decoder reads bodies of POST /api/v2/alerts. It is reused, for its buffers
// and for the generator URLs it has seen lately: alerts of one rule share
// theirs.
type decoder struct {
	scanner
	origin *alert.Origin
	pairs  []label.Pair
	urls   [256]string
}

// decode reads a body. An error means that the body is malformed and nothing
// of it is to be stored; alerts that break the model's bounds are in refused.
func (d *decoder) decode(body []byte) (b batch, err error) {
	if !utf8.Valid(body) {
		return b, problem.Errorf(ErrMalformed, "not UTF-8 (at byte %d)", validPrefix(body))
	}
	// The body is looked at as a string, without a copy: texts are cut out of it
	// for as long as decode runs. Whatever is kept (sets, URLs, errors) is copied,
	// which the fuzz test checks by overwriting the body.
	d.body, d.pos, d.path = unsafe.String(unsafe.SliceData(body), len(body)), 0, d.path[:0]
	defer func() {
		d.body = ""
		clear(d.pairs[:cap(d.pairs)])
	}()
	if err = d.array(&b); err != nil {
		return batch{}, problem.Errorf(ErrMalformed, "%w", err)
	}
	return b, nil
}

func validPrefix(b []byte) int {
	n := 0
	for n < len(b) {
		r, size := utf8.DecodeRune(b[n:])
		if r == utf8.RuneError && size <= 1 {
			break
		}
		n += size
	}
	return n
}

func (d *decoder) array(b *batch) error {
	d.enter("alerts")
	switch d.peek() {
	case kindArray:
	case kindNull: // what Go writes for no alerts
		if err := d.literal("null"); err != nil {
			return err
		}
		return d.end()
	default:
		return d.want("an array of alerts")
	}
	if d.open(']') {
		return d.end()
	}
	for i := 0; ; i++ {
		if i == MaxAlertsPerBody {
			return d.fail("more than %d alerts", MaxAlertsPerBody)
		}
		d.enter("")
		a, refused, err := d.one(i)
		if err != nil {
			return err
		}
		d.leave()
		switch {
		case refused != nil:
			if b.refused == nil {
				b.indexes = make([]int, 0, len(b.alerts)+8)
				for j := range b.alerts {
					b.indexes = append(b.indexes, j)
				}
			}
			b.refused = append(b.refused, refusal{i, refused})
		default:
			if b.alerts == nil {
				b.alerts = make([]*alert.Alert, 0, min(64, 1+len(d.body)/512))
			}
			b.alerts = append(b.alerts, a)
			if b.refused != nil {
				b.indexes = append(b.indexes, i)
			}
		}
		done, err := d.next(']')
		if err != nil {
			return err
		}
		if done {
			return d.end()
		}
	}
}

// end makes sure that nothing follows.
func (d *decoder) end() error {
	d.leave()
	if d.space() != 0 || d.pos < len(d.body) {
		return d.unexpected("after the array")
	}
	return nil
}

// one reads one alert. refused is why the model has no place for it.
func (d *decoder) one(index int) (a *alert.Alert, refused, err error) {
	defer func() {
		if err != nil {
			// The path is completed only where somebody reads it.
			if e := (*syntaxError)(nil); errors.As(err, &e) {
				e.path = strings.Replace(e.path, "alerts", "alerts["+strconv.Itoa(index)+"]", 1)
			}
		}
	}()
	if d.peek() != kindObject {
		return nil, nil, d.want("object")
	}
	a = &alert.Alert{Origin: d.origin}
	empty := d.open('}')
	for !empty {
		key, err := d.key()
		if err != nil {
			return nil, nil, err
		}
		d.enter("")
		fault, err := d.field(a, key)
		if err != nil {
			return nil, nil, err
		}
		d.leave()
		if fault != nil && refused == nil {
			refused = fault
		}
		if empty, err = d.next('}'); err != nil {
			return nil, nil, err
		}
	}
	if refused == nil && a.Labels.Empty() {
		refused = fmt.Errorf("invalid label set: %w", label.ErrEmpty)
	}
	a.Priority = alert.PriorityOf(alert.SeverityOf(a.Labels))
	return a, refused, nil
}

// field reads the value of one member of an alert.
func (d *decoder) field(a *alert.Alert, key string) (refused, err error) {
	switch key {
	case "labels":
		d.path[len(d.path)-1] = ".labels"
		if refused, err = d.pairSet(); refused == nil && err == nil {
			a.Labels, refused = label.New(d.pairs)
		}
		if refused != nil {
			refused = fmt.Errorf("invalid label set: %w", refused)
		}
	case "annotations":
		d.path[len(d.path)-1] = ".annotations"
		if refused, err = d.pairSet(); refused == nil && err == nil {
			a.Annotations, refused = label.NewAnnotations(d.pairs)
		}
		if refused != nil {
			refused = fmt.Errorf("invalid annotations: %w", refused)
		}
	case "startsAt":
		d.path[len(d.path)-1] = ".startsAt"
		a.StartsAt, refused, err = d.instant()
	case "endsAt":
		d.path[len(d.path)-1] = ".endsAt"
		a.EndsAt, refused, err = d.instant()
	case "generatorURL":
		d.path[len(d.path)-1] = ".generatorURL"
		a.GeneratorURL, refused, err = d.url()
	default:
		if err = d.skip(); err != nil {
			if e := (*syntaxError)(nil); errors.As(err, &e) {
				e.path += member(key)
			}
		}
	}
	return refused, err
}

// textOrNull reads a text; null is an empty one.
func (d *decoder) textOrNull() (string, error) {
	switch d.peek() {
	case kindText:
		return d.text()
	case kindNull:
		return "", d.literal("null")
	}
	return "", d.want("text")
}

// pairSet reads an object of texts into d.pairs. The last of equal names wins.
func (d *decoder) pairSet() (refused, err error) {
	d.pairs = d.pairs[:0]
	switch d.peek() {
	case kindNull:
		return nil, d.literal("null")
	case kindObject:
	default:
		return nil, d.want("object")
	}
	if d.open('}') {
		return nil, nil
	}
	for {
		name, err := d.key()
		if err != nil {
			return nil, err
		}
		value, err := d.textOrNull()
		if err != nil {
			if e := (*syntaxError)(nil); errors.As(err, &e) {
				e.path += member(name)
			}
			return nil, err
		}
		if len(d.pairs) >= maxPairs {
			refused = fmt.Errorf("%w: at most %d", label.ErrTooMany, label.MaxLabels)
		} else {
			d.put(name, value)
		}
		done, err := d.next('}')
		if done || err != nil {
			return refused, err
		}
	}
}

func (d *decoder) put(name, value string) {
	for i := range d.pairs {
		if d.pairs[i].Name == name {
			d.pairs[i].Value = value
			return
		}
	}
	d.pairs = append(d.pairs, label.Pair{Name: name, Value: value})
}

// url reads a generator URL. It returns a text in memory of its own, the same
// one for equal texts that came lately.
func (d *decoder) url() (url string, refused, err error) {
	if d.peek() != kindText {
		_, err = d.textOrNull()
		return "", nil, err
	}
	plain, cooked, err := d.read()
	if err != nil || len(plain)+len(cooked) == 0 {
		return "", nil, err
	}
	if n := len(plain) + len(cooked); n > alert.MaxURLBytes {
		return "", fmt.Errorf("generatorURL: %w: %d bytes, at most %d", alert.ErrTooLong, n, alert.MaxURLBytes), nil
	}
	if cooked != nil {
		slot := &d.urls[slotOf(string(cooked[max(0, len(cooked)-hashed):]))]
		if *slot != string(cooked) {
			*slot = string(cooked)
		}
		return *slot, nil, nil
	}
	slot := &d.urls[slotOf(plain[max(0, len(plain)-hashed):])]
	if *slot != plain {
		*slot = strings.Clone(plain)
	}
	return *slot, nil, nil
}

// hashed is how many of a URL's last bytes choose its slot.
const hashed = 24

func slotOf(end string) uint8 { return uint8(label.HashPair("", end) >> 24) }

// instant reads a time. null, "" and the zero time are "not set".
func (d *decoder) instant() (t alert.Time, refused, err error) {
	text, err := d.textOrNull()
	if err != nil || text == "" {
		return 0, nil, err
	}
	std, err := parseTime(text)
	if err != nil {
		return 0, nil, d.fail("want a time like 2006-01-02T15:04:05Z, got %.40q", text)
	}
	if t, refused = toTime(std); refused != nil {
		refused = fmt.Errorf("%s: %w", strings.TrimPrefix(d.path[len(d.path)-1], "."), refused)
	}
	return t, refused, nil
}

// toTime converts a time from outside. The zero time is "not set", the epoch
// itself is not; a time beyond 2262, as in "never ends", is the latest there is.
func toTime(std time.Time) (alert.Time, error) {
	const latest = 9223372035 // the last whole second that alert.Time can hold
	switch unix := std.Unix(); {
	case std.IsZero():
		return 0, nil
	case unix < 0:
		return 0, alert.ErrRange
	case unix > latest:
		return alert.At(time.Unix(latest, 0)), nil
	case unix == 0:
		return max(1, alert.Time(std.Nanosecond())), nil
	}
	return alert.At(std), nil
}

// timeLayouts are the forms of time that Alertmanager's API takes beside
// RFC 3339.
var timeLayouts = [...]string{
	"2006-01-02T15:04:05Z0700", "2006-01-02T15:04:05.999999999Z0700", "2006-01-02T15:04:05", "2006-01-02T15:04Z",
	"2006-01-02T15:04", "2006-01-02 15:04:05",
}

func parseTime(text string) (time.Time, error) {
	t, err := time.Parse(time.RFC3339Nano, text)
	if err == nil {
		return t, nil
	}
	if len(text) <= 40 {
		for _, layout := range timeLayouts {
			if t, other := time.Parse(layout, text); other == nil {
				return t, nil
			}
		}
	}
	return t, err
}
