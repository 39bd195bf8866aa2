package cloud

import (
	"fmt"
	"slices"

	"github.com/sgadvise/sgadvise/engine/policy"
)

// nameUnresolved adds to s.Missing the groups and prefix lists that s refers to and
// does not hold. Dead references need nothing. A peer that is missing makes
// decisions unknown, never wrong.
func nameUnresolved(s *policy.Snapshot) {
	groups := make(map[string]bool, len(s.Groups))
	for i := range s.Groups {
		groups[s.Groups[i].ID] = true
	}
	known := make(map[string]bool, len(s.Lists))
	for i := range s.Lists {
		known[s.Lists[i].ID] = s.Lists[i].Known
	}
	named := make(map[string]bool)
	for _, m := range s.Missing {
		named[m.What] = true
	}
	effect := make(map[string]string)
	miss := func(what, why string) {
		if old, ok := effect[what]; !named[what] && (!ok || why < old) {
			effect[what] = why // the same for any order of groups
		}
	}
	for i := range s.Interfaces {
		for _, g := range s.Interfaces[i].Groups {
			if !groups[g] {
				miss("group "+g, "attached to interfaces, but its rules are not here: what they would allow is unknown")
			}
		}
	}
	rules := make([][]policy.Rule, 0, len(s.Groups)+len(s.ACLs))
	for i := range s.Groups {
		rules = append(rules, s.Groups[i].Rules)
	}
	for i := range s.ACLs {
		rules = append(rules, s.ACLs[i].Rules)
	}
	for _, of := range rules {
		for j := range of {
			for _, r := range of[j].Refs() {
				switch {
				case r.Dead != "":
				case r.Kind == policy.ListSet && !known[r.ID]:
					miss("prefix-list "+r.ID, "its entries are not here: rules that name it are unknown")
				case r.Kind == policy.GroupSet && !groups[r.ID] && r.Account != "":
					miss("group "+r.ID, fmt.Sprintf("its members, in account %s, are not here: rules that name it are unknown", r.Account))
				case r.Kind == policy.GroupSet && !groups[r.ID]:
					miss("group "+r.ID, "its members are not here: rules that name it are unknown")
				}
			}
		}
	}
	whats := make([]string, 0, len(effect))
	for w := range effect {
		whats = append(whats, w)
	}
	slices.Sort(whats)
	for _, w := range whats {
		s.Missing = append(s.Missing, policy.Missing{What: w, Effect: effect[w]})
	}
}
