package cover

import (
	"github.com/sgadvise/sgadvise/engine/netset"
)

// trie is the compressed binary trie of disjoint prefixes of one family. Nodes
// 0 … n-1 are the leaves in order of address, n … 2n-2 the inner nodes, children
// before parents; an inner node is the longest prefix that holds its children. Some
// least cover uses its nodes only: shrink each prefix of a cover to the longest one
// that holds its leaves, and of nested ones keep the outer.
type trie struct {
	leaves []netset.Addrs
	kids   [][2]int32     // of inner node i at i-n
	addrs  []netset.Addrs // of every node
	size   []int32        // leaves under every node
}

// buildTrie builds the trie of leaves, which must be sorted, disjoint prefixes. O(n).
func buildTrie(leaves []netset.Addrs) *trie {
	n := len(leaves)
	t := &trie{leaves: leaves, kids: make([][2]int32, 0, n), addrs: make([]netset.Addrs, n, 2*n), size: make([]int32, n, 2*n)}
	copy(t.addrs, leaves)
	for i := range t.size {
		t.size[i] = 1
	}
	// stack holds finished subtrees that wait for their right sibling, with the number
	// of bits they share with the leaf after them: ever more bits towards the top.
	type waiting struct {
		node   int32
		common int
	}
	var stack []waiting
	for i := range leaves {
		node, common := int32(i), -1
		if i+1 < n {
			common = netset.CommonBits(leaves[i].First, leaves[i+1].First)
		}
		for len(stack) > 0 && stack[len(stack)-1].common > common {
			l := stack[len(stack)-1].node
			stack = stack[:len(stack)-1]
			t.kids = append(t.kids, [2]int32{l, node})
			t.addrs = append(t.addrs, t.addrs[l].Hull(t.addrs[node]))
			t.size = append(t.size, t.size[l]+t.size[node])
			node = int32(len(t.addrs) - 1)
		}
		stack = append(stack, waiting{node, common})
	}
	return t
}

func (t *trie) root() int32             { return int32(len(t.addrs) - 1) }
func (t *trie) inner(v int32) bool      { return int(v) >= len(t.leaves) }
func (t *trie) kidsOf(v int32) [2]int32 { return t.kids[int(v)-len(t.leaves)] }

// none is the price of what is impossible. Sums of two of them stay in range.
var none = netset.SizeOf(1 << 60).Mul(1 << 60).Mul(1 << 60)

// pick is where the least price of a node with k prefixes comes from: 0, the node
// itself; otherwise the left child with pick prefixes and the right one with the
// others. With fewer set, the price with k-1 prefixes is no higher.
type pick uint16

const fewer pick = 1 << 15

// maxBudget keeps a pick in 15 bits. No cloud allows as many rules on an interface.
const maxBudget = 1<<15 - 1

// knapsack holds, for every node, the least price of its leaves for every number of
// prefixes: f(v, 1) = price(v), f(v, k) = min over i+j = k of f(left, i) + f(right, j).
// With i and j capped by the leaves below, all nodes take O(n × budget) together.
type knapsack struct {
	t      *trie
	price  []netset.Size // of the root with at most k prefixes, at k-1; none: impossible
	picks  []pick        // of all inner nodes, one after the other
	offset []int         // of inner node i at i-n, into picks
	budget int
}

