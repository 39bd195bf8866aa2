package analyzer

import (
	"fmt"

	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/ingest/flow"
)

// RuleQuota finds groups that are near the number of rules they may have.
var RuleQuota = &Analyzer{
	Name:     "rule-quota",
	Title:    "The group is near the number of rules it may have",
	Severity: Info,
	Doc: `The rules of the group in one direction come to nine tenths or more of what the
platform allows a group by default; your account may have another quota. A rule that names
a prefix list costs as many rules as the list may have entries, not as many as it has, so
removing one such rule may free more than all the others. Narrowing a rule into several
needs free places: make room first, with what the plan removes.`,
	Run: func(p *Pass) []Finding {
		var out []Finding
		for i := range p.Snapshot.Groups {
			g := &p.Snapshot.Groups[i]
			quota := 0
			for _, f := range p.Snapshot.Attached(g.ID) {
				if q := p.Snapshot.PlatformOf(f).Quota; q > 0 && (quota == 0 || q < quota) {
					quota = q
				}
			}
			for _, d := range directions {
				n, lists := ruleCost(p.Snapshot, g, d)
				if quota == 0 || n*10 < quota*9 {
					continue
				}
				f := Finding{Subject: policy.Ref{Owner: g.ID}, substance: g.ID + "|" + d.String(),
					Message: fmt.Sprintf("%s has %s of the %d that a group may have", g.ID, plural(n, d.String()+" rule"), quota)}
				f.Facts = []Fact{{"of them for entries of prefix lists", count(lists)}}
				out = append(out, f)
			}
		}
		return out
	},
}

// ruleCost is how many rules of a quota those of g in direction d take, and how many of
// them by prefix lists.
func ruleCost(s *policy.Snapshot, g *policy.Group, d flow.Direction) (n, byLists int) {
	for i := range g.Rules {
		if g.Rules[i].Direction != d {
			continue
		}
		cost := 0
		for _, ref := range g.Rules[i].Refs() {
			if l, ok := s.List(ref.ID); ok && ref.Kind == policy.ListSet {
				cost += max(l.MaxEntries, len(l.Entries))
			}
		}
		byLists += cost
		n += max(cost, 1)
	}
	return n, byLists
}
