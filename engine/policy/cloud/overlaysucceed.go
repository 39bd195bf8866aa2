package cloud

import (
	"slices"
	"strings"

	"github.com/sgadvise/sgadvise/engine/policy"
)

// The kinds of things that a plan can take away.
const (
	goneGroup     = "group"
	goneACL       = "network-acl"
	goneList      = "prefix-list"
	goneInterface = "interface"
	goneSubnet    = "subnet"
)

// departure is something that a plan destroys. By is the id of what it makes in the same
// place; empty if there is nothing.
type departure struct{ kind, id, by string }

const (
	removalOf     = "removal of "
	replacementOf = "replacement of "
	byWhat        = " by "
)

// what names the departure among what a policy is missing: there it gets from the plan to
// the overlay, and people read it.
func (d departure) what() string {
	if d.by == "" {
		return removalOf + d.kind + " " + d.id
	}
	return replacementOf + d.kind + " " + d.id + byWhat + d.by
}

// departureOf reads what.
func departureOf(what string) (d departure, ok bool) {
	if rest, is := strings.CutPrefix(what, removalOf); is {
		d.kind, d.id, ok = strings.Cut(rest, " ")
		return d, ok
	}
	rest, is := strings.CutPrefix(what, replacementOf)
	if !is {
		return d, false
	}
	rest, d.by, _ = strings.Cut(rest, byWhat)
	d.kind, d.id, ok = strings.Cut(rest, " ")
	return d, ok && d.by != ""
}

// holds reports whether s has d, as more than a few rules of it.
func (d departure) holds(s *policy.Snapshot, id string) bool {
	switch d.kind {
	case goneGroup:
		return slices.ContainsFunc(s.Groups, func(g policy.Group) bool {
			return g.ID == id && !(s.MissingWhat(undeclaredRules(id)) && isBare(&g))
		})
	case goneACL:
		return slices.ContainsFunc(s.ACLs, func(a policy.ACL) bool { return a.ID == id && !s.MissingWhat(undeclaredRules(id)) })
	case goneList:
		return slices.ContainsFunc(s.Lists, func(l policy.PrefixList) bool { return l.ID == id && !s.MissingWhat(changedEntries(id)) })
	case goneInterface:
		return slices.ContainsFunc(s.Interfaces, func(f policy.Interface) bool { return f.ID == id })
	}
	return slices.ContainsFunc(s.Subnets, func(v policy.Subnet) bool { return v.ID == id })
}

// departures returns what proposed takes away of old, in order. What another resource of
// the plan goes on describing stays.
func departures(old, proposed *policy.Snapshot) []departure {
	var out []departure
	for _, m := range proposed.Missing {
		if d, ok := departureOf(m.What); ok && d.holds(old, d.id) && !d.holds(proposed, d.id) {
			out = append(out, d)
		}
	}
	return out
}

// successors finds which objects of proposed stand in the place of objects of old under
// another id: those that replace one, and the default groups and ACLs of VPCs that the
// plan begins to keep. It returns what is left: what goes without a successor, and what
// could not be matched.
func successors(old, proposed *policy.Snapshot) (to map[departure]string, gone []departure, unmatched []policy.Missing) {
	to = make(map[departure]string)
	taken := make(map[departure]bool) // of two that claim a place the first has it
	for _, d := range departures(old, proposed) {
		place := departure{kind: d.kind, id: d.id}
		switch {
		case taken[place]:
		case d.by != "" && d.holds(proposed, d.by):
			to[departure{kind: d.kind, id: d.by}], taken[place] = d.id, true
		default:
			gone = append(gone, d)
		}
	}
	adopt := func(kind, id, vpc string, find func() string) {
		d := departure{kind: kind, id: id}
		if to[d] != "" || d.holds(old, id) {
			return
		}
		was := find()
		place := departure{kind: kind, id: was}
		if vpc != "" && was != "" && !d.holds(proposed, was) && !taken[place] {
			to[d], taken[place] = was, true
			return
		}
		effect := "which it is cannot be told: what the plan does to it is left out"
		if vpc == "" {
			effect = "its VPC is unknown until apply, and taken to be one that is not there yet"
		}
		unmatched = append(unmatched, policy.Missing{What: "default " + kind + " that " + id + " is", Effect: effect})
	}
	for i := range proposed.Groups {
		if g := &proposed.Groups[i]; g.Default && !strings.HasPrefix(g.ID, "sg-") {
			adopt(goneGroup, g.ID, g.VPC, func() string {
				j := slices.IndexFunc(old.Groups, func(o policy.Group) bool { return o.Default && o.VPC == g.VPC })
				if j < 0 {
					return ""
				}
				return old.Groups[j].ID
			})
		}
	}
	for i := range proposed.ACLs {
		if a := &proposed.ACLs[i]; a.Default && !strings.HasPrefix(a.ID, "acl-") {
			adopt(goneACL, a.ID, a.VPC, func() string {
				j := slices.IndexFunc(old.ACLs, func(o policy.ACL) bool { return o.Default && o.VPC == a.VPC })
				if j < 0 {
					return ""
				}
				return old.ACLs[j].ID
			})
		}
	}
	return to, gone, unmatched
}

