package cloud

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/sgadvise/sgadvise/engine/netset"
	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/ingest/flow"
)

// What snapshots hold of each kind of object, and how an object is put together again.

// rulePart names the part of a group that is a rule with the content of r.
func rulePart(r *policy.Rule) string { return "rule " + substance(r) }

// lostRulePart names the part of a group that is a rule of which the id alone is known.
func lostRulePart(id string) string { return "lost " + id }

func groupContents(s *policy.Snapshot, id string) (contents, bool) {
	g, ok := s.Group(id)
	if !ok {
		return contents{self: gone}, len(s.Groups) > 0
	}
	c := contents{self: groupState(g), parts: make(map[string]state, len(g.Rules))}
	for i := range g.Rules {
		r := &g.Rules[i]
		name := rulePart(r)
		rules, _ := c.parts[name].value.([]policy.Rule)
		c.parts[name] = rulesState(append(rules, *r))
	}
	return c, true
}

// groupState is the state of group g itself: what it does beside its rules.
func groupState(g *policy.Group) state {
	return there(fmt.Sprintf("intra %t egress-open %t", g.Intra, g.EgressOpen), g)
}

// rulesState is the state of a part that holds rules of one content: mostly one.
func rulesState(rs []policy.Rule) state {
	dead := ""
	for i := range rs {
		for _, ref := range rs[i].Refs() {
			dead += ref.Dead
		}
	}
	return there(dead, rs)
}

func (t *timeline) group(when int64, new bool) (*policy.Group, bool) {
	v, unsettled := t.selfAt(when, new)
	if v == nil && !unsettled {
		return nil, false
	}
	out := &policy.Group{ID: t.id}
	if g, ok := v.(*policy.Group); ok {
		*out = *g
	}
	out.Rules = nil
	t.each(when, new, func(name string, s state) {
		if id, lost := strings.CutPrefix(name, "lost "); lost {
			out.Rules = append(out.Rules, lostRule(t.id, id, s))
			return
		}
		if s.kind == unknown && !new {
			return
		}
		out.Rules = append(out.Rules, t.rules(name, s)...)
	})
	sortRules(out.Rules)
	return out, unsettled
}

// rules returns the rules of a part in state s. Where the present has rules of this
// content, they have the refs of those; the others are named by their content.
func (t *timeline) rules(name string, s state) []policy.Rule {
	last := t.presently(name)
	if last.kind == present && (s.kind == unknown || s.same(last)) {
		rs, _ := last.value.([]policy.Rule)
		return rs
	}
	rs, ok := s.value.([]policy.Rule)
	if !ok {
		rs, _ = t.values[name].([]policy.Rule)
	}
	if len(rs) == 0 {
		return nil
	}
	r := rs[0] // of one content, one is enough
	r.Ref = policy.Ref{Owner: t.id, Rule: RuleDigest(&r)}
	if known, ok := last.value.([]policy.Rule); ok && last.kind == present {
		r.Ref = known[0].Ref
	}
	return []policy.Rule{r}
}

// presently returns what the part is now.
func (t *timeline) presently(name string) state {
	i, _ := slices.BinarySearch(t.names, name)
	return t.parts[i][len(t.parts[i])-1].new
}

// lostRule stands for rule id, of which nothing but its direction is known.
func lostRule(owner, id string, s state) policy.Rule {
	d, _ := s.value.(flow.Direction)
	m := policy.NewMatch(d, policy.AnyProto, netset.AllPorts, policy.AnyICMP, policy.AddrSet{Unknown: true})
	return policy.Rule{Ref: policy.Ref{Owner: owner, Rule: "lost-" + id}, Direction: d, Action: policy.Allow, Match: []policy.Match{m}}
}

func sortRules(rs []policy.Rule) {
	slices.SortStableFunc(rs, func(a, b policy.Rule) int {
		switch {
		case a.Direction != b.Direction:
			return int(a.Direction) - int(b.Direction)
		case a.Rank != b.Rank:
			return int(a.Rank) - int(b.Rank)
		}
		return a.Ref.Compare(b.Ref)
	})
}

