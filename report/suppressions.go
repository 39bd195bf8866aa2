package report

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/sgadvise/sgadvise/analyzer"
)

// SuppressionEntry is one accepted risk, and what became of it.
type SuppressionEntry struct {
	ID       string   `json:"id"` // of what it is about: the same when it is prolonged
	Path     string   `json:"path"`
	Line     int      `json:"line"`
	Check    Optional `json:"check"` // null: any
	About    string   `json:"about"` // what it names besides, in words
	Reason   string   `json:"reason"`
	Owner    string   `json:"owner,omitempty"`
	Ticket   string   `json:"ticket,omitempty"`
	Created  Time     `json:"created"`
	Expires  Time     `json:"expires"`
	Status   string   `json:"status"`
	Findings []string `json:"findings"` // fingerprints; of an expired entry those that count again
}

// What may have become of an accepted risk.
const (
	SuppressionActive    = "active"
	SuppressionExpired   = "expired"
	SuppressionUnmatched = "unmatched" // not expired, and about no finding
)

func buildSuppressions(all []analyzer.Acceptance) []SuppressionEntry {
	var out []SuppressionEntry
	for i := range all {
		a := &all[i]
		e := a.Entry
		x := SuppressionEntry{ID: e.Key(), Path: e.File, Line: e.Line, Check: Optional(e.Check), About: e.Scope(),
			Reason: e.Reason, Owner: e.Owner, Ticket: e.Ticket, Created: TimeOf(e.Created), Expires: TimeOf(e.Expires),
			Status: SuppressionActive, Findings: a.Findings}
		switch {
		case a.Expired:
			x.Status = SuppressionExpired
		case len(a.Findings) == 0:
			x.Status = SuppressionUnmatched
		}
		out = append(out, x)
	}
	slices.SortStableFunc(out, func(a, b SuppressionEntry) int {
		return cmp.Or(strings.Compare(a.Path, b.Path), cmp.Compare(a.Line, b.Line))
	})
	return out
}

// FailsAt reports whether r has a finding that is not suppressed and at least as grave as
// failOn, a severity or "none".
func (r *Report) FailsAt(failOn string) bool {
	return slices.ContainsFunc(r.Findings, func(f Finding) bool { return f.Suppressed == nil && Grave(f.Severity, failOn) })
}

// SuppressionWarnings says, a line each, which accepted risks have expired and which are
// about nothing.
func SuppressionWarnings(r *Report) []string {
	var out []string
	for i := range r.Suppressions {
		s := &r.Suppressions[i]
		at := fmt.Sprintf("%s:%d: ", s.Path, s.Line)
		switch s.Status {
		case SuppressionExpired:
			text := at + "the suppression expired on " + day(s.Expires)
			if n := len(s.Findings); n > 0 {
				text += ": " + plural(n, "finding") + " " + map[bool]string{true: "counts", false: "count"}[n == 1] + " again"
			} else {
				text += ", and there is no such finding: it can go"
			}
			out = append(out, text)
		case SuppressionUnmatched:
			out = append(out, at+"the suppression is about no finding: it can go, or names what is called otherwise")
		}
	}
	return out
}

// someNotes bounds how many warnings are notes of a report; its table has them all.
const someNotes = 5

func suppressionNotes(r *Report) []string {
	if len(r.Suppressions) == 0 {
		return nil
	}
	var out []string
	if n := r.Summary.Suppressed; n > 0 {
		out = append(out, fmt.Sprintf("%s suppressed: the risk was accepted. The plan leaves their rules alone.", isAre(n, "finding")))
	}
	warnings := SuppressionWarnings(r)
	for _, w := range firstOf(warnings, someNotes) {
		out = append(out, w+".")
	}
	if s := showing(min(len(warnings), someNotes), len(warnings), "warnings about suppressions"); s != "" {
		out = append(out, upperFirst(s)+".")
	}
	return out
}

func suppressionText(s *Suppression) string {
	text := "suppressed"
	if s.Expires != 0 {
		text += " until " + day(s.Expires)
	}
	return text + ": " + s.Reason + inBrackets(s.Owner, s.Ticket)
}

// inBrackets writes who is behind an entry, as " (owner, ticket)".
func inBrackets(parts ...string) string {
	parts = slices.DeleteFunc(parts, func(s string) bool { return s == "" })
	if len(parts) == 0 {
		return ""
	}
	return " (" + strings.Join(parts, ", ") + ")"
}

// cells are one row for s: status, what it is about, findings, until when, why.
func (s *SuppressionEntry) cells() [5]string {
	about := s.About
	if s.Check != "" {
		about = string(s.Check) + "\n" + about
	}
	until := "forever"
	if s.Expires != 0 {
		until = day(s.Expires)
	}
	return [5]string{s.Status, about, number(uint64(len(s.Findings))), until, s.Reason + inBrackets(s.Owner, s.Ticket)}
}

// troubledFirst are entries with those that are not simply at work before the others.
func troubledFirst(all []SuppressionEntry) []SuppressionEntry {
	rank := map[string]int{SuppressionExpired: 0, SuppressionUnmatched: 1, SuppressionActive: 2}
	return slices.SortedStableFunc(slices.Values(all), func(a, b SuppressionEntry) int {
		return cmp.Compare(rank[a.Status], rank[b.Status])
	})
}

// countingFirst are findings in their order, those that are suppressed after the others.
func countingFirst(all []Finding) []Finding {
	return slices.SortedStableFunc(slices.Values(all), func(a, b Finding) int {
		switch {
		case (a.Suppressed == nil) == (b.Suppressed == nil):
			return 0
		case a.Suppressed == nil:
			return -1
		}
		return 1
	})
}

// findingCounts words how many findings there are.
func findingCounts(s *Summary) string {
	text := countsText(s.Severities.list())
	switch {
	case s.Suppressed == 0:
		return text
	case text == "":
		return number(uint64(s.Suppressed)) + " suppressed"
	}
	return text + "; " + number(uint64(s.Suppressed)) + " suppressed"
}

func (t *textView) suppressions() {
	all := troubledFirst(t.r.Suppressions)
	if len(all) == 0 {
		return
	}
	t.heading("Suppressions", "risks that were accepted")
	tab := table{head: []string{"status", "until", "findings", "about"}, bend: 3, right: []int{2}}
	shown := firstOf(all, t.limit(briefFindings))
	for i := range shown {
		c := shown[i].cells()
		tab.add(c[0], c[3], c[2], c[1]+"\n"+c[4])
	}
	t.table(&tab)
	t.rest(len(shown), len(all), "suppressions")
}

func (m *mdView) suppressions() {
	all := troubledFirst(m.r.Suppressions)
	if len(all) == 0 {
		return
	}
	m.linef("\n### Suppressions")
	m.head("Status", "About", ">Findings", "Until", "Reason")
	shown := firstOf(all, markdownEvidence)
	for i := range shown {
		c := shown[i].cells()
		m.row("**"+escape(c[0])+"**", strings.ReplaceAll(escape(c[1]), "\n", "<br>"), c[2], c[3], escape(c[4]))
	}
	m.rest(len(shown), len(all), "suppressions")
}
