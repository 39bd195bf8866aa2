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

// lack is the connections of one direction of a group that no rule admits.
type lack struct {
	settled []*engine.Connection
	// unsettled are readings of connections whose opener is not known for certain, both
	// where nothing tells, and connections of which it is not known what decided them.
	unsettled []*engine.Connection
}

func (l *lack) add(c *engine.Connection, settled bool) {
	kept := *c // the next overwrites it
	if settled {
		l.settled = append(l.settled, &kept)
	} else {
		l.unsettled = append(l.unsettled, &kept)
	}
}

// proposal is rules that would admit what is lacking.
type proposal struct {
	settled, unsettled []cover.Box // the latter hold what the former leave
	budget             int         // of each
	tooMany            [2]bool     // it is not enough
}

// propose returns rules of group g that would admit l. Addresses of which noHost is true
// are not written down one by one.
func (p *Pass) propose(g *policy.Group, l *lack, noHost func(flow.Addr) bool) *proposal {
	out := &proposal{budget: p.ruleBudget(g)}
	var ok bool
	out.settled, ok = p.coverOf(l.settled, out.budget, noHost)
	out.tooMany[0] = !ok
	rest := slices.DeleteFunc(slices.Clone(l.unsettled), func(c *engine.Connection) bool { return within(out.settled, pointOf(c)) })
	out.unsettled, ok = p.coverOf(rest, out.budget, noHost)
	out.tooMany[1] = !ok
	return out
}

// within reports whether one of boxes holds all of pt.
func within(boxes []cover.Box, pt cover.Point) bool {
	return slices.ContainsFunc(boxes, func(b cover.Box) bool { return b.Services.Covers(pt.Services) && b.Set().Addrs.Covers(pt.Addrs()) })
}

// sets returns all that the rules would admit.
func (x *proposal) sets() []netset.Box {
	var out []netset.Box
	for _, b := range slices.Concat(x.settled, x.unsettled) {
		out = append(out, b.Set())
	}
	return out
}

// facts returns the rules of direction d as facts, each with its place.
func (x *proposal) facts(d flow.Direction, place string) []Fact {
	name := d.String() + " rule to add"
	var out []Fact
	n := 0
	for k, boxes := range [2][]cover.Box{x.settled, x.unsettled} {
		why := [2]string{"", "; for what is not settled"}[k]
		if x.tooMany[k] {
			out = append(out, Fact{name, fmt.Sprintf("more than %d for what was observed: too many to list", x.budget) + why})
		}
		for _, b := range boxes {
			n++
			r := policy.Rule{Direction: d, Action: policy.Allow, Match: []policy.Match{matchOf(d, b)}}
			out = append(out, Fact{fmt.Sprintf("%s %d", name, n), words(&r) + ", " + place + why})
		}
	}
	return out
}

// counted says, as facts, how many connections l holds, under name, and how many readings
// of others.
func counted(l *lack, name string) []Fact {
	var out []Fact
	if n := len(l.settled); n > 0 {
		out = append(out, Fact{name, count(n)})
	}
	if n := len(l.unsettled); n > 0 {
		out = append(out, Fact{"not settled", plural(n, "reading") + " of connections whose opener, or whose deciding rule, is not known for certain; each counts"})
	}
	return out
}

// matchOf is b as the match of a rule.
func matchOf(d flow.Direction, b cover.Box) policy.Match {
	protos, ports := policy.AnyProto, netset.AllPorts
	if proto, single := b.Services.Proto(); single {
		protos = policy.OneProto(proto)
		if proto.HasPorts() {
			ports = b.Services.Ports()
		}
	}
	return policy.NewMatch(d, protos, ports, policy.AnyICMP, policy.AddrSet{Prefixes: []netip.Prefix{b.Prefix}})
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
func (p *Pass) coverOf(conns []*engine.Connection, budget int, noHost func(flow.Addr) bool) (boxes []cover.Box, ok bool) {
	type service struct {
		at netset.Services
		v4 bool
	}
	public := make(map[service]map[flow.Addr]bool)
	crowded := make(map[service]bool) // with more than the log's reader keeps apart
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
		crowded[k] = crowded[k] || c.RemoteFree > 0
	}
	var points []cover.Point
	open := make(map[service]bool)
	for _, c := range conns {
		k := service{pointOf(c).Services, c.Remote.Is4()}
		if len(public[k]) < manyPublic && !crowded[k] {
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
	points = slices.DeleteFunc(points, func(pt cover.Point) bool { return within(boxes, pt) })
	if len(points) == 0 {
		return boxes, true
	}
	var subnets []netip.Prefix
	for i := range p.Snapshot.Subnets {
		subnets = append(subnets, p.Snapshot.Subnets[i].Blocks...)
	}
	solutions := cover.Solve(points, budget-len(boxes), cover.Options{Named: subnets, NoHost: noHost})
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