func interfaceContents(s *policy.Snapshot, id string) (contents, bool) {
	f, ok := s.Interface(id)
	if !ok {
		return contents{self: gone}, len(s.Interfaces) > 0 && !s.MissingWhat("network-interfaces")
	}
	c := contents{self: interfaceState(f), parts: map[string]state{groupsPart: carriedState(f)}}
	for _, a := range f.Addresses {
		c.parts[addressPart(a.String())] = there("", netip.PrefixFrom(a, a.BitLen()))
	}
	for _, p := range f.Prefixes {
		c.parts[addressPart(p.String())] = there("", p)
	}
	return c, true
}

// interfaceState is the state of interface f itself.
func interfaceState(f *policy.Interface) state {
	return there(fmt.Sprintf("subnet %s platform %s open %t no-acl %t", f.Subnet, f.Platform, f.IngressOpen, f.NoACL), f)
}

// groupsPart names the part of an interface that says which groups it carries.
const groupsPart = "groups"

// carriedState is the state of the groups that f carries: its value is an interface, too.
func carriedState(f *policy.Interface) state {
	text := strings.Join(f.Groups, " ")
	for _, st := range f.Stages {
		text += fmt.Sprintf(" %s %v %v %t", st.Name, st.Tiers, st.Defaults, st.First)
	}
	return there(text, f)
}

func addressPart(text string) string { return "address " + text }

func isAddress(part string) bool { return strings.HasPrefix(part, "address ") }

func (t *timeline) networkInterface(when int64, new bool) (*policy.Interface, bool) {
	v, unsettled := t.selfAt(when, new)
	if v == nil && !unsettled {
		return nil, false
	}
	out := &policy.Interface{ID: t.id}
	if f, ok := v.(*policy.Interface); ok {
		*out = *f
	}
	first := netip.Addr{} // the primary address stays the first one
	if len(out.Addresses) > 0 {
		first = out.Addresses[0]
	}
	out.Groups, out.Stages, out.Addresses, out.Prefixes = nil, nil, nil, nil
	t.each(when, new, func(name string, s state) {
		switch {
		case name == groupsPart && s.kind == unknown:
			unsettled = true
		case name == groupsPart:
			carried := s.value.(*policy.Interface)
			out.Groups, out.Stages = carried.Groups, carried.Stages
		case s.kind == unknown && !new:
		default:
			p, _ := t.values[name].(netip.Prefix)
			if p.IsSingleIP() && !strings.Contains(name, "/") {
				out.Addresses = append(out.Addresses, p.Addr())
			} else {
				out.Prefixes = append(out.Prefixes, p)
			}
		}
	})
	if n := slices.Index(out.Addresses, first); n > 0 {
		out.Addresses[0], out.Addresses[n] = out.Addresses[n], out.Addresses[0]
	}
	out.Addresses, out.Prefixes = sortAddresses(out.Addresses), sortPrefixes(out.Prefixes)
	return out, unsettled
}

func aclContents(s *policy.Snapshot, id string) (contents, bool) {
	i := slices.IndexFunc(s.ACLs, func(a policy.ACL) bool { return a.ID == id })
	if i < 0 {
		return contents{self: gone}, len(s.ACLs) > 0
	}
	c := contents{self: there("", &s.ACLs[i]), parts: make(map[string]state)}
	for k := range s.ACLs[i].Rules {
		r := &s.ACLs[i].Rules[k]
		name := linePart(r.Direction, r.Rank)
		rules, _ := c.parts[name].value.([]policy.Rule)
		c.parts[name] = lineState(append(rules, *r))
	}
	return c, true
}

// linePart names the part of a network ACL that is the line of this number. The number
// comes first with all its digits, so that names order as lines do.
func linePart(d flow.Direction, number uint32) string {
	return fmt.Sprintf("line %s %05d", d, number)
}

// lineState is the state of a line: its content is what it matches and does.
func lineState(rs []policy.Rule) state {
	text := ""
	for i := range rs {
		text += substance(&rs[i]) + "\n"
	}
	return there(text, rs)
}

