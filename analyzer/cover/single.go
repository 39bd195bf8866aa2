package cover

import (
	"net/netip"
	"slices"

	"github.com/sgadvise/sgadvise/engine/netset"
	"github.com/sgadvise/sgadvise/ingest/flow"
)

// AddrCover is the best cover of addresses by so many prefixes.
type AddrCover struct {
	Prefixes []netip.Prefix // in order; empty: so few cannot do
	Weight   netset.Size    // of the addresses they hold
}

// Knapsack covers addrs by prefixes, at k-1 with at most k of them and the least
// weight there is; nil weights are the default ones. The curve ends at budget or at
// the number of distinct addresses. Addresses of both families share the budget, but
// no prefix. Exact up to 65,536 addresses of a family, near beyond.
//
// The curve is neither convex nor found by merging or splitting greedily: for
// {.0, .127, .128, .255} it is 256, 256, 130, 4.
func Knapsack(addrs []flow.Addr, budget int, w *Weights) []AddrCover {
	points := make([]Point, 0, len(addrs))
	for _, a := range addrs {
		points = append(points, Point{Addr: a, Services: netset.Point(0, 0)}) // weighs 1
	}
	s := newSolver(Options{Weights: w})
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
	budget = min(budget, distinct, maxBudget)
	if budget < 1 {
		return nil
	}
	var curves []curve
	for _, ts := range families {
		curves = append(curves, s.oneService(newClass(ts), budget))
	}
	var out []AddrCover
	for _, a := range combine(curves, budget) {
		var c AddrCover
		for _, r := range a.rects {
			p, _ := r.a.Prefix()
			c.Prefixes = append(c.Prefixes, p)
		}
		if len(a.rects) > 0 {
			c.Weight = s.m.union(boxesOf(a.rects))
		}
		out = append(out, c)
	}
	return out
}

// PortCover is the best cover of ports by so many ranges.
type PortCover struct {
	Ranges []netset.PortRange // in order
	Weight uint64             // of the ports they hold
}

// GapCut covers ports by ranges, at k-1 with at most k of them and the least weight
// there is, by cutting at the k-1 heaviest gaps; nil weights are the default ones.
// The curve ends at budget or when no gap is left.
func GapCut(ports []uint16, budget int, w *Weights) []PortCover {
	if len(ports) == 0 || budget < 1 {
		return nil
	}
	if w == nil {
		w = DefaultWeights()
	}
	m := newMeasure(w)
	ports = slices.Clone(ports)
	slices.Sort(ports)
	var units []netset.Services
	for _, p := range slices.Compact(ports) {
		units = append(units, netset.Point(flow.TCP, p))
	}
	r := m.cutGaps(units, budget, nil)
	var out []PortCover
	for i, weight := range r.weight {
		c := PortCover{Weight: weight}
		from := 0
		for _, end := range r.ends(i + 1) {
			c.Ranges = append(c.Ranges, netset.PortRange{First: units[from].Ports().First, Last: units[end-1].Ports().Last})
			from = end
		}
		out = append(out, c)
	}
	return out
}
