package cover

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"github.com/sgadvise/sgadvise/engine/netset"
	"github.com/sgadvise/sgadvise/ingest/flow"
)

// A universe of 16 addresses, half of them dear.
func halves(base netip.Prefix) *Weights {
	w := DefaultWeights()
	w.Blocks = []netip.Prefix{netip.PrefixFrom(base.Addr(), base.Bits()+1)}
	w.Public = 16
	return w
}

// leastPrefixes enumerates covers of the points of a /28 by prefixes, without any
// table: the first point not held must be held by one of five prefixes. best[k] is the
// least weight with exactly k prefixes.
func leastPrefixes(points []int, weight func(lo, n int) uint64, k int, sum uint64, best []uint64) {
	if len(points) == 0 {
		best[k] = min(best[k], sum)
		return
	}
	if k+1 == len(best) {
		return
	}
	for n := 1; n <= 16; n *= 2 {
		lo := points[0] / n * n
		rest := points
		for len(rest) > 0 && rest[0] < lo+n {
			rest = rest[1:]
		}
		leastPrefixes(rest, weight, k+1, sum+weight(lo, n), best)
	}
}

func TestKnapsackMatchesEnumeration(t *testing.T) {
	rng := rand.New(rand.NewPCG(42, 42))
	for _, base := range []netip.Prefix{pfx("10.1.2.16/28"), pfx("255.255.255.240/28"), pfx("2001:db8::10/124")} {
		for _, w := range []*Weights{DefaultWeights(), halves(base)} {
			m := newMeasure(w)
			first := flow.AddrFrom(base.Addr())
			at := func(i int) flow.Addr { return flow.Addr{Hi: first.Hi, Lo: first.Lo + uint64(i)} }
			weight := func(lo, n int) uint64 {
				x, _ := m.addrs(netset.Addrs{First: at(lo), Last: at(lo + n - 1)}).Uint64()
				return x
			}
			for range 700 {
				var points []int
				var addrs []flow.Addr
				for _, i := range rng.Perm(16)[:1+rng.IntN(7)] {
					points = append(points, i)
					addrs = append(addrs, at(i))
				}
				slices.Sort(points)
				best := make([]uint64, len(points)+1)
				for k := range best {
					best[k] = 1 << 62
				}
				leastPrefixes(points, weight, 0, 0, best)
				curve := Knapsack(addrs, 20, w)
				if len(curve) != len(points) {
					t.Fatalf("%v: %d solutions", points, len(curve))
				}
				want := uint64(1 << 62)
				for i, c := range curve {
					want = min(want, best[i+1])
					if c.Weight != netset.SizeOf(want) {
						t.Fatalf("%v in %v, k=%d: weight %v, want %d: %v", points, base, i+1, c.Weight, want, c.Prefixes)
					}
					if len(c.Prefixes) > i+1 {
						t.Fatalf("%v, k=%d: %v", points, i+1, c.Prefixes)
					}
					for _, a := range addrs {
						if !slices.ContainsFunc(c.Prefixes, func(p netip.Prefix) bool { return p.Contains(a.Netip()) }) {
							t.Fatalf("%v, k=%d: %v misses %v", points, i+1, c.Prefixes, a)
						}
					}
				}
			}
		}
	}
}

// A universe of 4,096 addresses against a programme over the whole, uncompressed tree.
func TestKnapsackMatchesTheUncompressedTree(t *testing.T) {
	rng := rand.New(rand.NewPCG(42, 43))
	base := uint32(10 << 24)
	w := halves(pfx("10.0.0.0/20"))
	m := newMeasure(w)
	var whole func(points []uint32, lo uint32, bits int) []uint64
	whole = func(points []uint32, lo uint32, bits int) []uint64 { // at k-1, exactly or fewer
		n, _ := m.addrs(netset.Addrs{First: flow.Addr4(base | lo), Last: flow.Addr4(base | lo + 1<<bits - 1)}).Uint64()
		out := []uint64{n}
		if bits == 0 || len(points) == 0 {
			return out
		}
		mid := lo + 1<<(bits-1)
		cut, _ := slices.BinarySearch(points, mid)
		l, r := points[:cut], points[cut:]
		switch {
		case len(l) == 0:
			out = append(out[:0], whole(r, mid, bits-1)...)
			out[0] = min(out[0], n)
			return out
		case len(r) == 0:
			out = append(out[:0], whole(l, lo, bits-1)...)
			out[0] = min(out[0], n)
			return out
		}
		a, b := whole(l, lo, bits-1), whole(r, mid, bits-1)
		for range len(a) + len(b) - 1 {
			out = append(out, n)
		}
		for i := range a {
			for j := range b {
				out[i+j+1] = min(out[i+j+1], a[i]+b[j])
			}
		}
		return out
	}
	for range 300 {
		var points []uint32
		var addrs []flow.Addr
		for range 2 + rng.IntN(40) {
			points = append(points, rng.Uint32N(4096))
		}
		if rng.IntN(2) == 0 {
			cluster := rng.Uint32N(64) << 6
			for range 8 {
				points = append(points, cluster|rng.Uint32N(64))
			}
		}
		for _, p := range points {
			addrs = append(addrs, flow.Addr4(base|p))
		}
		slices.Sort(points)
		points = slices.Compact(points)
		want := whole(points, 0, 12)
		curve := Knapsack(addrs, 1000, w)
		if len(curve) != len(points) {
			t.Fatalf("%d solutions for %d points", len(curve), len(points))
		}
		for k, c := range curve {
			best := slices.Min(want[:k+1])
			if c.Weight != netset.SizeOf(best) {
				t.Fatalf("%v, k=%d: weight %v, want %d", points, k+1, c.Weight, best)
			}
		}
	}
}