func (t *timeline) acl(when int64, new bool) (*policy.ACL, bool) {
	v, unsettled := t.selfAt(when, new)
	if v == nil && !unsettled {
		return nil, false
	}
	out := &policy.ACL{ID: t.id}
	if a, ok := v.(*policy.ACL); ok {
		*out = *a
	}
	out.Rules = nil
	t.each(when, new, func(name string, s state) {
		if s.kind == unknown {
			out.Rules = append(out.Rules, lostLines(t.id, name)...)
			return
		}
		out.Rules = append(out.Rules, t.lines(name, s)...)
	})
	sortRules(out.Rules)
	return out, unsettled
}

// lines returns the rules of a line in state s, with the refs of the present if the
// present has the same line.
func (t *timeline) lines(name string, s state) []policy.Rule {
	rs, _ := s.value.([]policy.Rule)
	if last := t.presently(name); last.same(s) {
		rs, _ = last.value.([]policy.Rule)
		return rs
	}
	out := slices.Clone(rs)
	for k := range out {
		out[k].Ref = policy.Ref{Owner: t.id, Rule: "was-" + RuleDigest(&out[k])}
	}
	return out
}

// lostLines stand for a line of which the number alone is known.
func lostLines(acl, name string) []policy.Rule {
	var dir string
	var number uint32
	fmt.Sscanf(name, "line %s %d", &dir, &number)
	d := flow.Ingress
	if dir == flow.Egress.String() {
		d = flow.Egress
	}
	var out []policy.Rule
	for _, a := range [2]policy.Action{policy.Deny, policy.Allow} {
		m := policy.NewMatch(d, policy.AnyProto, netset.AllPorts, policy.AnyICMP, policy.AddrSet{Unknown: true})
		out = append(out, policy.Rule{Ref: policy.Ref{Owner: acl, Rule: fmt.Sprintf("lost-%s-%d-%s", dir, number, a)}, Direction: d, Rank: number,
			Action: a, Match: []policy.Match{m}})
	}
	return out
}

// aclPart names the part of a subnet that says which network ACL it has.
const aclPart = "acl"

func subnetContents(s *policy.Snapshot, id string) (contents, bool) {
	for i := range s.ACLs {
		if slices.Contains(s.ACLs[i].Subnets, id) {
			return contents{self: there("", nil), parts: map[string]state{aclPart: there(s.ACLs[i].ID, s.ACLs[i].ID)}}, true
		}
	}
	return contents{self: gone}, len(s.ACLs) > 0
}

func (t *timeline) aclOf(when int64, new bool) (*string, bool) {
	none := ""
	out, unsettled := &none, false
	t.each(when, new, func(_ string, s state) {
		if s.kind == unknown {
			unsettled = true
			return
		}
		id := s.value.(string)
		out = &id
	})
	return out, unsettled
}

func listContents(s *policy.Snapshot, id string) (contents, bool) {
	l, ok := s.List(id)
	if !ok || !l.Known {
		return contents{}, false
	}
	c := contents{self: there("", l), parts: make(map[string]state)}
	for _, p := range l.Entries {
		c.parts[entryPart(p)] = there("", p)
	}
	return c, true
}

func entryPart(p netip.Prefix) string { return "entry " + p.String() }

func (t *timeline) list(when int64, new bool) (*policy.PrefixList, bool) {
	v, unsettled := t.selfAt(when, new)
	if v == nil && !unsettled {
		return nil, false
	}
	out := &policy.PrefixList{ID: t.id}
	if l, ok := v.(*policy.PrefixList); ok {
		*out = *l
	}
	out.Known, out.Entries = !unsettled, nil
	if unsettled {
		return out, false // a list without entries is unknown by itself
	}
	t.each(when, new, func(name string, s state) {
		if p, ok := t.values[name].(netip.Prefix); ok && (s.kind == present || new) {
			out.Entries = append(out.Entries, p)
		}
	})
	out.Entries = sortPrefixes(out.Entries)
	return out, false
}
