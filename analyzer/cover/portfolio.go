package cover

import (
	"math/rand/v2"
	"slices"

	"github.com/sgadvise/sgadvise/engine/netset"
)

const (
	shrinkPoints = 20000 // points up to which covers of several protocols are shrunk
	seedPoints   = 64    // points that agglomeration starts from as they are
	searchPoints = 1500  // points up to which local search is worth its time
	searchRounds = 12    // per number of boxes; the gain of more is in the per mille
	searchWork   = 200   // rounds in all
	mendPoints   = 24    // points that local search covers anew at a time
	mendExact    = 8     // points up to which it does so by branch and bound,
	mendNodes    = 100   // in so many nodes
)

// family solves the points of one address family.
func (s *solver) family(ts []tuple, budget int) curve {
	classes := byProtocol(ts)
	if len(classes) == 1 {
		return s.class(ts, budget)
	}
	// Mixing starts from separate boxes, of which the budget may not allow enough.
	wide := max(budget, min(len(ts), 2*len(classes)))
	var curves []curve
	for _, c := range classes {
		curves = append(curves, s.class(c, wide))
	}
	out := combine(curves, wide)
	s.mix(out, ts)
	out = out[:budget]
	if len(ts) <= exactPoints {
		s.exact(out, ts)
	}
	return out
}

// byProtocol divides ts, each part in order. Points over several protocols, which
// only AllServices can hold, come last.
func byProtocol(ts []tuple) [][]tuple {
	var parts [257][]tuple
	for _, t := range ts {
		p, single := t.s.Proto()
		i := int(p)
		if !single {
			i = 256
		}
		parts[i] = append(parts[i], t)
	}
	return slices.DeleteFunc(parts[:], func(p []tuple) bool { return len(p) == 0 })
}

// mix offers covers of points of several protocols that hold some prefixes by one box
// of all services: everywhere, or where merging the best separate boxes leads to.
func (s *solver) mix(c curve, ts []tuple) {
	if !slices.ContainsFunc(ts, func(t tuple) bool { return s.allowed(netset.AllServices, t.a) }) {
		return
	}
	offer := func(rs []rect, method string) {
		if len(ts) <= shrinkPoints {
			s.improve(c, rs, ts, method)
			return
		}
		c.offer(answer{rects: rs, price: s.price(rs), method: method})
	}
	for i := range c {
		c[i].optimal = false // proven for separate boxes only
	}
	seed := c[len(c)-1].rects
	var hosts []tuple
	for i, t := range ts {
		if i == 0 || t.a != ts[i-1].a {
			hosts = append(hosts, tuple{t.a, netset.AllServices})
		}
	}
	if !slices.ContainsFunc(hosts, func(t tuple) bool { return !s.allowed(t.s, t.a) }) {
		for _, a := range s.class(hosts, len(c)) {
			if len(a.rects) > 0 {
				offer(a.rects, "all services")
			}
		}
	}
	for _, rs := range s.agglomerate(seed, len(c)) {
		offer(rs, "agglomeration")
	}
}

// portfolio solves the points of one protocol at several prefixes and services. No
// single method is safe: slabs lose where the best boxes overlap, agglomeration where
// a cheap merge hides behind dear ones. Each proposes, the best stays.
func (s *solver) portfolio(c *class, budget int) curve {
	if len(c.cells) <= exactPoints {
		return s.contest(c, budget)
	}
	s.rollToWork(c, min(2*budget, len(c.cells)))
	switch {
	case len(c.units) == 1:
		return s.oneService(c, budget)
	case len(c.atoms) == 1:
		return s.oneAtom(c, budget)
	}
	return s.contest(c, budget)
}

// contest lets the methods compete.
func (s *solver) contest(c *class, budget int) curve {
	ts := c.tuples()
	out := s.propose(c, ts, budget)
	if len(ts) <= exactPoints {
		s.exact(out, ts)
	}
	if len(ts) <= searchPoints {
		s.localSearch(out, ts)
	}
	return out
}

// propose returns the best of the slabs and of agglomeration from them.
func (s *solver) propose(c *class, ts []tuple, budget int) curve {
	out := newCurve(budget)
	twice := min(2*budget, len(ts))
	var seeds [][]rect
	for _, m := range []struct {
		name  string
		solve func(*class, int) slabs
	}{{"port slabs", s.portSlabs}, {"address slabs", s.addrSlabs}} {
		sl := m.solve(c, twice)
		for k := 1; k <= min(budget, len(sl.price)); k++ {
			if sl.price[k-1].Less(none) {
				s.improve(out, sl.rects(k), ts, m.name)
			}
		}
		if n := len(sl.price); sl.price[n-1].Less(none) {
			seeds = append(seeds, sl.rects(n))
		}
	}
	if len(ts) <= seedPoints {
		seeds = append(seeds, rectsOf(ts))
	}
	for _, seed := range seeds {
		for _, rs := range s.agglomerate(seed, budget) {
			s.improve(out, rs, ts, "agglomeration")
		}
	}
	return out
}

// localSearch takes the answer for each k, takes out one to three rects that are near
// each other, covers anew what they alone held, and keeps what is better.
func (s *solver) localSearch(c curve, ts []tuple) {
	rounds := max(2, min(searchRounds, searchWork/len(c)))
	for k := 2; k <= len(c); k++ {
		rng := rand.New(rand.NewPCG(s.seed, uint64(k)))
		for range rounds {
			cur := c[k-1]
			if len(cur.rects) < 2 || cur.optimal {
				break
			}
			s.improve(c, s.mend(cur.rects, cur.price, ts, k, rng), ts, "local search")
		}
	}
}

// mend returns a cover by at most k rects that shares most of them with rs, whose price
// is given; nil: this round found none.
func (s *solver) mend(rs []rect, price netset.Size, ts []tuple, k int, rng *rand.Rand) []rect {
	at := rng.IntN(len(rs))
	type near struct {
		i    int
		size float64
	}
	var others []near
	for i, r := range rs {
		if i == at {
			continue
		}
		h := netset.Box{Services: join(r.s, rs[at].s), Addrs: r.a.Hull(rs[at].a)}
		others = append(others, near{i, s.m.box(h).Float64() * (0.5 + rng.Float64())})
	}
	slices.SortFunc(others, func(a, b near) int {
		if a.size != b.size {
			if a.size < b.size {
				return -1
			}
			return 1
		}
		return a.i - b.i
	})
	out := map[int]bool{at: true}
	for _, o := range others[:min(len(others), rng.IntN(3))] {
		out[o.i] = true
	}
	var kept []rect
	for i, r := range rs {
		if !out[i] {
			kept = append(kept, r)
		}
	}
	var open []tuple
	for _, t := range ts {
		if !slices.ContainsFunc(kept, func(r rect) bool { return r.holds(t) }) {
			if open = append(open, t); len(open) > mendPoints {
				return nil
			}
		}
	}
	room := k - len(kept)
	if len(open) == 0 || room < 1 {
		return nil
	}
	if len(open) <= mendExact { // next to what is kept, not apart from it
		e := s.newSearch(open, mendNodes)
		e.chosen, e.best.price = kept, price
		e.search(0, s.price(kept), room)
		return e.best.rects
	}
	merged := s.agglomerate(rectsOf(open), room)
	if len(merged) == 0 { // the bound keeps them apart
		return nil
	}
	return append(kept, merged[0]...)
}
