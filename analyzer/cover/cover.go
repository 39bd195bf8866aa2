package cover

import (
	"net/netip"
	"slices"

	"github.com/sgadvise/sgadvise/engine/netset"
	"github.com/sgadvise/sgadvise/ingest/flow"
)

// Point is something observed: services at one address. A point must lie in one box
// whole. Usually Services is a single port, for a protocol without ports all of it;
// a wider interval says "somewhere in here".
type Point struct {
	Addr     flow.Addr
	Services netset.Services
	// Free is how many low bits of Addr, which are 0, are not known: some addresses of that
	// prefix were observed, so a box must hold all of it. 0: Addr was.
	Free uint8
}

// Addrs returns the addresses that a box for p must hold.
func (p Point) Addrs() netset.Addrs { return netset.Folded(p.Addr, p.Free) }

// Box is what one rule can say: one prefix, and services of one protocol (all of it
// where it has no ports; for ICMP also one type, or one type and code) or
// AllServices.
type Box struct {
	Prefix   netip.Prefix
	Services netset.Services
}

// Set returns b as a box of netset.
func (b Box) Set() netset.Box {
	return netset.Box{Services: b.Services, Addrs: netset.AddrsOf(b.Prefix)}
}

// String returns the services and the prefix: "tcp 443 10.0.0.0/24".
func (b Box) String() string { return b.Services.String() + " " + b.Prefix.String() }

// Options says what boxes may be. The zero value forbids nothing.
type Options struct {
	// Inside are boxes whose union must cover every box proposed: the rule that is to
	// be replaced. Nil is no bound.
	Inside []netset.Box
	// Named are prefixes that mean something to the reader, such as subnets. They are
	// proposed where they are not much wider than what was observed: they are priced
	// at a quarter of their exposure.
	Named []netip.Prefix
	// NoHost reports addresses that must not be proposed as single-address prefixes,
	// because they may belong to another machine tomorrow. They are proposed as their
	// smallest named prefix, otherwise as the /28 or IPv6 /64 around them, the smallest
	// subnets that clouds have, or as what fits of that. Nil forbids none.
	NoHost func(flow.Addr) bool
	// Weights are what exposure is measured in; nil: DefaultWeights.
	Weights *Weights
	// Seed starts the random choices of the local search. The same points in any
	// order, options and seed give the same solutions.
	Seed uint64
}

// Solution is the best cover found with so many boxes. A solution without boxes says
// that there is no cover with so few.
type Solution struct {
	Boxes    []Box       // in order of address, then services
	Exposure netset.Size // of their union
	Method   string      // how it was found, for people
	// Optimal: it is proven that no cover with as many boxes has less exposure. Not
	// claimed with Named, where less exposure is not all that is sought.
	Optimal bool
}

// Solve covers points by boxes, for every number of boxes up to budget: solution k-1
// has at most k boxes. Exposure never rises with k. The result stops early when more
// boxes cannot help; it is empty if budget boxes are not enough, if a point or what
// NoHost makes of it lies outside Inside, or if there is nothing to cover.
//
// Solutions are exact for one service, for one address, and for up to 12 points in a
// family; beyond that several methods compete. Inputs of many points are first
// rolled up to a few thousand prefixes. It takes from microseconds for tens of
// points to about a second for a million.
func Solve(points []Point, budget int, opt Options) []Solution {
	budget = min(budget, maxBudget)
	if len(points) == 0 || budget < 1 {
		return nil
	}
	s := newSolver(opt)
	var families [][]tuple
	distinct := 0
	for _, v4 := range []bool{true, false} {
		ts, ok := s.tuples(points, v4)
		if !ok {
			return nil
		}
		if len(ts) > 0 {
			families = append(families, ts)
			distinct += len(ts)
		}
	}
	budget = min(budget, distinct)
	var curves []curve
	for _, ts := range families {
		curves = append(curves, s.family(ts, budget))
	}
	var floor netset.Size // what no cover can go below
	for _, ts := range families {
		floor = floor.Add(s.m.union(boxesOf(rectsOf(ts))))
	}
	return s.solutions(combine(curves, budget), floor)
}

// solutions turns a curve into the result; floor is the exposure of the points alone.
func (s *solver) solutions(c curve, floor netset.Size) []Solution {
	var out []Solution
	for _, a := range c {
		sol := Solution{Method: a.method, Optimal: a.optimal}
		for _, r := range a.rects {
			p, _ := r.a.Prefix()
			sol.Boxes = append(sol.Boxes, Box{p, r.s})
		}
		slices.SortFunc(sol.Boxes, func(a, b Box) int { return a.Set().Compare(b.Set()) })
		if len(sol.Boxes) > 0 {
			sol.Exposure = s.m.union(boxesOf(a.rects))
		}
		// With named prefixes a lower price may come with more exposure; then the
		// cover with fewer boxes stays.
		if k := len(out) - 1; k >= 0 && len(out[k].Boxes) > 0 && (len(sol.Boxes) == 0 || out[k].Exposure.Less(sol.Exposure)) {
			sol = out[k]
			sol.Optimal = false
		}
		out = append(out, sol)
		if len(sol.Boxes) > 0 && sol.Exposure == floor {
			break
		}
	}
	if len(out[len(out)-1].Boxes) == 0 {
		return nil
	}
	return out
}
