// Package window owns named time intervals: when a route is muted or active.
// An interval is Alertmanager's (its timeinterval package): times of day, days
// of week and month, months, years, in UTC unless it names a location. The end
// minute is exclusive.
package window

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/prometheus/alertmanager/timeinterval"
)

// Interval is one interval; a name stands for a list of them, any of which may
// contain an instant.
type Interval = timeinterval.TimeInterval

// ErrUnknown: a route names an interval that isn't defined.
var ErrUnknown = errors.New("undefined time interval")

// Set holds named intervals. It is immutable and safe for concurrent use; the
// zero Set is empty. Zones are part of the intervals: who parses them brings
// the zone database.
type Set struct{ named map[string][]Interval }

// NewSet makes a set; the map is copied.
func NewSet(named map[string][]Interval) Set {
	m := make(map[string][]Interval, len(named))
	for n, is := range named {
		m[n] = slices.Clone(is)
	}
	return Set{m}
}

// Check says which of the names isn't defined, as an error that wraps
// ErrUnknown.
func (s Set) Check(names []string) error {
	for _, n := range names {
		if _, ok := s.named[n]; !ok {
			return fmt.Errorf("%w %q", ErrUnknown, n)
		}
	}
	return nil
}

// Names lists the defined names, sorted.
func (s Set) Names() []string {
	names := make([]string, 0, len(s.named))
	for n := range s.named {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}

// Containing returns those of the names whose intervals contain the instant,
// in the order given.
func (s Set) Containing(names []string, at time.Time) []string {
	var in []string
	at = at.UTC()
	for _, n := range names {
		if slices.ContainsFunc(s.named[n], func(i Interval) bool { return contains(i, at) }) {
			in = append(in, n)
		}
	}
	return in
}

// contains reads the clock on the wall of the interval's location and then
// compares as if in UTC: upstream counts the days of a month in hours, so where
// the clocks change in it, the day before the last would be taken for day -1.
func contains(i Interval, at time.Time) bool {
	if i.Location != nil && i.Location.Location != nil {
		at = at.In(i.Location.Location)
		at = time.Date(at.Year(), at.Month(), at.Day(), at.Hour(), at.Minute(), 0, 0, time.UTC)
		i.Location = nil
	}
	return i.ContainsTime(at)
}

// MutedBy returns the names that mute a route at an instant: the active
// intervals, if there are any and none of them contains it; else the mute
// intervals that contain it. Empty means not muted.
func (s Set) MutedBy(active, mute []string, at time.Time) []string {
	if len(active) == 0 && len(mute) == 0 {
		return nil
	}
	if len(active) > 0 && len(s.Containing(active, at)) == 0 {
		return slices.Clone(active)
	}
	return s.Containing(mute, at)
}
