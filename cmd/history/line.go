package history

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sgadvise/sgadvise/report"
)

// LineSchema names the meaning of a [Line].
const LineSchema = "sgadvise.run/1"

// Line is one run in numbers: a line of history.jsonl.
type Line struct {
	Schema     string               `json:"schema"`
	ID         string               `json:"id"`
	Started    time.Time            `json:"started"` // UTC, whole seconds
	Seconds    float64              `json:"seconds"` // how long it took
	Version    string               `json:"version"`
	Exit       int                  `json:"exit"`
	Error      string               `json:"error,omitempty"` // why it failed
	Headline   string               `json:"headline,omitempty"`
	Notes      []string             `json:"notes,omitempty"` // what a reader of the history must know
	Policy     string               `json:"policy,omitempty"`
	Files      int                  `json:"files,omitempty"`   // of logs
	Records    uint64               `json:"records,omitempty"` // in the window
	Blocked    uint64               `json:"blocked,omitempty"` // of those, rejected and denied by the policy
	Unused     int                  `json:"unused,omitempty"`  // declared rules
	Suppressed int                  `json:"suppressed,omitempty"`
	Changes    report.FindingCounts `json:"changes"`
	Rules      PolicyChanges        `json:"rules"`
	Verdicts   int                  `json:"verdicts,omitempty"` // that moved on rules that did not change
	Applied    int                  `json:"applied,omitempty"`  // edits of the last plan that are in the policy now
	Watched    int                  `json:"watched,omitempty"`  // rules taken away whose traffic is looked for
	Broke      int                  `json:"broke,omitempty"`    // of those, the ones that broke something
	Rejects    int                  `json:"rejects,omitempty"`  // connections from inside that they blocked and no run told of before
	Trend      *report.TrendPoint   `json:"trend,omitempty"`    // null: the run failed
}

// PolicyChanges counts rules that changed since the run before.
type PolicyChanges struct {
	Added   int `json:"added"`
	Removed int `json:"removed"`
	Changed int `json:"changed"`
}

// Complete reports whether the run made a report. Runs whose gate tripped did.
func (l *Line) Complete() bool { return l.Trend != nil }

// Status is the run in a word.
func (l *Line) Status() string {
	switch {
	case l.Exit == 0:
		return "ok"
	case l.Complete() && l.Exit == 1:
		return "gate"
	case l.Complete() && l.Exit == 4:
		return "evidence"
	case l.Exit == 130 || l.Exit == 143:
		return "interrupted"
	}
	return "failed"
}

// State is what one run knows from all before it.
type State struct {
	Findings []Known   `json:"findings"` // by fingerprint
	Watched  []Watched `json:"watched"`  // by the time of the change, then by rule
}

// Known is the life of one finding.
type Known struct {
	ID       string      `json:"id"`
	Check    string      `json:"check"`
	Ref      string      `json:"ref"`
	First    report.Time `json:"first_seen"` // the run that first had it
	Last     report.Time `json:"last_seen"`  // the last run that had it
	Resolved report.Time `json:"resolved"`   // the run that did not have it any more; null: it is open
	Times    int         `json:"times"`      // how often it was opened
}

// Watched is a rule that was taken away or narrowed, and is looked after for a time.
type Watched struct {
	Ref     string      `json:"ref"`
	Was     string      `json:"was"` // in words
	Now     string      `json:"now"` // "" if it is gone
	Planned bool        `json:"planned"`
	Policy  string      `json:"policy"`  // digest of a policy that has it as it was
	Since   report.Time `json:"since"`   // the last run that saw it
	Found   report.Time `json:"found"`   // the run that saw the change
	Told    []string    `json:"told"`    // keys of what was blocked, as far as runs told of it
	Status  string      `json:"status"`  // as the last run judged it
	Outside int         `json:"outside"` // connections from outside that it would have let through, at the last run
}

// Resolved are the findings of s that are not open, with the time.
func (s *State) Resolved() map[string]report.Time {
	m := map[string]report.Time{}
	for _, k := range s.Findings {
		if k.Resolved != 0 {
			m[k.ID] = k.Resolved
		}
	}
	return m
}

// Follow carries the lives of findings on to a run with these.
func (s *State) Follow(r *report.Report, now report.Time) {
	at, open := map[string]int{}, map[string]bool{}
	for i, k := range s.Findings {
		at[k.ID] = i
	}
	for i := range r.Findings {
		f := &r.Findings[i]
		j, known := at[f.ID]
		if !known {
			j = len(s.Findings)
			at[f.ID] = j
			s.Findings = append(s.Findings, Known{ID: f.ID, Check: f.Check, Ref: string(f.Ref), First: now, Times: 1})
		}
		k := &s.Findings[j]
		open[f.ID] = true
		if k.Resolved != 0 {
			k.Resolved = 0
			k.Times++
		}
		k.Last = now
	}
	for i := range s.Findings {
		if k := &s.Findings[i]; !open[k.ID] && k.Resolved == 0 {
			k.Resolved = now
		}
	}
	slices.SortFunc(s.Findings, func(a, b Known) int { return strings.Compare(a.ID, b.ID) })
}

// PolicyState is a policy that some runs in a row had.
type PolicyState struct {
	Digest      string
	First, Last time.Time
}

// States returns the policies that the complete runs since from had, in turn.
func States(lines []Line, from time.Time) []PolicyState {
	var out []PolicyState
	for i := range lines {
		l := &lines[i]
		if !l.Complete() || l.Policy == "" || l.Started.Before(from) {
			continue
		}
		if n := len(out); n > 0 && out[n-1].Digest == l.Policy {
			out[n-1].Last = l.Started
			continue
		}
		out = append(out, PolicyState{l.Policy, l.Started, l.Started})
	}
	return out
}

// Find returns the line of a run: by its id, a beginning of one that no other run has, or
// one of the words last, previous and first, which stand for complete runs.
func Find(lines []Line, name string) (*Line, error) {
	var whole []*Line
	for i := range lines {
		if lines[i].Complete() {
			whole = append(whole, &lines[i])
		}
	}
	nth := map[string]int{"first": 0, "last": len(whole) - 1, "previous": len(whole) - 2}
	if i, ok := nth[name]; ok {
		if i < 0 || i >= len(whole) {
			return nil, fmt.Errorf("the history has no %s run", name)
		}
		return whole[i], nil
	}
	var found *Line
	for i := range lines {
		l := &lines[i]
		switch {
		case l.ID == name:
			return l, nil
		case !strings.HasPrefix(l.ID, name):
		case found != nil:
			return nil, fmt.Errorf("%s is the beginning of several runs: %s, %s", name, found.ID, l.ID)
		default:
			found = l
		}
	}
	if found == nil {
		return nil, fmt.Errorf("the history has no run %s", name)
	}
	return found, nil
}
