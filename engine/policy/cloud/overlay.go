package cloud

import (
	"cmp"
	"slices"
	"strings"

	"github.com/sgadvise/sgadvise/engine/policy"
)

// Overlay returns the policy that old becomes when proposed is put in force. Groups,
// network ACLs, prefix lists, interfaces and subnets of proposed take the place of those
// of old with the same id; everything that proposed does not describe stays. Both
// snapshots are sealed, and so is the result; neither is changed.
//
// A rule that does in proposed what a rule of old's group did is that rule: it keeps its
// id and age, and takes the description and address of proposed. Where proposed holds
// only a part of a group or ACL (Terraform rules of a group that Terraform does not
// manage) the rules of old stay, less those that the plan removes. An interface keeps
// what proposed leaves empty. A subnet that proposed gives to one network ACL is taken
// from the others; one that it takes away falls to the default ACL of the VPC. A prefix
// list of which the plan changes a part is not known any more. What a plan replaces goes on
// under its old id, as what takes its place; a default group or ACL that the plan begins
// to keep is that of its VPC. What a plan destroys is gone: see remove.
//
// Missing names what old lacks and proposed does not bring, what proposed itself could
// not know, and the groups and lists that the result refers to and does not hold.
func Overlay(old, proposed *policy.Snapshot) (*policy.Snapshot, error) {
	to, gone, unmatched := successors(old, proposed)
	proposed = renamed(proposed, to)
	out := &policy.Snapshot{Taken: old.Taken, FlowLogs: slices.Clone(old.FlowLogs)}
	if !proposed.Taken.IsZero() {
		out.Taken = proposed.Taken
	}
	out.Groups = replace(old.Groups, proposed.Groups, func(g *policy.Group) string { return g.ID }, func(was, now *policy.Group) policy.Group {
		g := *now
		part := proposed.MissingWhat(undeclaredRules(g.ID))
		bare := part && isBare(&g) // nothing but rules
		if was == nil {
			g.Rules = overlayRules(nil, g.Rules, part, bare)
			return g
		}
		if bare {
			g = *was
		}
		g.Name, g.VPC, g.Account, g.Kind = cmp.Or(g.Name, was.Name), cmp.Or(g.VPC, was.VPC), cmp.Or(g.Account, was.Account), cmp.Or(g.Kind, was.Kind)
		g.Default, g.Managed = g.Default || was.Default, g.Managed || was.Managed
		g.Rules = overlayRules(was.Rules, now.Rules, part, bare)
		return g
	})
	out.ACLs = overlayACLs(old, proposed)
	out.Subnets = replace(old.Subnets, proposed.Subnets, func(s *policy.Subnet) string { return s.ID }, func(was, now *policy.Subnet) policy.Subnet {
		s := *now
		if was != nil {
			s.VPC = cmp.Or(s.VPC, was.VPC)
		}
		return s
	})
	out.Interfaces = replace(old.Interfaces, proposed.Interfaces, func(f *policy.Interface) string { return f.ID }, overlayInterface)
	out.Lists = replace(old.Lists, proposed.Lists, func(l *policy.PrefixList) string { return l.ID }, func(was, now *policy.PrefixList) policy.PrefixList {
		l := *now
		if was == nil {
			return l
		}
		l.Name, l.MaxEntries, l.Provider = cmp.Or(l.Name, was.Name), max(l.MaxEntries, was.MaxEntries), l.Provider || was.Provider
		if !l.Known && !proposed.MissingWhat(changedEntries(l.ID)) && was.Known {
			l.Known, l.Entries = true, was.Entries
		}
		return l
	})
	for _, l := range proposed.FlowLogs {
		if !slices.ContainsFunc(out.FlowLogs, func(o policy.FlowLog) bool { return o.ID == l.ID }) {
			out.FlowLogs = append(out.FlowLogs, l)
		}
	}
	out.Platforms = slices.Clone(old.Platforms)
	for _, p := range proposed.Platforms {
		if !slices.ContainsFunc(out.Platforms, func(o policy.Platform) bool { return o.ID == p.ID }) {
			out.Platforms = append(out.Platforms, p)
		}
	}
	// Sealing puts these in order, and those of old are not to be touched.
	for i := range out.Groups {
		out.Groups[i].Rules = slices.Clone(out.Groups[i].Rules)
	}
	for i := range out.Interfaces {
		out.Interfaces[i].Groups = slices.Clone(out.Interfaces[i].Groups)
	}
	out.Missing = append(overlayMissing(old, proposed, out), unmatched...)
	remove(out, gone)
	nameUnresolved(out)
	return out, out.Seal()
}

