package change

import (
	"reflect"
	"slices"

	"github.com/sgadvise/sgadvise/engine/policy"
)

// Lost returns the declared allow rules of old that present does not have as they were:
// they are gone, or say something else. They are in the order of old.
func Lost(old, present *policy.Snapshot) []policy.Rule {
	var out []policy.Rule
	for _, r := range old.Rules() {
		if r.Implicit || r.Action != policy.Allow {
			continue
		}
		if i, ok := present.RuleIndex(r.Ref); ok && sameRule(r, present.Rules()[i]) {
			continue
		}
		out = append(out, *r)
	}
	return out
}

// sameRule reports whether two rules are written alike, but for what does not decide.
func sameRule(a, b *policy.Rule) bool {
	return a.Direction == b.Direction && a.Rank == b.Rank && a.Action == b.Action && reflect.DeepEqual(a.Match, b.Match)
}

// Restore returns s with rules put back, in place of those that have their refs now; s
// itself stays as it is. What groups and lists the rules name hold is what s says. Rules
// whose group or network ACL is not in s any more cannot be put back: without returns
// their refs.
func Restore(s *policy.Snapshot, rules []policy.Rule) (out *policy.Snapshot, without []policy.Ref, err error) {
	back := make(map[string][]policy.Rule) // by owner
	is := make(map[policy.Ref]bool)
	for _, r := range rules {
		if is[r.Ref] {
			continue
		}
		is[r.Ref] = true
		back[r.Ref.Owner] = append(back[r.Ref.Owner], r)
	}
	out = &policy.Snapshot{Taken: s.Taken, Interfaces: slices.Clone(s.Interfaces), Groups: slices.Clone(s.Groups),
		ACLs: slices.Clone(s.ACLs), Subnets: slices.Clone(s.Subnets), Lists: slices.Clone(s.Lists),
		FlowLogs: slices.Clone(s.FlowLogs), Platforms: slices.Clone(s.Platforms), Missing: slices.Clone(s.Missing)}
	for i := range out.Interfaces { // Seal sorts them in place
		out.Interfaces[i].Groups = slices.Clone(out.Interfaces[i].Groups)
	}
	put := func(id string, have []policy.Rule) []policy.Rule {
		kept := make([]policy.Rule, 0, len(have)+len(back[id]))
		for _, r := range have {
			if !is[r.Ref] {
				kept = append(kept, r)
			}
		}
		kept = append(kept, back[id]...)
		delete(back, id)
		return kept
	}
	for i := range out.Groups {
		out.Groups[i].Rules = put(out.Groups[i].ID, out.Groups[i].Rules)
	}
	for i := range out.ACLs {
		out.ACLs[i].Rules = put(out.ACLs[i].ID, out.ACLs[i].Rules)
	}
	if err := out.Seal(); err != nil {
		return nil, nil, err
	}
	for _, r := range rules {
		if _, gone := back[r.Ref.Owner]; gone && !slices.Contains(without, r.Ref) {
			without = append(without, r.Ref)
		}
	}
	return out, without, nil
}
