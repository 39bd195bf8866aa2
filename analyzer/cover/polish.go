package cover

import (
	"slices"

	"github.com/sgadvise/sgadvise/engine/netset"
)

// shrink makes every rect, the largest first, the hull of the points that only it
// holds, and drops it if there are none. It never adds exposure. ts is in order, its
// prefixes equal or disjoint; rs must hold all of it.
func (s *solver) shrink(rs []rect, ts []tuple) []rect {
	type sized struct {
		rect
		size netset.Size
	}
	order := make([]sized, len(rs))
	for i, r := range rs {
		order[i] = sized{r, s.m.box(r.box())}
	}
	slices.SortFunc(order, func(a, b sized) int {
		if c := b.size.Cmp(a.size); c != 0 {
			return c
		}
		return compareRects(a.rect, b.rect)
	})
	holders := make([]int32, len(ts))
	each := func(r rect, f func(i int)) {
		i, _ := slices.BinarySearchFunc(ts, r.a, func(t tuple, a netset.Addrs) int { return t.a.First.Compare(a.First) })
		for ; i < len(ts) && r.a.Contains(ts[i].a.First); i++ {
			if r.holds(ts[i]) {
				f(i)
			}
		}
	}
	for _, r := range order {
		each(r.rect, func(i int) { holders[i]++ })
	}
	var out []rect
	for _, o := range order {
		var h rect
		found := false
		each(o.rect, func(i int) {
			if holders[i] > 1 {
				return
			}
			if !found {
				h, found = ts[i].rect(), true
				return
			}
			h.s, h.a = join(h.s, ts[i].s), h.a.Hull(ts[i].a)
		})
		each(o.rect, func(i int) { holders[i]-- })
		if !found {
			continue
		}
		if i := s.namedAround(h.a); i >= 0 && o.a.Covers(s.named[i]) && s.m.addrs(s.named[i]).Less(s.m.addrs(h.a).Mul(full)) {
			h.a, h.named = s.named[i], true
		}
		each(h, func(i int) { holders[i]++ })
		out = append(out, h)
	}
	return out
}

// improve offers rs, shrunk, to c.
func (s *solver) improve(c curve, rs []rect, ts []tuple, method string) {
	if len(rs) == 0 {
		return
	}
	c.offer(s.polished(rs, ts, method))
}

func (s *solver) polished(rs []rect, ts []tuple, method string) answer {
	rs = s.shrink(rs, ts)
	return answer{rects: rs, price: s.price(rs), method: method}
}

// hull returns the cheapest rect that holds a and b; false: the bound forbids it.
func (s *solver) hull(a, b rect) (rect, bool) {
	r, price := s.offer(join(a.s, b.s), a.a.Hull(b.a))
	return r, price.Less(none)
}
