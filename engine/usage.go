package engine

import (
	"cmp"
	"slices"

	"github.com/sgadvise/sgadvise/engine/netset"
	"github.com/sgadvise/sgadvise/ingest/flow"
)

// usage sums up what the connections say of each rule.
func usage(res *Result, workers int) []Usage {
	// The connections of an interface follow one another; none is cut in two.
	bounds := []int{0}
	runs := res.Connections.runs
	for n := 1; n < len(runs); n++ {
		if runs[n].iface != runs[n-1].iface && runs[n].first >= res.Connections.len*len(bounds)/workers {
			bounds = append(bounds, runs[n].first)
		}
	}
	bounds = append(bounds, res.Connections.len)
	shares := make([][]Usage, len(bounds)-1)
	each(len(shares), workers, func(_, i int) { shares[i] = usageOf(res, bounds[i], bounds[i+1]) })
	all := make([]Usage, len(res.Rules))
	for i, r := range res.Rules {
		all[i].Ref = r.Ref
		for _, share := range shares {
			all[i].add(&share[i])
		}
	}
	countPeers(res, all, workers)
	return all
}

// usageOf sums up the connections from lo to hi-1, but for the peers.
func usageOf(res *Result, lo, hi int) []Usage {
	all := make([]Usage, len(res.Rules))
	lastInterface := slices.Repeat([]int32{-1}, len(all))
	for i, c := range res.Connections.Range(lo, hi) {
		s := &res.Signatures[c.Signature]
		for _, id := range s.Hits {
			u, seen := &all[id], res.Seen(i, id)
			if u.Hits == 0 {
				u.First, u.Last = seen.First, seen.Last
			}
			u.Hits++
			u.First, u.Last, u.Days = min(u.First, seen.First), max(u.Last, seen.Last), u.Days|seen.Days
			u.Records, u.Packets, u.Bytes = sum(u.Records, seen.Records), sum(u.Packets, seen.Packets), sum(u.Bytes, seen.Bytes)
			if c.RemoteFree > 0 {
				u.Folded++
			}
			if c.Answered {
				u.Answered++
			}
			if lastInterface[id] != c.Interface {
				lastInterface[id] = c.Interface
				u.Interfaces++
			}
		}
		for _, id := range s.Decisive {
			all[id].Decisive++
			if c.Proven {
				all[id].Proven++
			}
		}
		for _, id := range s.Possible {
			all[id].Possible++
		}
	}
	return all
}

// add adds what other interfaces say of the same rule, but for the peers.
func (u *Usage) add(o *Usage) {
	switch {
	case o.Hits == 0:
	case u.Hits == 0:
		u.First, u.Last = o.First, o.Last
	default:
		u.First, u.Last = min(u.First, o.First), max(u.Last, o.Last)
	}
	u.Folded += o.Folded
	u.Hits, u.Decisive, u.Proven = u.Hits+o.Hits, u.Decisive+o.Decisive, u.Proven+o.Proven
	u.Answered, u.Possible, u.Interfaces = u.Answered+o.Answered, u.Possible+o.Possible, u.Interfaces+o.Interfaces
	u.Records, u.Packets, u.Bytes = sum(u.Records, o.Records), sum(u.Packets, o.Packets), sum(u.Bytes, o.Bytes)
	u.Days |= o.Days
}

// countPeers counts the distinct remote addresses of each rule's hits: what connections
// say is visited address by address, so a stamp a rule is all the memory it takes.
func countPeers(res *Result, all []Usage, workers int) {
	if res.Connections.folded {
		countFolded(res, all)
		return
	}
	var peers []uint64 // of IPv4: address, signature
	type peer6 struct {
		addr      flow.Addr
		signature int32
	}
	var peers6 []peer6
	peers = make([]uint64, 0, res.Connections.len)
	for _, c := range res.Connections.All() {
		switch {
		case len(res.Signatures[c.Signature].Hits) == 0:
		case c.Remote.Is4():
			peers = append(peers, uint64(c.Remote.V4())<<32|uint64(uint32(c.Signature)))
		default:
			peers6 = append(peers6, peer6{c.Remote, c.Signature})
		}
	}
	peers = sortByAddr(peers)
	counts := make([][]uint64, workers)
	each(workers, workers, func(_, w int) {
		// From the first connection of one address to that of another.
		first := func(at int) int {
			for at > 0 && at < len(peers) && peers[at]>>32 == peers[at-1]>>32 {
				at++
			}
			return at
		}
		count, stamp := make([]uint64, len(all)), make([]uint64, len(all))
		for _, p := range peers[first(len(peers)*w/workers):first(len(peers)*(w+1)/workers)] {
			now := p>>32 + 1 // 0 is no address
			for _, id := range res.Signatures[uint32(p)].Hits {
				if stamp[id] != now {
					stamp[id] = now
					count[id]++
				}
			}
		}
		counts[w] = count
	})
	for _, count := range counts {
		for id, n := range count {
			all[id].Peers += n
		}
	}

	slices.SortFunc(peers6, func(a, b peer6) int { return cmp.Or(a.addr.Compare(b.addr), cmp.Compare(a.signature, b.signature)) })
	stamp := make([]flow.Addr, len(all))
	for _, p := range slices.Compact(peers6) {
		for _, id := range res.Signatures[p.signature].Hits {
			if stamp[id] != p.addr {
				stamp[id] = p.addr
				all[id].Peers++
			}
		}
	}
}

// countFolded is countPeers where some peers are folded to prefixes. Of a prefix nothing but
// that a peer is in it is known: it counts as one unless another peer of the rule, which may
// be the same, is in it.
func countFolded(res *Result, all []Usage) {
	type peers struct {
		first     flow.Addr
		free      uint8
		signature int32
	}
	compare := func(a, b peers) int { // an outer prefix before what is in it
		return cmp.Or(a.first.Compare(b.first), cmp.Compare(b.free, a.free), cmp.Compare(a.signature, b.signature))
	}
	list := make([]peers, 0, res.Connections.len)
	for _, c := range res.Connections.All() {
		if len(res.Signatures[c.Signature].Hits) > 0 {
			list = append(list, peers{c.Remote, c.RemoteFree, c.Signature})
		}
	}
	slices.SortFunc(list, compare)
	last := make([]netset.Addrs, len(all)) // counted of each rule
	for _, p := range slices.Compact(list) {
		at := netset.Folded(p.first, p.free)
		for _, id := range res.Signatures[p.signature].Hits {
			if all[id].Peers == 0 || !last[id].Covers(at) {
				all[id].Peers++
			}
			last[id] = at
		}
	}
}

// sortByAddr sorts keys by their upper half, in two passes of 16 bits. It may use the
// memory of keys for what it returns.
func sortByAddr(keys []uint64) []uint64 {
	out := make([]uint64, len(keys))
	for _, shift := range [2]int{32, 48} {
		var next [1<<16 + 1]int32
		for _, k := range keys {
			next[k>>shift&0xffff+1]++
		}
		for i := 1; i < len(next); i++ {
			next[i] += next[i-1]
		}
		for _, k := range keys {
			d := k >> shift & 0xffff
			out[next[d]] = k
			next[d]++
		}
		keys, out = out, keys
	}
	return keys
}
