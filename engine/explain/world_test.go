package explain

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"github.com/sgadvise/sgadvise/engine/netset"
	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/ingest/flow"
)

// A small world: few addresses, ports and ranks, so that rules meet, mask and tie.
var (
	hosts4 = []netip.Addr{addr("10.0.0.1"), addr("10.0.0.2"), addr("10.0.1.1"), addr("10.0.1.2"), addr("198.51.100.1")}
	hosts6 = []netip.Addr{addr("fd00::1"), addr("fd00::2"), addr("fd00:0:0:1::1"), addr("fd00:0:0:1::2"), addr("2001:db8::1")}
	nets   = []netip.Prefix{
		prefix("10.0.0.0/24"), prefix("10.0.1.0/24"), prefix("10.0.0.0/8"), prefix("0.0.0.0/0"), prefix("10.0.0.1/32"), prefix("198.51.100.0/24"),
		prefix("fd00::/64"), prefix("fd00::/16"), prefix("::/0"), prefix("2001:db8::1/128"),
	}
	portSets = []netset.PortRange{netset.AllPorts, netset.Port(22), netset.Port(443), {First: 20, Last: 500}, {First: 1024, Last: 65535},
		{First: 1024, Last: 4999}, {First: 32768, Last: 60999}, {First: 0, Last: 49151}}
)

func addr(s string) netip.Addr     { return netip.MustParseAddr(s) }
func prefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }

func pick[T any](r *rand.Rand, s []T) T { return s[r.IntN(len(s))] }

// randomSnapshot draws a policy. Style says which kind of platform it resembles.
func randomSnapshot(t *testing.T, r *rand.Rand) *policy.Snapshot {
	t.Helper()
	style := r.IntN(3) // 0: allow only, one rank; 1: ranked groups; 2: stages spelled out
	s := &policy.Snapshot{
		Lists:     []policy.PrefixList{{ID: "pl-1", Known: true, Entries: []netip.Prefix{pick(r, nets)}}, {ID: "pl-2"}},
		Platforms: []policy.Platform{{ID: "p"}},
	}
	if r.IntN(3) == 0 {
		s.Platforms[0].Exempt = []netip.Prefix{prefix("10.0.1.2/32")}
	}
	if r.IntN(3) == 0 {
		s.Platforms[0].Admitted = []netip.Prefix{prefix("198.51.100.0/24")}
	}
	for g := range 4 {
		x := policy.Group{ID: fmt.Sprintf("sg-%d", g), Managed: r.IntN(8) == 0}
		if style == 1 {
			x.EgressOpen, x.Intra = r.IntN(3) == 0, r.IntN(3) == 0
		}
		for n := range r.IntN(5) {
			x.Rules = append(x.Rules, randomRule(r, policy.Ref{Owner: x.ID, Rule: fmt.Sprintf("r%d", n)}, style))
		}
		s.Groups = append(s.Groups, x)
	}
	for n, block := range []string{"10.0.0.0/24", "10.0.1.0/24"} {
		sub := policy.Subnet{ID: fmt.Sprintf("subnet-%d", n), Blocks: []netip.Prefix{prefix(block)}}
		s.Subnets = append(s.Subnets, sub)
	}
	switch r.IntN(3) {
	case 0: // one for both
		s.ACLs = []policy.ACL{{ID: "acl-0", Subnets: []string{"subnet-0", "subnet-1"}}}
	case 1:
		s.ACLs = []policy.ACL{{ID: "acl-0", Subnets: []string{"subnet-0"}}, {ID: "acl-1", Subnets: []string{"subnet-1"}}}
	}
	for i := range s.ACLs {
		for _, d := range [2]flow.Direction{flow.Ingress, flow.Egress} {
			ranks := r.Perm(6)
			for n := range r.IntN(5) {
				rule := randomRule(r, policy.Ref{Owner: s.ACLs[i].ID, Rule: fmt.Sprintf("%v-%d", d, n)}, 1)
				turn(&rule, d)
				rule.Rank = uint32(1 + ranks[n])
				if r.IntN(2) == 0 {
					rule.Rank *= 100
				}
				s.ACLs[i].Rules = append(s.ACLs[i].Rules, rule)
			}
		}
	}
	for n := range 4 {
		f := policy.Interface{ID: fmt.Sprintf("eni-%d", n), VPC: "vpc-1", Platform: "p", Subnet: fmt.Sprintf("subnet-%d", n/2),
			Instance: fmt.Sprintf("i-%d", n/2), Addresses: []netip.Addr{hosts4[n], hosts6[n]}}
		var groups []string
		for g := range 5 { // sg-4 is not in the snapshot
			if r.IntN(3) == 0 && (g < 4 || r.IntN(4) == 0) {
				groups = append(groups, fmt.Sprintf("sg-%d", g))
			}
		}
		if style == 2 && len(groups) > 0 {
			def := func() [2]policy.Action {
				return [2]policy.Action{pick(r, []policy.Action{policy.Allow, policy.Deny}), pick(r, []policy.Action{policy.Allow, policy.Deny})}
			}
			cut := r.IntN(len(groups) + 1)
			first, second := groups[:cut], groups[cut:]
			if r.IntN(2) == 0 {
				f.Stages = []policy.StageSpec{{Name: "one", Tiers: [][]string{first, second}, Defaults: def()}}
			} else {
				f.Stages = []policy.StageSpec{{Name: "far", Tiers: [][]string{first}, Defaults: def()}, {Name: "near", Tiers: [][]string{second}, Defaults: def()}}
			}
		} else {
			f.Groups = groups
		}
		s.Interfaces = append(s.Interfaces, f)
	}
	if err := s.Seal(); err != nil {
		t.Fatal(err)
	}
	return s
}

