package analyzer

import (
	"slices"

	"github.com/sgadvise/sgadvise/analyzer/plan"
	"github.com/sgadvise/sgadvise/engine/policy"
)

func contains(sorted []int32, id int32) bool { _, ok := slices.BinarySearch(sorted, id); return ok }

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
Take removals from the plan: of two rules that cover each other only one can go.`,
	Run: func(p *Pass) []Finding {
		var out []Finding
		for i, r := range p.Snapshot.Rules() {
			c := &p.Coverage.rules[i]
			if !c.everywhere && !(c.own && len(p.Coverage.interfaces[i]) == 0) || !c.duplicate.IsZero() {
				continue
			}
			verb := "all that %s permits is permitted by %s"
			if isACL(p.Snapshot, r.Ref.Owner) {
				verb = "all that %s matches is decided by %s"
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
			out = append(out, f)
		}
		return out
	},
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
	Doc: `Two rules of one group have the same direction, protocol, ports and peer; they may
differ in description. One of them can go at no loss. Both are named; the plan removes
one.`,
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
