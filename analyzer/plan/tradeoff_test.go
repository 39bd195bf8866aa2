package plan

import (
	"slices"
	"testing"

	"github.com/sgadvise/sgadvise/engine/netset"
)

func TestHullKeepsWhatIsBestForSomePrice(t *testing.T) {
	menu := func(sizes ...uint64) (out []option) {
		for i, s := range sizes {
			if s > 0 {
				out = append(out, option{make([]draft, i+1), netset.SizeOf(s)})
			}
		}
		return out
	}
	for _, c := range []struct {
		sizes []uint64
		want  []int // rules
	}{
		{nil, nil},
		{[]uint64{100}, []int{1}},
		{[]uint64{100, 50, 25}, []int{1, 2, 3}},
		{[]uint64{100, 90, 20, 19}, []int{1, 3, 4}},  // the second is only a step to the third
		{[]uint64{100, 100, 100, 10}, []int{1, 4}},   // what does not shrink is no option
		{[]uint64{0, 80, 0, 10, 9}, []int{2, 4, 5}},  // not every number has one
		{[]uint64{100, 60, 20, 10}, []int{1, 3, 4}},  // on the line is not beyond it
		{[]uint64{1000, 999, 998, 1}, []int{1, 4}},   // several steps at once
		{[]uint64{100, 10, 9, 8, 7}, []int{1, 2, 5}}, // a straight line is its ends
		{[]uint64{100, 10, 9, 8, 1}, []int{1, 2, 5}},
	} {
		var got []int
		for _, o := range hull(menu(c.sizes...)) {
			got = append(got, len(o.rules))
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%v: options of %v rules, want %v", c.sizes, got, c.want)
		}
	}
}

func TestSpreadHasBothEnds(t *testing.T) {
	for n := 1; n < 300; n++ {
		got := spread(n, 8)
		if len(got) > 8 || got[0] != 0 || got[len(got)-1] != n-1 || !slices.IsSorted(got) || len(slices.Compact(slices.Clone(got))) != len(got) {
			t.Fatalf("%d: %v", n, got)
		}
	}
}
