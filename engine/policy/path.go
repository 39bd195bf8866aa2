package policy

import (
	"net/netip"
	"slices"

	"github.com/sgadvise/sgadvise/engine/netset"
	"github.com/sgadvise/sgadvise/ingest/flow"
)

// The names of stages and of the tiers of the group stage.
const (
	GroupStage    = "sg"
	ACLStage      = "nacl"
	IntraTier     = "intra-group" // members of a group among themselves
	RuleTier      = "rules"
	AdmittedTier  = "platform" // what the platform admits where no rule speaks
	intraPrefix   = "intra-group:"
	defaultPrefix = "default:"
)

// DefaultRef names what a stage does with what no rule matches.
func DefaultRef(stage string, d flow.Direction) Ref {
	return Ref{ImplicitOwner, defaultPrefix + stage + ":" + d.String()}
}

// IntraRef names the hidden rule that lets the members of group id talk to one
// another, both ways.
func IntraRef(id string) Ref { return Ref{ImplicitOwner, intraPrefix + id} }

// Path returns the stages that a new connection of interface id passes in
// direction d, in the order they speak, with every reference resolved. Ingress
// meets the network ACL first, egress the groups first. An interface without
// groups has no group stage; one whose subnet, or whose subnet's ACL, is not in
// the snapshot has no ACL stage. Path returns nil if the interface is not known.
func (s *Snapshot) Path(id string, d flow.Direction) []Stage {
	f, ok := s.Interface(id)
	if !ok {
		return nil
	}
	return s.pathOf(f, d, (*Snapshot).declared)
}

// Frame is Path without the declared rules: it names the stages, what they end in, and
// the rules that no export holds.
func (s *Snapshot) Frame(id string, d flow.Direction) []Stage {
	f, ok := s.Interface(id)
	if !ok {
		return nil
	}
	return s.pathOf(f, d, func(_ *Snapshot, to []Rule, _ []Rule, _ flow.Direction) []Rule { return to })
}

// Outline is Path with one rule in the place of those of each group or network ACL that has
// any. It has no match, and its ref names the owner alone.
func (s *Snapshot) Outline(id string, d flow.Direction) []Stage {
	f, ok := s.Interface(id)
	if !ok {
		return nil
	}
	return s.pathOf(f, d, func(_ *Snapshot, to, rules []Rule, _ flow.Direction) []Rule {
		if len(rules) == 0 {
			return to
		}
		return append(to, Rule{Ref: Ref{Owner: rules[0].Ref.Owner}})
	})
}

// EachOnPath calls f with each rule on the path of interface id in direction d, as it was
// declared: references are not resolved.
func (s *Snapshot) EachOnPath(id string, d flow.Direction, f func(*Rule)) {
	x, ok := s.Interface(id)
	if !ok {
		return
	}
	frame := s.pathOf(x, d, func(_ *Snapshot, to, rules []Rule, d flow.Direction) []Rule {
		for i := range rules {
			if rules[i].Direction == d {
				f(&rules[i])
			}
		}
		return to
	})
	for _, st := range frame {
		for _, tier := range st.Tiers {
			for i := range tier.Rules {
				f(&tier.Rules[i])
			}
		}
	}
}

// appender appends the rules of one group or ACL in one direction.
type appender func(s *Snapshot, to, rules []Rule, d flow.Direction) []Rule

// declared appends those of rules that are of direction d, with references resolved.
func (s *Snapshot) declared(to, rules []Rule, d flow.Direction) []Rule {
	n := 0
	for i := range rules {
		if rules[i].Direction == d {
			n++
		}
	}
	to = slices.Grow(to, n)
	for i := range rules {
		if rules[i].Direction == d {
			to = append(to, s.effective(&rules[i]))
		}
	}
	return to
}

