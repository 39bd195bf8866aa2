package cover

import (
	"container/heap"
	"slices"

	"github.com/sgadvise/sgadvise/engine/netset"
)

// merger replaces pairs of rects by their hull, which swallows whatever lies inside
// it, until one is left. Each time it takes the pair that adds the least exposure per
// rect saved.
type merger struct {
	s     *solver
	rects []rect // all that ever were
	boxes []netset.Box
	alive []bool
	live  int
	pairs []*pair
}

// pair is a possible merge. What it adds is the hull less the union of what is there,
// which is dear to compute; volume less the sum of the clips is a bound from below
// that is cheap to keep, and most pairs are never looked at more closely.
type pair struct {
	i, j   int
	hull   rect
	box    netset.Box
	volume netset.Size
	clips  netset.Size // sum over live boxes of what they share with the hull
	saved  int         // live boxes inside the hull, less one
	added  netset.Size // the bound, or the truth if exact
	exact  bool
}

// cheaper compares added / saved by multiplying across.
func (p *pair) cheaper(q *pair) bool {
	x, y := p.added.Mul(uint64(q.saved)), q.added.Mul(uint64(p.saved))
	if x != y {
		return x.Less(y)
	}
	if p.i != q.i {
		return p.i < q.i
	}
	return p.j < q.j
}

// agglomerate merges rs down and returns what is left at each size up to budget, the
// smallest last. rs is taken in a fixed order, whatever order it comes in.
func (s *solver) agglomerate(rs []rect, budget int) [][]rect {
	m := &merger{s: s}
	rs = slices.Clone(rs)
	slices.SortFunc(rs, compareRects)
	for i, r := range rs {
		inner := slices.ContainsFunc(rs, func(o rect) bool { return o != r && o.box().Covers(r.box()) && o.box() != r.box() })
		if !inner && (i == 0 || rs[i-1].box() != r.box()) {
			m.push(r)
		}
	}
	for j := range m.rects {
		for i := range j {
			m.consider(i, j)
		}
	}
	var out [][]rect
	for {
		if m.live <= budget {
			out = append(out, m.left())
		}
		best := m.best()
		if best == nil {
			return out
		}
		m.merge(best)
	}
}

func (m *merger) push(r rect) {
	m.rects = append(m.rects, r)
	m.boxes = append(m.boxes, netset.Box{Services: whole(r.s), Addrs: r.a})
	m.alive = append(m.alive, true)
	m.live++
}

func (m *merger) left() []rect {
	var out []rect
	for i, r := range m.rects {
		if m.alive[i] {
			out = append(out, r)
		}
	}
	return out
}

// consider adds the pair of live rects i < j, if the bound allows it.
func (m *merger) consider(i, j int) {
	h, ok := m.s.hull(m.rects[i], m.rects[j])
	if !ok {
		return
	}
	p := &pair{i: i, j: j, hull: h, box: netset.Box{Services: whole(h.s), Addrs: h.a}, saved: -1}
	p.volume = m.s.m.box(p.box)
	for k, b := range m.boxes {
		if m.alive[k] {
			m.account(p, b, true)
		}
	}
	p.estimate()
	m.pairs = append(m.pairs, p)
}

// account adds or takes away the share of box b in p.
func (m *merger) account(p *pair, b netset.Box, add bool) {
	x, ok := b.Intersect(p.box)
	if !ok {
		return
	}
	inside := 0
	if x == b {
		inside = 1
	}
	if add {
		p.clips = p.clips.Add(m.s.m.box(x))
		p.saved += inside
	} else {
		p.clips = p.clips.Sub(m.s.m.box(x))
		p.saved -= inside
	}
}

func (p *pair) estimate() {
	p.exact, p.added = false, netset.Size{}
	if p.clips.Less(p.volume) {
		p.added = p.volume.Sub(p.clips)
	}
	p.discount()
}

// discount keeps prices in fours, but for named prefixes.
func (p *pair) discount() {
	if !p.hull.named {
		p.added = p.added.Mul(full)
	}
}

// settle computes what p really adds.
func (m *merger) settle(p *pair) {
	rest, spare := []netset.Box{p.box}, []netset.Box(nil)
	for i, b := range m.boxes {
		if !m.alive[i] || !b.Overlaps(p.box) {
			continue
		}
		spare = spare[:0]
		for _, r := range rest {
			spare = r.AppendSubtract(spare, b)
		}
		rest, spare = spare, rest
	}
	p.exact, p.added = true, netset.Size{}
	for _, r := range rest {
		p.added = p.added.Add(m.s.m.box(r))
	}
	p.discount()
}

type pairHeap []*pair

func (h pairHeap) Len() int           { return len(h) }
func (h pairHeap) Less(i, j int) bool { return h[i].cheaper(h[j]) }
func (h pairHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *pairHeap) Push(x any)        { *h = append(*h, x.(*pair)) }
func (h *pairHeap) Pop() any {
	old := *h
	x := old[len(old)-1]
	*h = old[:len(old)-1]
	return x
}

// best returns the cheapest pair; nil: there is none.
func (m *merger) best() *pair {
	if len(m.pairs) == 0 {
		return nil
	}
	h := pairHeap(slices.Clone(m.pairs))
	heap.Init(&h)
	for !h[0].exact {
		m.settle(h[0])
		heap.Fix(&h, 0)
	}
	return h[0]
}

// merge carries out p.
func (m *merger) merge(p *pair) {
	var gone []netset.Box
	for i, b := range m.boxes {
		if m.alive[i] && p.box.Covers(b) {
			m.alive[i] = false
			m.live--
			gone = append(gone, b)
		}
	}
	kept := m.pairs[:0]
	for _, q := range m.pairs {
		if !m.alive[q.i] || !m.alive[q.j] {
			continue
		}
		if q.box.Overlaps(p.box) {
			for _, b := range gone {
				m.account(q, b, false)
			}
			m.account(q, p.box, true)
			q.estimate()
		}
		kept = append(kept, q)
	}
	clear(m.pairs[len(kept):])
	m.pairs = kept
	m.push(p.hull)
	last := len(m.rects) - 1
	for i := range last {
		if m.alive[i] {
			m.consider(i, last)
		}
	}
}
