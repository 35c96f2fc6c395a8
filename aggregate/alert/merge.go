package alert

import "time"

// Change says what a report did to what was known.
type Change uint8

// What a report can do. Everything but Unchanged is written to the journal.
const (
	// Unchanged: a repeat that says nothing new; at most the lease moved on.
	Unchanged Change = iota
	// Began: a new episode fires.
	Began
	// Updated: the episode goes on with other annotations, times or texts.
	Updated
	// Ended: the episode is over.
	Ended
	// EndedUnknown: a resolve of an alert that wasn't known to fire. It is kept
	// since its begin may still arrive from elsewhere.
	EndedUnknown
)

// String names the change as the why-trail shows it.
func (c Change) String() string {
	switch c {
	case Began:
		return "began"
	case Updated:
		return "updated"
	case Ended:
		return "ended"
	case EndedUnknown:
		return "ended_unknown"
	}
	return "unchanged"
}

// Complete fills what a sender left out, as Alertmanager's API v2 does: a
// missing start is the end or now; a missing end is now + resolveTimeout,
// marked as ours. in is changed in place and must not be shared yet.
//
// For a source that says when its problems end (hold true) a missing end means
// firing until told.
func Complete(in *Alert, now Time, resolveTimeout time.Duration, hold bool) {
	in.UpdatedAt = now
	if in.ReceivedAt == 0 {
		in.ReceivedAt = now
	}
	if in.StartsAt == 0 {
		in.StartsAt = now
		if in.EndsAt != 0 {
			in.StartsAt = min(in.EndsAt, now)
		}
	}
	if in.EndsAt == 0 && !hold {
		in.Timeout = true
		in.EndsAt = now.Add(resolveTimeout)
	}
	if in.EndsAt > now {
		in.Lease = in.EndsAt.Sub(now)
	}
	if in.Onset == 0 {
		in.Onset = in.StartsAt
	}
	in.Count = max(in.Count, 1)
}

// Merge folds a completed report into what is known of the same labels (old,
// or nil) and says what changed. The result is in itself where nothing was
// known, else a new Alert; old is never changed. Rules are Alertmanager's:
// reports whose activity overlaps are one episode with the earliest start, the
// newest texts and, while firing, the latest explicit end; otherwise the report
// replaces what was known.
func Merge(old, in *Alert, now Time) (*Alert, Change) {
	if old == nil || !sameEpisode(old, in, now) {
		in.Onset = in.StartsAt
		if in.ResolvedAt(now) {
			return in, EndedUnknown
		}
		return in, Began
	}
	res := *in
	// A start that nobody told is our own time, which says nothing about an end
	// by the sender's clock.
	told := old.StartsAt != old.ReceivedAt
	if in.ResolvedAt(now) && in.EndsAt < old.StartsAt && told {
		return old, Unchanged // the late end of an earlier episode
	}
	res.StartsAt = min(old.StartsAt, in.StartsAt)
	res.Onset, res.ReceivedAt, res.Version = old.Onset, old.ReceivedAt, old.Version
	res.Count = old.Count + 1
	if res.Count == 0 {
		res.Count-- // stays at the largest number it can show
	}
	wasResolved := old.ResolvedAt(now)
	switch {
	case in.ResolvedAt(now):
		if wasResolved {
			res.EndsAt = max(old.EndsAt, in.EndsAt)
		}
	case old.EndsAt == 0 || !old.Timeout && old.EndsAt > in.EndsAt && in.EndsAt != 0:
		res.EndsAt, res.Timeout = old.EndsAt, old.Timeout
	}
	res.Renewed = old.Renewed || !wasResolved && in.EndsAt > old.EndsAt && old.EndsAt != 0
	res.Lease = 0
	if res.EndsAt > now {
		res.Lease = res.EndsAt.Sub(now)
	}
	if res.ResolvedAt(now) {
		if !wasResolved {
			return &res, Ended
		}
		if res.EndsAt != old.EndsAt || !sameTexts(old, &res) {
			return &res, Updated
		}
		return &res, Unchanged
	}
	if wasResolved {
		// It fires again before a start later than its end was reported: a new
		// episode by our count, with Alertmanager's earliest start.
		res.Onset, res.ReceivedAt, res.Count, res.Renewed = max(in.StartsAt, old.EndsAt), in.ReceivedAt, 1, false
		return &res, Began
	}
	// A moved lease alone is not worth a write: after a crash it is granted
	// anew (see Recover). That the sender renews at all is, once.
	if sameTexts(old, &res) && res.StartsAt == old.StartsAt && res.Renewed == old.Renewed && res.Timeout == old.Timeout && (res.EndsAt == old.EndsAt || res.Renewed) {
		return &res, Unchanged
	}
	return &res, Updated
}

// sameEpisode says whether a report belongs to the known activity. A firing
// alert and a report that begins before its end belong together; so does a
// repeat of a resolve. A report that begins after the known end is a new
// episode.
func sameEpisode(old, in *Alert, now Time) bool {
	if old.EndsAt == 0 {
		return true
	}
	if old.ResolvedAt(now) && !in.ResolvedAt(now) {
		return in.StartsAt < old.EndsAt
	}
	return in.StartsAt <= old.EndsAt
}

func sameTexts(a, b *Alert) bool {
	if a.Annotations != b.Annotations || a.GeneratorURL != b.GeneratorURL || a.Priority != b.Priority {
		return false
	}
	if a.Extra == nil || b.Extra == nil {
		return a.Extra == b.Extra
	}
	return *a.Extra == *b.Extra
}

// Inherit completes the end of a problem from what is known of it, for senders
// that end by a key alone: texts they didn't repeat, and the priority where
// they name no severity. in is changed in place and must not be shared yet.
func Inherit(in, known *Alert) {
	if in.Annotations.Empty() {
		in.Annotations = known.Annotations
	}
	if in.GeneratorURL == "" {
		in.GeneratorURL = known.GeneratorURL
	}
	if in.Extra == nil {
		return
	}
	if in.Extra.SeverityRaw == "" {
		in.Priority = known.Priority
	}
	if known.Extra == nil {
		return
	}
	extra := *in.Extra
	from := *known.Extra // copied, since texts points into it
	for i, text := range extra.texts() {
		if *text == "" {
			*text = *from.texts()[i]
		}
	}
	in.Extra = &extra
}

// Expire returns the resolved successor of an alert whose lease ran out, or
// nil where it hasn't.
func Expire(a *Alert, now Time) *Alert {
	if a.Lease == 0 || !a.ResolvedAt(now) {
		return nil
	}
	res := *a
	res.Lease = 0
	return &res
}

// Recover adjusts an alert read from disk after the node was away. An end that
// came to pass while the node lived is on disk as such; so a lease that is
// still open began before the crash, and the sender had nobody to repeat to
// since. It starts anew where the sender repeats itself or never named an end;
// an end that the sender set once stands.
func Recover(a *Alert, now Time) *Alert {
	if a.Lease == 0 || !a.Renewed && !a.Timeout {
		return a
	}
	res := *a
	res.EndsAt = max(a.EndsAt, now.Add(a.Lease))
	return &res
}