// replace returns the elements of old, each through merge if proposed has one of the
// same id, and the others of proposed, through merge alone.
func replace[T any](old, proposed []T, id func(*T) string, merge func(was, now *T) T) []T {
	at := make(map[string]*T, len(proposed))
	for i := range proposed {
		at[id(&proposed[i])] = &proposed[i]
	}
	var out []T
	for i := range old {
		now := at[id(&old[i])]
		if now == nil {
			out = append(out, old[i])
			continue
		}
		out = append(out, merge(&old[i], now))
		delete(at, id(&old[i]))
	}
	for i := range proposed {
		if at[id(&proposed[i])] != nil {
			out = append(out, merge(nil, &proposed[i]))
		}
	}
	return out
}

// isBare reports whether g has nothing but rules: it stands for one that is kept
// elsewhere.
func isBare(g *policy.Group) bool {
	return g.Name == "" && g.VPC == "" && g.Kind == "" && g.Account == ""
}

// overlayRules returns the rules now, those that do what a rule of was does under its
// name. If now is only a part, the rules of was that it does not remove stay; of a bare
// one the part alone says that there may be others.
func overlayRules(was, now []policy.Rule, part, bare bool) []policy.Rule {
	before := make(map[string]*policy.Rule, len(was))
	for i := range was {
		before[RuleDigest(&was[i])] = &was[i]
	}
	taken := make(map[policy.Ref]bool)
	removed := make(map[string]bool)
	var out []policy.Rule
	for i := range now {
		r := now[i]
		if part && r.Implicit && was != nil && strings.HasPrefix(r.Ref.Rule, removedPrefix) {
			removed[strings.TrimPrefix(r.Ref.Rule, removedPrefix)] = true
			continue
		}
		if part && r.Implicit && (strings.HasPrefix(r.Ref.Rule, removedPrefix) || bare && was != nil && strings.HasPrefix(r.Ref.Rule, undeclaredPrefix)) {
			continue
		}
		if b := before[RuleDigest(&r)]; b != nil && !taken[b.Ref] && !r.Implicit {
			r.Ref, r.Created, r.Editable = b.Ref, b.Created, r.Editable && b.Editable
			if r.Address != "" {
				r.Match = b.Match // which knows more of the groups that it names
			}
		}
		if taken[r.Ref] {
			continue
		}
		taken[r.Ref] = true
		out = append(out, r)
	}
	if part {
		for i := range was {
			if !taken[was[i].Ref] && !removed[RuleDigest(&was[i])] {
				taken[was[i].Ref] = true
				out = append(out, was[i])
			}
		}
	}
	return out
}

