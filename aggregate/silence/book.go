package silence

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/fenghuo-mesh/fenghuo/aggregate/alert"
	"github.com/fenghuo-mesh/fenghuo/aggregate/label"
)

// Options bound a Book. The zero value means the defaults.
type Options struct {
	// Retention is how long an ended silence is kept. Default 120 h.
	Retention time.Duration
	// MaxSilences bounds the silences kept, ended ones included. Default 100,000.
	MaxSilences int
	// MaxBytes bounds the stored form of one silence. Default 64 KiB.
	MaxBytes int
}

// Book holds silences and finds those that mute an alert. It is not safe for
// concurrent use: its owner guards it. Silences handed out share their
// matchers with the book and must not be changed.
type Book struct {
	opts    Options
	byID    map[string]*Silence
	tenants map[string]*index
}

// NewBook makes an empty book.
func NewBook(o Options) *Book {
	o.Retention = cmp.Or(o.Retention, DefaultRetention)
	o.MaxSilences = cmp.Or(o.MaxSilences, DefaultMaxSilences)
	o.MaxBytes = cmp.Or(o.MaxBytes, DefaultMaxBytes)
	return &Book{opts: o, byID: map[string]*Silence{}, tenants: map[string]*index{}}
}

// Put creates or changes a silence at now. With s.ID "" it is a new one; else
// the one of that ID is changed in place where that alters no history, or it is
// ended and replaced by a new one. newID is the ID a new silence gets.
//
// It returns the silence as stored and every record to be made durable, the
// stored one last. On an error nothing has changed; errors are ErrNotFound,
// ErrTimes, ErrPast, ErrLimit or wrap ErrInvalid.
func (b *Book) Put(s Silence, newID string, now alert.Time) (Silence, []Silence, error) {
	if s.StartsAt == 0 {
		s.StartsAt = now
	}
	switch {
	case s.EndsAt != 0 && s.StartsAt >= s.EndsAt:
		return Silence{}, nil, ErrTimes
	case s.EndsAt != 0 && s.EndsAt < now:
		return Silence{}, nil, ErrPast
	}
	if err := s.Validate(); err != nil {
		return Silence{}, nil, err
	}
	s.UpdatedAt = now
	var prev *Silence
	if s.ID != "" {
		if prev = b.byID[s.ID]; prev == nil || prev.Tenant != s.Tenant {
			return Silence{}, nil, ErrNotFound
		}
		if prev.mayBecome(&s, now) {
			if err := b.checkSize(&s); err != nil {
				return Silence{}, nil, err
			}
			b.store(&s)
			return s, []Silence{s}, nil
		}
	}
	if n := len(b.byID); n+1 > b.opts.MaxSilences {
		return Silence{}, nil, fmt.Errorf("%w: exceeded maximum number of silences: %d (limit: %d)", ErrLimit, n, b.opts.MaxSilences)
	}
	if newID == "" || b.byID[newID] != nil {
		return Silence{}, nil, fmt.Errorf("%w: id %q is empty or taken", ErrInvalid, newID)
	}
	s.ID = newID
	s.StartsAt = max(s.StartsAt, now)
	if err := b.checkSize(&s); err != nil {
		return Silence{}, nil, err
	}
	var changed []Silence
	if prev != nil && prev.StateAt(now) != Expired {
		changed = append(changed, *b.end(prev, now))
	}
	b.store(&s)
	return s, append(changed, s), nil
}

func (b *Book) checkSize(s *Silence) error {
	enc, err := s.AppendBinary(nil)
	if err != nil {
		return err
	}
	if len(enc) > b.opts.MaxBytes {
		return fmt.Errorf("%w: silence exceeded maximum size: %d bytes (limit: %d bytes)", ErrLimit, len(enc), b.opts.MaxBytes)
	}
	return nil
}

// Expire ends a silence now. It is idempotent: changed is false where it had
// ended already. The returned silence is to be made durable if changed.
func (b *Book) Expire(id string, now alert.Time) (s Silence, changed bool, err error) {
	old := b.byID[id]
	if old == nil {
		return Silence{}, false, ErrNotFound
	}
	if old.StateAt(now) == Expired {
		return *old, false, nil
	}
	return *b.end(old, now), true, nil
}

func (b *Book) end(old *Silence, now alert.Time) *Silence {
	s := *old
	if s.StateAt(now) == Pending {
		s.StartsAt = now
	}
	s.EndsAt, s.UpdatedAt = now, now
	b.store(&s)
	return &s
}

