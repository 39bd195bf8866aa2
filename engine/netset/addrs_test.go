package netset

import (
	"math/big"
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/sgadvise/sgadvise/ingest/flow"
)

func pfx(s string) netip.Prefix { return netip.MustParsePrefix(s) }

func addr(s string) flow.Addr { return flow.AddrFrom(netip.MustParseAddr(s)) }

func TestAddrsOfPrefixAndBack(t *testing.T) {
	for _, c := range []struct{ in, want, size string }{
		{"10.0.0.0/8", "10.0.0.0/8", "16777216"},
		{"10.1.2.3/8", "10.0.0.0/8", "16777216"},
		{"0.0.0.0/0", "0.0.0.0/0", "4294967296"},
		{"255.255.255.255/32", "255.255.255.255/32", "1"},
		{"::ffff:10.0.0.0/104", "10.0.0.0/8", "16777216"},
		{"::ffff:0.0.0.0/96", "0.0.0.0/0", "4294967296"},
		{"2001:db8::/32", "2001:db8::/32", "79228162514264337593543950336"},
		{"fe80::1/128", "fe80::1/128", "1"},
		{"::/128", "::/128", "1"},
		// The 2^32 numbers that stand for IPv4 are no IPv6 addresses.
		{"::/0", "::/0", "340282366920938463463374607427473244160"},
		{"::/80", "::/80", "281470681743360"},
		{"8000::/1", "8000::/1", "170141183460469231731687303715884105728"},
	} {
		a := AddrsOf(pfx(c.in))
		if got, ok := a.Prefix(); !ok || got.String() != c.want || a.String() != c.want {
			t.Errorf("AddrsOf(%s).Prefix() = %v, %v, want %s", c.in, got, ok, c.want)
		}
		if got := a.Size().String(); got != c.size {
			t.Errorf("AddrsOf(%s).Size() = %s, want %s", c.in, got, c.size)
		}
	}
	if got := AddrsOf(netip.Prefix{}); got != (Addrs{}) {
		t.Errorf("AddrsOf(invalid) = %v, want the zero value", got)
	}
}

func TestFamiliesNeverMeet(t *testing.T) {
	v4, v6 := AddrsOf(pfx("0.0.0.0/0")), AddrsOf(pfx("::/0"))
	if v6.Contains(addr("10.0.0.1")) || v4.Contains(addr("::1")) || v6.Covers(v4) || v4.Covers(v6) || v6.Overlaps(v4) || v4.Overlaps(v6) {
		t.Error("an IPv6 interval meets an IPv4 one")
	}
	if _, ok := v6.Intersect(v4); ok {
		t.Error("::/0 and 0.0.0.0/0 have an intersection")
	}
	// What is left of ::/0 around the block of mapped addresses holds none of them.
	all := Box{AllServices, v6}
	low := Box{AllServices, Addrs{addr("::"), below4}}
	low.Addrs.First = flow.Addr{}
	high := Box{AllServices, Addrs{above4, v6.Last}}
	for _, c := range [][]Box{{low, high}, {high, low}} {
		if ok, w := Covered(all, c); !ok {
			t.Errorf("Covered(::/0, both halves) leaves %v", w)
		}
	}
	rest := all.Subtract(low)
	if len(rest) != 1 || rest[0] != high {
		t.Errorf("::/0 without its lower part = %v, want %v", rest, high)
	}
	rest = all.Subtract(high)
	if len(rest) != 1 || rest[0] != low {
		t.Errorf("::/0 without its upper part = %v, want %v", rest, low)
	}
	if ok, _ := Covered(Box{AllServices, v4}, []Box{all}); ok {
		t.Error("::/0 covers 0.0.0.0/0")
	}
}

// Every interval of a /27: the prefixes make it up, in order, and are as few as the
// binary tree of addresses needs.
func TestPrefixesAreMinimal(t *testing.T) {
	for _, base := range []flow.Addr{addr("10.0.0.0"), addr("0.0.0.0"), addr("255.255.255.224"), addr("2001:db8::"), addr("::1:0:0:0"), {}} {
		at := func(i int) flow.Addr { return flow.Addr{Hi: base.Hi, Lo: base.Lo + uint64(i)} }
		for first := range 32 {
			for last := first; last < 32; last++ {
				r := Addrs{at(first), at(last)}
				ps := r.Prefixes()
				next, n := r.First, SizeOf(0)
				for _, p := range ps {
					a := AddrsOf(p)
					if a.First != next {
						t.Fatalf("%v: prefixes %v leave a hole", r, ps)
					}
					n = n.Add(a.Size())
					next = flow.Addr{Hi: a.Last.Hi, Lo: a.Last.Lo + 1}
				}
				if n != r.Size() || n != SizeOf(uint64(last-first+1)) {
					t.Fatalf("%v: prefixes %v hold %v addresses", r, ps, n)
				}
				if want := fewest(0, 32, first, last); len(ps) != want {
					t.Fatalf("%v: %d prefixes, want %d", r, len(ps), want)
				}
			}
		}
	}
}

