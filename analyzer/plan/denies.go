package plan

import (
	"cmp"
	"slices"
	"strings"

	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/engine/space"
)

// needlessDenies returns edits that remove rules and network ACL lines that deny and
// without which nothing else is decided: stronger rules decide all that they match, or
// other denies do the same. Traffic counts for nothing here, and neither does a default
// that denies: a rule that only repeats it is kept as a guard, with that reason noted.
//
// edits are those that allow rules take. A deny goes only if it is needless whichever of
// them are made: stronger rules count as edits leave them, weaker ones as they are and as
// they will be. So edits hold in any order, and each deny that goes is needless today.
// They are tested from the last to the first, each against what the others left.
func (p *planner) needlessDenies(edits []Edit) ([]Edit, error) {
	candidates := p.denies()
	if len(candidates) == 0 {
		return nil, nil
	}
	leaving := make(map[policy.Ref]bool)
	var adds []Edit
	for _, e := range edits {
		leaving[e.Rule] = true
		if len(e.With) > 0 {
			adds = append(adds, Edit{Op: Add, Group: e.Group, With: e.With})
		}
	}
	both, err := Apply(p.in.Result.Snapshot, adds)
	if err != nil {
		return nil, err
	}
	lists := aclLists(both)
	groups := make(map[classKey]*space.List)
	gone := make(map[policy.Ref]bool)
	var out []Edit
	for _, r := range candidates {
		var on []*space.List
		if at, ok := p.old.at[r.Ref]; ok {
			for _, c := range p.old.rules[at].classes {
				key := classKey{c, side(r.Direction)}
				if groups[key] == nil {
					if st, ok := groupStage(both, p.old.classes[c].first.ID, r.Direction); ok {
						groups[key] = settled(both, st)
					}
				}
				on = append(on, groups[key])
			}
		} else {
			on = append(on, lists[aclKey{r.Ref.Owner, r.Direction}])
		}
		reason, guard := p.needless(r, on, func(l *space.List, i int) func(int) bool {
			return func(j int) bool {
				ref := l.Lines[j].Rule.Ref
				return !gone[ref] && (!leaving[ref] || j > i)
			}
		})
		switch {
		case reason != "":
			gone[r.Ref] = true
			out = append(out, Edit{Op: Remove, Rule: r.Ref, Group: r.Ref.Owner, Basis: Equivalent, Confidence: High,
				Check: "shadowed-rule", Reason: reason})
		case guard:
			p.reasons[r.Ref] = "it denies what is denied without it as well: kept as a guard, should the rules below it change"
		}
	}
	return out, nil
}

// classKey is one of the lists of a class.
type classKey struct {
	class int32
	side  int
}

// denies returns the rules and lines that deny and may be edited, the weakest first.
func (p *planner) denies() []*policy.Rule {
	var out []*policy.Rule
	for i := range p.old.rules {
		if r := &p.old.rules[i]; r.Action == policy.Deny && r.touchable() {
			out = append(out, r.Rule)
		}
	}
	lists := aclLists(p.in.Result.Snapshot)
	acls := p.in.Result.Snapshot.ACLs
	for i := range acls {
		for k := range acls[i].Rules {
			r := &acls[i].Rules[k]
			if r.Action == policy.Deny && r.Editable && !r.Implicit && !p.held(r.Ref) && lists[aclKey{acls[i].ID, r.Direction}] != nil {
				out = append(out, r)
			}
		}
	}
	slices.SortFunc(out, func(a, b *policy.Rule) int { return cmp.Or(cmp.Compare(b.Rank, a.Rank), b.Ref.Compare(a.Ref)) })
	return out
}

// needless says why deny r, which is in force in the lists on, decides nothing that is
// not decided without it, or "". guard: only a default makes it so.
func (p *planner) needless(r *policy.Rule, on []*space.List, keep func(*space.List, int) func(int) bool) (why string, guard bool) {
	guard = len(on) > 0
	needed := len(on) == 0
	for _, l := range on {
		if l == nil {
			return "", false
		}
		i, ok := l.Find(r.Ref)
		if !ok {
			return "", false
		}
		others := keep(l, i)
		if twin, ok := twinDeny(p.in.Result.Snapshot, r, l, i, others); ok {
			why = cmp.Or(why, "it says the same as "+twin.String())
			continue
		}
		open := *l
		open.Default = policy.Allow // what a deny does for the default is not needless
		reason := open.Redundant(i, others)
		if reason == space.Needed {
			needed = true
			guard = guard && l.Redundant(i, others) != space.Needed
			continue
		}
		var refs []policy.Ref
		for _, j := range open.By(i, reason, others) {
			refs = append(refs, l.Lines[j].Rule.Ref)
		}
		says := "stronger rules decide all that it matches"
		if reason == space.Covered {
			says = "other rules deny what it denies"
		}
		why = cmp.Or(why, says+named(refs))
	}
	if needed {
		return "", guard
	}
	return why, false
}

// named lists refs after a colon.
func named(refs []policy.Ref) string {
	if len(refs) == 0 {
		return ""
	}
	slices.SortFunc(refs, policy.Ref.Compare)
	var words []string
	for i, r := range refs {
		if i == 3 {
			words = append(words, "…")
			break
		}
		words = append(words, r.String())
	}
	return ": " + strings.Join(words, ", ")
}

// twinDeny returns another deny that is as strong as r, line i of l, or stronger, and
// names the same peer, whatever that holds, and all services of r. Rules of l stand in
// snap with their references.
func twinDeny(snap *policy.Snapshot, r *policy.Rule, l *space.List, i int, keep func(int) bool) (policy.Ref, bool) {
	for j := range l.Lines {
		x := l.Lines[j].Rule
		at, ok := snap.RuleIndex(x.Ref)
		if j == i || !ok || !keep(j) || x.Rank > r.Rank {
			continue
		}
		if q := snap.Rules()[at]; len(q.Refs()) > 0 && namesSame(r, q) {
			return x.Ref, true
		}
	}
	return policy.Ref{}, false
}
