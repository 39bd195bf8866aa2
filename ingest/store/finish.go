package store

import (
	"cmp"
	"runtime"
	"slices"
	"sync"

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
// them over to c. It moves each to the rows of its interface; those are then sorted on their
// own, in the cache, while the rows of the next ones are moved.
func (t *Tally) finishRows(c *Connections, ranks []uint32) {
	t.foldRows()
	c.roll = t.roll
	c.roll.levels = rankLevels(t.roll.levels, ranks)
	c.mem, c.narrow, c.wide = t.narrow.mem, t.narrow.all, t.wide.all
	n, workers := len(c.interfaces), max(1, t.cfg.Workers)
	narrow := survey(&c.narrow, t.narrow.next, n, workers, func(r *narrowRow, s *census) {
		if r.kind == 0 {
			s.starts[n+1]++
			return
		}
		rank := ranks[r.iface()]
		r.ends = uint64(rank)<<32 | r.ends&(1<<32-1)
		s.saw(c.interfaceOf(rank), uint64(r.records), int64(r.firstSec), int64(r.lastSec))
	})
	wide := survey(&c.wide, t.wide.next, n, workers, func(r *wideRow, s *census) {
		if r.kind == 0 {
			s.starts[n+1]++
			return
		}
		r.iface = ranks[r.iface]
		s.saw(c.interfaceOf(r.iface), r.records, r.first, r.last)
	})
	c.starts = make([]int, n+1)
	for i := range c.starts {
		c.starts[i] = int(narrow.starts[i]) + int(wide.starts[i])
	}
	if c.len = c.starts[n]; c.len > 0 {
		c.from, c.to = min(narrow.from, wide.from), max(narrow.to, wide.to)
		c.records = saturatingAdd(narrow.records, wide.records)
	}
	if wide.starts[n] > 0 {
		c.isWide = make([]uint64, (c.len+63)/64)
	}

	ready := make(chan int, n)
	sortReady := func() {
		var s sorter
		for r := range ready {
			s.sortNarrow(&c.narrow, narrow.starts[r], narrow.starts[r+1])
			s.sortWide(&c.wide, wide.starts[r], wide.starts[r+1])
			c.mergeForms(r, narrow.starts, wide.starts)
		}
	}
	var wg sync.WaitGroup
	for range min(workers, n) - 1 {
		wg.Go(sortReady)
	}
	deal(&c.wide, wide.starts, func(r *wideRow) int {
		if r.kind == 0 {
			return n
		}
		return int(c.interfaceOf(r.iface))
	}, func(int) {})
	deal(&c.narrow, narrow.starts, func(r *narrowRow) int {
		if r.kind == 0 {
			return n
		}
		return int(c.interfaceOf(r.iface()))
	}, func(r int) { ready <- r })
	close(ready)
	sortReady()
	wg.Wait()
	c.countWide()
	t.narrow.truncate(narrow.starts[n])
	t.wide.truncate(wide.starts[n])
	c.narrow, c.wide = t.narrow.all, t.wide.all
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
