package cloud

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sgadvise/sgadvise/engine/netset"
	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/ingest/flow"
)

// remove takes out of s what a plan destroys. A cloud refuses to destroy what is in use,
// so what still uses it is said, and is judged as if it had let go: a rule that names a
// group matches nobody, an interface has the rules of its other groups, a subnet falls to
// the default ACL of its VPC, and an interface that is gone, or whose subnet is, passes
// nothing.
func remove(s *policy.Snapshot, gone []departure) {
	for _, d := range gone {
		var users []string
		switch d.kind {
		case goneGroup:
			users = removeGroup(s, d.id)
		case goneACL:
			users = removeACL(s, d.id)
		case goneList:
			s.Lists = drop(s.Lists, func(l *policy.PrefixList) bool { return l.ID == d.id })
		case goneInterface:
			for i := range s.Interfaces {
				if s.Interfaces[i].ID == d.id {
					removeInterface(s, &s.Interfaces[i])
					users = append(users, d.id)
				}
			}
		case goneSubnet:
			for i := range s.Interfaces {
				if s.Interfaces[i].Subnet == d.id {
					removeInterface(s, &s.Interfaces[i])
					users = append(users, s.Interfaces[i].ID)
				}
			}
		}
		if len(users) > 0 {
			users = sortStrings(users)
			s.Missing = append(s.Missing, policy.Missing{What: d.what(), Effect: "the plan destroys it, and it is in use by " + someOf(users) + ": judged as if it were gone from there"})
		}
	}
}

// drop returns the elements of all that do not go.
func drop[T any](all []T, goes func(*T) bool) []T {
	var out []T
	for i := range all {
		if !goes(&all[i]) {
			out = append(out, all[i])
		}
	}
	return out
}

// someOf writes the first names of a list, and how many more there are.
func someOf(names []string) string {
	const most = 3
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}

// removeGroup takes the rules of a group away, and the group too if nothing carries it.
// It returns what used it.
func removeGroup(s *policy.Snapshot, id string) (users []string) {
	for i := range s.Interfaces {
		if slices.Contains(s.Interfaces[i].Groups, id) {
			users = append(users, s.Interfaces[i].ID)
		}
	}
	carried := len(users) > 0
	s.Groups = drop(s.Groups, func(g *policy.Group) bool { return g.ID == id && !carried })
	for i := range s.Groups {
		g := &s.Groups[i]
		if g.ID == id {
			g.Rules, g.EgressOpen, g.Intra = nil, false, false
			continue
		}
		for j := range g.Rules {
			names := func(r policy.SetRef) bool { return r.Kind == policy.GroupSet && r.ID == id && r.Dead == "" }
			if slices.ContainsFunc(g.Rules[j].Refs(), names) {
				users = append(users, g.Rules[j].Ref.String())
			}
		}
		g.Rules = mapRefs(g.Rules, func(r policy.SetRef) policy.SetRef {
			if r.Kind == policy.GroupSet && r.ID == id && r.Dead == "" {
				r.Dead = "the plan destroys the group"
			}
			return r
		})
	}
	return users
}

// removeInterface leaves f with a group that has no rules: nothing passes it any more,
// and it is nobody's member.
func removeInterface(s *policy.Snapshot, f *policy.Interface) {
	g := policy.Group{ID: "gone:" + f.ID, VPC: f.VPC}
	if f.Platform == alibabaPlatform.ID {
		g.Kind = alibabaBasic
	}
	if !slices.ContainsFunc(s.Groups, func(o policy.Group) bool { return o.ID == g.ID }) {
		s.Groups = append(s.Groups, g)
	}
	f.Groups, f.Stages, f.IngressOpen = []string{g.ID}, nil, false
}

// removeACL gives the subnets of an ACL to the default one of the VPC. Where there is no
// default ACL a subnet has none from then on; where it is not known, nobody can tell.
func removeACL(s *policy.Snapshot, id string) (subnets []string) {
	at := slices.IndexFunc(s.ACLs, func(a policy.ACL) bool { return a.ID == id && !a.Default })
	if at < 0 {
		return nil
	}
	subnets, vpc := s.ACLs[at].Subnets, s.ACLs[at].VPC
	s.ACLs = drop(s.ACLs, func(a *policy.ACL) bool { return a.ID == id })
	to := slices.IndexFunc(s.ACLs, func(a policy.ACL) bool { return a.Default && a.VPC == vpc && vpc != "" })
	if to >= 0 {
		s.ACLs[to].Subnets = sortStrings(append(slices.Clone(s.ACLs[to].Subnets), subnets...))
		return subnets
	}
	s.ACLs = doubtACLs(s.ACLs, slices.DeleteFunc(slices.Clone(subnets), func(v string) bool { return needsNoACL(s, v) }))
	return subnets
}

// needsNoACL reports whether the subnet is of a platform where subnets need no ACL.
func needsNoACL(s *policy.Snapshot, subnet string) bool {
	return slices.ContainsFunc(s.Interfaces, func(f policy.Interface) bool {
		return f.Subnet == subnet && slices.ContainsFunc(s.Platforms, func(p policy.Platform) bool { return p.ID == f.Platform && p.ACLOptional })
	})
}

// doubtedACL stands for the network ACL of subnets of which nobody knows which they have.
const doubtedACL = "unknown-network-acl"

// doubtACLs takes subnets from their ACLs and gives them one that may do anything.
func doubtACLs(acls []policy.ACL, subnets []string) []policy.ACL {
	if len(subnets) == 0 {
		return acls
	}
	for i := range acls {
		for _, v := range subnets {
			acls[i].Subnets = without(acls[i].Subnets, v)
		}
	}
	at := slices.IndexFunc(acls, func(a policy.ACL) bool { return a.ID == doubtedACL })
	if at < 0 {
		a := policy.ACL{ID: doubtedACL}
		for _, d := range []flow.Direction{flow.Ingress, flow.Egress} {
			for _, action := range []policy.Action{policy.Deny, policy.Allow} {
				m := policy.NewMatch(d, policy.AnyProto, netset.AllPorts, policy.AnyICMP, policy.AddrSet{Unknown: true})
				a.Rules = append(a.Rules, policy.Rule{Ref: policy.Ref{Owner: a.ID, Rule: undeclaredID(d, action)}, Direction: d, Action: action, Match: []policy.Match{m}, Implicit: true})
			}
		}
		at, acls = len(acls), append(acls, a)
	}
	acls[at].Subnets = sortStrings(append(slices.Clone(acls[at].Subnets), subnets...))
	return acls
}