// renamed returns proposed with what succeeds something of old under the old id, so that
// all that names either means the same. Rules that the plan takes from the old one go
// with it.
func renamed(proposed *policy.Snapshot, to map[departure]string) *policy.Snapshot {
	if len(to) == 0 {
		return proposed
	}
	taken := make(map[departure]bool)
	for d, id := range to {
		taken[departure{kind: d.kind, id: id}] = true
	}
	name := func(kind, id string) string {
		if now := to[departure{kind: kind, id: id}]; now != "" {
			return now
		}
		return id
	}
	names := func(kind string, ids []string) []string {
		out := slices.Clone(ids)
		for i := range out {
			out[i] = name(kind, out[i])
		}
		return sortStrings(out)
	}
	rules := func(owner string, rs []policy.Rule) []policy.Rule {
		out := mapRefs(rs, func(r policy.SetRef) policy.SetRef {
			kind := goneGroup
			if r.Kind == policy.ListSet {
				kind = goneList
			}
			r.ID = name(kind, r.ID)
			return r
		})
		for i := range out {
			out[i].Ref.Owner = owner
		}
		return out
	}
	out := &policy.Snapshot{Taken: proposed.Taken, FlowLogs: proposed.FlowLogs, Platforms: proposed.Platforms}
	for _, g := range proposed.Groups {
		if taken[departure{kind: goneGroup, id: g.ID}] {
			continue
		}
		g.ID = name(goneGroup, g.ID)
		g.Rules = rules(g.ID, g.Rules)
		out.Groups = append(out.Groups, g)
	}
	for _, a := range proposed.ACLs {
		if taken[departure{kind: goneACL, id: a.ID}] {
			continue
		}
		a.ID = name(goneACL, a.ID)
		a.Rules, a.Subnets = rules(a.ID, a.Rules), names(goneSubnet, a.Subnets)
		out.ACLs = append(out.ACLs, a)
	}
	for _, l := range proposed.Lists {
		if !taken[departure{kind: goneList, id: l.ID}] {
			l.ID = name(goneList, l.ID)
			out.Lists = append(out.Lists, l)
		}
	}
	for _, f := range proposed.Interfaces {
		f.ID, f.Subnet, f.Groups = name(goneInterface, f.ID), name(goneSubnet, f.Subnet), names(goneGroup, f.Groups)
		out.Interfaces = append(out.Interfaces, f)
	}
	for _, v := range proposed.Subnets {
		v.ID = name(goneSubnet, v.ID)
		out.Subnets = append(out.Subnets, v)
	}
	for _, m := range proposed.Missing {
		drop := false
		for d, id := range to {
			switch {
			case m.What == undeclaredRules(id) || m.What == changedEntries(id) || m.What == subnetsOf(id):
				drop = true
			case m.What == undeclaredRules(d.id):
				m.What = undeclaredRules(id)
			case m.What == subnetsOf(d.id):
				m.What = subnetsOf(id)
			}
		}
		if !drop {
			out.Missing = append(out.Missing, m)
		}
	}
	return out
}

// mapRefs returns a copy of rs in which f has been over each reference.
func mapRefs(rs []policy.Rule, f func(policy.SetRef) policy.SetRef) []policy.Rule {
	out := slices.Clone(rs)
	for i := range out {
		out[i].Match = slices.Clone(out[i].Match)
		for j := range out[i].Match {
			for _, set := range []*policy.AddrSet{&out[i].Match[j].Local, &out[i].Match[j].Remote} {
				set.Refs = slices.Clone(set.Refs)
				for k := range set.Refs {
					set.Refs[k] = f(set.Refs[k])
				}
			}
		}
	}
	return out
}
