package store

import (
	"sync"
	"sync/atomic"
)

// reindex gives all rows to the shards anew.
func (t *Tally) reindex() {
	for i := range t.shards {
		s := &t.shards[i]
		s.index = index{source: t.pages, dir: []*indexPage{&noPage}}
		s.narrow = region[narrowRow]{table: t.narrow, rows: t.narrow.all}
		s.wide = region[wideRow]{table: t.wide, rows: t.wide.all}
		s.spilled = nil
	}
	wide := t.wide.all // as rows that are spilled are appended
	t.reindexForm(t.wide.next, func(i uint32) (uint64, bool) {
		r := wide.at(i)
		return t.seed.wide(&r.wideKey), r.kind != 0
	}, func(s *shard, h uint64, i uint32) {
		if !s.index.add(uint32(h), wideRef|(i+1)) {
			s.spilledRows()[wide.at(i).wideKey] = i
		}
	})
	t.reindexForm(t.narrow.next, func(i uint32) (uint64, bool) {
		r := t.narrow.all.at(i)
		return t.seed.narrow(r.ends, r.remote, r.kind), r.kind != 0
	}, func(s *shard, h uint64, i uint32) {
		if !s.index.add(uint32(h), i+1) {
			r := t.narrow.all.at(i)
			wide := r.wide()
			*r = narrowRow{}
			s.spill(&wide)
		}
	})
}

// reindexForm calls add with the rows below n for which hash returns true, in parallel.
func (t *Tally) reindexForm(n uint32, hash func(i uint32) (uint64, bool), add func(s *shard, h uint64, i uint32)) {
	var next atomic.Uint32
	var wg sync.WaitGroup
	for range max(1, t.cfg.Workers) {
		wg.Go(func() {
			hashes, rows := make([]uint64, 0, BatchSize), make([]uint32, 0, BatchSize)
			var order shardOrder
			for from := next.Add(BatchSize) - BatchSize; from < n; from = next.Add(BatchSize) - BatchSize {
				hashes, rows = hashes[:0], rows[:0]
				for i := from; i < min(from+BatchSize, n); i++ {
					if h, ok := hash(i); ok {
						hashes, rows = append(hashes, h), append(rows, i)
					}
				}
				order.sort(hashes)
				for i := range t.shards {
					if part := order.of(i); len(part) > 0 {
						s := &t.shards[i]
						s.mu.Lock()
						for _, p := range part {
							add(s, hashes[p], rows[p])
						}
						s.mu.Unlock()
					}
				}
			}
		})
	}
	wg.Wait()
}
