package analyzer

import "github.com/sgadvise/sgadvise/engine/policy"

// RedundantRule finds rules with hits that never decided anything.
var RedundantRule = &Analyzer{
	Name:     "redundant-rule",
	Title:    "Every connection of this rule is allowed by another rule too",
	Severity: Low,
	Doc: `The rule matched connections, and each of them was allowed by at least one
other rule in force on the same interface. Without it nothing that was observed would
have been denied, as long as those other rules stay: two rules may each be redundant
because of the other, and then only one of them can go. Take removals from the plan,
which accepts edits one by one, never from a list of findings.

Where rules have an order, a weaker rule, or what happens without any rule, would have
permitted each of them; the related rules are those that spoke beside it.

It speaks for the observed traffic only. Whether other rules permit all that this one
does, whatever the traffic, is the check shadowed-rule.`,
	Run: func(p *Pass) []Finding {
		var out []Finding
		var beside [][]int32 // rule → signatures with it
		for i := range p.Verdicts {
			v := &p.Verdicts[i]
			if v.Verdict != Redundant || v.Rule.Implicit || v.Rule.Action != policy.Allow {
				continue
			}
			if beside == nil {
				beside = p.signatures()
			}
			related := companions(p, i, beside[i])
			why := "other rules permit each of them too"
			if len(related) == 0 {
				why = "without it each would be permitted all the same"
			}
			f := about(v.Rule, "%s matched %s and never decided one: %s", words(v.Rule), plural(int(v.Usage.Hits), "connection"), why)
			f.Facts = []Fact{{"hits", count(v.Usage.Hits)}, {"decisive hits", "0"}, {"peers", count(v.Usage.Peers)}}
			f.Related = related
			out = append(out, f)
		}
		return out
	},
}

// maxRelated bounds the list of related rules of one finding.
const maxRelated = 5

// companions names the rules that most often won together with rule i, in its own list:
// another stage, or the lines for answers, decide something else.
func companions(p *Pass, i int, signatures []int32) []policy.Ref {
	seen := make(map[int32]bool)
	rules := p.Snapshot.Rules()
	beside := func(o *policy.Rule) bool {
		return o.Direction == rules[i].Direction && isACL(p.Snapshot, o.Ref.Owner) == isACL(p.Snapshot, rules[i].Ref.Owner)
	}
	var out []policy.Ref
	for _, n := range signatures {
		for _, id := range p.Result.Signatures[n].Hits {
			if int(id) != i && int(id) < len(rules) && !seen[id] && beside(rules[id]) {
				seen[id] = true
				out = append(out, p.Result.Usage[id].Ref)
			}
		}
	}
	sortRefs(out)
	return out[:min(len(out), maxRelated)]
}

// signatures returns for each rule the signatures of which it is a hit.
func (p *Pass) signatures() [][]int32 {
	out := make([][]int32, len(p.Result.Usage))
	for n := range p.Result.Signatures {
		for _, id := range p.Result.Signatures[n].Hits {
			out[id] = append(out[id], int32(n))
		}
	}
	return out
}
