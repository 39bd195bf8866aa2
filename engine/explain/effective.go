package explain

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"

	"github.com/sgadvise/sgadvise/engine/netset"
	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/ingest/flow"
)

// List is the rules in force on one interface, or those of one group, in evaluation order.
type List struct {
	Interface *policy.Interface // nil: the list of a group
	Group     *policy.Group     // nil: the list of an interface
	Attached  []Attachment      // of a group: where it is in force
	Stages    []ListStage       // those of ingress, then those of egress, each in path order
}

// Attachment is a place where a group is in force.
type Attachment struct {
	Interface   *policy.Interface
	Stage, Tier string // of an interface that spells its stages out
}

// ListStage is one stage of a list.
type ListStage struct {
	Direction flow.Direction
	Name      string
	Stateful  bool
	Exempt    []Exemption
	Rules     []ListRule // in evaluation order; the last is the default, if it is known
}

// Exemption is traffic that a stage does not filter.
type Exemption struct {
	Prefixes []netip.Prefix // of the far side
	Why      string
}

// ListRule is one rule of a list.
type ListRule struct {
	Tier string
	Rule *policy.Rule // as declared, references not resolved
	Sets []Set        // what its references hold
}

// Set is what a reference of a rule holds at the time of the snapshot.
type Set struct {
	ID       string
	Prefixes []netip.Prefix
	Dead     string // why it can hold nothing any more
	Unknown  bool   // what it holds, or a part of it, is not known
}

// DefaultTier is the tier that lists show for defaults.
const DefaultTier = "default"

// Interface lists the rules in force on interface id.
func Interface(s *policy.Snapshot, id string) (*List, error) {
	f, ok := s.Interface(id)
	if !ok {
		var ids []string
		for i := range s.Interfaces {
			ids = append(ids, s.Interfaces[i].ID)
		}
		return nil, unknown(s, InterfaceKind, id, ids)
	}
	l := &List{Interface: f}
	for _, d := range [2]flow.Direction{flow.Ingress, flow.Egress} {
		for _, st := range s.Path(id, d) {
			l.Stages = append(l.Stages, listStage(s, f, &st, d))
		}
	}
	return l, nil
}

// Instance lists the rules in force on each interface of instance id.
func Instance(s *policy.Snapshot, id string) ([]*List, error) {
	var out []*List
	var ids []string
	for i := range s.Interfaces {
		switch x := s.Interfaces[i].Instance; {
		case x == "":
		case x == id:
			l, err := Interface(s, s.Interfaces[i].ID)
			if err != nil {
				return nil, err
			}
			out = append(out, l)
		default:
			ids = append(ids, x)
		}
	}
	if len(out) == 0 {
		slices.Sort(ids)
		return nil, unknown(s, InstanceKind, id, slices.Compact(ids))
	}
	return out, nil
}

// Group lists the rules of group id as an interface that carries it alone has them.
func Group(s *policy.Snapshot, id string) (*List, error) {
	g, ok := s.Group(id)
	if !ok {
		var ids []string
		for i := range s.Groups {
			ids = append(ids, s.Groups[i].ID)
		}
		return nil, unknown(s, GroupKind, id, ids)
	}
	l := &List{Group: g}
	joined := false // whether some interface joins it with its other groups, or none carries it
	for _, f := range s.Attached(id) {
		places := places(f, id)
		joined = joined || len(f.Stages) == 0
		l.Attached = append(l.Attached, places...)
	}
	joined = joined || len(l.Attached) == 0
	for _, d := range [2]flow.Direction{flow.Ingress, flow.Egress} {
		st := ListStage{Direction: d, Name: policy.GroupStage, Stateful: true}
		if g.Intra {
			st.Rules = append(st.Rules, listRule(s, policy.IntraTier, intraRule(id, d)))
		}
		for _, r := range inOrder(g.Rules, d) {
			st.Rules = append(st.Rules, listRule(s, policy.RuleTier, r))
		}
		if joined {
			platform, last := tail(s, g, d)
			st.Rules = append(st.Rules, platform...)
			st.Rules = append(st.Rules, last)
		}
		l.Stages = append(l.Stages, st)
	}
	return l, nil
}

// places lists where on f group id is in force.
func places(f *policy.Interface, id string) []Attachment {
	if len(f.Stages) == 0 {
		return []Attachment{{Interface: f}}
	}
	var out []Attachment
	for i := range f.Stages {
		for _, tier := range f.Stages[i].Tiers {
			if slices.Contains(tier, id) {
				out = append(out, Attachment{Interface: f, Stage: f.Stages[i].Name, Tier: tier[0]})
			}
		}
	}
	return out
}

