package report

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/sgadvise/sgadvise/analyzer"
	"github.com/sgadvise/sgadvise/analyzer/assertion"
)

// Assertion is a connection, or a set of them, that must stay allowed or denied, and
// whether it does.
type Assertion struct {
	Name    string  `json:"name"`
	Path    string  `json:"path"`
	Line    int     `json:"line"`
	About   string  `json:"about"`  // the connections, in words
	Expect  string  `json:"expect"` // allow or deny
	Present Outcome `json:"present"`
	Planned Outcome `json:"planned"` // of the policy with the plan made; of the present one if there are no edits
}

// Outcome says whether an assertion holds for one policy.
type Outcome struct {
	Status  string   `json:"status"`  // holds, fails or unknown
	Tried   int      `json:"tried"`   // connections asked about: one for each class that rules tell apart
	Witness Optional `json:"witness"` // the first that stands against it, or why nothing could be asked; null: none
}

func buildAssertions(all []analyzer.Asserted) []Assertion {
	var out []Assertion
	for i := range all {
		a := &all[i]
		out = append(out, Assertion{Name: a.Assertion.Name, Path: a.Assertion.File, Line: a.Assertion.Line, About: a.Assertion.Text(),
			Expect: a.Assertion.Expect.String(), Present: newOutcome(&a.Present), Planned: newOutcome(&a.Planned)})
	}
	slices.SortStableFunc(out, func(a, b Assertion) int {
		return cmp.Or(strings.Compare(a.Path, b.Path), cmp.Compare(a.Line, b.Line))
	})
	return out
}

func newOutcome(o *assertion.Outcome) Outcome {
	out := Outcome{Status: string(o.Status), Tried: o.Tried, Witness: Optional(o.Why)}
	if out.Witness == "" && len(o.Against) > 0 {
		out.Witness = Optional(o.Against[0].String())
	}
	return out
}

// FailedAssertions counts the findings about assertions that do not hold, without those
// that are suppressed.
func (r *Report) FailedAssertions() int {
	n := 0
	for i := range r.Findings {
		if f := &r.Findings[i]; f.Check == analyzer.FailedAssertion.Name && f.Suppressed == nil {
			n++
		}
	}
	return n
}

// assertionNotes says what of the assertions a reader must know first.
func assertionNotes(r *Report) []string {
	failed := 0
	for i := range r.Assertions {
		if r.Assertions[i].Present.Status != string(assertion.Holds) {
			failed++
		}
	}
	if failed == 0 {
		return nil
	}
	do := "do"
	if failed == 1 {
		do = "does"
	}
	return []string{fmt.Sprintf("%s of %s %s not hold for the present policy, or cannot be told.", number(uint64(failed)), plural(len(r.Assertions), "assertion"), do)}
}

// failingFirst are assertions with those that do not hold before the others.
func failingFirst(all []Assertion) []Assertion {
	rank := map[string]int{string(assertion.Fails): 0, string(assertion.Unknown): 1, string(assertion.Holds): 2}
	return slices.SortedStableFunc(slices.Values(all), func(a, b Assertion) int {
		return cmp.Or(cmp.Compare(rank[a.Present.Status], rank[b.Present.Status]), cmp.Compare(rank[a.Planned.Status], rank[b.Planned.Status]))
	})
}

// cells are one row for a: present, planned, what is asserted.
func (a *Assertion) cells() [3]string {
	text := a.Name + "\n" + a.Expect + " " + a.About
	if w := a.witness(); w != "" {
		text += "\n" + w
	}
	return [3]string{a.Present.Status, a.Planned.Status, text}
}

// witness is what stands against a now, or else after the plan.
func (a *Assertion) witness() string { return string(cmp.Or(a.Present.Witness, a.Planned.Witness)) }

func assertionCounts(all []Assertion) string {
	holds := 0
	for i := range all {
		if all[i].Present.Status == string(assertion.Holds) {
			holds++
		}
	}
	return fmt.Sprintf("%s of %s hold", number(uint64(holds)), number(uint64(len(all))))
}

func (t *textView) assertions() {
	all := failingFirst(t.r.Assertions)
	if len(all) == 0 {
		return
	}
	t.heading("Assertions", assertionCounts(all))
	tab := table{head: []string{"now", "planned", "assertion"}, bend: 2}
	shown := firstOf(all, t.limit(briefFindings))
	for i := range shown {
		c := shown[i].cells()
		tab.add(c[0], c[1], c[2])
	}
	t.table(&tab)
	t.rest(len(shown), len(all), "assertions")
}

func (m *mdView) assertions() {
	all := failingFirst(m.r.Assertions)
	if len(all) == 0 {
		return
	}
	m.linef("\n## Assertions\n\n%s", assertionCounts(all))
	m.head("Now", "Planned", "Assertion")
	shown := firstOf(all, markdownFindings)
	for i := range shown {
		c := shown[i].cells()
		m.row("**"+escape(c[0])+"**", escape(c[1]), strings.ReplaceAll(escape(c[2]), "\n", "<br>"))
	}
	m.rest(len(shown), len(all), "assertions")
}
