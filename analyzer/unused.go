package analyzer

import (
	"iter"
	"slices"

	"github.com/sgadvise/sgadvise/engine"
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
that the rule has no use says nothing of what the application wants. Nor does it count what
members of a group say to one another by the hidden rule for them: without that the rule
may be needed, and the facts say so.

It is wrong for traffic rarer than the window: month-end and yearly jobs, failover,
restores. Ask the owner, or keep the rule until a window has covered that event.
Removing a rule does not cut connections that are already tracked; watch for at least
a day after removal.`,
	Run: func(p *Pass) []Finding {
		ofGroup := func(i int) bool {
			v := &p.Verdicts[i]
			return v.Verdict == Unused && v.Rule.Action == policy.Allow && !isACL(p.Snapshot, v.Rule.Ref.Owner)
		}
		stopped := p.countTouching(ofGroup, p.stopped(), func(c *engine.Connection) bool { return c.Verdict == policy.Allowed })
		intra := p.wonBy(p.implicit(isIntra))
		between := p.countTouching(ofGroup, p.accepted(slices.ContainsFunc(intra, func(w won) bool { return w.hit })), func(c *engine.Connection) bool { return intra[c.Signature].hit })
		perhaps := p.countTouching(ofGroup, p.accepted(slices.ContainsFunc(intra, func(w won) bool { return w.possible })), func(c *engine.Connection) bool { return intra[c.Signature].possible })
		var out []Finding
		for i := range p.Verdicts {
			v := &p.Verdicts[i]
			if v.Verdict != Unused || v.Rule.Action != policy.Allow || v.Rule.Implicit {
				continue
			}
			f := about(v.Rule, "no connection used %s in %s on %s", words(v.Rule), plural(p.Evidence.Days, "day"), plural(v.Interfaces, "interface"))
			f.Facts = []Fact{
				{"connections judged", count(p.Result.Connections.Len())},
				{"window", Time(p.Evidence.From) + " to " + Time(p.Evidence.To)},
				{"interfaces", count(v.Interfaces)},
			}
			if n := stopped[i]; n > 0 {
				f.Facts = append(f.Facts, Fact{"rejected all the same", plural(n, "connection") + " that it admits"})
			}
			if n := between[i]; n > 0 {
				f.Facts = append(f.Facts, Fact{"needed if members are isolated", plural(n, "connection") + " that it admits passed by the hidden intra-group rule"})
			}
			if n := perhaps[i]; n > 0 {
				f.Facts = append(f.Facts, Fact{"perhaps needed if members are isolated", plural(n, "reading") + " that it admits, of connections whose opener is not settled, passed by the hidden intra-group rule"})
			}
			out = append(out, f)
		}
		return out
	},
}

// stopped ranges over the rejected connections that the groups, or all rules, admit.
func (p *Pass) stopped() iter.Seq[*engine.Connection] {
	return func(yield func(*engine.Connection) bool) {
		for _, i := range p.seen.stopped {
			if c := p.Result.Connections.At(int(i)); !yield(&c) {
				return
			}
		}
	}
}

// accepted ranges over the accepted connections, over none if none of them is asked for.
func (p *Pass) accepted(any bool) iter.Seq[*engine.Connection] {
	return func(yield func(*engine.Connection) bool) {
		if !any {
			return
		}
		for _, c := range p.Result.Connections.All() {
			if c.Action == flow.Accept && !yield(c) {
				return
			}
		}
	}
}

// countTouching counts, for each rule that of picks, those of connections that pick wants
// and that the rule matches where it is in force.
func (p *Pass) countTouching(of func(rule int) bool, connections iter.Seq[*engine.Connection], pick func(*engine.Connection) bool) map[int]int {
	out := make(map[int]int)
	var rules []int
	for i := range p.Snapshot.Rules() {
		if of(i) {
			rules = append(rules, i)
		}
	}
	if len(rules) == 0 {
		return out
	}
	for c := range connections {
		if !pick(c) {
			continue
		}
		for _, i := range rules {
			_, in := slices.BinarySearch(p.Coverage.interfaces[i], int(c.Interface))
			if in && p.Snapshot.Rules()[i].Direction == c.Direction && touches(p.Coverage.boxes[i].boxes, c) {
				out[i]++
			}
		}
	}
	return out
}