// overlayACLs replaces ACLs and settles which one each subnet has.
func overlayACLs(old, proposed *policy.Snapshot) []policy.ACL {
	claimed := make(map[string]string) // subnet → ACL of proposed
	for i := range proposed.ACLs {
		for _, s := range proposed.ACLs[i].Subnets {
			claimed[s] = proposed.ACLs[i].ID
		}
	}
	left := make(map[string]string) // subnet that loses its ACL → VPC
	var doubted []string            // subnets that may have lost or changed theirs
	out := replace(old.ACLs, proposed.ACLs, func(a *policy.ACL) string { return a.ID }, func(was, now *policy.ACL) policy.ACL {
		a := *now
		part := proposed.MissingWhat(undeclaredRules(a.ID))
		a.Subnets = slices.Clone(a.Subnets)
		if was == nil {
			a.Rules = overlayRules(nil, a.Rules, part, part)
			return a
		}
		a.VPC, a.Default = cmp.Or(a.VPC, was.VPC), a.Default || was.Default
		a.Rules = overlayRules(was.Rules, now.Rules, part, part)
		for _, s := range was.Subnets {
			switch {
			case claimed[s] != "":
			case proposed.MissingWhat(subnetsOf(a.ID)):
				doubted = append(doubted, s)
			case part:
				a.Subnets = append(a.Subnets, s)
			default:
				left[s] = a.VPC
			}
		}
		a.Subnets = sortStrings(a.Subnets)
		return a
	})
	for i := range out {
		a := &out[i]
		var subnets []string
		for _, s := range a.Subnets {
			if claimed[s] == "" || claimed[s] == a.ID {
				subnets = append(subnets, s)
			}
		}
		a.Subnets = subnets
		if a.Default {
			for s, vpc := range left {
				if vpc == a.VPC && vpc != "" {
					a.Subnets = append(a.Subnets, s)
				}
			}
			a.Subnets = sortStrings(a.Subnets)
		}
		a.Rules = slices.Clone(a.Rules)
		if a.VPC == "" || !proposed.MissingWhat(subnetsOf(a.ID)) {
			continue
		}
		// It may take any other subnet of its VPC.
		for _, in := range [][]policy.Subnet{old.Subnets, proposed.Subnets} {
			for j := range in {
				if in[j].VPC == a.VPC && claimed[in[j].ID] == "" {
					doubted = append(doubted, in[j].ID)
				}
			}
		}
	}
	return doubtACLs(out, sortStrings(doubted))
}

// overlayInterface fills in what now leaves empty.
func overlayInterface(was, now *policy.Interface) policy.Interface {
	f := *now
	if was == nil {
		return f
	}
	f.Name, f.VPC, f.Subnet, f.Account = cmp.Or(f.Name, was.Name), cmp.Or(f.VPC, was.VPC), cmp.Or(f.Subnet, was.Subnet), cmp.Or(f.Account, was.Account)
	f.Instance, f.Platform = cmp.Or(f.Instance, was.Instance), cmp.Or(f.Platform, was.Platform)
	if f.Kind == "" {
		f.Kind, f.Role = was.Kind, was.Role
		f.RequesterManaged, f.IngressOpen, f.NoACL = was.RequesterManaged, was.IngressOpen, was.NoACL
		f.Transit = f.Transit || was.Transit
	}
	if len(f.Addresses) == 0 {
		f.Addresses = was.Addresses
	}
	if len(f.Prefixes) == 0 {
		f.Prefixes = was.Prefixes
	}
	if f.Attached.IsZero() {
		f.Attached = was.Attached
	}
	return f
}

// overlayMissing names what the result lacks; nameUnresolved adds the references.
func overlayMissing(old, proposed, out *policy.Snapshot) []policy.Missing {
	brings := map[string]bool{"security-groups": len(proposed.Groups) > 0, "network-interfaces": len(proposed.Interfaces) > 0,
		"network-acls": len(proposed.ACLs) > 0, "subnets": len(proposed.Subnets) > 0, "flow-logs": len(proposed.FlowLogs) > 0}
	had := make(map[string]bool)
	for i := range old.Groups {
		had[old.Groups[i].ID] = true
	}
	for i := range old.ACLs {
		had[old.ACLs[i].ID] = true
	}
	here := make(map[string]bool)
	for i := range out.Groups {
		here["group "+out.Groups[i].ID] = true
	}
	for i := range out.ACLs {
		here["network-acl "+out.ACLs[i].ID] = true
	}
	for i := range out.Lists {
		here["prefix-list "+out.Lists[i].ID] = out.Lists[i].Known
	}
	var missing []policy.Missing
	for _, m := range old.Missing {
		if !here[m.What] && !(brings[m.What] && !proposed.MissingWhat(m.What)) {
			missing = append(missing, m)
		}
	}
	for _, m := range proposed.Missing {
		id, part := partOf(m.What)
		d, isDeparture := departureOf(m.What)
		switch {
		case part && had[id], here[m.What], isDeparture && d.by == "": // remove says what follows
		case !strings.Contains(m.What, " "): // a kind of export: old has it, or names it missing
		default:
			missing = append(missing, m)
		}
	}
	return missing
}
