package incident

import (
	"encoding/binary"
	"hash/fnv"
	"slices"
	"strings"
	"time"

	"github.com/fenghuo-mesh/fenghuo/aggregate/alert"
)

// MaxMembers bounds the rollups an incident lists; all of them are counted.
const MaxMembers = 100

// Incident is one fault as people see it. Incidents in a Book are replaced,
// never changed, so a reader may keep one.
type Incident struct {
	ID       string // ULID
	Tenant   string
	Title    string
	Link     string // must-link key
	Onset    alert.Time
	EndedAt  alert.Time // 0 while open
	Updated  alert.Time
	Active   int            // firing alerts
	Rollups  int            // rollups that fire
	Priority alert.Priority // worst that fires; once closed, the worst ever
	Worst    alert.Priority // worst it ever was
	Members  []Member       // the first MaxMembers rollups, in order of joining
}

// Open says whether the incident goes on.
func (i *Incident) Open() bool { return i.EndedAt == 0 }

func (i *Incident) lists(m Member) bool {
	return slices.ContainsFunc(i.Members, func(x Member) bool { return x.Key == m.Key })
}

// Book is the memory of judgement: open incidents, and closed ones until they
// are forgotten. It isn't safe for concurrent use.
type Book struct {
	byID map[string]*Incident
	open map[string]*Incident // by link
}

// NewBook returns an empty book.
func NewBook() *Book {
	return &Book{byID: map[string]*Incident{}, open: map[string]*Incident{}}
}

// Apply carries a decision out and returns the incident as it is now, or nil
// where the decision is about one that isn't known (any more). Applying a
// decision again changes nothing.
func (b *Book) Apply(d Decision) *Incident {
	old := b.byID[d.Incident]
	if old == nil && d.Op != Open {
		return nil
	}
	in := Incident{ID: d.Incident, Worst: alert.P4}
	if old != nil {
		in = *old
	}
	if d.At < in.Updated {
		return old
	}
	in.Tenant, in.Title, in.Link, in.Onset = d.Tenant, d.Title, d.Link, d.Onset
	in.Updated, in.Active, in.Rollups, in.Priority = d.At, d.Active, d.Rollups, d.Priority
	in.Worst = min(in.Worst, d.Priority)
	if d.Op == Open {
		in.EndedAt = 0 // the same begin was reported again after the end
	}
	in.Members = slices.Clip(in.Members)
	for _, m := range d.Members {
		if len(in.Members) < MaxMembers && !in.lists(m) {
			in.Members = append(in.Members, m)
		}
	}
	if d.Op == Close {
		in.EndedAt, in.Priority = d.At, in.Worst
	}
	b.Put(&in)
	return &in
}

// Put stores an incident as it is, as read from disk.
func (b *Book) Put(in *Incident) {
	b.byID[in.ID] = in
	switch {
	case in.Open():
		b.open[in.Link] = in
	case b.open[in.Link] != nil && b.open[in.Link].ID == in.ID:
		delete(b.open, in.Link)
	}
}

// Get returns an incident, or nil.
func (b *Book) Get(id string) *Incident { return b.byID[id] }

// closed returns the incident of a link that was open at a time, or nil.
func (b *Book) closed(link string, at alert.Time) *Incident {
	for _, in := range b.byID {
		// At most one was open at any time, so the order of looking is nothing.
		if in.Link == link && !in.Open() && in.Onset <= at && at <= in.EndedAt {
			return in
		}
	}
	return nil
}

// List returns the incidents, newest onset first.
func (b *Book) List() []*Incident {
	out := make([]*Incident, 0, len(b.byID))
	for _, in := range b.byID {
		out = append(out, in)
	}
	slices.SortFunc(out, func(x, y *Incident) int {
		switch {
		case x.Onset > y.Onset:
			return -1
		case x.Onset < y.Onset:
			return 1
		}
		return strings.Compare(x.ID, y.ID)
	})
	return out
}

// Collect forgets incidents that closed before the given time.
func (b *Book) Collect(before alert.Time) {
	for id, in := range b.byID {
		if !in.Open() && in.EndedAt < before {
			delete(b.byID, id)
		}
	}
}

// newID makes a ULID (https://github.com/ulid/spec) of the onset and a hash
// instead of chance, so that every node that judges alike names alike.
func newID(link string, onset alert.Time) string {
	const crockford = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
	h := fnv.New128a()
	_, _ = h.Write([]byte(link))
	_, _ = h.Write(binary.BigEndian.AppendUint64(nil, uint64(onset)))
	sum := h.Sum(nil)
	ms := uint64(onset) / uint64(time.Millisecond)
	var id [26]byte
	for i := 9; i >= 0; i-- {
		id[i] = crockford[ms&31]
		ms >>= 5
	}
	for i := range 16 {
		bit := i * 5
		word := uint(sum[bit/8]) << 8
		if bit/8+1 < len(sum) {
			word |= uint(sum[bit/8+1])
		}
		id[10+i] = crockford[word>>(11-bit%8)&31]
	}
	return string(id[:])
}