func TestKnapsackCurveIsNotConvex(t *testing.T) {
	var addrs []flow.Addr
	for _, i := range []uint32{0, 127, 128, 255} {
		addrs = append(addrs, flow.Addr4(10<<24|i))
	}
	var got []string
	for _, c := range Knapsack(addrs, 9, nil) {
		got = append(got, c.Weight.String())
	}
	if want := []string{"256", "256", "130", "4"}; !slices.Equal(got, want) {
		t.Errorf("curve %v, want %v", got, want)
	}
}

func TestKnapsackSharesTheBudgetBetweenFamilies(t *testing.T) {
	addrs := []flow.Addr{addr("10.0.0.0"), addr("10.0.0.255"), addr("fd00::"), addr("fd00::1"), addr("fd00::f")}
	got := Knapsack(addrs, 9, nil)
	want := []string{"0", "272", "18", "5", "5"} // IPv4 256 or 2; IPv6 16, 3 or 3
	var weights []string
	for _, c := range got {
		weights = append(weights, c.Weight.String())
	}
	if !slices.Equal(weights, want) {
		t.Errorf("weights %v, want %v", weights, want)
	}
	if len(got[0].Prefixes) != 0 {
		t.Errorf("one prefix covers both families: %v", got[0])
	}
}

func TestGapCutMatchesEveryCut(t *testing.T) {
	rng := rand.New(rand.NewPCG(42, 42))
	w := DefaultWeights()
	m := newMeasure(w)
	cases := 0
	for range 1500 {
		var ports []uint16
		for range 1 + rng.IntN(9) {
			ports = append(ports, []uint16{uint16(rng.IntN(40)), uint16(rng.IntN(1 << 16)), 65535, 0, uint16(3380 + rng.IntN(20))}[rng.IntN(5)])
		}
		curve := GapCut(ports, 12, w)
		sorted := slices.Clone(ports)
		slices.Sort(sorted)
		sorted = slices.Compact(sorted)
		best := make([]uint64, len(sorted)+1)
		for k := range best {
			best[k] = 1 << 62
		}
		for mask := range 1 << (len(sorted) - 1) { // a cut after each port, or not
			var sum uint64
			k, from := 0, 0
			for i := range sorted {
				if i == len(sorted)-1 || mask>>i&1 == 1 {
					sum += m.services(netset.ServiceOf(flow.TCP, netset.PortRange{First: sorted[from], Last: sorted[i]}))
					k, from = k+1, i+1
				}
			}
			best[k] = min(best[k], sum)
		}
		if len(curve) != len(sorted) {
			t.Fatalf("%v: %d solutions", ports, len(curve))
		}
		for i, c := range curve {
			cases++
			want := slices.Min(best[:i+2])
			var sum uint64
			for _, r := range c.Ranges {
				sum += m.services(netset.ServiceOf(flow.TCP, r))
			}
			if c.Weight != want || sum != want || len(c.Ranges) > i+1 {
				t.Fatalf("%v, k=%d: %v weighs %d (says %d), want %d", ports, i+1, c.Ranges, sum, c.Weight, want)
			}
			for _, p := range ports {
				if !slices.ContainsFunc(c.Ranges, func(r netset.PortRange) bool { return r.Contains(p) }) {
					t.Fatalf("%v, k=%d: %v misses %d", ports, i+1, c.Ranges, p)
				}
			}
		}
	}
	if cases < 5000 {
		t.Errorf("only %d cases", cases)
	}
	if GapCut(nil, 3, nil) != nil || GapCut([]uint16{1}, 0, nil) != nil {
		t.Error("nothing asked, something given")
	}
}

// ICMP types cannot be merged but into the whole protocol.
func TestPartitionMatchesEveryCut(t *testing.T) {
	rng := rand.New(rand.NewPCG(42, 42))
	m := newMeasure(DefaultWeights())
	for range 500 {
		var units []netset.Services
		for range 1 + rng.IntN(6) {
			u := netset.ICMPServices(flow.ICMP, int16(rng.IntN(4)), int16(rng.IntN(3)-1))
			units = append(units, u)
		}
		slices.SortFunc(units, compareServices)
		units = slices.Compact(units)
		r := m.partition(units, 10, nil)
		best := make([]uint64, len(units)+1)
		for k := range best {
			best[k] = 1 << 62
		}
		for mask := range 1 << (len(units) - 1) {
			var sum uint64
			k, from := 0, 0
			for i := range units {
				if i == len(units)-1 || mask>>i&1 == 1 {
					sum += m.services(hullServices(units[from : i+1]))
					k, from = k+1, i+1
				}
			}
			best[k] = min(best[k], sum)
		}
		for k := 1; k <= len(r.weight); k++ {
			if want := slices.Min(best[:k+1]); r.weight[k-1] != want {
				t.Fatalf("%v, k=%d: %d, want %d", units, k, r.weight[k-1], want)
			}
			from := 0
			var sum uint64
			for _, end := range r.ends(k) {
				sum += m.services(hullServices(units[from:end]))
				from = end
			}
			if from != len(units) || sum != r.weight[k-1] || len(r.ends(k)) > k {
				t.Fatalf("%v, k=%d: ends %v weigh %d, want %d", units, k, r.ends(k), sum, r.weight[k-1])
			}
		}
	}
}
