package policy

import "time"

// History is a policy over time: the snapshots that were in force one after the
// other. Readers make it; from then on it is immutable and safe for concurrent use.
type History struct {
	// Eras are in order of time and not empty. The last is the present.
	Eras []Era
	// Unsettled are groups, lists and ACLs, by id, whose content before a time is not
	// known: something changed them then, and nothing says what they were before.
	Unsettled map[string]time.Time
}

// Era is the time during which one snapshot was in force.
type Era struct {
	From     time.Time // zero: since ever, as far as is known
	Snapshot *Snapshot // sealed
}

// HistoryOf returns the history of a policy of which one snapshot is known.
func HistoryOf(s *Snapshot) *History { return &History{Eras: []Era{{Snapshot: s}}} }

// Present returns the snapshot in force now.
func (h *History) Present() *Snapshot { return h.Eras[len(h.Eras)-1].Snapshot }
