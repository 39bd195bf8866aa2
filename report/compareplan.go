package report

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// EditChange is an edit that is in one plan only, or is another one.
type EditChange struct {
	Status     string   `json:"status" enum:"new,changed,applied,overtaken,withdrawn" doc:"applied: the policy is as it asked for; overtaken: the rule changed otherwise; withdrawn: the rule is as it was, and the edit is not proposed any more."`
	Ref        Optional `json:"ref"`
	Group      string   `json:"group"`
	Old        Optional `json:"old" doc:"The edit in words; null if there was none."`
	New        Optional `json:"new" doc:"The edit in words; null if there is none."`
	Confidence string   `json:"confidence" doc:"Of the new edit, or of the one that is gone."`
	Why        string   `json:"why"`
}

// What becomes of an edit from one plan to the next.
const (
	editNew       = "new"
	editChanged   = "changed"
	editApplied   = "applied"
	editOvertaken = "overtaken"
	editWithdrawn = "withdrawn"
)

var editOrder = []string{editApplied, editOvertaken, editNew, editChanged, editWithdrawn}

// editText is an edit in words.
func editText(e *Edit) string {
	if len(e.With) == 0 {
		return e.Op
	}
	by := " by "
	if e.Op == "add" {
		by = " "
	}
	return e.Op + by + newRulesText(e.With)
}

// editKey names what an edit is about: its rule, or what it adds.
func editKey(e *Edit) string {
	if e.Ref != "" {
		return string(e.Ref)
	}
	return e.Group + "\n" + editText(e)
}

// editChanges compares the plans, and notes which refs changed as the old one says.
func (c *comparer) editChanges() []EditChange {
	old := map[string]*Edit{}
	for i := range c.old.Plan.Edits {
		old[editKey(&c.old.Plan.Edits[i])] = &c.old.Plan.Edits[i]
	}
	declined := map[Optional]string{}
	for _, d := range c.new.Plan.Declined {
		declined[d.Ref] = d.Reason
	}
	seen := map[string]bool{}
	var out []EditChange
	for i := range c.new.Plan.Edits {
		e := &c.new.Plan.Edits[i]
		seen[editKey(e)] = true
		x := EditChange{Status: editNew, Ref: e.Ref, Group: e.Group, New: Optional(editText(e)), Confidence: e.Confidence, Why: e.Reason}
		if was := old[editKey(e)]; was != nil {
			x.Status, x.Old = editChanged, Optional(editText(was))
			if x.Old == x.New {
				continue
			}
		}
		out = append(out, x)
	}
	for i := range c.old.Plan.Edits {
		e := &c.old.Plan.Edits[i]
		if seen[editKey(e)] {
			continue
		}
		x := EditChange{Ref: e.Ref, Group: e.Group, Old: Optional(editText(e)), Confidence: e.Confidence}
		x.Status, x.Why = c.fate(e, declined)
		out = append(out, x)
	}
	slices.SortStableFunc(out, func(a, b EditChange) int {
		return cmp.Or(cmp.Compare(slices.Index(editOrder, a.Status), slices.Index(editOrder, b.Status)),
			strings.Compare(a.Group, b.Group), cmp.Compare(a.Ref, b.Ref), cmp.Compare(a.New, b.New), cmp.Compare(a.Old, b.Old))
	})
	return out
}

// fate says what became of an edit that is not proposed any more.
func (c *comparer) fate(e *Edit, declined map[Optional]string) (status, why string) {
	ref := string(e.Ref)
	a, b := c.oldRules[ref], c.newRules[ref]
	untouched := a != nil && b != nil && sameMatch(a, b)
	made := c.made(e)
	switch {
	case e.Op != "add" && untouched, e.Op == "add" && made == nil:
		return editWithdrawn, cmp.Or(declined[e.Ref], declined[""], c.whyWithdrawn(ref))
	case len(made) < len(e.With), e.Op == "remove" && b != nil:
		return editOvertaken, "the rule was changed, but not as the plan says"
	}
	if b != nil && !slices.Contains(made, ref) {
		return editOvertaken, "the new rules are there, and the old one was changed otherwise"
	}
	for _, m := range append(made, ref) {
		if c.edited[m] {
			c.planned[m] = true
		}
	}
	return editApplied, "the policy is as the plan says"
}

