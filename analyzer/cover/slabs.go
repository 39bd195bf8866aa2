package cover

import (
	"slices"

	"github.com/sgadvise/sgadvise/engine/netset"
)

// slabs is one family of covers for every k.
type slabs struct {
	price []netset.Size // with at most k boxes, at k-1; none: impossible
	rects func(k int) []rect
}

// portSlabs cuts the services into ranges and covers the prefixes of each range by a
// knapsack of their own: the best cover of that shape, by trying every range.
// O(p² (atoms + budget) budget) for p services.
func (s *solver) portSlabs(c *class, budget int) slabs {
	type slab struct {
		k      *knapsack
		offers []rect
		weight uint64
	}
	p := len(c.units)
	of := make([][]int32, p) // atoms that meet each unit
	for _, x := range c.cells {
		of[x.unit] = append(of[x.unit], x.atom)
	}
	all := make([][]slab, p)
	for i := range p {
		var met []int32
		run := c.units[i]
		for j := i; j < p; j++ {
			met = mergeIDs(met, of[j])
			run = join(run, c.units[j])
			atoms := make([]netset.Addrs, len(met))
			for x, a := range met {
				atoms[x] = c.atoms[a]
			}
			t, offers, price := s.priceTrie(atoms, run)
			all[i] = append(all[i], slab{t.fill(price, budget), offers, s.m.services(run)})
		}
	}
	// least[j][k] is the price of the first j units in k boxes; the last slab begins
	// at from[j][k] and has boxes[j][k].
	least := make([][]netset.Size, p+1)
	from, boxes := make([][]int, p+1), make([][]int, p+1)
	for j := range least {
		least[j] = make([]netset.Size, budget+1)
		from[j], boxes[j] = make([]int, budget+1), make([]int, budget+1)
		for k := range least[j] {
			if j > 0 {
				least[j][k] = none
			}
		}
	}
	for j := 1; j <= p; j++ {
		for i := range j {
			sl := &all[i][j-1-i]
			for q := 1; q <= min(budget, len(sl.k.price)); q++ {
				if !sl.k.price[q-1].Less(none) {
					continue
				}
				w := sl.k.price[q-1].Mul(sl.weight)
				for k := q; k <= budget; k++ {
					if x := least[i][k-q].Add(w); x.Less(least[j][k]) {
						least[j][k], from[j][k], boxes[j][k] = x, i, q
					}
				}
			}
		}
	}
	return slabs{least[p][1:], func(k int) []rect {
		var out []rect
		for j := p; j > 0; {
			i, q := from[j][k], boxes[j][k]
			sl := &all[i][j-1-i]
			for _, v := range sl.k.nodes(nil, q) {
				out = append(out, sl.offers[v])
			}
			j, k = i, k-q
		}
		return out
	}}
}

// mergeIDs returns the union of two lists in order.
func mergeIDs(a, b []int32) []int32 {
	out := make([]int32, 0, len(a)+len(b))
	for len(a) > 0 && len(b) > 0 {
		switch {
		case a[0] < b[0]:
			out, a = append(out, a[0]), a[1:]
		case b[0] < a[0]:
			out, b = append(out, b[0]), b[1:]
		default:
			out, a, b = append(out, a[0]), a[1:], b[1:]
		}
	}
	return append(append(out, a...), b...)
}

// addrSlabs cuts the addresses into prefixes and covers the services of each by
// ranges of their own: the best cover of that shape.
// O(atoms (p log p + budget²)) at most.
func (s *solver) addrSlabs(c *class, budget int) slabs {
	type node struct {
		units []int32
		price []netset.Size
		left  []int // boxes of the left child; 0: the node itself in ranges
		cut   runs
	}
	t := buildTrie(c.atoms)
	nodes := make([]node, len(t.addrs))
	for _, x := range c.cells {
		nodes[x.atom].units = append(nodes[x.atom].units, x.unit)
	}
	under := make([]int, len(t.addrs)) // points under each node
	for v := range nodes {
		n := &nodes[v]
		var l, r *node
		if t.inner(int32(v)) {
			kids := t.kidsOf(int32(v))
			l, r = &nodes[kids[0]], &nodes[kids[1]]
			n.units = mergeIDs(l.units, r.units)
			under[v] = under[kids[0]] + under[kids[1]]
		} else {
			under[v] = len(n.units)
		}
		units := make([]netset.Services, len(n.units))
		for i, u := range n.units {
			units[i] = c.units[u]
		}
		a := t.addrs[v]
		possible := !s.bound || !slices.ContainsFunc(units, func(u netset.Services) bool { return !s.allowed(u, a) })
		m := min(under[v], budget)
		n.price, n.left = make([]netset.Size, m), make([]int, m)
		var unit netset.Size
		if possible {
			n.cut = s.m.cutServices(units, m, s.apart(units, a))
			_, unit = s.offer(hullServices(units), a)
			if unit == none { // the ranges are inside, their hull is not
				unit = s.m.addrs(a).Mul(full)
			}
		}
		for k := 1; k <= m; k++ {
			n.price[k-1] = none
			if possible && k >= n.cut.first {
				n.price[k-1] = unit.Mul(n.cut.weight[min(k, len(n.cut.weight))-1])
			}
		}
		if l == nil {
			continue
		}
		for x, lp := range l.price {
			for y := range r.price[:min(len(r.price), max(m-1-x, 0))] {
				if p := lp.Add(r.price[y]); p.Less(n.price[x+y+1]) {
					n.price[x+y+1], n.left[x+y+1] = p, x+1
				}
			}
		}
		for k := 1; k < m; k++ {
			if !n.price[k].Less(n.price[k-1]) {
				n.price[k], n.left[k] = n.price[k-1], -1
			}
		}
	}
	var walk func(out []rect, v int32, k int) []rect
	walk = func(out []rect, v int32, k int) []rect {
		n := &nodes[v]
		k = min(k, len(n.price))
		for n.left[k-1] < 0 {
			k--
		}
		if x := n.left[k-1]; x > 0 {
			kids := t.kidsOf(v)
			return walk(walk(out, kids[0], x), kids[1], k-x)
		}
		from := 0
		for _, end := range n.cut.ends(min(k, len(n.cut.weight))) {
			run := c.units[n.units[from]]
			for _, u := range n.units[from:end] {
				run = join(run, c.units[u])
			}
			r, _ := s.offer(run, t.addrs[v])
			out = append(out, r)
			from = end
		}
		return out
	}
	root := t.root()
	price := nodes[root].price
	return slabs{price, func(k int) []rect { return walk(nil, root, k) }}
}