func (s *Snapshot) pathOf(f *Interface, d flow.Direction, add appender) []Stage {
	var path []Stage
	switch {
	case len(f.Stages) > 0:
		path = s.specStages(f, d, add)
	case len(f.Groups) > 0 && !(f.IngressOpen && d == flow.Egress):
		path = append(path, s.groupStage(f, d, add))
	}
	if acl, sub, ok := s.ACLFor(f); ok {
		path = append(path, s.aclStage(s.PlatformOf(f), acl, sub, d, add))
	}
	if d == flow.Ingress {
		slices.Reverse(path)
	}
	return path
}

// PathKey returns a text that is equal for interfaces whose paths are.
func (s *Snapshot) PathKey(f *Interface) string {
	k := f.Platform
	for _, g := range f.Groups {
		k += " " + g
	}
	for _, st := range f.Stages {
		k += "/" + st.Name
		for _, tier := range st.Tiers {
			k += ";"
			for _, g := range tier {
				k += " " + g
			}
		}
		k += "=" + st.Defaults[0].String() + "," + st.Defaults[1].String()
		if st.First {
			k += " first"
		}
	}
	if f.IngressOpen {
		k += "|open"
	}
	if acl, sub, ok := s.ACLFor(f); ok {
		k += "|" + acl.ID + "|" + sub.ID
	}
	return k
}

// groupStage joins the rules of the groups of f.
func (s *Snapshot) groupStage(f *Interface, d flow.Direction, add appender) Stage {
	p := s.PlatformOf(f)
	st := Stage{Name: GroupStage, Stateful: true, Exempt: p.Exempt, Default: Deny, DefaultRef: DefaultRef(GroupStage, d)}
	intra := Tier{Name: IntraTier}
	for _, id := range f.Groups {
		g, ok := s.Group(id)
		if !ok {
			continue
		}
		if g.Intra && s.hasMates(id) {
			m := NewMatch(d, AnyProto, netset.AllPorts, AnyICMP, s.Resolve(AddrSet{Refs: []SetRef{{Kind: GroupSet, ID: id}}}))
			intra.Rules = append(intra.Rules, Rule{Ref: IntraRef(id), Direction: d, Action: Allow, Match: []Match{m}, Implicit: true})
		}
		if g.EgressOpen && d == flow.Egress {
			st.Default = Allow
		}
	}
	if f.IngressOpen {
		st.Default = Allow
	}
	if len(intra.Rules) > 0 {
		st.Tiers = append(st.Tiers, intra)
	}
	st.Tiers = append(st.Tiers, s.groupTier(p, f.Groups, d, add))
	if len(p.Admitted) > 0 {
		m := NewMatch(d, AnyProto, netset.AllPorts, AnyICMP, AddrSet{Prefixes: p.Admitted})
		st.Tiers = append(st.Tiers, Tier{Name: AdmittedTier, Rules: []Rule{{Ref: Ref{ImplicitOwner, "platform:" + GroupStage + ":" + d.String()},
			Direction: d, Action: Allow, Match: []Match{m}, Implicit: true}}})
	}
	if st.Default == Allow && s.mixedDefaults(GroupStage, d) {
		st.DefaultRef.Rule += ":allow"
	}
	return st
}

// hasMates reports whether an interface that carries group id has others to talk to.
func (s *Snapshot) hasMates(id string) bool {
	return s.carriers[id] > 1 || s.MissingWhat("network-interfaces")
}

// mixedDefaults reports whether stages of this name and direction end in different ways
// in s; a ref names one way only.
func (s *Snapshot) mixedDefaults(stage string, d flow.Direction) bool {
	return s.mixed[ending{stage, sideOf(d)}] == 1<<Deny|1<<Allow
}

// ending is a kind of stage in one direction.
type ending struct {
	stage string
	side  int
}

func sideOf(d flow.Direction) int {
	if d == flow.Egress {
		return 1
	}
	return 0
}