func (c *comparer) whyWithdrawn(ref string) string {
	switch v, moved := c.moved[ref]; {
	case c.new.Plan.Mode == "none" && c.old.Plan.Mode != "none":
		return "no plan was asked for"
	case moved:
		return fmt.Sprintf("the verdict on the rule was %s and is %s", v.Was, v.Verdict)
	}
	return "the evidence does not ask for it any more"
}

// made finds the refs of the rules that the edit wanted, those of them that are there.
func (c *comparer) made(e *Edit) []string {
	var out []string
	for i := range e.With {
		n := &e.With[i]
		want := Rule{Direction: n.Direction, Action: n.Action, Priority: n.Priority, Protocol: n.Protocol, Ports: n.Ports, Peer: n.Peer}
		for j := range c.new.Rules {
			if x := &c.new.Rules[j]; x.Group == e.Group && sameMatch(x, &want) {
				out = append(out, x.Ref)
				break
			}
		}
	}
	return out
}

// markPlanned marks the changes that the old plan asked for.
func (c *comparer) markPlanned(rules []RuleChange) {
	for i := range rules {
		rules[i].Planned = c.planned[rules[i].Ref]
	}
}

// optionChanges compares the settings of the two runs.
func optionChanges(older, newer *Report) []DocumentChange {
	all := func(r *Report) []Fact {
		o := &r.Options
		return []Fact{
			{"mode", o.Mode}, {"budget", fmt.Sprint(o.Budget)}, {"days to narrow a rule", fmt.Sprint(o.MinDaysNarrow)},
			{"days to call a rule unused", fmt.Sprint(o.MinDaysUnused)}, {"fidelity needed", Percent(o.MinFidelity)},
			{"coverage required", Percent(o.RequireCoverage)}, {"bad records tolerated", fmt.Sprint(o.MaxBadRows)}, {"strict", fmt.Sprint(o.Strict)},
		}
	}
	return fieldChanges(all(older), all(newer))
}

// evidenceChanges compares what the logs could show. The window is not among it: it
// moves from run to run.
func evidenceChanges(older, newer *Report) []DocumentChange {
	var out []DocumentChange
	add := func(name, was, is string) {
		if was != is {
			out = append(out, DocumentChange{name, was, is})
		}
	}
	of := func(n, all uint64, rate float64) string {
		return fmt.Sprintf("%s (%s of %s)", Percent(rate), number(n), number(all))
	}
	add("days of the window", fmt.Sprint(older.Window.Days), fmt.Sprint(newer.Window.Days))
	add("records", number(older.Ledger.Records), number(newer.Ledger.Records))
	add("fidelity", of(older.Fidelity.Agree, older.Fidelity.Judged, older.Fidelity.Rate), of(newer.Fidelity.Agree, newer.Fidelity.Judged, newer.Fidelity.Rate))
	for _, cause := range bothKeys(older.Fidelity.Causes, newer.Fidelity.Causes) {
		add("records that disagree: "+cause, number(older.Fidelity.Causes[cause]), number(newer.Fidelity.Causes[cause]))
	}
	covered := func(c *Coverage) string { return of(uint64(c.CoveredDays), uint64(c.InterfaceDays), c.Ratio) }
	add("coverage of interface-days", covered(&older.Coverage), covered(&newer.Coverage))
	missing := func(r *Report) map[string]string {
		m := map[string]string{}
		for _, x := range r.Coverage.Missing {
			m[x.What] = x.Effect
		}
		return m
	}
	a, b := missing(older), missing(newer)
	for _, what := range bothKeys(a, b) {
		add("not exported: "+what, a[what], b[what])
	}
	was, is := capture(older), capture(newer)
	for _, id := range bothKeys(was, is) {
		add("interface "+id, was[id], is[id])
	}
	return out
}

// capture says of each interface whether it has records, and its gaps.
func capture(r *Report) map[string]string {
	m := map[string]string{}
	for i := range r.Coverage.Interfaces {
		c := &r.Coverage.Interfaces[i]
		switch {
		case !c.InPolicy:
			m[c.Interface] = "not in the policy"
		case c.Records == 0:
			m[c.Interface] = "no records"
		case len(c.Gaps) == 0:
			m[c.Interface] = "records without a gap"
		default:
			m[c.Interface] = "records with " + plural(len(c.Gaps), "gap")
		}
	}
	return m
}

// bothKeys are the keys of either map, in order.
func bothKeys[V any](a, b map[string]V) []string {
	keys := slices.AppendSeq(slices.Collect(maps.Keys(a)), maps.Keys(b))
	slices.Sort(keys)
	return slices.Compact(keys)
}
