package cover

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/sgadvise/sgadvise/engine/netset"
	"github.com/sgadvise/sgadvise/ingest/flow"
)

// solver holds what all parts of one Solve share.
type solver struct {
	m      *measure
	inside []netset.Box
	bound  bool           // inside is meant
	named  []netset.Addrs // in order, wider first
	parent []int          // of named, the next wider one around it; -1: none
	noHost func(flow.Addr) bool
	seed   uint64
}

func newSolver(opt Options) *solver {
	w := opt.Weights
	if w == nil {
		w = DefaultWeights()
	}
	s := &solver{m: newMeasure(w), inside: opt.Inside, bound: opt.Inside != nil, noHost: opt.NoHost, seed: opt.Seed}
	for _, p := range opt.Named {
		if p.IsValid() {
			s.named = append(s.named, netset.AddrsOf(p))
		}
	}
	slices.SortFunc(s.named, compareAddrs)
	s.named = slices.Compact(s.named)
	for i, a := range s.named {
		p := i - 1
		for p >= 0 && !s.named[p].Covers(a) {
			p = s.parent[p]
		}
		s.parent = append(s.parent, p)
	}
	return s
}

// rect is a box while it is being looked for.
type rect struct {
	s     netset.Services
	a     netset.Addrs // a prefix
	named bool         // priced at a quarter
}

func (r rect) box() netset.Box { return netset.Box{Services: r.s, Addrs: r.a} }

func (r rect) holds(t tuple) bool { return r.s.Covers(t.s) && r.a.Covers(t.a) }

func boxesOf(rs []rect) []netset.Box {
	out := make([]netset.Box, len(rs))
	for i, r := range rs {
		out[i] = r.box()
	}
	return out
}

func rectsOf(ts []tuple) []rect {
	out := make([]rect, len(ts))
	for i, t := range ts {
		out[i] = t.rect()
	}
	return out
}

func compareRects(a, b rect) int { return a.box().Compare(b.box()) }

// tuple is a point, or several rolled up: services that one rule can name, at a prefix.
type tuple struct {
	a netset.Addrs
	s netset.Services
}

func (t tuple) rect() rect { return rect{s: t.s, a: t.a} }

func compareTuples(a, b tuple) int {
	if c := compareAddrs(a.a, b.a); c != 0 {
		return c
	}
	return compareServices(a.s, b.s)
}

// tuples returns the points of a family in order, without duplicates; their prefixes
// are equal or disjoint. It returns false if a point cannot be covered at all.
func (s *solver) tuples(points []Point, v4 bool) ([]tuple, bool) {
	var ts []tuple
	rolled := false
	for _, p := range points {
		if !p.Addr.IsValid() || p.Services.First > p.Services.Last || p.Services.Last > netset.AllServices.Last {
			return nil, false
		}
		if p.Addr.Is4() != v4 {
			continue
		}
		t := tuple{p.Addrs(), widen(p.Services)}
		rolled = rolled || p.Free > 0
		if p.Free == 0 && s.noHost != nil && s.noHost(p.Addr) {
			t.a = s.around(t)
			rolled = true
		}
		if !s.allowed(t.s, t.a) || t.a.First == t.a.Last && s.noHost != nil && s.noHost(p.Addr) {
			return nil, false
		}
		ts = append(ts, t)
	}
	slices.SortFunc(ts, compareTuples)
	if rolled { // prefixes may hold others: roll these up too
		for i := 1; i < len(ts); i++ {
			if ts[i-1].a.Covers(ts[i].a) {
				ts[i].a = ts[i-1].a
				if !s.allowed(ts[i].s, ts[i].a) {
					return nil, false
				}
			}
		}
		slices.SortFunc(ts, compareTuples)
	}
	return dropHeld(ts), true
}

// dropHeld drops the tuples that another one at the same prefix holds; ts is in order.
func dropHeld(ts []tuple) []tuple {
	out := ts[:0]
	for _, t := range ts {
		if k := len(out) - 1; k < 0 || out[k].a != t.a || !out[k].s.Covers(t.s) {
			out = append(out, t)
		}
	}
	return out
}

