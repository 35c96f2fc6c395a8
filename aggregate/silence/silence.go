// Package silence owns silences: who asked for quiet about what, from when to
// when, which alerts that mutes, and how a silence may be changed. The
// semantics are Alertmanager's.
package silence

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/fenghuo-mesh/fenghuo/aggregate/alert"
	"github.com/fenghuo-mesh/fenghuo/aggregate/label"
)

// Defaults and bounds.
const (
	DefaultRetention   = 120 * time.Hour // an ended silence is kept this long
	DefaultMaxSilences = 100_000         // silences in a book, ended ones included
	DefaultMaxBytes    = 64 << 10        // stored form of one silence
	MaxMatchers        = 256             // matchers of one silence
)

// Reasons to refuse a silence or a question about one. Their texts are
// Alertmanager's.
var (
	// ErrNotFound: no silence has this ID.
	ErrNotFound = errors.New("silence not found")
	// ErrInvalid: the silence itself is wrong; the cause follows.
	ErrInvalid = errors.New("invalid silence")
	// ErrTimes: the end is not after the start.
	ErrTimes = errors.New("start time must be before end time")
	// ErrPast: the end has passed.
	ErrPast = errors.New("end time can't be in the past")
	// ErrLimit: the book is full or the silence too large.
	ErrLimit = errors.New("silence limit")
)

// State is where a silence is in its life.
type State uint8

// The states. Active is the zero value since lists are sorted in this order.
const (
	Active State = iota
	Pending
	Expired
)

// String is the state's name in the API.
func (s State) String() string {
	switch s {
	case Pending:
		return "pending"
	case Expired:
		return "expired"
	}
	return "active"
}

// Silence mutes the alerts that all its matchers match, from StartsAt until
// before EndsAt. It is a value; Matchers must not be changed once handed over.
type Silence struct {
	// ID is a UUID; "" until the book has taken it.
	ID string
	// Tenant is the business line whose alerts are muted.
	Tenant string
	// Matchers is the conjunction that selects alerts.
	Matchers label.Matchers
	// StartsAt and EndsAt bound its force.
	StartsAt, EndsAt alert.Time
	// UpdatedAt is when it was last written; the later one of two versions holds.
	UpdatedAt alert.Time
	// CreatedBy and Comment are for people.
	CreatedBy, Comment string
	// Annotations are free.
	Annotations label.Set
}

// StateAt says in which state the silence is.
func (s *Silence) StateAt(now alert.Time) State {
	switch {
	case now < s.StartsAt && s.StartsAt < s.EndsAt:
		return Pending
	case now >= s.EndsAt:
		return Expired
	}
	return Active
}

// Validate checks everything but times against the clock. Errors wrap
// ErrInvalid.
func (s *Silence) Validate() error {
	if err := s.check(); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return nil
}

func (s *Silence) check() error {
	if len(s.Matchers) == 0 {
		return errors.New("at least one matcher required")
	}
	if len(s.Matchers) > MaxMatchers {
		return fmt.Errorf("%d matchers, at most %d", len(s.Matchers), MaxMatchers)
	}
	empty := true
	for i, m := range s.Matchers {
		switch {
		case m == nil:
			return fmt.Errorf("invalid label matcher %d: empty", i)
		case m.Name == "" || !utf8.ValidString(m.Name):
			return fmt.Errorf("invalid label matcher %d: invalid label name %q", i, m.Name)
		case !utf8.ValidString(m.Value):
			return fmt.Errorf("invalid label matcher %d: invalid label value %q", i, m.Value)
		}
		// As Alertmanager has it, a negative matcher is no proof of emptiness.
		empty = empty && (m.Type == label.Equal || m.Type == label.Regexp) && m.Matches("")
	}
	switch {
	case empty:
		return errors.New("at least one matcher must not match the empty string")
	case s.StartsAt <= 0:
		return errors.New("invalid zero start timestamp")
	case s.EndsAt <= 0:
		return errors.New("invalid zero end timestamp")
	case s.EndsAt < s.StartsAt:
		return errors.New("end time must not be before start time")
	case s.Tenant == "":
		return errors.New("tenant: empty")
	case !utf8.ValidString(s.CreatedBy):
		return errors.New("createdBy: not UTF-8")
	case !utf8.ValidString(s.Comment):
		return errors.New("comment: not UTF-8")
	}
	return nil
}

// mayBecome says whether the silence may be changed to next and keep its ID,
// without altering what was muted in the past.
func (s *Silence) mayBecome(next *Silence, now alert.Time) bool {
	if s.Tenant != next.Tenant || !sameMatchers(s.Matchers, next.Matchers) {
		return false
	}
	const second = alert.Time(time.Second)
	switch s.StateAt(now) {
	case Active:
		return s.StartsAt/second == next.StartsAt/second && next.EndsAt >= now
	case Pending:
		return next.StartsAt >= now
	}
	return false
}

func sameMatchers(a, b label.Matchers) bool {
	if len(a) != len(b) {
		return false
	}
	x, y := slices.Clone(a), slices.Clone(b)
	slices.SortFunc(x, compareMatchers)
	slices.SortFunc(y, compareMatchers)
	return slices.EqualFunc(x, y, func(m, n *label.Matcher) bool { return compareMatchers(m, n) == 0 })
}

func compareMatchers(a, b *label.Matcher) int {
	if c := strings.Compare(a.Name, b.Name); c != 0 {
		return c
	}
	if c := strings.Compare(a.Value, b.Value); c != 0 {
		return c
	}
	return int(a.Type) - int(b.Type)
}
