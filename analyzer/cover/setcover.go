package cover

import (
	"cmp"
	"math/bits"
	"slices"
)

// MinCover returns the cheapest ids such that each set keeps one of its own: sets[i]
// lists the ids of which at least one must stay, cost[id] is what keeping id costs.
// keep is in order. lower is a proven bound: no choice costs less; optimal says that
// keep costs exactly that. limit bounds the nodes of the search; less than 1 leaves it
// to the reductions and the greedy choice. An empty set asks nothing.
//
// Sets that hold another set are dropped, and ids whose sets another id serves for
// the same cost or less (ties: the lower id stays); what is left falls into
// components, each solved by branch and bound from a greedy choice. The result does
// not depend on the order of sets.
//
// Exact on realistic rule sets, mostly by the reductions alone; a greedy choice can
// cost H(n) times the least, n the sets of the busiest id.
func MinCover(sets [][]int32, cost []uint64, limit int) (keep []int32, lower uint64, optimal bool) {
	p := &coverProblem{cost, limit}
	tidy := make([][]int32, 0, len(sets))
	for _, s := range sets {
		if len(s) > 0 {
			s = slices.Clone(s)
			slices.Sort(s)
			tidy = append(tidy, slices.Compact(s))
		}
	}
	forced, rest := p.reduce(tidy)
	keep, lower, optimal = forced, p.total(forced), true
	for _, component := range p.components(rest) {
		ids, low, proven := p.solve(component)
		keep = append(keep, ids...)
		lower += low
		optimal = optimal && proven
	}
	slices.Sort(keep)
	return keep, lower, optimal
}

// coverProblem holds what all nodes of the search share.
type coverProblem struct {
	cost  []uint64
	nodes int // that the search may still visit
}

// reduce applies what never costs anything until nothing changes: a set with one id
// forces it; a set that holds another is met when that one is; an id that serves no
// set that another one, no dearer, does not serve, may go. It returns the forced ids
// and the sets that are left, in order of length; sets itself is not changed.
func (p *coverProblem) reduce(sets [][]int32) (forced []int32, rest [][]int32) {
	rest = slices.Clone(sets)
	for {
		slices.SortFunc(rest, func(a, b []int32) int { return cmp.Or(cmp.Compare(len(a), len(b)), slices.Compare(a, b)) })
		rest = slices.CompactFunc(rest, slices.Equal[[]int32])
		single := 0
		for single < len(rest) && len(rest[single]) == 1 {
			forced = append(forced, rest[single][0])
			single++
		}
		rest = dropSupersets(rest)[single:] // the singles drop all else that their ids meet
		gone := p.dominated(rest)
		if len(gone) == 0 {
			return forced, rest
		}
		for i, s := range rest {
			rest[i] = slices.DeleteFunc(slices.Clone(s), func(id int32) bool { return gone[id] })
		}
	}
}

// dropSupersets drops the sets that hold an earlier one; sets are in order of length.
func dropSupersets(sets [][]int32) [][]int32 {
	out := make([][]int32, 0, len(sets))
	byFirst := make(map[int32][][]int32) // a subset's first id is in the superset
	for _, s := range sets {
		held := slices.ContainsFunc(s, func(id int32) bool {
			return slices.ContainsFunc(byFirst[id], func(t []int32) bool { return subset(t, s) })
		})
		if !held {
			out = append(out, s)
			byFirst[s[0]] = append(byFirst[s[0]], s)
		}
	}
	return out
}

// subset reports whether all of a is in b; both are in order.
func subset(a, b []int32) bool {
	for len(a) > 0 {
		if len(a) > len(b) {
			return false
		}
		switch {
		case a[0] == b[0]:
			a, b = a[1:], b[1:]
		case a[0] > b[0]:
			b = b[1:]
		default:
			return false
		}
	}
	return true
}

// serves returns for every id the indexes of the sets it is in, and the ids in order.
func serves(sets [][]int32) (of map[int32][]int32, ids []int32) {
	of = make(map[int32][]int32)
	for i, s := range sets {
		for _, id := range s {
			if of[id] == nil {
				ids = append(ids, id)
			}
			of[id] = append(of[id], int32(i))
		}
	}
	slices.Sort(ids)
	return of, ids
}

// dominated returns ids that may go, never one without the id that replaces it.
func (p *coverProblem) dominated(sets [][]int32) map[int32]bool {
	of, ids := serves(sets)
	gone := make(map[int32]bool)
	for _, a := range ids {
		for _, b := range sets[of[a][0]] { // what replaces a is in all its sets
			if a == b || gone[b] || p.cost[b] > p.cost[a] || !subset(of[a], of[b]) {
				continue
			}
			if p.cost[a] == p.cost[b] && len(of[a]) == len(of[b]) && a < b {
				continue // equals: the lower id stays
			}
			gone[a] = true
			break
		}
	}
	return gone
}

