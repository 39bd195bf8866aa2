package analyzer

import (
	"slices"

	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/ingest/flow"
)

// UnusedRule finds rules without a hit under any reading.
var UnusedRule = &Analyzer{
	Name:     "unused-rule",
	Title:    "No connection used this rule",
	Severity: Medium,
	Doc: `No accepted connection in the window matched the rule, even counting every
connection whose opener is not known. The claim is made only where the logs would
have shown a use: the rule is attached, its traffic is logged, the window is long
enough (--min-days, default 28), and no interface of its group has a gap.

If connections that it admits were rejected all the same, the facts count them: something
beside the rules stops them (a provider that blocks mail to port 25, another filter), and
that the rule has no use says nothing of what the application wants.

It is wrong for traffic rarer than the window: month-end and yearly jobs, failover,
restores. Ask the owner, or keep the rule until a window has covered that event.
Removing a rule does not cut connections that are already tracked; watch for at least
a day after removal.`,
	Run: func(p *Pass) []Finding {
		stopped := p.stoppedBeside()
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
			if n := stopped[i]; n > 0 {
				f.Facts = append(f.Facts, Fact{"rejected all the same", plural(n, "connection") + " that it admits"})
			}
			out = append(out, f)
		}
		return out
	},
}

// stoppedBeside counts for each unused allow rule the connections that its group admits by
// it and that were rejected, though no network ACL that is known denies them.
func (p *Pass) stoppedBeside() map[int]int {
	out := make(map[int]int)
	var unused []int
	for i := range p.Verdicts {
		if v := &p.Verdicts[i]; v.Verdict == Unused && !v.Rule.Implicit && v.Rule.Action == policy.Allow && !isACL(p.Snapshot, v.Rule.Ref.Owner) {
			unused = append(unused, i)
		}
	}
	if len(unused) == 0 {
		return out
	}
	for k := range p.Result.Connections {
		c := &p.Result.Connections[k]
		if c.Action != flow.Reject || c.Verdict != policy.Allowed {
			continue
		}
		for _, i := range unused {
			_, in := slices.BinarySearch(p.Coverage.interfaces[i], int(c.Interface))
			if in && p.Verdicts[i].Rule.Direction == c.Direction && touches(p.Coverage.boxes[i].boxes, c) {
				out[i]++
			}
		}
	}
	return out
}
