package plan

import (
	"fmt"

	"github.com/sgadvise/sgadvise/engine/netset"
	"github.com/sgadvise/sgadvise/engine/policy"
)

// Widens reports whether planned may admit something that old does not, on any
// interface and whatever the traffic, and names the first such rule; empty: it admits no
// more. It compares boxes, not connections: every group rule of planned that old does not
// have must be covered, on each interface that carries its group, by what old admits
// there, or name the same peer as a rule of old that names its services. Network ACLs
// must be the same but for removed lines that allow.
//
// Both snapshots must have the same interfaces, groups and lists. It proves nothing
// about ordered group rules (those that deny, or have ranks) and calls a change among
// them wider.
func Widens(old, planned *policy.Snapshot) string {
	a, b := newWorld(old), newWorld(planned)
	for i := range b.rules {
		r := &b.rules[i]
		if at, ok := a.at[r.Ref]; ok && sameRule(a.rules[at].Rule, r.Rule) {
			continue
		}
		for _, c := range r.classes {
			if !a.admits(c, r, b) {
				return fmt.Sprintf("rule %s (%s %s %s %s) admits more than the old rules of its interfaces",
					r.Ref, r.Direction, r.Protocol(), r.Ports(), r.Peer())
			}
		}
	}
	for i := range a.rules {
		if r := &a.rules[i]; r.Action != policy.Allow {
			if at, ok := b.at[r.Ref]; !ok || !sameRule(b.rules[at].Rule, r.Rule) {
				return fmt.Sprintf("rule %s, which does not allow, is changed", r.Ref)
			}
		}
	}
	return widerLines(old, planned)
}

// admits reports whether the rules of a admit all of r, a rule of b, on class c; the
// classes of both are the same as their interfaces are.
func (a *world) admits(c int32, r *rule, b *world) bool {
	s := side(r.Direction)
	if int(c) >= len(a.classes) || a.classes[c].ordered[s] || b.classes[c].ordered[s] {
		return false
	}
	var by []netset.Box
	for _, i := range a.classes[c].rules[s] {
		if namesSame(r.Rule, a.rules[i].Rule) {
			return true
		}
		by = append(by, a.rules[i].boxes...)
	}
	if r.unknown || r.odd {
		return false
	}
	ok, _ := netset.CoveredAll(r.boxes, by)
	return ok
}

func sameRule(a, b *policy.Rule) bool {
	if a.Direction != b.Direction || a.Rank != b.Rank || a.Action != b.Action || len(a.Match) != len(b.Match) {
		return false
	}
	for i := range a.Match {
		if !sameMatch(a.Match[i], b.Match[i]) {
			return false
		}
	}
	return true
}

// widerLines names a network ACL line of planned that is new or changed, or one of old
// that does not allow and is gone.
func widerLines(old, planned *policy.Snapshot) string {
	lines := make(map[policy.Ref]*policy.Rule)
	for i := range old.ACLs {
		for k := range old.ACLs[i].Rules {
			lines[old.ACLs[i].Rules[k].Ref] = &old.ACLs[i].Rules[k]
		}
	}
	for i := range planned.ACLs {
		for k := range planned.ACLs[i].Rules {
			r := &planned.ACLs[i].Rules[k]
			if o, ok := lines[r.Ref]; !ok || !sameRule(o, r) {
				return fmt.Sprintf("line %s is new or changed", r.Ref)
			}
			delete(lines, r.Ref)
		}
	}
	for i := range old.ACLs {
		for k := range old.ACLs[i].Rules {
			if r := &old.ACLs[i].Rules[k]; lines[r.Ref] != nil && r.Action != policy.Allow {
				return fmt.Sprintf("line %s, which does not allow, is gone", r.Ref)
			}
		}
	}
	return ""
}