func randomRule(r *rand.Rand, ref policy.Ref, style int) policy.Rule {
	x := policy.Rule{Ref: ref, Direction: pick(r, []flow.Direction{flow.Ingress, flow.Egress}), Action: policy.Allow, Editable: true}
	if style > 0 {
		x.Rank = uint32(1 + r.IntN(4))
		x.Action = pick(r, []policy.Action{policy.Allow, policy.Allow, policy.Deny})
	}
	if style == 2 && r.IntN(3) == 0 {
		x.Action = pick(r, []policy.Action{policy.Next, policy.Next, policy.AllowAll})
	}
	for range 1 + r.IntN(5)/4 {
		protos := policy.AnyProto
		if r.IntN(3) > 0 {
			protos = policy.OneProto(pick(r, []flow.Proto{flow.TCP, flow.TCP, flow.UDP, flow.ICMP, flow.ICMPv6}))
		}
		peer := policy.AddrSet{Prefixes: []netip.Prefix{pick(r, nets)}}
		switch r.IntN(6) {
		case 0:
			peer = policy.AddrSet{Refs: []policy.SetRef{{Kind: policy.GroupSet, ID: fmt.Sprintf("sg-%d", r.IntN(4))}}}
		case 1:
			peer = policy.AddrSet{Refs: []policy.SetRef{{Kind: policy.ListSet, ID: pick(r, []string{"pl-1", "pl-2"})}}}
		}
		icmp := policy.AnyICMP
		if p, one := protos.Single(); one && p.IsICMP() && r.IntN(2) == 0 {
			icmp = policy.TypeCode{Type: pick(r, []int16{0, 8, 128, 129}), Code: -1}
		}
		m := policy.NewMatch(x.Direction, protos, pick(r, portSets), icmp, peer)
		if style > 0 && r.IntN(6) == 0 {
			m.LocalPorts, m.RemotePorts = pick(r, portSets), pick(r, portSets)
		}
		x.Match = append(x.Match, m)
	}
	return x
}

// turn makes r a rule of direction d with the same service ports.
func turn(r *policy.Rule, d flow.Direction) {
	if r.Direction == d {
		return
	}
	r.Direction = d
	for i := range r.Match {
		r.Match[i].LocalPorts, r.Match[i].RemotePorts = r.Match[i].RemotePorts, r.Match[i].LocalPorts
	}
}