// tail returns what follows the rules of group g: what the platform admits on the
// interfaces that carry it, and the default.
func tail(s *policy.Snapshot, g *policy.Group, d flow.Direction) (platform []ListRule, last ListRule) {
	def := policy.Rule{Ref: policy.DefaultRef(policy.GroupStage, d), Direction: d, Action: policy.Deny, Implicit: true}
	if g.EgressOpen && d == flow.Egress {
		def.Action = policy.Allow
	}
	seen := false
	paths := make(map[string]bool) // those looked at
	for _, f := range s.Attached(g.ID) {
		key := s.PathKey(f)
		if paths[key] {
			continue
		}
		paths[key] = true
		for _, st := range s.Path(f.ID, d) {
			if st.Name != policy.GroupStage || len(f.Stages) > 0 {
				continue
			}
			for t := range st.Tiers {
				if st.Tiers[t].Name == policy.AdmittedTier && !seen {
					seen = true
					for i := range st.Tiers[t].Rules {
						platform = append(platform, listRule(s, policy.AdmittedTier, &st.Tiers[t].Rules[i]))
					}
				}
			}
			if st.Default == def.Action {
				def.Ref = st.DefaultRef
			}
		}
	}
	def.Match = []policy.Match{anything(d)}
	return platform, listRule(s, DefaultTier, &def)
}

// anything is the box of every connection.
func anything(d flow.Direction) policy.Match {
	return policy.NewMatch(d, policy.AnyProto, netset.AllPorts, policy.AnyICMP, policy.AnyAddr)
}

// inOrder returns the rules of direction d in the order in which they are evaluated.
func inOrder(rules []policy.Rule, d flow.Direction) []*policy.Rule {
	var out []*policy.Rule
	for i := range rules {
		if rules[i].Direction == d {
			out = append(out, &rules[i])
		}
	}
	slices.SortFunc(out, func(a, b *policy.Rule) int {
		return cmp.Or(cmp.Compare(a.Rank, b.Rank), cmp.Compare(a.Action, b.Action), a.Ref.Compare(b.Ref))
	})
	return out
}

func listStage(s *policy.Snapshot, f *policy.Interface, st *policy.Stage, d flow.Direction) ListStage {
	out := ListStage{Direction: d, Name: st.Name, Stateful: st.Stateful, Exempt: exemptions(s, f, st)}
	for t := range st.Tiers {
		for _, r := range inOrder(st.Tiers[t].Rules, d) {
			out.Rules = append(out.Rules, listRule(s, st.Tiers[t].Name, declared(s, r)))
		}
	}
	def := &policy.Rule{Ref: st.DefaultRef, Direction: d, Action: st.Default, Match: []policy.Match{anything(d)}, Implicit: true}
	out.Rules = append(out.Rules, listRule(s, DefaultTier, def))
	return out
}

// exemptions says in words what st does not filter.
func exemptions(s *policy.Snapshot, f *policy.Interface, st *policy.Stage) []Exemption {
	var out []Exemption
	p := s.PlatformOf(f)
	add := func(prefixes []netip.Prefix, why string) {
		if len(prefixes) > 0 {
			out = append(out, Exemption{prefixes, why})
		}
	}
	if _, sub, ok := s.ACLFor(f); ok && !st.Stateful {
		add(sub.Blocks, "what stays inside "+sub.ID)
	}
	add(p.Exempt, "addresses of the platform, such as metadata, resolver, time")
	if !st.Stateful {
		add(p.ACLExempt, "addresses of the platform that only groups filter")
	}
	return out
}

func listRule(s *policy.Snapshot, tier string, r *policy.Rule) ListRule {
	out := ListRule{Tier: tier, Rule: r}
	for i := range r.Match {
		for _, ref := range slices.Concat(r.Match[i].Remote.Refs, r.Match[i].Local.Refs) {
			if slices.ContainsFunc(out.Sets, func(x Set) bool { return x.ID == ref.ID }) {
				continue
			}
			held := s.Resolve(policy.AddrSet{Refs: []policy.SetRef{ref}})
			out.Sets = append(out.Sets, Set{ID: ref.ID, Prefixes: held.Prefixes, Dead: ref.Dead, Unknown: held.Unknown})
		}
	}
	slices.SortFunc(out.Sets, func(a, b Set) int { return strings.Compare(a.ID, b.ID) })
	return out
}
