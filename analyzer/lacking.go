package analyzer

import (
	"cmp"
	"fmt"
	"math"
	"net/netip"
	"slices"

	"github.com/sgadvise/sgadvise/analyzer/cover"
	"github.com/sgadvise/sgadvise/analyzer/plan"
	"github.com/sgadvise/sgadvise/engine"
	"github.com/sgadvise/sgadvise/engine/netset"
	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/ingest/flow"
)

const (
	// fewRules is how many rules are proposed for one direction of a group unless the
	// budget says otherwise: more are not read.
	fewRules = 8
	// manyPublic is the number of public peers of one service from which on they are not
	// written down: who comes next is not among them.
	manyPublic = 32
	// worthARule is by how much, as a logarithm to base 2, one more rule must lower what
	// the rules admit to be proposed.
	worthARule = 0.25
)

// lacking returns, as facts, rules of group g in direction d that would admit conns and
// that rank as rank says of them; it says so where there is no such place, or too many
// rules. Addresses of which noHost is true are not written down one by one.
func (p *Pass) lacking(g *policy.Group, d flow.Direction, conns []*engine.Connection,
	rank func(*policy.Group, flow.Direction, []netset.Box) (uint32, bool), noHost func(flow.Addr) bool) []Fact {
	if len(conns) == 0 {
		return nil
	}
	name := d.String() + " rule to add"
	boxes, ok := p.coverOf(g, conns, noHost)
	if !ok {
		return []Fact{{name, fmt.Sprintf("more than %d for what was observed: too many to list", p.ruleBudget(g))}}
	}
	sets := make([]netset.Box, 0, len(boxes))
	for _, b := range boxes {
		sets = append(sets, b.Set())
	}
	at, ok := rank(g, d, sets)
	place := fmt.Sprintf("priority %d", at)
	if !ok {
		place = "before the rules that deny it, whose priority leaves no room"
	}
	var out []Fact
	for i, b := range boxes {
		r := policy.Rule{Direction: d, Action: policy.Allow, Match: []policy.Match{matchOf(d, b)}}
		out = append(out, Fact{fmt.Sprintf("%s %d", name, i+1), words(&r) + ", " + place})
	}
	return out
}

// matchOf is b as the match of a rule.
func matchOf(d flow.Direction, b cover.Box) policy.Match {
	proto, _ := b.Services.Proto()
	ports := netset.AllPorts
	if proto.HasPorts() {
		ports = b.Services.Ports()
	}
	return policy.NewMatch(d, policy.OneProto(proto), ports, policy.AnyICMP, policy.AddrSet{Prefixes: []netip.Prefix{b.Prefix}})
}

// ruleBudget is how many rules are proposed for one direction of g at most.
func (p *Pass) ruleBudget(g *policy.Group) int {
	most := cmp.Or(p.Evidence.opt.Budget, fewRules)
	for _, f := range p.Snapshot.Attached(g.ID) {
		if q := p.Snapshot.PlatformOf(f).Quota; q > 0 {
			most = min(most, q)
		}
	}
	return most
}