// findMixed settles mixedDefaults.
func (s *Snapshot) findMixed() {
	open := make(map[string]bool)
	for i := range s.Groups {
		open[s.Groups[i].ID] = s.Groups[i].EgressOpen
	}
	s.mixed = make(map[ending]uint8)
	for i := range s.Interfaces {
		f := &s.Interfaces[i]
		ends := func(stage string, side int, a Action) { s.mixed[ending{stage, side}] |= 1 << a }
		switch {
		case len(f.Stages) > 0:
			for k := range f.Stages {
				for side, a := range f.Stages[k].Defaults {
					ends(f.Stages[k].Name, side, a)
				}
			}
		case len(f.Groups) == 0:
		case f.IngressOpen:
			ends(GroupStage, 0, Allow)
		default:
			ends(GroupStage, 0, Deny)
			egress := Deny
			if slices.ContainsFunc(f.Groups, func(g string) bool { return open[g] }) {
				egress = Allow
			}
			ends(GroupStage, 1, egress)
		}
	}
}

// groupTier joins the rules of groups, on platform p, in direction d.
func (s *Snapshot) groupTier(p *Platform, groups []string, d flow.Direction, add appender) Tier {
	tier := Tier{Name: RuleTier}
	for _, id := range groups {
		g, ok := s.Group(id)
		if !ok {
			// The interface carries a group whose rules are not here: it may allow anything,
			// and deny anything where its rules can.
			m := NewMatch(d, AnyProto, netset.AllPorts, AnyICMP, AddrSet{Unknown: true})
			may := Rule{Ref: Ref{ImplicitOwner, "unknown-group:" + id + ":" + d.String()}, Direction: d, Action: Allow, Match: []Match{m}, Implicit: true}
			tier.Rules = append(tier.Rules, may)
			if p.GroupsDeny {
				may.Ref.Rule, may.Action = may.Ref.Rule+":deny", Deny
				tier.Rules = append(tier.Rules, may)
			}
			continue
		}
		tier.Rules = add(s, tier.Rules, g.Rules, d)
	}
	return tier
}

// specStages builds the stages that the interface spells out, in the order of egress
// from front to back, whatever d is: Path turns that of ingress round.
func (s *Snapshot) specStages(f *Interface, d flow.Direction, add appender) []Stage {
	var first, rest []Stage
	for i := range f.Stages {
		st := s.specStage(f, &f.Stages[i], d, add)
		if f.Stages[i].First {
			first = append(first, st)
		} else {
			rest = append(rest, st)
		}
	}
	slices.Reverse(rest)
	if d == flow.Egress {
		return append(first, rest...)
	}
	slices.Reverse(first)
	return append(rest, first...)
}

// specStage builds a stage that the interface spells out.
func (s *Snapshot) specStage(f *Interface, spec *StageSpec, d flow.Direction, add appender) Stage {
	st := Stage{Name: spec.Name, Stateful: true, Exempt: s.PlatformOf(f).Exempt,
		Default: spec.Defaults[sideOf(d)], DefaultRef: DefaultRef(spec.Name, d)}
	if st.Default == Allow && s.mixedDefaults(spec.Name, d) {
		st.DefaultRef.Rule += ":allow"
	}
	for _, groups := range spec.Tiers {
		tier := s.groupTier(s.PlatformOf(f), groups, d, add)
		if len(groups) > 0 {
			tier.Name = groups[0]
		}
		st.Tiers = append(st.Tiers, tier)
	}
	return st
}

// ACLExempt returns the addresses with which f, whose subnet is sub, talks unfiltered by
// network ACLs, in order.
func (s *Snapshot) ACLExempt(f *Interface, sub *Subnet) []netip.Prefix {
	return aclExempt(s.PlatformOf(f), sub)
}

func aclExempt(p *Platform, sub *Subnet) []netip.Prefix {
	out := slices.Concat(p.Exempt, p.ACLExempt, sub.Blocks)
	slices.SortFunc(out, ComparePrefix)
	return slices.Compact(out)
}

func (s *Snapshot) aclStage(p *Platform, acl *ACL, sub *Subnet, d flow.Direction, add appender) Stage {
	st := Stage{Name: ACLStage, Exempt: aclExempt(p, sub), Default: Deny, DefaultRef: DefaultRef(ACLStage, d)}
	st.Tiers = []Tier{{Name: RuleTier, Rules: add(s, nil, acl.Rules, d)}}
	return st
}
