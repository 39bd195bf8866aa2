package analyzer

import (
	"github.com/sgadvise/sgadvise/analyzer/plan"
	"github.com/sgadvise/sgadvise/engine/policy"
)

// DefaultEqualRule finds rules that do what happens without any rule.
var DefaultEqualRule = &Analyzer{
	Name:     "default-equal-rule",
	Title:    "The rule does what happens without it anyway",
	Severity: Info,
	Doc: `On every interface where the rule is in force, what it decides would be decided the
same if no rule matched: it allows what the default or the platform allows, or denies what
the default denies, and no rule after it says otherwise. It follows from the configuration
alone.

Keep it if it is meant as a guard: a rule that denies what nobody allows today holds when
somebody allows more tomorrow, and a rule that allows holds when the default is closed. It
is reported so that nobody counts on it for more: in a group whose egress is open, rules
that allow egress restrict nothing.`,
	Run: func(p *Pass) []Finding {
		var out []Finding
		for i, r := range p.Snapshot.Rules() {
			c := &p.Coverage.rules[i]
			if !c.everywhere || c.instead != byDefault || !c.duplicate.IsZero() {
				continue
			}
			f := about(r, "%s does what happens without it: keep it if it is meant as a guard", words(r))
			f.Related = c.by
			f.Facts = []Fact{{"without it", map[bool]string{true: "denied by default", false: "allowed by default"}[r.Action == policy.Deny]}}
			if !c.own {
				f.Confidence = plan.Medium
				f.Facts = append(f.Facts, Fact{"holds", "while the same groups stay attached together"})
			}
			out = append(out, f)
		}
		return out
	},
}

// UnreachableLine finds lines of ordered lists after which no other is asked.
var UnreachableLine = &Analyzer{
	Name:     "unreachable-line",
	Title:    "No line after this one is ever asked",
	Severity: Medium,
	Doc: `A line of a network ACL, or a rule of a group whose rules have an order, matches all
traffic of an address family. Lines of that family that come after it in the same list can
never speak, whatever they say; they are listed as related. Whoever wrote them meant them
to do something: give them a better place before the line, or remove them. The check
shadowed-rule names each of them with the reason why it can go.`,
	Run: func(p *Pass) []Finding {
		var out []Finding
		for _, at := range p.ownLists() {
			l := at.list
			var done4, done6 bool
			for i := range l.Lines {
				x := &l.Lines[i]
				v4, v6 := catchAll(x)
				v4, v6 = v4 && !done4, v6 && !done6 // after a later one there is nothing new
				done4, done6 = done4 || v4, done6 || v6
				if !v4 && !v6 {
					continue
				}
				f := about(x.Rule, "")
				for j := i + 1; j < len(l.Lines); j++ {
					if y := &l.Lines[j]; before(x, y) && onlyOf(y, v4, v6) {
						f.Related = append(f.Related, y.Rule.Ref)
					}
				}
				if len(f.Related) == 0 {
					continue
				}
				f.Message = words(x.Rule) + " matches everything: " + plural(len(f.Related), "line") + " after it " +
					map[bool]string{true: "is", false: "are"}[len(f.Related) == 1] + " never asked"
				f.Facts = []Fact{{"lines never asked", count(len(f.Related))}}
				f.Related = f.Related[:min(len(f.Related), maxRelated)]
				out = append(out, f)
			}
		}
		return out
	},
}

// CorrelatedRules finds rules of opposite action that overlap.
var CorrelatedRules = &Analyzer{
	Name:     "correlated-rules",
	Title:    "Rules of opposite action overlap: their order matters",
	Severity: Info,
	Doc: `In a list with an order, a rule allows and a stronger one denies, or the other way
round; they share some traffic, and neither holds all of the other. What they share is
decided by the stronger one, the related rule, so exchanging their places changes what is
permitted. Nothing is wrong with that if it is meant. Rules of one group are compared, and
rules of groups that are attached to one interface.`,
	Run: func(p *Pass) []Finding {
		return opposed(p, func(weak, strong *opposedRule) bool { return !weak.covers(strong) },
			"%s is decided in part by stronger rules of the opposite action: %s")
	},
}

// GeneralisedRule finds rules with exceptions before them.
var GeneralisedRule = &Analyzer{
	Name:     "generalised-rule",
	Title:    "The rule has exceptions before it",
	Severity: Info,
	Doc: `In a list with an order, the rule holds all that a stronger rule of the opposite
action matches: the stronger one, the related rule, is an exception to it. That is how
exceptions are written, and usually meant; it is reported because the exception falls if
its priority is lost, for example when rules are copied with a default priority. A last
rule for all traffic is left out: everything before it is an exception.`,
	Run: func(p *Pass) []Finding {
		return opposed(p, func(weak, strong *opposedRule) bool { return weak.covers(strong) }, "%s has exceptions before it: %s")
	},
}