// fill solves t for every number of prefixes up to budget, at node prices.
func (t *trie) fill(price []netset.Size, budget int) *knapsack {
	n := len(t.leaves)
	k := &knapsack{t: t, offset: make([]int, n), budget: min(budget, maxBudget)}
	total := 0
	for i := range t.kids {
		k.offset[i] = total
		total += min(int(t.size[n+i]), k.budget)
	}
	k.picks = make([]pick, total)
	// Nodes are in post-order but for the leaves, so the values of two children are on
	// top of a stack when their parent is met. done counts the leaves already pushed.
	var stack []netset.Size
	lens := make([]int, 0, 130)
	row := make([]netset.Size, k.budget)
	done := int32(0)
	push := func(leaf int32) {
		for ; done <= leaf; done++ {
			stack = append(stack, price[done])
			lens = append(lens, 1)
		}
	}
	push(0)
	for i, kids := range t.kids {
		push(t.lastLeaf(kids[1]))
		nl, nr := lens[len(lens)-2], lens[len(lens)-1]
		lens = lens[:len(lens)-2]
		r := stack[len(stack)-nr:]
		l := stack[len(stack)-nr-nl : len(stack)-nr]
		m := min(int(t.size[n+i]), k.budget)
		row = row[:m]
		picks := k.picks[k.offset[i] : k.offset[i]+m]
		row[0] = price[n+i]
		for j := 1; j < m; j++ {
			row[j] = none
		}
		for x := range l {
			for y := range r[:min(nr, max(m-1-x, 0))] {
				if s := l[x].Add(r[y]); s.Less(row[x+y+1]) {
					row[x+y+1], picks[x+y+1] = s, pick(x+1)
				}
			}
		}
		for j := 1; j < m; j++ {
			if !row[j].Less(row[j-1]) {
				row[j], picks[j] = row[j-1], fewer
			}
		}
		stack = append(stack[:len(stack)-nr-nl], row...)
		lens = append(lens, m)
	}
	k.price = stack
	return k
}

// lastLeaf returns the last leaf under v: leaves under a node are contiguous.
func (t *trie) lastLeaf(v int32) int32 {
	for t.inner(v) {
		v = t.kidsOf(v)[1]
	}
	return v
}

// nodes appends the nodes of the best cover with at most k prefixes to dst.
func (k *knapsack) nodes(dst []int32, budget int) []int32 {
	return k.walk(dst, k.t.root(), budget)
}

func (k *knapsack) walk(dst []int32, v int32, budget int) []int32 {
	budget = min(budget, int(k.t.size[v]), k.budget)
	for ; budget > 1; budget-- {
		c := k.picks[k.offset[int(v)-len(k.t.leaves)]+budget-1]
		if c == fewer {
			continue
		}
		if c == 0 {
			break
		}
		kids := k.t.kidsOf(v)
		return k.walk(k.walk(dst, kids[0], int(c)), kids[1], budget-int(c))
	}
	return append(dst, v)
}

// priced returns the nodes of the cover that is least in price + toll × prefixes. O(n).
func (t *trie) priced(price []netset.Size, toll netset.Size) []int32 {
	best := make([]netset.Size, len(t.addrs))
	split := make([]bool, len(t.addrs))
	for v := range t.addrs {
		best[v] = price[v].Add(toll)
		if !t.inner(int32(v)) {
			continue
		}
		kids := t.kidsOf(int32(v))
		if s := best[kids[0]].Add(best[kids[1]]); s.Less(best[v]) {
			best[v], split[v] = s, true
		}
		if none.Less(best[v]) {
			best[v] = none
		}
	}
	var out []int32
	var walk func(v int32)
	walk = func(v int32) {
		if !split[v] {
			out = append(out, v)
			return
		}
		kids := t.kidsOf(v)
		walk(kids[0])
		walk(kids[1])
	}
	walk(t.root())
	return out
}

// squeeze returns the nodes of a cover with at most limit prefixes: a priced cover at
// the least toll found that is short enough. Priced covers are nested, so what is
// lost against the leaves is what a price per rule would give up anyway.
func (t *trie) squeeze(price []netset.Size, limit int) []int32 {
	lo, hi := 0, price[t.root()].BitLen()+1
	best := []int32{t.root()}
	for lo < hi { // the least power of two
		mid := (lo + hi) / 2
		if c := t.priced(price, power(mid)); len(c) <= limit {
			best, hi = c, mid
		} else {
			lo = mid + 1
		}
	}
	if lo == 0 {
		return best
	}
	under, step := power(lo-1), power(lo-1) // between the powers, four more bits
	for range 4 {
		step = half(step)
		if c := t.priced(price, under.Add(step)); len(c) <= limit {
			best = c
		} else {
			under = under.Add(step)
		}
	}
	return best
}

// power returns 2^n.
func power(n int) netset.Size {
	s := netset.SizeOf(1)
	for ; n > 0; n -= min(n, 32) {
		s = s.Mul(1 << min(n, 32))
	}
	return s
}

// half returns n / 2.
func half(n netset.Size) netset.Size {
	if n.BitLen() <= 1 {
		return netset.Size{}
	}
	return power(n.BitLen() - 2)
}
