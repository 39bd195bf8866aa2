package store

import (
	"cmp"
	"math"
	"math/bits"
	"runtime"
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
	t.pages.mem.releaseAll()
	t.shards, t.workers, t.pages = nil, nil, nil
	t.finishRows(c, ranks)
	return c
}

// finishInterfaces sets the interfaces and eras of c and what is known of them, and
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
	if t.base != nil {
		t.finishEras(c, ranks)
	}
	return ranks
}

// finishEras sets the eras of c, in order of interface and time, and the ranks of the ids
// to their places among them.
func (t *Tally) finishEras(c *Connections, ranks []uint32) {
	type era struct {
		eraKey
		id uint32
	}
	eras := make([]era, len(t.names))
	for id := range t.names {
		k, ok := t.base[uint32(id)]
		if !ok {
			k.iface = uint32(id) // the first era
		}
		k.iface = ranks[k.iface]
		eras[id] = era{k, uint32(id)}
	}
	slices.SortFunc(eras, func(a, b era) int {
		return cmp.Or(cmp.Compare(a.iface, b.iface), cmp.Compare(a.lo, b.lo), cmp.Compare(a.hi, b.hi), cmp.Compare(a.id, b.id))
	})
	c.eras = make([]eraKey, len(eras))
	for i, e := range eras {
		ranks[e.id], c.eras[i] = uint32(i), e.eraKey
	}
}

// finishRows orders the rows where they are, so that they are never held twice, and hands
// them over to c. It first moves each to the rows of its interface; those are then sorted
// on their own, in the cache.
func (t *Tally) finishRows(c *Connections, ranks []uint32) {
	numNarrow, numWide := t.foldRows()
	c.roll = t.roll
	c.roll.levels = rankLevels(t.roll.levels, ranks)
	c.mem, c.narrow, c.wide = t.narrow.mem, t.narrow.all, t.wide.all
	c.len = int(numNarrow) + int(numWide)
	for i := range numNarrow {
		r := c.narrow.at(i)
		r.ends = uint64(ranks[r.iface()])<<32 | r.ends&(1<<32-1)
	}
	for i := range numWide {
		r := c.wide.at(i)
		r.iface = ranks[r.iface]
	}
	n := len(c.interfaces)
	narrowStarts := deal(&c.narrow, numNarrow, n, func(r *narrowRow) uint32 { return c.interfaceOf(r.iface()) })
	wideStarts := deal(&c.wide, numWide, n, func(r *wideRow) uint32 { return c.interfaceOf(r.iface) })

	c.starts = make([]int, n+1)
	for i := range c.starts {
		c.starts[i] = int(narrowStarts[i]) + int(wideStarts[i])
	}
	var rank atomic.Int64
	var wg sync.WaitGroup
	for range min(max(1, t.cfg.Workers), n) {
		wg.Go(func() {
			var s sorter
			for {
				r := int(rank.Add(1) - 1)
				if r >= n {
					return
				}
				s.sortNarrow(&c.narrow, narrowStarts[r], narrowStarts[r+1])
				s.sortWide(&c.wide, wideStarts[r], wideStarts[r+1])
			}
		})
	}
	wg.Wait()
	if numWide > 0 {
		c.mergeForms(narrowStarts, wideStarts)
	}
	c.sumUp(numNarrow, numWide)
	runtime.KeepAlive(t)
}

// compact moves rows from the end into the places that isFree says are zero, and returns how
// many rows there are. It gives back the memory behind them.
func compact[T any](t *table[T], isFree func(*T) bool) uint32 {
	n := t.next
	for i := uint32(0); i < n; i++ {
		if r := t.all.at(i); isFree(r) {
			for n--; n > i; n-- {
				if last := t.all.at(n); !isFree(last) {
					*r, *last = *last, *r
					break
				}
			}
		}
	}
	t.truncate(n)
	return n
}

// deal brings n rows into order of their rank, which is below ranks, by exchanging them.
// It returns where the rows of each rank begin.
func deal[T any](all *rows[T], n uint32, ranks int, rank func(*T) uint32) (starts []uint32) {
	starts = make([]uint32, ranks+1)
	for i := range n {
		starts[rank(all.at(i))+1]++
	}
	for r := range ranks {
		starts[r+1] += starts[r]
	}
	next := slices.Clone(starts)
	for r := range uint32(ranks) {
		for next[r] < starts[r+1] {
			row := all.at(next[r])
			if to := rank(row); to != r {
				other := all.at(next[to])
				*row, *other = *other, *row
				next[to]++
			} else {
				next[r]++
			}
		}
	}
	return starts
}

// mergeForms notes which rows of the common order are wide.
func (c *Connections) mergeForms(narrowStarts, wideStarts []uint32) {
	c.isWide = make([]uint64, (c.len+63)/64)
	for r := range c.interfaces {
		n, w := narrowStarts[r], wideStarts[r]
		for w < wideStarts[r+1] {
			if n < narrowStarts[r+1] {
				if key := c.narrow.at(n).key(); key.compare(&c.wide.at(w).wideKey) < 0 {
					n++
					continue
				}
			}
			i := n + w
			c.isWide[i/64] |= 1 << (i % 64)
			w++
		}
	}
	c.wideBefore = make([]uint32, len(c.isWide))
	before := uint32(0)
	for i, word := range c.isWide {
		c.wideBefore[i] = before
		before += uint32(bits.OnesCount64(word))
	}
}

// sumUp sets what c says of all rows together.
func (c *Connections) sumUp(numNarrow, numWide uint32) {
	if c.len == 0 {
		return
	}
	c.from, c.to = math.MaxInt64, math.MinInt64
	for i := range numNarrow {
		r := c.narrow.at(i)
		c.from, c.to = min(c.from, int64(r.firstSec)), max(c.to, int64(r.lastSec))
		c.records += uint64(r.records)
	}
	for i := range numWide {
		r := c.wide.at(i)
		c.from, c.to = min(c.from, r.first), max(c.to, r.last)
		c.records = saturatingAdd(c.records, r.records)
	}
}
