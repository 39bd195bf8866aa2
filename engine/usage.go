package engine

import (
	"cmp"
	"slices"

	"github.com/sgadvise/sgadvise/engine/netset"
	"github.com/sgadvise/sgadvise/ingest/flow"
)

// sums is what the connections of one signature in a part add up to.
type sums struct {
	hits, folded, answered, proven uint64
	seen                           Seen
}

// tally adds the connections of p, which are not joined yet, to what w knows of each rule.
func (w *worker) tally(p *part) {
	if w.usage == nil {
		w.usage = make([]Usage, len(w.e.paths.rules))
	}
	parts, before := p.parts, 0
	for d := range p.halves {
		h := &p.halves[d]
		w.sums = slices.Grow(w.sums[:0], len(h.site.signatures))[:len(h.site.signatures)]
		clear(w.sums)
		for n := range h.packed {
			var c Connection
			number := h.site.unpack(&h.packed[n], &c)
			s := &w.sums[number]
			s.hits++
			if c.RemoteFree > 0 {
				s.folded++
			}
			if c.Answered {
				s.answered++
			}
			if c.Proven {
				s.proven++
			}
			if len(parts) > 0 && int(parts[0].Connection) == before+n {
				parts = w.tallyParts(p.owner.sigList, h.site, c.Signature, parts)
				continue
			}
			s.seen.add(Seen{c.Records, c.Packets, c.Bytes, c.First, c.Last, c.Days})
		}
		for number := range w.sums {
			w.use(&p.owner.sigList[h.site.signatures[number]], &w.sums[number])
		}
		before += len(h.packed)
	}
}

// tallyParts adds what was seen of the connection that the first of parts belong to, which
// is in s and has the given one of signatures, and returns the other parts.
func (w *worker) tallyParts(signatures []Signature, s *site, signature int32, parts []Part) []Part {
	n := 1
	for n < len(parts) && parts[n].Connection == parts[0].Connection {
		n++
	}
	for _, id := range signatures[signature].Hits {
		seen := seenBy(id, parts[:n], func(p *Part) *Signature { return &signatures[s.signatures[p.Signature]] })
		w.usage[id].see(&seen)
	}
	return parts[n:]
}

// use adds connections of signature s.
func (w *worker) use(s *Signature, x *sums) {
	for _, id := range s.Hits {
		u := &w.usage[id]
		u.see(&x.seen)
		u.Hits, u.Folded, u.Answered = u.Hits+x.hits, u.Folded+x.folded, u.Answered+x.answered
	}
	for _, id := range s.Decisive {
		u := &w.usage[id]
		u.Decisive, u.Proven = u.Decisive+x.hits, u.Proven+x.proven
	}
	for _, id := range s.Possible {
		w.usage[id].Possible += x.hits
	}
}

// see adds what was seen of hits.
func (u *Usage) see(s *Seen) {
	if s.Records == 0 {
		return
	}
	if u.Records == 0 {
		u.First, u.Last = s.First, s.Last
	}
	u.First, u.Last, u.Days = min(u.First, s.First), max(u.Last, s.Last), u.Days|s.Days
	u.Records, u.Packets, u.Bytes = sum(u.Records, s.Records), sum(u.Packets, s.Packets), sum(u.Bytes, s.Bytes)
}

// add adds what other parts say of the same rule, but for the peers and the interfaces.
func (u *Usage) add(o *Usage) {
	u.see(&Seen{o.Records, o.Packets, o.Bytes, o.First, o.Last, o.Days})
	u.Folded += o.Folded
	u.Hits, u.Decisive, u.Proven = u.Hits+o.Hits, u.Decisive+o.Decisive, u.Proven+o.Proven
	u.Answered, u.Possible = u.Answered+o.Answered, u.Possible+o.Possible
}

// countPeers counts the distinct remote addresses of each rule's hits: what connections
// say is visited address by address, so a stamp a rule is all the memory it takes.
func countPeers(res *Result, workers int) {
	all := res.Usage
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