func randomFlow(r *rand.Rand) Flow {
	hosts, ping := hosts4, flow.ICMP
	if r.IntN(4) == 0 {
		hosts, ping = hosts6, flow.ICMPv6
	}
	f := Flow{Src: pick(r, hosts), Dst: pick(r, hosts), ClientPorts: ClientPorts, ICMP: policy.AnyICMP,
		Proto: pick(r, []flow.Proto{flow.TCP, flow.TCP, flow.TCP, flow.UDP, ping, 47})}
	if f.Proto.HasPorts() {
		f.Port = pick(r, []uint16{22, 443, 8080})
		if r.IntN(2) == 0 {
			f.ClientPorts = netset.Port(pick(r, []uint16{22, 1024, 4999, 5000, 49152, 65535}))
		}
	}
	if f.Proto.IsICMP() && r.IntN(2) == 0 {
		f.ICMP = policy.TypeCode{Type: pick(r, []int16{8, 128, 0, 3}), Code: 0}
	}
	return f
}

// clone copies what tests change of s; it is not sealed.
func clone(s *policy.Snapshot) *policy.Snapshot {
	c := &policy.Snapshot{Interfaces: slices.Clone(s.Interfaces), Groups: slices.Clone(s.Groups), ACLs: slices.Clone(s.ACLs),
		Subnets: slices.Clone(s.Subnets), Lists: slices.Clone(s.Lists), Platforms: slices.Clone(s.Platforms), Missing: slices.Clone(s.Missing)}
	for i := range c.Interfaces {
		c.Interfaces[i].Groups = slices.Clone(c.Interfaces[i].Groups)
	}
	for i := range c.Groups {
		c.Groups[i].Rules = slices.Clone(c.Groups[i].Rules)
	}
	for i := range c.ACLs {
		c.ACLs[i].Rules = slices.Clone(c.ACLs[i].Rules)
	}
	return c
}

// apply makes changes to s, as an operator would, and returns what comes of it.
func apply(t *testing.T, r *rand.Rand, s *policy.Snapshot, changes []Change) *policy.Snapshot {
	t.Helper()
	c := clone(s)
	for _, ch := range changes {
		for i := range c.Groups {
			g := &c.Groups[i]
			g.Rules = slices.DeleteFunc(g.Rules, func(r policy.Rule) bool { return slices.Contains(ch.Remove, r.Ref) })
			if slices.Contains(ch.Isolate, g.ID) {
				g.Intra = false
			}
		}
		for i := range c.ACLs {
			a := &c.ACLs[i]
			a.Rules = slices.DeleteFunc(a.Rules, func(r policy.Rule) bool { return slices.Contains(ch.Remove, r.Ref) })
		}
	}
	for n, ch := range changes {
		if ch.Add == nil {
			continue
		}
		owner := pick(r, ch.Add.Owners)
		rule := ch.Add.Rule(owner, fmt.Sprintf("new-%d", n))
		placed := false
		for i := range c.Groups {
			if g := &c.Groups[i]; g.ID == owner {
				if g.Managed {
					t.Fatalf("%s is not for users to edit", owner)
				}
				if ch.Add.AnyRank {
					rule.Rank = uint32(r.IntN(200))
				}
				g.Rules = append(g.Rules, rule)
				placed = true
			}
		}
		for i := range c.ACLs {
			a := &c.ACLs[i]
			if a.ID != owner {
				continue
			}
			placed = true
			used := func(rank uint32) bool {
				return slices.ContainsFunc(a.Rules, func(x policy.Rule) bool { return x.Direction == rule.Direction && x.Rank == rank })
			}
			for ch.Add.AnyRank && (rule.Rank == 0 || used(rule.Rank)) {
				rule.Rank = uint32(1 + r.IntN(1000))
			}
			if used(rule.Rank) {
				t.Fatalf("the number %d of %s is taken", rule.Rank, owner)
			}
			a.Rules = append(a.Rules, rule)
		}
		if !placed {
			t.Fatalf("no %s to add a rule to", owner)
		}
	}
	if err := c.Seal(); err != nil {
		t.Fatal(err)
	}
	return c
}
