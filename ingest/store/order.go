package store

import (
	"math"
	"math/bits"
	"slices"
	"sort"
	"sync"
	"sync/atomic"
)

// census is what some rows are together. The rows of each rank, in this order, begin at
// starts; behind those of the last one are the free ones.
type census struct {
	starts   []uint32
	records  uint64
	from, to int64
}

func newCensus(ranks int) *census {
	return &census{starts: make([]uint32, ranks+2), from: math.MaxInt64, to: math.MinInt64}
}

// saw notes a row of a rank. While rows are counted, their number is at the place behind it.
func (s *census) saw(rank uint32, records uint64, first, last int64) {
	s.starts[rank+1]++
	s.records = saturatingAdd(s.records, records)
	s.from, s.to = min(s.from, first), max(s.to, last)
}

// survey returns the census of n rows, each of which is given to look once.
func survey[T any](all *rows[T], n uint32, ranks, workers int, look func(*T, *census)) *census {
	sum := newCensus(ranks)
	var mu sync.Mutex
	var next atomic.Uint32
	var wg sync.WaitGroup
	for range min(workers, len(all.segments)) {
		wg.Go(func() {
			s := newCensus(ranks)
			for {
				at := next.Add(segmentRows) - segmentRows
				if at >= n {
					break
				}
				for i := at; i < min(at+segmentRows, n); i++ {
					look(all.at(i), s)
				}
			}
			mu.Lock()
			defer mu.Unlock()
			for i := range s.starts {
				sum.starts[i] += s.starts[i]
			}
			sum.records = saturatingAdd(sum.records, s.records)
			sum.from, sum.to = min(sum.from, s.from), max(sum.to, s.to)
		})
	}
	wg.Wait()
	for i := range ranks + 1 {
		sum.starts[i+1] += sum.starts[i]
	}
	return sum
}

// deal brings rows into order of their rank by exchanging them: those of each begin at
// starts. It calls done with each rank but the last one when its rows are in place.
func deal[T any](all *rows[T], starts []uint32, rank func(*T) int, done func(int)) {
	next := slices.Clone(starts)
	for r := range len(starts) - 2 {
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
		done(r)
	}
}

// mergeForms notes which rows of the common order of interface r are wide.
func (c *Connections) mergeForms(r int, narrowStarts, wideStarts []uint32) {
	n, end := narrowStarts[r], narrowStarts[r+1]
	for w := wideStarts[r]; w < wideStarts[r+1]; w++ {
		key := &c.wide.at(w).wideKey
		before := func(n uint32) bool { k := c.narrow.at(n).key(); return k.compare(key) < 0 }
		if n < end && before(n) {
			// Those of IPv6 come after all others, so it is often the same place.
			n += uint32(sort.Search(int(end-n), func(i int) bool { return !before(n + uint32(i)) }))
		}
		i := n + w
		atomic.OrUint64(&c.isWide[i/64], 1<<(i%64)) // others note those of the next interface
	}
}

// countWide sets wideBefore.
func (c *Connections) countWide() {
	if c.isWide == nil {
		return
	}
	c.wideBefore = make([]uint32, len(c.isWide))
	before := uint32(0)
	for i, word := range c.isWide {
		c.wideBefore[i] = before
		before += uint32(bits.OnesCount64(word))
	}
}
