package store

import (
	"cmp"
	"encoding/binary"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/sgadvise/sgadvise/ingest/flow"
)

// Finish returns what all workers have added; no Add may be running. It takes
// the rows out of t, which is spent afterwards: Finish again, or Add, panics.
func (t *Tally) Finish() *Connections {
	if t.shards == nil {
		panic("BUG: store: Finish of a finished Tally")
	}
	c := new(Connections)
	ranks := t.finishInterfaces(c)
	for _, w := range t.workers {
		c.outside = saturatingAdd(c.outside, w.outside)
		c.ledger[flow.NoData] = saturatingAdd(c.ledger[flow.NoData], w.noData)
		c.ledger[flow.SkipData] = saturatingAdd(c.ledger[flow.SkipData], w.skipData)
		c.ledger[flow.Unsupported] = saturatingAdd(c.ledger[flow.Unsupported], w.unsupported)
	}
	heap := newHeap(t.shards)
	heap.eras = t.base
	t.shards, t.workers = nil, nil
	heap.sortInto(c, ranks, max(1, t.cfg.Workers))
	return c
}

// finishInterfaces sets the interfaces of c and what is known of them, and
// returns the place of each interface id among them.
func (t *Tally) finishInterfaces(c *Connections) (ranks []uint32) {
	all := make([]sightings, len(t.names))
	for _, w := range t.workers {
		for id := range w.ifaces {
			all[id].add(&w.ifaces[id].sightings)
		}
	}
	var ids []uint32
	for id := range all {
		if all[id].records > 0 { // named, but outside the window
			ids = append(ids, uint32(id))
		}
	}
	slices.SortFunc(ids, func(a, b uint32) int { return cmp.Compare(t.names[a], t.names[b]) })
	ranks = make([]uint32, len(t.names))
	for rank, id := range ids {
		ranks[id] = uint32(rank)
		c.interfaces = append(c.interfaces, t.names[id])
		c.coverage = append(c.coverage, all[id].coverage(t.names[id]))
	}
	for id, k := range t.base {
		ranks[id] = ranks[k.iface]
	}
	return ranks
}

// rowHeap is all rows of a Tally, unordered. A row's number is that of its chunk
// times chunkRows, plus its place there; wide chunks come after the narrow ones.
type rowHeap struct {
	narrow []*narrowChunk
	wide   []*wideChunk
	// How many rows of each chunk are in use.
	narrowLens, wideLens []int
	eras                 map[uint32]eraKey // of the ids that stand for eras
}

// newHeap takes the rows out of the shards and drops the rest of them.
func newHeap(shards []shard) *rowHeap {
	h := new(rowHeap)
	for i := range shards {
		s := &shards[i]
		for j, chunk := range s.narrow {
			h.narrow = append(h.narrow, chunk)
			h.narrowLens = append(h.narrowLens, min(chunkRows, s.numNarrow-j*chunkRows))
		}
		for j, chunk := range s.wide {
			h.wide = append(h.wide, chunk)
			h.wideLens = append(h.wideLens, min(chunkRows, s.numWide-j*chunkRows))
		}
		*s = shard{}
	}
	return h
}

// sortInto sets the rows and the window of c. Rows are first dealt out to their
// interfaces; then each interface is sorted and written on its own. A row is
// thus fetched from memory once, and the rows of one interface are in the cache
// when they are written.
func (h *rowHeap) sortInto(c *Connections, ranks []uint32, workers int) {
	// starts[r] is where the rows of the interface of rank r begin.
	starts := make([]uint32, len(c.interfaces)+1)
	h.each(func(_, id uint32) { starts[ranks[id]+1]++ })
	for r := range c.interfaces {
		starts[r+1] += starts[r]
	}
	n := starts[len(c.interfaces)]
	rows, next := make([]uint32, n), slices.Clone(starts)
	h.each(func(row, id uint32) {
		r := ranks[id]
		rows[next[r]] = row
		next[r]++
	})

	c.columns = makeColumns(int(n))
	if h.eras != nil {
		c.columns.eraLo, c.columns.eraHi = make([]uint32, n), make([]uint32, n)
	}
	codes := h.wideAddrs()
	c.columns.wide = appendAddrs(nil, codes)

	var rank atomic.Int64
	var wg sync.WaitGroup
	for range min(workers, len(c.interfaces)) {
		wg.Go(func() {
			g := gatherer{heap: h, columns: &c.columns, codes: codes}
			for {
				r := int(rank.Add(1) - 1)
				if r >= len(c.interfaces) {
					return
				}
				g.gather(uint32(r), rows[starts[r]:starts[r+1]], int(starts[r]))
			}
		})
	}
	wg.Wait()
	if n > 0 {
		c.from, c.to = slices.Min(c.columns.first), slices.Max(c.columns.last)
	}
}

// each calls f with the number and the interface id of every row.
func (h *rowHeap) each(f func(row, id uint32)) {
	for i, chunk := range h.narrow {
		for j := range chunk[:h.narrowLens[i]] {
			if r := &chunk[j]; r.kind != 0 { // else moved to the wide form
				f(uint32(i<<chunkBits|j), r.iface())
			}
		}
	}
	for i, chunk := range h.wide {
		for j := range chunk[:h.wideLens[i]] {
			f(uint32((len(h.narrow)+i)<<chunkBits|j), chunk[j].iface)
		}
	}
}