// fewest counts the nodes of the binary tree over [lo, hi) that make up [first, last].
func fewest(lo, hi, first, last int) int {
	switch {
	case last < lo || first >= hi:
		return 0
	case first <= lo && hi-1 <= last:
		return 1
	}
	m := (lo + hi) / 2
	return fewest(lo, m, first, last) + fewest(m, hi, first, last)
}

func TestPrefixesAcrossTheMappedBlock(t *testing.T) {
	r := Addrs{flow.Addr{Lo: below4.Lo - 1}, flow.Addr{Lo: above4.Lo + 1}}
	ps := r.Prefixes()
	var n Size
	for _, p := range ps {
		n = n.Add(AddrsOf(p).Size())
	}
	if n != r.Size() || n != SizeOf(4) || len(ps) != 2 {
		t.Errorf("%v.Prefixes() = %v with %v addresses, want 2 with 4", r, ps, n)
	}
}

func TestHullIsTheLongestPrefix(t *testing.T) {
	rng := rand.New(rand.NewPCG(42, 42))
	for range 20000 {
		one := func() Addrs {
			if rng.IntN(2) == 0 {
				return OneAddr(flow.Addr4(10<<24 | rng.Uint32N(1<<uint(1+rng.IntN(31)))))
			}
			return OneAddr(flow.Addr{Hi: rng.Uint64() >> uint(rng.IntN(65)), Lo: rng.Uint64() >> uint(rng.IntN(64))})
		}
		a, b := one(), one()
		if a.Is4() != b.Is4() {
			continue
		}
		h := a.Hull(b)
		p, ok := h.Prefix()
		if !ok || !h.Covers(a) || !h.Covers(b) || h != b.Hull(a) {
			t.Fatalf("hull of %v and %v is %v", a, b, h)
		}
		if p.IsSingleIP() {
			if a != b {
				t.Fatalf("hull of %v and %v is %v", a, b, h)
			}
			continue
		}
		longer := netip.PrefixFrom(netipOf(a.First), p.Bits()+1)
		if AddrsOf(longer).Covers(b) {
			t.Fatalf("hull of %v and %v is %v, but %v holds both", a, b, h, longer)
		}
	}
}

func netipOf(a flow.Addr) netip.Addr {
	if a.Is4() {
		return a.Netip()
	}
	return netip6(a)
}

func TestSizeAgreesWithBig(t *testing.T) {
	rng := rand.New(rand.NewPCG(42, 42))
	toBig := func(s Size) *big.Int {
		b := new(big.Int).SetUint64(s.hi)
		b.Lsh(b, 64).Or(b, new(big.Int).SetUint64(s.mid))
		return b.Lsh(b, 64).Or(b, new(big.Int).SetUint64(s.lo))
	}
	word := func() uint64 { return [...]uint64{0, 1, ^uint64(0), rng.Uint64(), 1 << rng.UintN(64)}[rng.IntN(5)] }
	mod := new(big.Int).Lsh(big.NewInt(1), 192)
	for range 20000 {
		a, b, n := Size{word(), word(), word()}, Size{word(), word(), word()}, word()
		x, y := toBig(a), toBig(b)
		if got := a.Cmp(b); got != x.Cmp(y) {
			t.Fatalf("Cmp(%v, %v) = %d", x, y, got)
		}
		if a.Less(b) != (x.Cmp(y) < 0) {
			t.Fatalf("Less(%v, %v)", x, y)
		}
		if a.String() != x.String() {
			t.Fatalf("String = %s, want %s", a, x)
		}
		if a.BitLen() != x.BitLen() {
			t.Fatalf("BitLen(%v) = %d", x, a.BitLen())
		}
		want := new(big.Int).Mod(new(big.Int).Add(x, y), mod)
		if toBig(a.Add(b)).Cmp(want) != 0 {
			t.Fatalf("%v + %v", x, y)
		}
		want = new(big.Int).Mod(new(big.Int).Mul(x, new(big.Int).SetUint64(n)), mod)
		if toBig(a.Mul(n)).Cmp(want) != 0 {
			t.Fatalf("%v × %d = %v", x, n, a.Mul(n))
		}
		if !a.Less(b) && toBig(a.Sub(b)).Cmp(new(big.Int).Sub(x, y)) != 0 {
			t.Fatalf("%v - %v", x, y)
		}
		f, _ := new(big.Float).SetInt(x).Float64()
		if g := a.Float64(); g != f && (g/f > 1+1e-12 || g/f < 1-1e-12) {
			t.Fatalf("Float64(%v) = %v", x, g)
		}
	}
	if Ratio(Size{}, Size{}) != 1 || Ratio(SizeOf(1), SizeOf(4)) != 0.25 || Ratio(Size{}, SizeOf(3)) != 0 {
		t.Error("Ratio")
	}
}
