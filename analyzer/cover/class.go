package cover

import (
	"slices"

	"github.com/sgadvise/sgadvise/engine/netset"
)

// Bounds on the work of one class, in steps of some nanoseconds, so that a Solve of
// any size takes about a second; measured with BenchmarkSolve.
const (
	exactAddrs = 1 << 16 // addresses of one service that the knapsack takes as they are
	slabWork   = 20e6    // steps of the port slabs
	manyUnits  = 48      // services beyond which port slabs are too many
	fewAtoms   = 128     // prefixes that are always kept
	manyAtoms  = 4096
)

// class is the points of one protocol and family as a table: which of the disjoint
// prefixes atoms meets which of the services units.
type class struct {
	atoms  []netset.Addrs // in order
	units  []netset.Services
	cells  []cell // by atom, then unit; distinct
	rolled bool   // atoms or units are wider than what was observed
}

type cell struct{ atom, unit int32 }

// newClass makes the table of ts, which is in order.
func newClass(ts []tuple) *class {
	c := &class{cells: make([]cell, len(ts))}
	for i, t := range ts {
		if i == 0 || t.a != ts[i-1].a {
			c.atoms = append(c.atoms, t.a)
		}
		c.cells[i].atom = int32(len(c.atoms) - 1)
		if k := len(c.units); k == 0 || c.units[k-1] != t.s {
			c.units = append(c.units, t.s)
		}
		if len(c.units) > 1<<16 { // bounded memory for a long list
			slices.SortFunc(c.units, compareServices)
			c.units = slices.Compact(c.units)
		}
	}
	slices.SortFunc(c.units, compareServices)
	c.units = slices.Compact(c.units)
	for i, t := range ts {
		u, _ := slices.BinarySearchFunc(c.units, t.s, compareServices)
		c.cells[i].unit = int32(u)
	}
	return c
}

// tuples returns the points of c, in order.
func (c *class) tuples() []tuple {
	ts := make([]tuple, len(c.cells))
	for i, x := range c.cells {
		ts[i] = tuple{c.atoms[x.atom], c.units[x.unit]}
	}
	return ts
}

// class solves the points of one protocol.
func (s *solver) class(ts []tuple, budget int) curve {
	c := newClass(ts)
	switch {
	case len(c.units) == 1:
		return s.oneService(c, budget)
	case len(c.atoms) == 1:
		return s.oneAtom(c, budget)
	}
	return s.portfolio(c, budget)
}

// oneService is the knapsack: exact for every k.
func (s *solver) oneService(c *class, budget int) curve {
	t, offers, price := s.priceTrie(c.atoms, c.units[0])
	if len(c.atoms) > exactAddrs {
		s.rollAtoms(c, t, price, exactAddrs/4)
		t, offers, price = s.priceTrie(c.atoms, c.units[0])
	}
	k := t.fill(price, budget)
	w := s.m.services(c.units[0])
	out := newCurve(budget)
	var nodes []int32
	for i := range out {
		p := k.price[min(i, len(k.price)-1)]
		out[i].optimal = !c.rolled && len(s.named) == 0
		if !p.Less(none) {
			continue
		}
		out[i].price, out[i].method = p.Mul(w), "knapsack"
		nodes = k.nodes(nodes[:0], i+1)
		for _, v := range nodes {
			out[i].rects = append(out[i].rects, offers[v])
		}
	}
	return out
}

// priceTrie builds the trie of atoms with the offer of every node for services. Once
// a node is allowed, all below are, so most nodes need no look at the bound.
func (s *solver) priceTrie(atoms []netset.Addrs, services netset.Services) (*trie, []rect, []netset.Size) {
	t := buildTrie(atoms)
	offers, price := make([]rect, len(t.addrs)), make([]netset.Size, len(t.addrs))
	free := *s // the solver without the bound, for what is known to be inside
	free.bound = false
	inside := make([]bool, len(t.addrs))
	for v := len(t.addrs) - 1; v >= 0; v-- {
		inside[v] = inside[v] || s.allowed(services, t.addrs[v])
		if t.inner(int32(v)) && inside[v] {
			kids := t.kidsOf(int32(v))
			inside[kids[0]], inside[kids[1]] = true, true
		}
		switch {
		case !inside[v]:
			price[v] = none // a named prefix around it is not inside either
		case len(s.named) == 0:
			offers[v], price[v] = free.offer(services, t.addrs[v])
		default:
			offers[v], price[v] = s.offer(services, t.addrs[v])
		}
	}
	return t, offers, price
}

