package analyzer

import "github.com/sgadvise/sgadvise/engine/policy"

// UnusedRule finds rules without a hit under any reading.
var UnusedRule = &Analyzer{
	Name:     "unused-rule",
	Title:    "No connection used this rule",
	Severity: Medium,
	Doc: `No accepted connection in the window matched the rule, even counting every
connection whose opener is not known. The claim is made only where the logs would
have shown a use: the rule is attached, its traffic is logged, the window is long
enough (--min-days, default 28), and no interface of its group has a gap.

It is wrong for traffic rarer than the window: month-end and yearly jobs, failover,
restores. Ask the owner, or keep the rule until a window has covered that event.
Removing a rule does not cut connections that are already tracked; watch for at least
a day after removal.`,
	Run: func(p *Pass) []Finding {
		var out []Finding
		for i := range p.Verdicts {
			v := &p.Verdicts[i]
			if v.Verdict != Unused || v.Rule.Action != policy.Allow {
				continue
			}
			f := about(v.Rule, "no connection used %s in %s on %s", words(v.Rule), plural(p.Evidence.Days, "day"), plural(v.Interfaces, "interface"))
			f.Facts = []Fact{
				{"connections judged", count(len(p.Result.Connections))},
				{"window", Time(p.Evidence.From) + " to " + Time(p.Evidence.To)},
				{"interfaces", count(v.Interfaces)},
			}
			out = append(out, f)
		}
		return out
	},
}
