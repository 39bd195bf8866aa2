package store

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"testing"
)

func TestRadixSortSorts(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{0, 1, 2, smallSort, smallSort + 1, 300, 5000} {
		for _, spread := range []uint64{1, 2, 200, 1 << 20, 1 << 63} {
			keys := make([]sortKey, n)
			for i := range keys {
				keys[i] = sortKey{hi: rng.Uint64N(spread), lo: rng.Uint64N(spread) << (i % 7), era: rng.Uint32N(3), row: uint32(i)}
			}
			want := slices.Clone(keys)
			slices.SortFunc(want, func(a, b sortKey) int {
				return cmp.Or(cmp.Compare(a.hi, b.hi), cmp.Compare(a.lo, b.lo), cmp.Compare(a.era, b.era))
			})
			radixSort(keys, 0)
			seen := make(map[uint32]bool)
			for i, k := range keys {
				if k.hi != want[i].hi || k.lo != want[i].lo || k.era != want[i].era {
					t.Fatalf("%d keys below %d: place %d has %x, want %x", n, spread, i, k, want[i])
				}
				seen[k.row] = true
			}
			if len(seen) != n {
				t.Fatalf("%d keys below %d: %d are left", n, spread, len(seen))
			}
		}
	}
}

// filled returns a table of the given rows and room behind them; 0 is a free one.
func filled(values []uint64) *table[uint64] {
	t := &table[uint64]{mem: newArena()}
	for i, v := range values {
		if i%chunkRows == 0 {
			t.chunk()
		}
		*t.all.at(uint32(i)) = v
	}
	return t
}

func valuesOf(all *rows[uint64], n uint32) []uint64 {
	var out []uint64
	for i := range n {
		out = append(out, *all.at(i))
	}
	return out
}

func TestRowsAreMovedWhereTheyAre(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for _, n := range []int{0, 1, 2, 255, 256, 257, 5000, segmentRows - 1, segmentRows + 1, 2*segmentRows + 700} {
		values := make([]uint64, n)
		for i := range values {
			if rng.IntN(5) > 0 {
				values[i] = rng.Uint64()>>1 + 1
			}
		}
		tab := filled(values)
		left := compact(tab, func(v *uint64) bool { return *v == 0 })
		want := slices.DeleteFunc(values, func(v uint64) bool { return v == 0 })
		got := valuesOf(&tab.all, left)
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Fatalf("compacting %d rows leaves %d, want %d", n, len(got), len(want))
		}
		if have := len(tab.all.segments) * segmentRows; have-int(left) >= segmentRows {
			t.Errorf("%d rows keep the memory of %d", left, have)
		}

		const ranks = 7
		rank := func(v *uint64) int { return int(*v % (ranks - 1)) } // the last has none
		sum := survey(&tab.all, left, ranks, 1+n%3, func(v *uint64, s *census) { s.saw(uint32(rank(v)), 1, int64(*v), int64(*v)) })
		if len(want) > 0 && (sum.records != uint64(len(want)) || sum.from != int64(want[0]) || sum.to != int64(want[len(want)-1])) {
			t.Fatalf("%d rows: surveyed as %+v", n, sum)
		}
		starts := sum.starts
		var done []int
		deal(&tab.all, starts, rank, func(r int) {
			for i := starts[r]; i < starts[r+1]; i++ {
				if rank(tab.all.at(i)) != r {
					t.Fatalf("rank %d is done and has another's row", r)
				}
			}
			done = append(done, r)
		})
		if !slices.Equal(done, []int{0, 1, 2, 3, 4, 5, 6}) {
			t.Fatalf("done with %v", done)
		}
		got = valuesOf(&tab.all, left)
		if !slices.IsSortedFunc(got, func(a, b uint64) int { return cmp.Compare(rank(&a), rank(&b)) }) {
			t.Fatalf("%d rows are not dealt out", n)
		}
		for r := range ranks {
			for _, v := range got[starts[r]:starts[r+1]] {
				if rank(&v) != r {
					t.Fatalf("rank %d has a row of rank %d", r, rank(&v))
				}
			}
		}

		order := make([]uint32, left)
		for i := range order {
			order[i] = uint32(i)
		}
		rng.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
		permuted := make([]uint64, left)
		for i, from := range order {
			permuted[i] = got[from]
		}
		permute(&tab.all, 0, int(left), func(i int) *uint32 { return &order[i] })
		got = valuesOf(&tab.all, left)
		if !slices.Equal(got, permuted) {
			t.Fatalf("%d rows are not permuted", n)
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Fatalf("%d rows: some were lost", n)
		}
	}
}

func TestMemoryIsZeroAndGivenBack(t *testing.T) {
	a := newArena()
	for range 3 {
		var blocks []*[1 << 20]uint64
		for i := range 4 {
			b := alloc[[1 << 20]uint64](a, i%2 == 0)
			for j := range b {
				if b[j] != 0 {
					t.Fatal("memory is not zero")
				}
				b[j] = 1
			}
			blocks = append(blocks, b)
		}
		if len(*a.blocks) != 4 && len(*a.blocks) != 0 {
			t.Fatalf("%d blocks are held", len(*a.blocks))
		}
		a.releaseAll()
		if len(*a.blocks) != 0 {
			t.Fatalf("%d blocks are left", len(*a.blocks))
		}
		clear(blocks)
	}
}
