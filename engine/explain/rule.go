package explain

import (
	"slices"
	"strings"

	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/ingest/flow"
)

// InForce is a rule and the interfaces on whose path it is.
type InForce struct {
	Rule       *policy.Rule // as declared; of a default, the rule that stands for it
	Interfaces []*policy.Interface
}

// Rule finds the rule of s that ref names, declared or implicit. The id of a rule alone
// will do if no other rule has it.
func Rule(s *policy.Snapshot, ref string) (*InForce, error) {
	var found *InForce
	var ids []string
	var short []*policy.Rule
	for _, r := range s.Rules() {
		if r.Ref.String() == ref {
			found = &InForce{Rule: r}
		}
		if r.Ref.Rule == ref {
			short = append(short, r)
		}
		ids = append(ids, r.Ref.String())
	}
	if found == nil && len(short) == 1 {
		found = &InForce{Rule: short[0]}
	}
	byPath := make(map[string][]*policy.Interface)
	var keys []string
	for i := range s.Interfaces {
		f := &s.Interfaces[i]
		k := s.PathKey(f)
		if byPath[k] == nil {
			keys = append(keys, k)
		}
		byPath[k] = append(byPath[k], f)
	}
	for _, k := range keys {
		on := false
		for _, r := range pathRules(s, byPath[k][0].ID) {
			switch {
			case found != nil:
				on = on || r.Ref == found.Rule.Ref
			case r.Implicit && r.Ref.String() == ref:
				found, on = &InForce{Rule: r}, true
			case r.Implicit:
				ids = append(ids, r.Ref.String())
			}
		}
		if on {
			found.Interfaces = append(found.Interfaces, byPath[k]...)
		}
	}
	if found == nil {
		slices.Sort(ids)
		e := unknown(s, RuleKind, ref, slices.Compact(ids))
		if !strings.Contains(ref, "/") {
			e.Near = nearRules(s, ref)
		}
		return nil, e
	}
	found.Rule = declared(s, found.Rule)
	slices.SortFunc(found.Interfaces, func(a, b *policy.Interface) int { return strings.Compare(a.ID, b.ID) })
	return found, nil
}

// pathRules lists every rule on the path of interface id, both ways, defaults included.
func pathRules(s *policy.Snapshot, id string) []*policy.Rule {
	var out []*policy.Rule
	for _, d := range [2]flow.Direction{flow.Ingress, flow.Egress} {
		for _, st := range s.Path(id, d) {
			for t := range st.Tiers {
				for i := range st.Tiers[t].Rules {
					out = append(out, &st.Tiers[t].Rules[i])
				}
			}
			out = append(out, &policy.Rule{Ref: st.DefaultRef, Direction: d, Action: st.Default, Match: []policy.Match{anything(d)}, Implicit: true})
		}
	}
	return out
}

// nearRules returns rules whose own ids are much like id.
func nearRules(s *policy.Snapshot, id string) []string {
	var ids, out []string
	for _, r := range s.Rules() {
		ids = append(ids, r.Ref.Rule)
	}
	slices.Sort(ids)
	for _, near := range nearest(id, slices.Compact(ids)) {
		for _, r := range s.Rules() {
			if r.Ref.Rule == near && len(out) < maxNear {
				out = append(out, r.Ref.String())
			}
		}
	}
	return out
}
