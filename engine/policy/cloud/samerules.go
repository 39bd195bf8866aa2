package cloud

import (
	"slices"

	"github.com/sgadvise/sgadvise/engine/policy"
)

// mergeSame leaves one of the rules with the same digest, and names each by its
// digest.
func mergeSame(rules []policy.Rule) []policy.Rule {
	at := make(map[string]*policy.Rule, len(rules))
	kept := make([]*policy.Rule, 0, len(rules))
	for i := range rules {
		r := &rules[i]
		id := RuleDigest(r)
		if first, ok := at[id]; ok {
			combine(first, r)
			continue
		}
		at[id] = r
		r.Ref.Rule = id
		kept = append(kept, r)
	}
	slices.SortFunc(kept, func(a, b *policy.Rule) int { return a.Ref.Compare(b.Ref) })
	if len(kept) == 0 {
		return nil
	}
	out := make([]policy.Rule, len(kept))
	for i, r := range kept {
		out[i] = *r
	}
	return out
}

// combine adds to r what other, a rule of the same digest, knows better. A
// reference is dead only if both say so: one peering of two may be gone.
func combine(r, other *policy.Rule) {
	if r.Description == "" || other.Description != "" && other.Description < r.Description {
		r.Description = other.Description
	}
	for i := range r.Match {
		for j := range r.Match[i].Remote.Refs {
			a, b := &r.Match[i].Remote.Refs[j], &other.Match[i].Remote.Refs[j]
			if a.Dead == "" || b.Dead == "" {
				a.Dead = ""
			} else {
				a.Dead = min(a.Dead, b.Dead)
			}
			a.Account, a.VPC = max(a.Account, b.Account), max(a.VPC, b.VPC)
		}
	}
}
