package cover

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// leastKept tries every subset of the ids.
func leastKept(sets [][]int32, cost []uint64) uint64 {
	best := uint64(1 << 62)
	for mask := range 1 << len(cost) {
		var sum uint64
		for id, c := range cost {
			if mask>>id&1 == 1 {
				sum += c
			}
		}
		if sum < best && !slices.ContainsFunc(sets, func(s []int32) bool {
			return len(s) > 0 && !slices.ContainsFunc(s, func(id int32) bool { return mask>>id&1 == 1 })
		}) {
			best = sum
		}
	}
	return best
}

func randomSets(rng *rand.Rand, ids, n int) ([][]int32, []uint64) {
	sets := make([][]int32, n)
	for i := range sets {
		for range rng.IntN(4) + rng.IntN(3) {
			sets[i] = append(sets[i], int32(rng.IntN(ids)))
		}
	}
	cost := make([]uint64, ids)
	for i := range cost {
		cost[i] = 1
		if n%2 == 0 {
			cost[i] = uint64(rng.IntN(6)) // 0 too
		}
	}
	return sets, cost
}

func checkKept(t *testing.T, sets [][]int32, cost []uint64, keep []int32) uint64 {
	t.Helper()
	if !slices.IsSorted(keep) || len(slices.Compact(slices.Clone(keep))) != len(keep) {
		t.Fatalf("keep %v is not in order or has duplicates", keep)
	}
	for _, s := range sets {
		if len(s) > 0 && !slices.ContainsFunc(s, func(id int32) bool { return slices.Contains(keep, id) }) {
			t.Fatalf("set %v keeps none of %v", s, keep)
		}
	}
	var sum uint64
	for _, id := range keep {
		sum += cost[id]
	}
	return sum
}

func TestMinCoverMatchesEverySubset(t *testing.T) {
	rng := rand.New(rand.NewPCG(42, 42))
	searched := 0
	for range 6000 {
		sets, cost := randomSets(rng, 1+rng.IntN(10), 1+rng.IntN(14))
		keep, lower, optimal := MinCover(sets, cost, 1<<20)
		got, want := checkKept(t, sets, cost, keep), leastKept(sets, cost)
		if got != want || !optimal || lower != want {
			t.Fatalf("MinCover(%v, %v) = %v for %d, at least %d, optimal %v; want %d", sets, cost, keep, got, lower, optimal, want)
		}
		// Without search: still a cover, and the bound still holds.
		keep, lower, optimal = MinCover(sets, cost, 0)
		got = checkKept(t, sets, cost, keep)
		if lower > want || got < want || optimal != (got == lower) {
			t.Fatalf("MinCover(%v, %v) without search = %v for %d, at least %d, optimal %v; want %d", sets, cost, keep, got, lower, optimal, want)
		}
		if !optimal {
			searched++
		}
	}
	if searched < 5 {
		t.Errorf("%d of 6000 cases needed the search: the test says little", searched)
	}
}

func TestMinCoverDoesNotDependOnOrder(t *testing.T) {
	rng := rand.New(rand.NewPCG(42, 43))
	for range 300 {
		sets, cost := randomSets(rng, 30, 60)
		keep, lower, optimal := MinCover(sets, cost, 50)
		shuffled := slices.Clone(sets)
		rng.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		for i, s := range shuffled {
			shuffled[i] = slices.Clone(s)
			rng.Shuffle(len(s), func(a, b int) { shuffled[i][a], shuffled[i][b] = shuffled[i][b], shuffled[i][a] })
		}
		keep2, lower2, optimal2 := MinCover(append(shuffled, shuffled[0]), cost, 50)
		if !slices.Equal(keep, keep2) || lower != lower2 || optimal != optimal2 {
			t.Fatalf("%v %d %v, shuffled %v %d %v", keep, lower, optimal, keep2, lower2, optimal2)
		}
	}
}

func TestMinCoverPrefersLowIDsAmongEquals(t *testing.T) {
	for _, c := range []struct {
		sets [][]int32
		cost []uint64
		want []int32
	}{
		{nil, nil, nil},
		{[][]int32{{}}, []uint64{1}, nil},
		{[][]int32{{2, 1, 0}}, []uint64{1, 1, 1}, []int32{0}},
		{[][]int32{{2, 1, 0}}, []uint64{3, 1, 1}, []int32{1}},
		{[][]int32{{0, 1}, {0, 2}}, []uint64{3, 1, 1}, []int32{1, 2}},
		{[][]int32{{0, 1}, {0, 2}}, []uint64{2, 1, 1}, nil}, // a tie: either, but always the same
		{[][]int32{{5}, {5, 3}, {3, 4}}, []uint64{1, 1, 1, 1, 1, 1}, []int32{3, 5}},
	} {
		keep, _, optimal := MinCover(c.sets, c.cost, 100)
		if !optimal || c.want != nil && !slices.Equal(keep, c.want) {
			t.Errorf("MinCover(%v, %v) = %v, %v, want %v", c.sets, c.cost, keep, optimal, c.want)
		}
	}
}

// Adding a flow never makes keep cheaper.
func TestMinCoverIsMonotone(t *testing.T) {
	rng := rand.New(rand.NewPCG(42, 44))
	for range 1000 {
		sets, cost := randomSets(rng, 12, 12)
		_, all, ok1 := MinCover(sets, cost, 1<<16)
		_, fewer, ok2 := MinCover(sets[1:], cost, 1<<16)
		if ok1 && ok2 && all < fewer {
			t.Fatalf("%v costs %d, but %d without the first set", sets, all, fewer)
		}
	}
}

func BenchmarkMinCover(b *testing.B) {
	rng := rand.New(rand.NewPCG(42, 42))
	for _, c := range []struct {
		name      string
		ids, sets int
	}{{"900 rules 1400 signatures", 900, 1400}, {"900 rules 5800 signatures", 900, 5800}, {"10000 rules 54000 signatures", 10000, 54000}} {
		// Rules of groups: signatures mostly hold rules that are near each other.
		sets := make([][]int32, c.sets)
		for i := range sets {
			at := rng.IntN(c.ids)
			for range 1 + rng.IntN(5) {
				sets[i] = append(sets[i], int32((at+rng.IntN(40)*rng.IntN(2))%c.ids))
			}
		}
		cost := make([]uint64, c.ids)
		for i := range cost {
			cost[i] = uint64(1 + rng.IntN(40))
		}
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				MinCover(sets, cost, 2000)
			}
		})
	}
}
