package risk

import (
	"math"
	"math/bits"
	"math/rand/v2"
	"testing"
)

func TestWindowOf(t *testing.T) {
	for _, tc := range []struct {
		from, to int64
		want     Window
	}{
		{0, 0, Window{}},
		{86399, 86400, Window{0, 2}},
		{86400, 2*86400 - 1, Window{1, 1}},
		{5, 4, Window{}},
		{-1, 1, Window{-1, 2}},
		{20000 * 86400, 20041*86400 + 5, Window{20000, 42}},
	} {
		if got := WindowOf(tc.from, tc.to); got != tc.want {
			t.Errorf("WindowOf(%d, %d) = %v, want %v", tc.from, tc.to, got, tc.want)
		}
	}
}

func TestSplitTakesEachDayOnce(t *testing.T) {
	for first := range 70 {
		for days := range 70 {
			w := Window{first, days}
			train, test, n, ok := w.Split()
			if ok != (days >= 4 && days <= 64) {
				t.Fatalf("Split of %v: ok = %v", w, ok)
			}
			if !ok {
				continue
			}
			if train&test != 0 || train|test != w.Mask(0, days) || bits.OnesCount64(test) != n || n < days/4 || n == 0 {
				t.Fatalf("Split of %v = %x, %x, %d", w, train, test, n)
			}
		}
	}
}

// Wherever the window starts, the estimate is the same.
func TestNewPeersIsInvariantUnderTime(t *testing.T) {
	rng := rand.New(rand.NewPCG(42, 42))
	for range 200 {
		days := 1 + rng.IntN(64)
		var at [2][]uint64
		shift := rng.IntN(64)
		for range rng.IntN(20) {
			m := rng.Uint64()
			if days < 64 {
				m &= 1<<days - 1
			}
			at[0] = append(at[0], m)
			at[1] = append(at[1], bits.RotateLeft64(m, shift))
		}
		a, b := Window{0, days}.NewPeers(at[0], 7), Window{shift, days}.NewPeers(at[1], 7)
		if a != b {
			t.Fatalf("%d days, shift %d: %v, %v", days, shift, a, b)
		}
	}
}

func TestNewPeers(t *testing.T) {
	every := func(days int) uint64 { return Window{0, days}.Mask(0, days) }
	for _, tc := range []struct {
		name string
		w    Window
		seen []uint64
		want float64
	}{
		{"silence in 42 days", Window{0, 42}, nil, 3.5 / 21},
		{"silence in 28 days", Window{0, 28}, nil, 0.25},
		{"one peer every day", Window{0, 42}, []uint64{every(42)}, 3.5 / 21},
		{"one peer on the last day", Window{0, 28}, []uint64{1 << 27}, 7 * 1.5 / 14},
		{"singletons long ago", Window{0, 28}, []uint64{1, 1, 1, 1, 1, 1, 1, 1}, 2},
		{"no window", Window{}, nil, 7},
		{"one day", Window{3, 1}, nil, 3.5},
	} {
		if got := tc.w.NewPeers(tc.seen, 7); math.Abs(got-tc.want) > 1e-9 {
			t.Errorf("%s: %v, want %v", tc.name, got, tc.want)
		}
	}
}

func TestClass(t *testing.T) {
	for _, tc := range []struct {
		name string
		o    Outcome
		want Class
	}{
		{"quiet six weeks", Outcome{Days: 42, Tested: true, NewPeers: 3.5 / 21}, High},
		{"quiet four weeks", Outcome{Days: 28, Tested: true, NewPeers: 0.25}, Medium},
		{"cover takes the new ones in", Outcome{Days: 28, Tested: true, New: 9, NewPeers: 2}, High},
		{"short", Outcome{Days: 14, Tested: true, NewPeers: 0.1}, Medium},
		{"not tested", Outcome{Days: 90, NewPeers: 0.1}, Medium},
		{"one bad day", Outcome{Days: 42, Tested: true, BlockedDays: 1, Blocked: 3, New: 3, NewPeers: 4}, Medium},
		{"bad days", Outcome{Days: 42, Tested: true, BlockedDays: 2, Blocked: 3, New: 3, NewPeers: 4}, Low},
		{"not tested, moving", Outcome{Days: 90, NewPeers: 3}, Low},
	} {
		if got := tc.o.Class(); got != tc.want {
			t.Errorf("%s: %v, want %v", tc.name, got, tc.want)
		}
	}
}
