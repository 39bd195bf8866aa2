package cloud

import (
	"fmt"
	"slices"

	"github.com/sgadvise/sgadvise/engine/policy"
)

// tfDeclared is what plans and states declare, before it meets what is in force.
type tfDeclared struct {
	groups     []policy.Group
	acls       []policy.ACL
	interfaces []policy.Interface
	subnets    []policy.Subnet
	lists      []policy.PrefixList
	owners     map[tfOwnerID]*tfOwner
	platforms  []policy.Platform
	missing    []policy.Missing

	subnetPlatforms map[string]string // subnet → platform
}

// driftWhat names what declared and real policy differ in.
const driftWhat = "terraform drift"

// join adds d to s. Where the cloud's own exports are in s they are what is in force:
// their rules stay and get the addresses of the resources that declare the same, and
// what they lack is not in force. Without exports the declared policy is all there is.
func (d *tfDeclared) join(s *policy.Snapshot) {
	exported := make(map[string]bool) // platforms with exported groups
	for i := range s.Groups {
		exported[groupPlatform(&s.Groups[i])] = true
	}
	exportedInterfaces := make(map[string]bool) // likewise
	for i := range s.Interfaces {
		exportedInterfaces[s.Interfaces[i].Platform] = true
	}
	// ACLs and subnets do not say whose they are: there the platforms that are here tell.
	exportedACLs, exportedSubnets := make(map[string]bool), make(map[string]bool)
	for _, p := range s.Platforms {
		exportedACLs[p.ID], exportedSubnets[p.ID] = len(s.ACLs) > 0, len(s.Subnets) > 0
	}
	noted := make(map[string]bool)
	missing := slices.DeleteFunc(slices.Clone(d.missing), func(m policy.Missing) bool {
		gone, ok := departureOf(m.What)
		return ok && gone.holds(s, gone.id) // it is in force
	})
	for i := range d.groups {
		g := &d.groups[i]
		at := slices.IndexFunc(s.Groups, func(x policy.Group) bool { return x.ID == g.ID })
		switch {
		case at >= 0:
			d.address(s, d.owners[tfOwnerID{g.ID, false}], s.Groups[at].Rules, g.Rules)
			noted[g.ID] = true
		case d.owners[tfOwnerID{g.ID, false}].fresh && exported[groupPlatform(g)]:
			d.notInForce(s, "group "+g.ID, g.Rules)
			noted[g.ID] = true
		default:
			s.Groups = append(s.Groups, *g)
		}
	}
	for i := range d.acls {
		a := &d.acls[i]
		at := slices.IndexFunc(s.ACLs, func(x policy.ACL) bool { return x.ID == a.ID })
		switch {
		case at >= 0:
			d.address(s, d.owners[tfOwnerID{a.ID, true}], s.ACLs[at].Rules, a.Rules)
			noted[a.ID] = true
		case exportedACLs[d.owners[tfOwnerID{a.ID, true}].platform().ID]:
			d.notInForce(s, "network-acl "+a.ID, a.Rules)
			noted[a.ID] = true
		default:
			s.ACLs = append(s.ACLs, *a)
		}
	}
	// Of members and subnets the exports know all or none.
	for _, f := range d.interfaces {
		if !exportedInterfaces[f.Platform] {
			s.Interfaces = append(s.Interfaces, f)
		}
	}
	for _, sub := range d.subnets {
		if !exportedSubnets[d.subnetPlatforms[sub.ID]] {
			s.Subnets = append(s.Subnets, sub)
		}
	}
	for _, l := range d.lists {
		if at := slices.IndexFunc(s.Lists, func(x policy.PrefixList) bool { return x.ID == l.ID }); at < 0 {
			s.Lists = append(s.Lists, l)
		}
	}
	for _, p := range d.platforms {
		if !slices.ContainsFunc(s.Platforms, func(q policy.Platform) bool { return q.ID == p.ID }) {
			s.Platforms = append(s.Platforms, p)
		}
	}
	for _, m := range missing {
		if id, ok := partOf(m.What); !ok || !noted[id] {
			s.Missing = append(s.Missing, m)
		}
	}
	all := func(exported map[string]bool) bool {
		return !slices.ContainsFunc(d.platforms, func(p policy.Platform) bool { return !exported[p.ID] })
	}
	for _, m := range []struct {
		what, effect string
		here         bool
	}{
		{"network-interfaces", "Terraform holds only the interfaces that it makes itself: members of groups are incomplete, so rules that name a group are unknown", all(exportedInterfaces)},
		{"network-acls", "Terraform holds only the network ACLs that it manages itself: others are not replayed", all(exportedACLs)},
		{"subnets", "Terraform holds only the subnets that it manages itself: network ACLs of others are not replayed", all(exportedSubnets)},
		{"flow-logs", "it is not known whether accepted and rejected traffic are both logged", len(s.FlowLogs) > 0},
		{"history", "rules and memberships are those of the plan or state; rule ages are not known", false},
	} {
		if !m.here && !s.MissingWhat(m.what) {
			s.Missing = append(s.Missing, policy.Missing{What: m.what, Effect: m.effect})
		}
	}
}

// groupPlatform tells the groups of platforms apart: only some have kinds of groups.
func groupPlatform(g *policy.Group) string {
	if g.Kind == "" {
		return awsPlatform.ID
	}
	return alibabaPlatform.ID
}

// partOf returns the group or ACL whose undeclared rules what names.
func partOf(what string) (id string, ok bool) {
	const prefix = "other rules of "
	if len(what) <= len(prefix) || what[:len(prefix)] != prefix {
		return "", false
	}
	return what[len(prefix):], true
}

// address puts the addresses of the declared rules of o on the rules in force that are
// the same, and says how far the two differ.
func (d *tfDeclared) address(s *policy.Snapshot, o *tfOwner, inForce, declared []policy.Rule) {
	of := make(map[string]string)
	total := 0
	for i := range declared {
		if !declared[i].Implicit {
			of[RuleDigest(&declared[i])] = declared[i].Address
			total++
		}
	}
	met := make(map[string]bool)
	undeclared := 0
	for i := range inForce {
		key := RuleDigest(&inForce[i])
		if address, ok := of[key]; ok && !inForce[i].Implicit {
			met[key] = true
			if inForce[i].Address == "" {
				inForce[i].Address = address
			}
		} else if !inForce[i].Implicit {
			undeclared++
		}
	}
	if len(o.at) == 0 {
		undeclared = 0 // Terraform does not claim to know the others
	}
	if lost := total - len(met); lost > 0 || undeclared > 0 {
		s.Missing = append(s.Missing, policy.Missing{What: driftWhat,
			Effect: fmt.Sprintf("%s: %d rules declared but not in force, %d in force but not declared; those in force count", o.id, lost, undeclared)})
	}
}

// notInForce notes a group or ACL that is declared and that the exports do not have.
func (d *tfDeclared) notInForce(s *policy.Snapshot, what string, declared []policy.Rule) {
	n := 0
	for i := range declared {
		if !declared[i].Implicit {
			n++
		}
	}
	s.Missing = append(s.Missing, policy.Missing{What: driftWhat, Effect: fmt.Sprintf("%s: %d rules declared but not in force: the exports do not have it", what, n)})
}