// components divides sets so that no id is in two parts; in order of the least id.
func (p *coverProblem) components(sets [][]int32) [][][]int32 {
	parent := make(map[int32]int32)
	var find func(x int32) int32
	find = func(x int32) int32 {
		up, ok := parent[x]
		if !ok || up == x {
			parent[x] = x
			return x
		}
		root := find(up)
		parent[x] = root
		return root
	}
	for _, s := range sets {
		for _, id := range s {
			a, b := find(s[0]), find(id)
			parent[max(a, b)] = min(a, b) // the root is the least id
		}
	}
	at := make(map[int32]int)
	var roots []int32
	for _, s := range sets {
		if r := find(s[0]); at[r] == 0 {
			roots = append(roots, r)
			at[r] = len(roots)
		}
	}
	slices.Sort(roots)
	for i, r := range roots {
		at[r] = i
	}
	out := make([][][]int32, len(roots))
	for _, s := range sets {
		i := at[find(s[0])]
		out[i] = append(out[i], s)
	}
	return out
}

// solve returns the best choice found for one component and a bound from below.
func (p *coverProblem) solve(sets [][]int32) (keep []int32, lower uint64, optimal bool) {
	s := coverSearch{coverProblem: p, best: p.greedy(sets)}
	s.price = p.total(s.best)
	lower = p.dual(sets)
	if lower < s.price && p.nodes >= 1 {
		s.search(sets, nil, 0)
		if !s.stopped {
			lower = s.price
		}
	}
	return s.best, lower, lower == s.price
}

func (p *coverProblem) total(ids []int32) uint64 {
	var sum uint64
	for _, id := range ids {
		sum += p.cost[id]
	}
	return sum
}

// better reports whether an id with n sets at cost c beats one with m sets at cost d.
func better(n int, c uint64, m int, d uint64) bool {
	xh, xl := bits.Mul64(uint64(n), d)
	yh, yl := bits.Mul64(uint64(m), c)
	return xh > yh || xh == yh && xl > yl
}

// greedy takes the id with the most open sets for its cost until none is open, then
// drops, the dearest first, what the others make needless.
func (p *coverProblem) greedy(sets [][]int32) []int32 {
	of, ids := serves(sets)
	open := make(map[int32]int, len(ids))
	for _, id := range ids {
		open[id] = len(of[id])
	}
	met := make([]int, len(sets)) // by how many of the ids taken
	var taken []int32
	for left := len(sets); left > 0; {
		best := int32(-1)
		for _, id := range ids {
			if open[id] > 0 && (best < 0 || better(open[id], p.cost[id], open[best], p.cost[best])) {
				best = id
			}
		}
		taken = append(taken, best)
		for _, i := range of[best] {
			if met[i]++; met[i] == 1 {
				left--
				for _, id := range sets[i] {
					open[id]--
				}
			}
		}
	}
	slices.SortFunc(taken, func(a, b int32) int { return cmp.Or(cmp.Compare(p.cost[b], p.cost[a]), cmp.Compare(b, a)) })
	return slices.DeleteFunc(taken, func(id int32) bool {
		if slices.ContainsFunc(of[id], func(i int32) bool { return met[i] == 1 }) {
			return false
		}
		for _, i := range of[id] {
			met[i]--
		}
		return true
	})
}

// dual returns a bound from below: each set in turn takes what is left of the cost of
// its cheapest id and charges it to all its ids. No id pays more than it costs, and
// every choice pays every set at least once.
func (p *coverProblem) dual(sets [][]int32) uint64 {
	left := make(map[int32]uint64)
	for _, s := range sets {
		for _, id := range s {
			left[id] = p.cost[id]
		}
	}
	var sum uint64
	for _, s := range sets {
		least := left[s[0]]
		for _, id := range s[1:] {
			least = min(least, left[id])
		}
		for _, id := range s {
			left[id] -= least
		}
		sum += least
	}
	return sum
}

// coverSearch is branch and bound over one component.
type coverSearch struct {
	*coverProblem
	best    []int32
	price   uint64
	stopped bool
}

// search branches over the ids of the shortest set; an id whose branch is done is
// left out of the later ones.
func (s *coverSearch) search(sets [][]int32, chosen []int32, price uint64) {
	if s.nodes < 1 {
		s.stopped = true
		return
	}
	s.nodes--
	forced, rest := s.reduce(sets)
	price += s.total(forced)
	if price >= s.price {
		return
	}
	chosen = slices.Concat(chosen, forced)
	if len(rest) == 0 {
		s.best, s.price = chosen, price
		return
	}
	if price+s.dual(rest) >= s.price {
		return
	}
	of, _ := serves(rest)
	branch := slices.Clone(rest[0])
	slices.SortStableFunc(branch, func(a, b int32) int {
		switch {
		case better(len(of[a]), s.cost[a], len(of[b]), s.cost[b]):
			return -1
		case better(len(of[b]), s.cost[b], len(of[a]), s.cost[a]):
			return 1
		}
		return 0
	})
	done := make(map[int32]bool)
	for _, id := range branch {
		var next [][]int32
		dead := false
		for _, t := range rest {
			if _, in := slices.BinarySearch(t, id); in {
				continue
			}
			t = slices.DeleteFunc(slices.Clone(t), func(x int32) bool { return done[x] })
			dead = dead || len(t) == 0
			next = append(next, t)
		}
		if !dead {
			s.search(next, append(slices.Clone(chosen), id), price+s.cost[id])
			if s.stopped {
				return
			}
		}
		done[id] = true
	}
}