// around returns the prefix that stands for the host t; t.a if there is none.
func (s *solver) around(t tuple) netset.Addrs {
	for i := s.namedAround(t.a); i >= 0; i = s.parent[i] {
		if s.named[i] != t.a && s.allowed(t.s, s.named[i]) {
			return s.named[i]
		}
	}
	a := t.a.First.Netip()
	shortest := 28
	if a.Is6() {
		shortest = 64
	}
	for n := shortest; n < a.BitLen(); n++ {
		if b := netset.AddrsOf(netip.PrefixFrom(a, n)); s.allowed(t.s, b) {
			return b
		}
	}
	return t.a
}

// namedAround returns the smallest named prefix that holds a; -1: none.
func (s *solver) namedAround(a netset.Addrs) int {
	i, found := slices.BinarySearchFunc(s.named, a, compareAddrs)
	if found {
		return i
	}
	for i--; i >= 0 && !s.named[i].Covers(a); {
		i = s.parent[i]
	}
	return i
}

// allowed reports whether a box of services at a lies inside the bound.
func (s *solver) allowed(services netset.Services, a netset.Addrs) bool {
	if !s.bound {
		return true
	}
	b := netset.Box{Services: services, Addrs: a}
	if len(s.inside) == 1 {
		return s.inside[0].Covers(b)
	}
	ok, _ := netset.Covered(b, s.inside)
	return ok
}

// Prices are exposures times 4, so that a named prefix can be had at a quarter.
const full = 4

// offer returns the cheapest way to hold a by one box of services: a itself, or the
// smallest named prefix around it. price is that of the addresses alone, none if
// neither is allowed. Wider named prefixes only cost more.
func (s *solver) offer(services netset.Services, a netset.Addrs) (r rect, price netset.Size) {
	price = none
	if s.allowed(services, a) {
		r, price = rect{s: services, a: a}, s.m.addrs(a).Mul(full)
	}
	if i := s.namedAround(a); i >= 0 && s.allowed(services, s.named[i]) {
		if p := s.m.addrs(s.named[i]); p.Less(price) {
			r, price = rect{services, s.named[i], true}, p
		}
	}
	return r, price
}

// price returns the price of the union of rs: what a named prefix covers is at a
// quarter, whatever else covers it.
func (s *solver) price(rs []rect) netset.Size {
	p := s.m.union(boxesOf(rs)).Mul(full)
	if len(s.named) == 0 {
		return p
	}
	var named []rect
	for _, r := range rs {
		if r.named {
			named = append(named, r)
		}
	}
	return p.Sub(s.m.union(boxesOf(named)).Mul(full - 1))
}

// answer is a cover with its price; without rects it says that none is known.
type answer struct {
	rects   []rect
	price   netset.Size
	method  string
	optimal bool
}

// curve holds the best answer with at most k rects at k-1. The price never rises.
type curve []answer

// newCurve returns a curve of budget answers that know nothing.
func newCurve(budget int) curve {
	c := make(curve, budget)
	for i := range c {
		c[i].price = none
	}
	return c
}

// offer takes a as an answer for every k that it is better for.
func (c curve) offer(a answer) {
	if len(a.rects) == 0 {
		return
	}
	for k := len(a.rects); k <= len(c) && a.price.Less(c[k-1].price); k++ {
		c[k-1] = a
	}
}

// combine adds up curves over sets that share no point: the best way to divide the
// budget among them. Exact if they are, as long as no box may serve two of them.
func combine(curves []curve, budget int) curve {
	sum := curves[0]
	for _, next := range curves[1:] {
		out := newCurve(budget)
		out[0].optimal = true // one box cannot do
		for k := 2; k <= budget; k++ {
			best, left := none, 0
			optimal := true
			for i := 1; i < k; i++ {
				a, b := &sum[i-1], &next[k-i-1]
				// An answer that is not known to be optimal may hide a better split.
				optimal = optimal && a.optimal && b.optimal
				if p := a.price.Add(b.price); p.Less(best) {
					best, left = p, i
				}
			}
			out[k-1] = answer{price: best, optimal: optimal}
			if left > 0 {
				a, b := sum[left-1], next[k-left-1]
				out[k-1].rects = slices.Concat(a.rects, b.rects)
				out[k-1].method = methodOf(a, b)
			}
		}
		sum = out
	}
	return sum
}

func methodOf(a, b answer) string {
	if strings.Contains(a.method, b.method) {
		return a.method
	}
	return a.method + " + " + b.method
}
