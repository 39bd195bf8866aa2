package cover

import (
	"cmp"
	"slices"

	"github.com/sgadvise/sgadvise/engine/netset"
)

// widen returns the least services that hold s and that one rule can name: a port
// range of one protocol, an ICMP type with one code or all of them, a whole protocol,
// or everything.
func widen(s netset.Services) netset.Services {
	p, single := s.Proto()
	protocol := netset.Services{First: s.First &^ 0xffff, Last: s.Last | 0xffff}
	switch {
	case !single:
		return netset.AllServices
	case p.HasPorts():
		return s
	case !p.IsICMP():
		return protocol
	case s.First == s.Last:
		return s
	case s.First>>8 == s.Last>>8:
		return netset.Services{First: s.First &^ 0xff, Last: s.Last | 0xff}
	}
	return protocol
}

// join returns the least services of one rule that hold a and b.
func join(a, b netset.Services) netset.Services {
	return widen(netset.Services{First: min(a.First, b.First), Last: max(a.Last, b.Last)})
}

func compareServices(a, b netset.Services) int {
	return cmp.Or(cmp.Compare(a.First, b.First), cmp.Compare(b.Last, a.Last))
}

// runs is a way to cover services of one protocol by k rules for every k: run i
// covers the services up to and with end[i]-1 that the one before does not.
type runs struct {
	weight []uint64 // with at most k runs, at k-1
	ends   func(k int) []int
	first  int // the least k that is possible, counted from 1
}

// cutServices covers units, which are in order and of one protocol, for every k up
// to budget. apart says that units i and i+1 must not share a run.
func (m *measure) cutServices(units []netset.Services, budget int, apart func(i int) bool) runs {
	p, single := units[0].Proto()
	if single && !p.HasPorts() {
		return m.partition(units, budget, apart)
	}
	return m.cutGaps(units, budget, apart)
}

// cutGaps cuts at the heaviest gaps. That is optimal for every additive weight: what
// k runs weigh is the weight of the hull less that of the k-1 gaps between them.
func (m *measure) cutGaps(units []netset.Services, budget int, apart func(i int) bool) runs {
	type gap struct {
		after  int
		weight uint64
		forced bool
	}
	var gaps []gap
	last := units[0].Last
	for i, u := range units[1:] {
		g := gap{after: i, forced: apart != nil && apart(i)}
		switch {
		case u.First > last+1:
			g.weight = m.services(netset.Services{First: last + 1, Last: u.First - 1})
		case u.First <= last && !g.forced: // they overlap: no cut between them
			last = max(last, u.Last)
			continue
		}
		gaps = append(gaps, g)
		last = max(last, u.Last)
	}
	slices.SortStableFunc(gaps, func(a, b gap) int {
		switch {
		case a.forced != b.forced:
			if a.forced {
				return -1
			}
			return 1
		}
		return cmp.Compare(b.weight, a.weight)
	})
	w := m.services(netset.Services{First: units[0].First, Last: last})
	r := runs{first: 1}
	for _, g := range gaps {
		if g.forced {
			r.first++
		}
	}
	for k := 1; k <= budget && k <= len(gaps)+1; k++ {
		if k > 1 {
			w -= gaps[k-2].weight
		}
		r.weight = append(r.weight, w)
	}
	r.ends = func(k int) []int {
		ends := make([]int, 0, k)
		for _, g := range gaps[:k-1] {
			ends = append(ends, g.after+1)
		}
		slices.Sort(ends)
		return append(ends, len(units))
	}
	return r
}

// partition tries every cut, in O(n² × budget): for ICMP, where the least rule for
// two types is the whole protocol.
func (m *measure) partition(units []netset.Services, budget int, apart func(i int) bool) runs {
	n := len(units)
	budget = min(budget, n)
	const impossible = 1 << 62
	weight := make([][]uint64, budget+1) // weight[k][j]: the first j units in k runs
	from := make([][]int, budget+1)
	for k := range weight {
		weight[k], from[k] = make([]uint64, n+1), make([]int, n+1)
		for j := range weight[k] {
			weight[k][j] = impossible
		}
	}
	weight[0][0] = 0
	for i := range n {
		run := units[i]
		for j := i + 1; j <= n; j++ {
			if j > i+1 {
				if apart != nil && apart(j-2) {
					break
				}
				run = join(run, units[j-1])
			}
			w := m.services(run)
			for k := 1; k <= budget; k++ {
				if x := weight[k-1][i] + w; x < weight[k][j] {
					weight[k][j], from[k][j] = x, i
				}
			}
		}
	}
	best := make([]int, budget+1) // the number of runs that is best within k
	r := runs{first: budget + 1}
	for k := 1; k <= budget; k++ {
		best[k] = k
		if k > 1 && weight[best[k-1]][n] <= weight[k][n] {
			best[k] = best[k-1]
		}
		r.weight = append(r.weight, weight[best[k]][n])
		if weight[best[k]][n] < impossible {
			r.first = min(r.first, k)
		}
	}
	r.ends = func(k int) []int {
		var ends []int
		for k, j := best[k], n; k > 0; k, j = k-1, from[k][j] {
			ends = append(ends, j)
		}
		slices.Reverse(ends)
		return ends
	}
	return r
}

// hull returns the least services of one rule that hold all units.
func hullServices(units []netset.Services) netset.Services {
	h := units[0]
	for _, u := range units[1:] {
		h = join(h, u)
	}
	return h
}