// oneAtom is the cut at the heaviest gaps: exact for every k.
func (s *solver) oneAtom(c *class, budget int) curve {
	r := s.m.cutServices(c.units, budget, s.apart(c.units, c.atoms[0]))
	out := newCurve(budget)
	for i := range out {
		k := min(i+1, len(r.weight))
		out[i].optimal = len(s.named) == 0
		if k < r.first {
			continue
		}
		from := 0
		for _, end := range r.ends(k) {
			x, _ := s.offer(hullServices(c.units[from:end]), c.atoms[0])
			out[i].rects = append(out[i].rects, x)
			from = end
		}
		out[i].price, out[i].method = s.price(out[i].rects), "gaps"
	}
	return out
}

// apart returns the test for services that no box at a may join; nil: there are none.
func (s *solver) apart(units []netset.Services, a netset.Addrs) func(int) bool {
	if !s.bound || s.allowed(hullServices(units), a) {
		return nil
	}
	return func(i int) bool { return !s.allowed(join(units[i], units[i+1]), a) }
}

// rollAtoms replaces the atoms of c by at most limit wider ones: the nodes of t that a
// price per rule would choose. Nothing changes if the bound forbids that.
func (s *solver) rollAtoms(c *class, t *trie, price []netset.Size, limit int) {
	nodes := t.squeeze(price, limit)
	atoms := make([]netset.Addrs, 0, len(nodes))
	to := make([]int32, len(c.atoms))
	first := int32(0)
	for _, v := range nodes {
		if !price[v].Less(none) {
			return
		}
		for i := range t.size[v] {
			to[first+i] = int32(len(atoms))
		}
		first += t.size[v]
		atoms = append(atoms, t.addrs[v])
	}
	for i := range c.cells {
		c.cells[i].atom = to[c.cells[i].atom]
	}
	c.atoms, c.rolled = atoms, true
	c.tidy()
}

// rollUnits replaces the services of c by at most limit ranges between the heaviest
// gaps. Nothing changes if the bound forbids that for some atom.
func (s *solver) rollUnits(c *class, limit int) {
	r := s.m.cutServices(c.units, limit, nil)
	units := make([]netset.Services, 0, limit)
	to := make([]int32, 0, len(c.units))
	from := 0
	for _, end := range r.ends(min(limit, len(r.weight))) {
		for range end - from {
			to = append(to, int32(len(units)))
		}
		units = append(units, hullServices(c.units[from:end]))
		from = end
	}
	for _, x := range c.cells {
		if !s.allowed(units[to[x.unit]], c.atoms[x.atom]) {
			return
		}
	}
	for i := range c.cells {
		c.cells[i].unit = to[c.cells[i].unit]
	}
	c.units, c.rolled = units, true
	c.tidy()
}

// tidy puts the cells in order again.
func (c *class) tidy() {
	slices.SortFunc(c.cells, func(a, b cell) int {
		if a.atom != b.atom {
			return int(a.atom - b.atom)
		}
		return int(a.unit - b.unit)
	})
	c.cells = slices.Compact(c.cells)
}

// rollToWork rolls c up until port slabs for budget rules take bounded work.
func (s *solver) rollToWork(c *class, budget int) {
	work := func(atoms int) float64 {
		p := float64(len(c.units))
		return p * p / 2 * float64(atoms+8) * float64(budget+16)
	}
	if work(len(c.atoms)) > slabWork && len(c.units) > manyUnits {
		s.rollUnits(c, manyUnits)
	}
	limit := min(manyAtoms, max(fewAtoms, int(slabWork/work(1)*9)))
	if len(c.atoms) <= limit {
		return
	}
	t := buildTrie(c.atoms)
	price := make([]netset.Size, len(t.addrs))
	for v := range t.addrs {
		price[v] = s.m.addrs(t.addrs[v])
	}
	if s.bound && !s.allowed(hullServices(c.units), t.addrs[t.root()]) {
		s.forbid(c, t, price)
	}
	s.rollAtoms(c, t, price, limit)
}

// forbid sets the price of the nodes at which some service met below must not be
// offered.
func (s *solver) forbid(c *class, t *trie, price []netset.Size) {
	inside := make([]bool, len(t.addrs))
	for v := len(t.addrs) - 1; v >= 0; v-- {
		ok := inside[v]
		if !ok {
			ok = true
			for _, u := range c.units {
				if ok = s.allowed(u, t.addrs[v]); !ok {
					break
				}
			}
		}
		switch {
		case ok && t.inner(int32(v)):
			kids := t.kidsOf(int32(v))
			inside[kids[0]], inside[kids[1]] = true, true
		case !ok && t.inner(int32(v)): // leaves are allowed for what they meet
			price[v] = none
		}
	}
}
