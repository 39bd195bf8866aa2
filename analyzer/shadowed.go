package analyzer

import (
	"slices"

	"github.com/sgadvise/sgadvise/analyzer/plan"
	"github.com/sgadvise/sgadvise/engine/policy"
)

func sortRefs(refs []policy.Ref) { slices.SortFunc(refs, policy.Ref.Compare) }

// ShadowedRule finds rules that other rules make needless, whatever the traffic.
var ShadowedRule = &Analyzer{
	Name:     "shadowed-rule",
	Title:    "Other rules permit all that this rule permits",
	Severity: Low,
	Doc: `Everything the rule permits is permitted by the union of other rules, on every
interface where it is in force; for a line of a network ACL: earlier lines decide all
that it matches. No traffic is needed to know this. The related rules are a small set
that does it.

If they are in the same group, it holds under any attachment. If they are in another
group, it holds as long as that group stays attached beside this one; the facts say so.
Where members of a group are part of the reason, it holds for the members of today.
Take removals from the plan: of two rules that cover each other only one can go.

Where rules have an order, a rule is found if stronger ones decide all that it matches:
it never speaks. If one of those does the opposite, the facts say "conflict": the rule
does not do what it says, and somebody may count on it; ask before it goes. A rule is also
found if weaker ones do the same as it and nothing of the opposite action stands between.
What only the default does, or the members' right to talk to one another, is left to the
checks default-equal-rule and intra-masked-rule.`,
	Run: func(p *Pass) []Finding {
		var out []Finding
		for i, r := range p.Snapshot.Rules() {
			c := &p.Coverage.rules[i]
			if !c.everywhere && !(c.own && len(p.Coverage.interfaces[i]) == 0) || !c.duplicate.IsZero() || c.instead != byRules {
				continue
			}
			verb := "all that %s permits is permitted by %s"
			switch {
			case c.shadowed:
				verb = "all that %s matches is decided by %s"
			case r.Action == policy.Deny:
				verb = "all that %s denies is denied by %s"
			}
			f := about(r, verb, words(r), refList(c.by))
			f.Related = c.by
			f.Facts = []Fact{{"holds", map[bool]string{true: "under any attachment", false: "while the same groups stay attached together"}[c.own]}}
			f.Confidence = plan.High
			if c.members || !c.own {
				f.Confidence = plan.Medium
			}
			if c.members {
				f.Facts = append(f.Facts, Fact{"relies on", "the members of a group as of the snapshot"})
			}
			if c.conflict {
				f.Facts = append(f.Facts, Fact{"conflict", "some or all of what it " + verbOf(r) + " meets the opposite"})
			}
			out = append(out, f)
		}
		return out
	},
}

// verbOf says what r does with what it matches.
func verbOf(r *policy.Rule) string {
	if r.Action == policy.Deny {
		return "denies"
	}
	return "permits"
}

// refList names up to three rules.
func refList(refs []policy.Ref) string {
	s := ""
	for i, r := range refs {
		if i == 3 {
			return s + " and " + plural(len(refs)-3, "other")
		}
		if i > 0 {
			s += ", "
		}
		s += r.String()
	}
	return s
}

// DuplicateRule finds rules that say the same as another rule of their group.
var DuplicateRule = &Analyzer{
	Name:     "duplicate-rule",
	Title:    "Another rule of the group says the same",
	Severity: Low,
	Doc: `Two rules of one group have the same direction, action, protocol, ports and peer;
they may differ in description. One of them can go at no loss. Both are named; the plan
removes one. Where rules have an order, the weaker one is named: the stronger one speaks
first and says the same.`,
	Run: func(p *Pass) []Finding {
		var out []Finding
		for i, r := range p.Snapshot.Rules() {
			d := p.Coverage.rules[i].duplicate
			if d.IsZero() {
				continue
			}
			f := about(r, "%s says the same as %s", words(r), d)
			f.Related = []policy.Ref{d}
			out = append(out, f)
		}
		return out
	},
}