// coverOf returns boxes that hold all that conns show, as few as are worth while; ok is
// false if the budget is too small for any.
func (p *Pass) coverOf(g *policy.Group, conns []*engine.Connection, noHost func(flow.Addr) bool) (boxes []cover.Box, ok bool) {
	type service struct {
		at netset.Services
		v4 bool
	}
	public := make(map[service]map[flow.Addr]bool)
	weights := cover.DefaultWeights()
	for _, c := range conns {
		if holds(weights.Blocks, c.Remote.Netip()) {
			continue
		}
		k := service{pointOf(c).Services, c.Remote.Is4()}
		if public[k] == nil {
			public[k] = make(map[flow.Addr]bool)
		}
		public[k][c.Remote] = true
	}
	var points []cover.Point
	open := make(map[service]bool)
	for _, c := range conns {
		k := service{pointOf(c).Services, c.Remote.Is4()}
		if len(public[k]) < manyPublic {
			points = append(points, wholeMessages(pointOf(c)))
		} else if !open[k] {
			open[k] = true
			all := netip.PrefixFrom(netip.IPv6Unspecified(), 0)
			if k.v4 {
				all = netip.PrefixFrom(netip.IPv4Unspecified(), 0)
			}
			boxes = append(boxes, cover.Box{Prefix: all, Services: wholeMessages(pointOf(c)).Services})
		}
	}
	slices.SortFunc(boxes, func(a, b cover.Box) int {
		return cmp.Or(policy.ComparePrefix(a.Prefix, b.Prefix), cmp.Compare(a.Services.First, b.Services.First))
	})
	points = slices.DeleteFunc(points, func(pt cover.Point) bool {
		return slices.ContainsFunc(boxes, func(b cover.Box) bool { return b.Services.Covers(pt.Services) && b.Prefix.Contains(pt.Addr.Netip()) })
	})
	if len(points) == 0 {
		return boxes, true
	}
	var subnets []netip.Prefix
	for i := range p.Snapshot.Subnets {
		subnets = append(subnets, p.Snapshot.Subnets[i].Blocks...)
	}
	solutions := cover.Solve(points, p.ruleBudget(g)-len(boxes), cover.Options{Named: subnets, NoHost: noHost})
	var best *cover.Solution
	at := 0
	for k := range solutions {
		s := &solutions[k]
		if len(s.Boxes) == 0 {
			continue
		}
		if best == nil || math.Log2(best.Exposure.Float64()/s.Exposure.Float64()) >= worthARule*float64(k-at) {
			best, at = s, k
		}
	}
	if best == nil {
		return nil, false
	}
	return append(boxes, best.Boxes...), true
}

// wholeMessages widens a point of a protocol without ports to all of it: no log shows the
// types of its messages.
func wholeMessages(pt cover.Point) cover.Point {
	if proto, ok := pt.Services.Proto(); ok && !proto.HasPorts() {
		pt.Services = netset.ServiceOf(proto, netset.AllPorts)
	}
	return pt
}

// rankAbove returns a rank from which a rule of g that allows boxes speaks before all that
// denies any of them where g is attached.
func (p *Pass) rankAbove(g *policy.Group, d flow.Direction, boxes []netset.Box) (uint32, bool) {
	rank, ok := uint32(1), true
	first := uint32(math.MaxUint32)
	p.eachLine(g, d, func(r *policy.Rule, perhaps []netset.Box) {
		if r.Action == policy.Deny && meet(perhaps, boxes) {
			first = min(first, r.Rank)
		}
	})
	if first != math.MaxUint32 {
		rank, ok = first-1, first > 1
	}
	return rank, ok
}

// rankBelow returns the rank of the last rule where g is attached: a rule that allows from
// there takes nothing from any rule that denies.
func (p *Pass) rankBelow(g *policy.Group, d flow.Direction, _ []netset.Box) (uint32, bool) {
	rank := uint32(1)
	p.eachLine(g, d, func(r *policy.Rule, _ []netset.Box) { rank = max(rank, r.Rank) })
	return rank, true
}

// eachLine calls f with the declared rules of direction d that speak where g is attached.
func (p *Pass) eachLine(g *policy.Group, d flow.Direction, f func(r *policy.Rule, perhaps []netset.Box)) {
	for i := range p.Coverage.lists.scopes {
		sc := &p.Coverage.lists.scopes[i]
		if _, carries := slices.BinarySearch(p.Snapshot.Interfaces[sc.interfaces[0]].Groups, g.ID); !carries {
			continue
		}
		for n := range sc.stages[side(d)] {
			for k := range sc.stages[side(d)][n].list.Lines {
				if x := &sc.stages[side(d)][n].list.Lines[k]; !x.Rule.Implicit {
					f(x.Rule, x.Perhaps)
				}
			}
		}
	}
}

// observedConfidence says how far what the logs show of group id's interfaces can be taken
// for all there is.
func (p *Pass) observedConfidence(id string) plan.Confidence {
	if p.Evidence.RejectOnly || p.Evidence.Days < p.Evidence.opt.NarrowDays {
		return plan.Low
	}
	for i := range p.Snapshot.Interfaces {
		if _, carries := slices.BinarySearch(p.Snapshot.Interfaces[i].Groups, id); carries && (!p.Evidence.Interfaces[i].Seen || len(p.Evidence.Interfaces[i].Gaps) > 0) {
			return plan.Low
		}
	}
	return plan.Medium
}
