package incident

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/fenghuo-mesh/fenghuo/aggregate/alert"
	"github.com/fenghuo-mesh/fenghuo/aggregate/label"
	"github.com/fenghuo-mesh/fenghuo/aggregate/rollup"
)

// ErrEncoding: bytes that should be a stored incident are not.
var ErrEncoding = errors.New("malformed incident record")

// stored is the stored form, version 1: JSON, because incidents are few (at
// most one write a second each) and JSON tolerates unknown fields by itself.
type stored struct {
	V        int            `json:"v"`
	ID       string         `json:"id"`
	Tenant   string         `json:"tenant"`
	Title    string         `json:"title"`
	Link     string         `json:"link"`
	Onset    int64          `json:"onset"`
	EndedAt  int64          `json:"ended,omitempty"`
	Updated  int64          `json:"updated"`
	Active   int            `json:"active"`
	Rollups  int            `json:"rollups"`
	Priority uint8          `json:"priority"`
	Worst    uint8          `json:"worst"`
	Members  []storedMember `json:"members,omitempty"`
}

type storedMember struct {
	Hash     label.Fingerprint `json:"hash"`
	Onset    int64             `json:"onset"`
	Name     string            `json:"name,omitempty"`
	Service  string            `json:"service,omitempty"`
	Resource string            `json:"resource,omitempty"`
	Summary  string            `json:"summary,omitempty"`
	Evidence string            `json:"evidence,omitempty"`
}

// MarshalBinary writes the stored form.
func (i *Incident) MarshalBinary() ([]byte, error) {
	s := stored{
		V: 1, ID: i.ID, Tenant: i.Tenant, Title: i.Title, Link: i.Link,
		Onset: int64(i.Onset), EndedAt: int64(i.EndedAt), Updated: int64(i.Updated),
		Active: i.Active, Rollups: i.Rollups, Priority: uint8(i.Priority), Worst: uint8(i.Worst),
	}
	for _, m := range i.Members {
		s.Members = append(s.Members, storedMember{m.Key.Hash, int64(m.Onset), m.Name, m.Service, m.Resource, m.Summary, m.Evidence})
	}
	return json.Marshal(s)
}

// UnmarshalBinary reads what MarshalBinary wrote.
func (i *Incident) UnmarshalBinary(b []byte) error {
	var s stored
	if err := json.Unmarshal(b, &s); err != nil {
		return fmt.Errorf("%w: %w", ErrEncoding, err)
	}
	if s.V != 1 || s.ID == "" || s.Priority > uint8(alert.P4) || s.Worst > uint8(alert.P4) || len(s.Members) > MaxMembers {
		return fmt.Errorf("%w: version %d", ErrEncoding, s.V)
	}
	*i = Incident{
		ID: s.ID, Tenant: s.Tenant, Title: s.Title, Link: s.Link,
		Onset: alert.Time(s.Onset), EndedAt: alert.Time(s.EndedAt), Updated: alert.Time(s.Updated),
		Active: s.Active, Rollups: s.Rollups, Priority: alert.Priority(s.Priority), Worst: alert.Priority(s.Worst),
	}
	for _, m := range s.Members {
		i.Members = append(i.Members, Member{rollup.Key{Tenant: s.Tenant, Hash: m.Hash}, alert.Time(m.Onset), m.Name, m.Service, m.Resource, m.Summary, m.Evidence})
	}
	return nil
}