// Load takes a silence from disk or a peer: a later version replaces an
// earlier one, anything else changes nothing. It checks the silence but no
// limit, since it was accepted once. It says whether the book changed.
func (b *Book) Load(s Silence) (bool, error) {
	if err := s.Validate(); err != nil {
		return false, err
	}
	if s.ID == "" {
		return false, fmt.Errorf("%w: id: empty", ErrInvalid)
	}
	if old := b.byID[s.ID]; old != nil && (old.UpdatedAt > s.UpdatedAt || old.UpdatedAt == s.UpdatedAt && old.EndsAt <= s.EndsAt) {
		return false, nil
	}
	b.store(&s)
	return true, nil
}

func (b *Book) store(s *Silence) {
	if old := b.byID[s.ID]; old != nil {
		b.tenants[old.Tenant].remove(s.ID)
	}
	b.byID[s.ID] = s
	x := b.tenants[s.Tenant]
	if x == nil {
		x = newIndex()
		b.tenants[s.Tenant] = x
	}
	x.add(s)
}

// Get returns one silence.
func (b *Book) Get(id string) (Silence, bool) {
	s := b.byID[id]
	if s == nil {
		return Silence{}, false
	}
	return *s, true
}

// Len counts the silences kept, ended ones included.
func (b *Book) Len() int { return len(b.byID) }

// Mutes says whether any active silence mutes the labels.
func (b *Book) Mutes(tenant string, l label.Set, now alert.Time) bool {
	x := b.tenants[tenant]
	if x == nil {
		return false
	}
	muted := false
	x.Each(l, func(s *Silence) bool {
		muted = now >= s.StartsAt && now < s.EndsAt && s.Matchers.Match(l)
		return !muted
	})
	return muted
}

// MutedBy returns the IDs of all active silences that mute the labels, sorted.
func (b *Book) MutedBy(tenant string, l label.Set, now alert.Time) []string {
	x := b.tenants[tenant]
	if x == nil {
		return nil
	}
	var ids []string
	x.Each(l, func(s *Silence) bool {
		if now >= s.StartsAt && now < s.EndsAt && s.Matchers.Match(l) {
			ids = append(ids, s.ID)
		}
		return true
	})
	slices.Sort(ids)
	return ids
}

// Filter selects silences for Query.
type Filter struct {
	// Tenant selects one tenant's; "" all.
	Tenant string
	// Matchers: for each, the silence must have an identical one.
	Matchers label.Matchers
	// Active, Pending, Expired say which states are wanted; none set means all.
	Active, Pending, Expired bool
}

// Query lists silences: active ones first, soonest end first; then pending
// ones, soonest start first; then expired ones, latest end first.
func (b *Book) Query(f Filter, now alert.Time) []Silence {
	var out []Silence
	want := [...]bool{Active: f.Active, Pending: f.Pending, Expired: f.Expired}
	if want == [3]bool{} {
		want = [3]bool{true, true, true}
	}
	for _, s := range b.byID {
		if f.Tenant != "" && s.Tenant != f.Tenant {
			continue
		}
		if want[s.StateAt(now)] && hasAll(s.Matchers, f.Matchers) {
			out = append(out, *s)
		}
	}
	slices.SortFunc(out, func(a, b Silence) int {
		state := a.StateAt(now)
		c := cmp.Compare(state, b.StateAt(now))
		if c == 0 {
			switch state {
			case Active:
				c = cmp.Compare(a.EndsAt, b.EndsAt)
			case Pending:
				c = cmp.Compare(a.StartsAt, b.StartsAt)
			case Expired:
				c = cmp.Compare(b.EndsAt, a.EndsAt)
			}
		}
		return cmp.Or(c, strings.Compare(a.ID, b.ID))
	})
	return out
}

func hasAll(has, want label.Matchers) bool {
	for _, w := range want {
		if !slices.ContainsFunc(has, func(m *label.Matcher) bool { return compareMatchers(m, w) == 0 }) {
			return false
		}
	}
	return true
}

// Collect forgets silences that ended longer than the retention ago and stops
// looking at those that have ended. It returns the forgotten IDs, sorted.
func (b *Book) Collect(now alert.Time) []string {
	var gone []string
	for id, s := range b.byID {
		if s.StateAt(now) != Expired {
			continue
		}
		b.tenants[s.Tenant].remove(id)
		if s.EndsAt.Add(b.opts.Retention) <= now {
			gone = append(gone, id)
		}
	}
	for _, id := range gone {
		delete(b.byID, id)
	}
	slices.Sort(gone)
	return gone
}
