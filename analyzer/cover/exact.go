package cover

import (
	"math/bits"
	"slices"

	"github.com/sgadvise/sgadvise/engine/netset"
)

const (
	// exactPoints is how many points branch and bound takes on: beyond, the number of
	// tight boxes and with it the tree grows past what local search gives up.
	exactPoints = 12
	// exactNodes bounds the tree of one Solve to some tens of milliseconds.
	exactNodes = 4000
)

// candidate is a tight box: the hull of the points it holds.
type candidate struct {
	r     rect
	holds uint32
}

// exactSearch looks for the least union of k boxes, for one k.
type exactSearch struct {
	s      *solver
	ts     []tuple
	own    []netset.Size // price of each point that no box can hold in part
	cands  []candidate
	best   answer
	nodes  int // visited
	limit  int
	chosen []rect
}

func (s *solver) newSearch(ts []tuple, limit int) *exactSearch {
	e := &exactSearch{s: s, ts: ts, cands: s.candidates(ts), limit: limit}
	for _, t := range ts {
		// A box that does not hold an interval of ports may still share some of it.
		var own netset.Size
		if p, _ := t.s.Proto(); p.HasPorts() && t.s.Len() == 1 {
			own = s.m.box(t.rect().box()).Mul(full)
		}
		e.own = append(e.own, own)
	}
	return e
}

// exact offers the best covers of up to exactPoints points to c, and marks as optimal
// those that it could prove.
func (s *solver) exact(c curve, ts []tuple) {
	e := s.newSearch(ts, exactNodes)
	for k := 1; k <= len(c); k++ {
		e.best = c[k-1]
		e.search(0, netset.Size{}, k)
		if e.nodes >= e.limit {
			return
		}
		if e.best.price.Less(c[k-1].price) {
			e.best.method = "exact search"
			c.offer(e.best)
		}
		c[k-1].optimal = len(s.named) == 0
	}
}

// candidates returns every tight box that is allowed, and where a named prefix around
// it is cheaper, that.
func (s *solver) candidates(ts []tuple) []candidate {
	var as []netset.Addrs
	var ss []netset.Services
	for i, t := range ts {
		for _, u := range ts[:i+1] {
			as = append(as, t.a.Hull(u.a))
			ss = append(ss, join(t.s, u.s))
		}
	}
	slices.SortFunc(as, compareAddrs)
	slices.SortFunc(ss, compareServices)
	var out []candidate
	for _, a := range slices.Compact(as) {
		for _, sv := range slices.Compact(ss) {
			var h rect
			var holds uint32
			for i, t := range ts {
				if !(rect{s: sv, a: a}).holds(t) {
					continue
				}
				if holds == 0 {
					h = t.rect()
				}
				holds |= 1 << i
				h.s, h.a = join(h.s, t.s), h.a.Hull(t.a)
			}
			if holds == 0 || h.s != sv || h.a != a { // not tight
				continue
			}
			if s.allowed(h.s, h.a) {
				out = append(out, candidate{h, holds})
			}
			if r, price := s.offer(h.s, h.a); price.Less(none) && r != h {
				holds = 0
				for i, t := range ts {
					if r.holds(t) {
						holds |= 1 << i
					}
				}
				out = append(out, candidate{r, holds})
			}
		}
	}
	return out
}

// search adds boxes until all points are held: always one that holds the first point
// that is not. price is that of the chosen ones.
func (e *exactSearch) search(held uint32, price netset.Size, k int) {
	e.nodes++
	if e.nodes >= e.limit {
		return
	}
	first := bits.TrailingZeros32(^held)
	if first >= len(e.ts) {
		if price.Less(e.best.price) {
			e.best = answer{rects: slices.Clone(e.chosen), price: price}
		}
		return
	}
	if k == 0 {
		return
	}
	type child struct {
		candidate
		price netset.Size
	}
	var children []child
	for _, c := range e.cands {
		if c.holds>>first&1 == 0 || k == 1 && bits.OnesCount32(held|c.holds) < len(e.ts) {
			continue
		}
		p := price.Add(e.added(c.r))
		// Points not held lie outside all that is chosen, so their own prices still come.
		bound := p
		for i := range e.ts {
			if (held|c.holds)>>i&1 == 0 {
				bound = bound.Add(e.own[i])
			}
		}
		if len(e.s.named) > 0 {
			bound = p // a named prefix may take them for less
		}
		if bound.Less(e.best.price) {
			children = append(children, child{c, p})
		}
	}
	slices.SortFunc(children, func(a, b child) int {
		if c := a.price.Cmp(b.price); c != 0 {
			return c
		}
		return compareRects(a.r, b.r)
	})
	for _, c := range children {
		if !c.price.Less(e.best.price) {
			break
		}
		e.chosen = append(e.chosen, c.r)
		e.search(held|c.holds, c.price, k-1)
		e.chosen = e.chosen[:len(e.chosen)-1]
	}
}

// added returns what r adds to the price of the chosen boxes.
func (e *exactSearch) added(r rect) netset.Size {
	if len(e.chosen) == 0 {
		return e.s.price([]rect{r})
	}
	if len(e.s.named) > 0 || whole(r.s) != r.s {
		with := append(slices.Clone(e.chosen), r)
		was, is := e.s.price(e.chosen), e.s.price(with)
		if is.Less(was) { // a named prefix over what is chosen makes that cheaper
			return netset.Size{}
		}
		return is.Sub(was)
	}
	rest := []netset.Box{r.box()}
	for _, c := range e.chosen {
		if !c.box().Overlaps(r.box()) {
			continue
		}
		var next []netset.Box
		b := netset.Box{Services: whole(c.s), Addrs: c.a}
		for _, x := range rest {
			next = x.AppendSubtract(next, b)
		}
		rest = next
	}
	var n netset.Size
	for _, x := range rest {
		n = n.Add(e.s.m.box(x))
	}
	return n.Mul(full)
}
