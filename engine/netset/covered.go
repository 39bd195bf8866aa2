package netset

import (
	"cmp"
	"slices"
)

// maxResidual bounds the pieces that subtraction may make before the sweep takes
// over: realistic rule sets stay under 30 pieces, while stripes that cross (holes
// like a checkerboard) make millions, where the sweep needs a millisecond.
const maxResidual = 4096

// Covered reports whether every point of r is in one of by. If not, witness is a
// part of r that none of them meets. The answer does not depend on the order of by.
func Covered(r Box, by []Box) (ok bool, witness Box) {
	var buf [16]clip
	clips := clipAll(buf[:0], r, by)
	if len(clips) == 0 {
		return false, r
	}
	if clips[0].Box == r { // largest first
		return true, Box{}
	}
	if rest, ok := subtractAll(r, clips, maxResidual); ok {
		if len(rest) == 0 {
			return true, Box{}
		}
		return false, rest[0]
	}
	return sweep(r, clips)
}

// CoveredAll reports whether every point of every one of rs is in one of by; if not,
// witness is a part of the first that is not.
func CoveredAll(rs, by []Box) (ok bool, witness Box) {
	for _, r := range rs {
		if ok, w := Covered(r, by); !ok {
			return false, w
		}
	}
	return true, Box{}
}

// Equal reports whether the unions of a and b are the same set of points.
func Equal(a, b []Box) bool {
	ok, _ := CoveredAll(a, b)
	if ok {
		ok, _ = CoveredAll(b, a)
	}
	return ok
}

// Residual returns r without all of by, as disjoint boxes in order. It gives up, and
// returns nil and false, when more than max pieces turn up on the way.
func Residual(r Box, by []Box, max int) ([]Box, bool) {
	rest, ok := subtractAll(r, clipAll(nil, r, by), max)
	if !ok {
		return nil, false
	}
	slices.SortFunc(rest, Box.Compare)
	return rest, true
}

// clip is the part of a box that lies in the box asked about.
type clip struct {
	Box
	size Size
}

// clipAll appends what each of by shares with r to dst, the largest first: they
// swallow most pieces early.
func clipAll(dst []clip, r Box, by []Box) []clip {
	for _, c := range by {
		if x, ok := c.Intersect(r); ok {
			dst = append(dst, clip{x, x.Size()})
		}
	}
	slices.SortFunc(dst, func(a, b clip) int { return cmp.Or(b.size.Cmp(a.size), a.Compare(b.Box)) })
	return dst
}

// subtractAll returns the pieces of r outside all clips; false: there were more than max.
func subtractAll(r Box, clips []clip, max int) ([]Box, bool) {
	cur, spare := []Box{r}, []Box(nil)
	for _, c := range clips {
		spare = spare[:0]
		for _, b := range cur {
			spare = b.AppendSubtract(spare, c.Box)
		}
		cur, spare = spare, cur
		if len(cur) == 0 {
			return nil, true
		}
		if len(cur) > max {
			return nil, false
		}
	}
	return cur, true
}

// sweep decides coverage in O(m log m): a line moves along the addresses of r; over
// its services stands a tree of how many clips cover each; a zero anywhere is a hole.
func sweep(r Box, clips []clip) (ok bool, witness Box) {
	type event struct {
		at    int // index into stops
		depth int32
		s     Services
	}
	// Stops are the addresses at which the set of clips under the line changes, cuts
	// the services at which it does.
	stops := []Addrs{{r.Addrs.First, r.Addrs.Last}}
	cuts := []uint32{r.Services.First}
	for _, c := range clips {
		stops = append(stops, Addrs{First: c.Addrs.First})
		if c.Addrs.Last != r.Addrs.Last {
			stops = append(stops, Addrs{First: next(c.Addrs.Last)})
		}
		cuts = append(cuts, c.Services.First)
		if c.Services.Last != r.Services.Last {
			cuts = append(cuts, c.Services.Last+1)
		}
	}
	byFirst := func(a, b Addrs) int { return a.First.Compare(b.First) }
	slices.SortFunc(stops, byFirst)
	stops = slices.CompactFunc(stops, func(a, b Addrs) bool { return a.First == b.First })
	for i := range stops {
		stops[i].Last = r.Addrs.Last
		if i+1 < len(stops) {
			stops[i].Last = prev(stops[i+1].First)
		}
	}
	slices.Sort(cuts)
	cuts = slices.Compact(cuts)

	var events []event
	for _, c := range clips {
		i, _ := slices.BinarySearchFunc(stops, c.Addrs, byFirst)
		events = append(events, event{i, 1, c.Services})
		if c.Addrs.Last != r.Addrs.Last {
			i, _ = slices.BinarySearchFunc(stops, Addrs{First: next(c.Addrs.Last)}, byFirst)
			events = append(events, event{i, -1, c.Services})
		}
	}
	slices.SortFunc(events, func(a, b event) int { return a.at - b.at })

	cutAt := func(x uint32) int { i, _ := slices.BinarySearch(cuts, x); return i }
	tree := newDepthTree(len(cuts))
	for i, e := range events {
		if i == 0 && e.at > 0 { // no clip begins where r does
			return false, Box{r.Services, stops[0]}
		}
		end := len(cuts)
		if e.s.Last != r.Services.Last {
			end = cutAt(e.s.Last + 1)
		}
		tree.add(1, 0, tree.n, cutAt(e.s.First), end, e.depth)
		if i+1 < len(events) && events[i+1].at == e.at {
			continue
		}
		if hole, found := tree.hole(); found {
			s := Services{cuts[hole], r.Services.Last}
			if hole+1 < len(cuts) {
				s.Last = cuts[hole+1] - 1
			}
			return false, Box{s, stops[e.at]}
		}
	}
	return true, Box{}
}

// depthTree holds a number for each of n cells, with addition over ranges and the
// minimum of all: least[v] is the minimum under v, including what was added at v.
type depthTree struct {
	n           int
	least, plus []int32
}

func newDepthTree(n int) *depthTree {
	return &depthTree{n, make([]int32, 4*n), make([]int32, 4*n)}
}

// add adds d to the cells [a, b); v is the node of the cells [l, r).
func (t *depthTree) add(v, l, r, a, b int, d int32) {
	if a <= l && r <= b {
		t.least[v] += d
		t.plus[v] += d
		return
	}
	m := (l + r) / 2
	if a < m {
		t.add(2*v, l, m, a, b, d)
	}
	if b > m {
		t.add(2*v+1, m, r, a, b, d)
	}
	t.least[v] = min(t.least[2*v], t.least[2*v+1]) + t.plus[v]
}

// hole returns the first cell that is 0, if any. No cell is below 0.
func (t *depthTree) hole() (int, bool) {
	if t.least[1] > 0 {
		return 0, false
	}
	v, l, r := 1, 0, t.n
	for r-l > 1 { // plus is 0 all the way down to a zero
		m := (l + r) / 2
		if t.least[2*v] == 0 {
			v, r = 2*v, m
		} else {
			v, l = 2*v+1, m
		}
	}
	return l, true
}