// wideAddrs returns the IPv6 addresses of all rows, ascending and distinct.
func (h *rowHeap) wideAddrs() []flow.Addr {
	var out []flow.Addr
	for i, chunk := range h.wide {
		for j := range chunk[:h.wideLens[i]] {
			for _, a := range [...]flow.Addr{chunk[j].local, chunk[j].remote} {
				if !a.Is4() {
					out = append(out, a)
				}
			}
		}
	}
	slices.SortFunc(out, flow.Addr.Compare)
	return slices.Clip(slices.Compact(out))
}

func appendAddrs(b []byte, addrs []flow.Addr) []byte {
	b = slices.Grow(b, 16*len(addrs))
	for _, a := range addrs {
		b = binary.BigEndian.AppendUint64(b, a.Hi)
		b = binary.BigEndian.AppendUint64(b, a.Lo)
	}
	return b
}

// gatherer writes the rows of one interface after another in their final order.
type gatherer struct {
	heap    *rowHeap
	columns *columns
	codes   []flow.Addr // the IPv6 addresses; their numbers order as they do
	keys    []sortKey
}

// gather writes rows, all those of the interface of rank r, from place at on.
func (g *gatherer) gather(r uint32, rows []uint32, at int) {
	g.keys = slices.Grow(g.keys[:0], len(rows))
	for _, row := range rows {
		g.keys = append(g.keys, g.key(row))
	}
	slices.SortFunc(g.keys, func(a, b sortKey) int {
		if a.hi != b.hi {
			return cmp.Compare(a.hi, b.hi)
		}
		if a.lo != b.lo {
			return cmp.Compare(a.lo, b.lo)
		}
		// Rows that are the same but for the era.
		x, y := g.heap.eraOf(a.row), g.heap.eraOf(b.row)
		return cmp.Or(cmp.Compare(x.lo, y.lo), cmp.Compare(x.hi, y.hi))
	})
	c := g.columns
	for i, k := range g.keys {
		i += at
		c.iface[i] = r
		c.proto[i] = uint8(k.hi >> 56)
		c.family[i] = uint8(k.hi>>55&1)*wideRemote | uint8(k.hi>>22&1)*wideLocal
		c.remote[i] = uint32(k.hi >> 23)
		c.local[i] = uint32(k.hi<<10 | k.lo>>54)
		c.localPort[i] = uint16(k.lo >> 38)
		c.remotePort[i] = uint16(k.lo >> 22)
		c.client[i] = uint8(k.lo >> 20 & 3)
		c.side[i] = uint8(k.lo >> 18 & 3)
		c.action[i] = uint8(k.lo >> 16 & 3)
		c.class[i] = uint8(k.lo >> 14 & 3)
		if chunk := int(k.row >> chunkBits); chunk < len(g.heap.narrow) {
			row := &g.heap.narrow[chunk][k.row%chunkRows]
			c.portLo[i], c.portHi[i], c.portBits[i] = row.portLo, row.portHi, row.portBits
			c.flags[i], c.days[i] = uint16(row.flags), row.days
			c.records[i], c.packets[i], c.bytes[i] = uint64(row.records), uint64(row.packets), row.bytes
			c.first[i], c.last[i] = int64(row.firstSec), int64(row.lastSec)
		} else {
			row := &g.heap.wide[chunk-len(g.heap.narrow)][k.row%chunkRows]
			c.portLo[i], c.portHi[i], c.portBits[i] = row.portLo, row.portHi, row.portBits
			c.flags[i], c.days[i] = uint16(row.flags), row.days
			c.records[i], c.packets[i], c.bytes[i] = row.records, row.packets, row.bytes
			c.first[i], c.last[i] = row.first, row.last
		}
		if c.eraLo != nil {
			k := g.heap.eraOf(k.row)
			c.eraLo[i], c.eraHi[i] = k.lo, k.hi
		}
	}
}

// eraOf returns the eras of a row.
func (h *rowHeap) eraOf(row uint32) eraKey {
	chunk := int(row >> chunkBits)
	if chunk < len(h.narrow) {
		return h.eras[h.narrow[chunk][row%chunkRows].iface()]
	}
	return h.eras[h.wide[chunk-len(h.narrow)][row%chunkRows].iface]
}

// sortKey is the whole key of a row but for the interface and the era, as numbers that order
// as rows do, bits from the top:
//
//	hi: protocol 8, remote address 1+32, local address 1+22
//	lo: local address 10, local port 16, remote port 16, client, side, action, class 2 each
//
// An address is 1 if it is IPv6, then its value or its number.
type sortKey struct {
	hi, lo uint64
	row    uint32
}

func (g *gatherer) key(row uint32) sortKey {
	chunk := int(row >> chunkBits)
	if chunk < len(g.heap.narrow) {
		r := &g.heap.narrow[chunk][row%chunkRows]
		return makeSortKey(r.kind, r.remote>>32, r.ends&(1<<32-1), uint32(r.remote), row)
	}
	r := &g.heap.wide[chunk-len(g.heap.narrow)][row%chunkRows]
	ports := uint32(r.localPort)<<16 | uint32(r.remotePort)
	return makeSortKey(r.kind, g.code(r.remote), g.code(r.local), ports, row)
}

func makeSortKey(k kind, remote, local uint64, ports, row uint32) sortKey {
	return sortKey{
		hi:  uint64(k>>8)<<56 | remote<<23 | local>>10,
		lo:  local<<54 | uint64(ports)<<22 | uint64(k&0xff)<<14,
		row: row,
	}
}

// code returns a as a number of 33 bits.
func (g *gatherer) code(a flow.Addr) uint64 {
	if a.Is4() {
		return uint64(a.V4())
	}
	n, _ := slices.BinarySearchFunc(g.codes, a, flow.Addr.Compare)
	return 1<<32 | uint64(n)
}
