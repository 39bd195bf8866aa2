package netset

import (
	"math/bits"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/sgadvise/sgadvise/ingest/flow"
)

// grid is a universe of 16 addresses and 8 services, a bit for each point. Its
// services lie across the end of a protocol, its addresses at the edge of a family.
type grid struct {
	base    flow.Addr
	service uint32
}

func (g grid) box(a0, a1, s0, s1 int) Box {
	return Box{Services{g.service + uint32(s0), g.service + uint32(s1)},
		Addrs{flow.Addr{Hi: g.base.Hi, Lo: g.base.Lo + uint64(a0)}, flow.Addr{Hi: g.base.Hi, Lo: g.base.Lo + uint64(a1)}}}
}

type bitmap [2]uint64

func (g grid) bits(b Box) (m bitmap) {
	for a := range 16 {
		for s := range 8 {
			if b.Contains(flow.Addr{Hi: g.base.Hi, Lo: g.base.Lo + uint64(a)}, g.service+uint32(s)) {
				m[a/8] |= 1 << (a%8*8 + s)
			}
		}
	}
	return m
}

func (m bitmap) or(o bitmap) bitmap     { return bitmap{m[0] | o[0], m[1] | o[1]} }
func (m bitmap) and(o bitmap) bitmap    { return bitmap{m[0] & o[0], m[1] & o[1]} }
func (m bitmap) andNot(o bitmap) bitmap { return bitmap{m[0] &^ o[0], m[1] &^ o[1]} }
func (m bitmap) count() uint64          { return uint64(bits.OnesCount64(m[0]) + bits.OnesCount64(m[1])) }

var grids = []grid{
	{addr("10.0.0.0"), 6<<16 | 80},
	{addr("255.255.255.240"), 6<<16 | 65532},
	{addr("0.0.0.0"), 0},
	{addr("ffff:ffff:ffff:ffff:ffff:ffff:ffff:fff0"), 1<<24 - 8},
	{flow.Addr{}, 1<<16 - 4},
	{flow.Addr{Hi: 1<<32 - 1, Lo: ^uint64(0) - 15}, 17 << 16},
}

func (g grid) random(rng *rand.Rand) Box {
	a0, s0 := rng.IntN(16), rng.IntN(8)
	a1, s1 := a0+rng.IntN(16-a0), s0+rng.IntN(8-s0)
	if rng.IntN(2) == 0 { // aligned, as rules are
		n := rng.IntN(5)
		a0 = a0 >> n << n
		a1 = a0 + 1<<n - 1
	}
	return g.box(a0, a1, s0, s1)
}

// All pairs of boxes of a grid of 4 × 4, in every universe.
func TestBoxAlgebraOnEveryPair(t *testing.T) {
	for _, g := range grids {
		var all []Box
		for a0 := range 4 {
			for a1 := a0; a1 < 4; a1++ {
				for s0 := range 4 {
					for s1 := s0; s1 < 4; s1++ {
						all = append(all, g.box(a0, a1, s0, s1))
					}
				}
			}
		}
		for _, b := range all {
			mb := g.bits(b)
			if b.Size() != SizeOf(mb.count()) {
				t.Fatalf("%v.Size() = %v, want %d", b, b.Size(), mb.count())
			}
			for _, c := range all {
				mc := g.bits(c)
				if got, want := b.Covers(c), mc.andNot(mb) == (bitmap{}); got != want {
					t.Fatalf("%v.Covers(%v) = %v", b, c, got)
				}
				if got, want := b.Overlaps(c), mb.and(mc) != (bitmap{}); got != want {
					t.Fatalf("%v.Overlaps(%v) = %v", b, c, got)
				}
				if x, ok := b.Intersect(c); ok != b.Overlaps(c) || ok && g.bits(x) != mb.and(mc) {
					t.Fatalf("%v.Intersect(%v) = %v, %v", b, c, x, ok)
				}
				checkPieces(t, g, b.Subtract(c), mb.andNot(mc))
			}
		}
	}
}

// checkPieces checks that pieces are disjoint and together exactly want.
func checkPieces(t *testing.T, g grid, pieces []Box, want bitmap) {
	t.Helper()
	var union bitmap
	var n Size
	for _, p := range pieces {
		m := g.bits(p)
		if union.and(m) != (bitmap{}) {
			t.Fatalf("pieces %v overlap", pieces)
		}
		union = union.or(m)
		n = n.Add(p.Size())
	}
	if union != want || n != SizeOf(want.count()) {
		t.Fatalf("pieces %v hold %v points, want %d", pieces, n, want.count())
	}
}

func TestCoveredAgreesWithBitmaps(t *testing.T) {
	rng := rand.New(rand.NewPCG(42, 42))
	covered := 0
	for i := range 60000 {
		g := grids[i%len(grids)]
		r := g.random(rng)
		by := make([]Box, rng.IntN(12))
		var union bitmap
		for j := range by {
			by[j] = g.random(rng)
			if rng.IntN(20) == 0 { // of the other family: never counts
				by[j].Addrs = AddrsOf(pfx("::/0"))
				if r.Addrs.First.Is4() != by[j].Addrs.Is4() {
					continue
				}
			}
			union = union.or(g.bits(by[j]))
		}
		hole := g.bits(r).andNot(union)
		want := hole == (bitmap{})
		if want {
			covered++
		}
		check := func(name string, ok bool, w Box) {
			t.Helper()
			if ok != want {
				t.Fatalf("%s(%v, %v) = %v", name, r, by, ok)
			}
			if !ok && (!r.Covers(w) || g.bits(w).andNot(hole) != (bitmap{}) || g.bits(w) == (bitmap{})) {
				t.Fatalf("%s(%v, %v): witness %v is not outside", name, r, by, w)
			}
		}
		ok, w := Covered(r, by)
		check("Covered", ok, w)
		if clips := clipAll(nil, r, by); len(clips) > 0 {
			sok, sw := sweep(r, clips)
			check("sweep", sok, sw)
		}
		rest, fine := Residual(r, by, 1000)
		if !fine {
			t.Fatalf("Residual(%v, %v) gave up", r, by)
		}
		checkPieces(t, g, rest, hole)
		rng.Shuffle(len(by), func(i, j int) { by[i], by[j] = by[j], by[i] })
		if ok2, w2 := Covered(r, by); ok2 != ok || w2 != w {
			t.Fatalf("Covered(%v, %v) depends on the order: %v, %v", r, by, w, w2)
		}
	}
	if covered < 5000 || covered > 55000 {
		t.Errorf("%d of 60000 cases covered: the test says little", covered)
	}
}

func TestEqualIsEqualityOfUnions(t *testing.T) {
	rng := rand.New(rand.NewPCG(42, 43))
	g := grids[0]
	union := func(bs []Box) (m bitmap) {
		for _, b := range bs {
			m = m.or(g.bits(b))
		}
		return m
	}
	equal := 0
	for range 20000 {
		var a, b []Box
		for range 1 + rng.IntN(3) {
			a = append(a, g.random(rng))
		}
		for _, x := range a { // the same, cut another way, now and then with a change
			c := g.random(rng)
			b = append(b, x.Subtract(c)...)
			if y, ok := x.Intersect(c); ok {
				b = append(b, y)
			}
		}
		if rng.IntN(2) == 0 {
			b = append(b, g.random(rng))
		}
		want := union(a) == union(b)
		if want {
			equal++
		}
		if got := Equal(a, b); got != want || Equal(b, a) != want {
			t.Fatalf("Equal(%v, %v) = %v", a, b, got)
		}
	}
	if equal < 5000 || equal > 19000 {
		t.Errorf("%d of 20000 cases equal: the test says little", equal)
	}
}

// Stripes that cross leave holes like a checkerboard: more pieces than subtraction
// may make, so the sweep decides.
func TestStripesAreLeftToTheSweep(t *testing.T) {
	const n = 256
	r := Box{ServiceOf(flow.TCP, PortRange{0, 2*n - 1}), AddrsOf(pfx("10.0.0.0/23"))}
	var by []Box
	for i := range n {
		by = append(by, Box{r.Services, OneAddr(flow.Addr4(10<<24 + uint32(2*i)))},
			Box{Point(flow.TCP, uint16(2*i)), r.Addrs})
	}
	if _, ok := Residual(r, by, maxResidual); ok {
		t.Fatal("subtraction managed the stripes: the test does not reach the sweep")
	}
	ok, w := Covered(r, by)
	if ok || slices.ContainsFunc(by, w.Overlaps) || !r.Covers(w) {
		t.Errorf("Covered(stripes) = %v, witness %v", ok, w)
	}
	// Tiles in all holes but one.
	for i := range n {
		by = append(by, Box{r.Services, OneAddr(flow.Addr4(10<<24 + uint32(2*i+1)))})
	}
	last := &by[len(by)-1]
	last.Services.Last--
	ok, w = Covered(r, by)
	want := Box{Point(flow.TCP, 2*n-1), last.Addrs}
	if ok || w != want {
		t.Errorf("Covered(all but one) = %v, witness %v, want %v", ok, w, want)
	}
	last.Services.Last++
	if ok, w := Covered(r, by); !ok {
		t.Errorf("Covered(all) leaves %v", w)
	}
}

func BenchmarkCovered(b *testing.B) {
	rng := rand.New(rand.NewPCG(42, 42))
	var by []Box
	for range 60 {
		p := uint16(rng.IntN(40) * 100)
		n := uint(rng.IntN(16))
		a := 10<<24 | rng.Uint32N(1<<20)>>n<<n
		by = append(by, Box{ServiceOf(flow.TCP, PortRange{p, p + 20}), Addrs{flow.Addr4(a), flow.Addr4(a | (1<<n - 1))}})
	}
	b.Run("60 rules", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			for i, r := range by {
				by[0], by[i] = by[i], by[0]
				Covered(r, by[1:])
				by[0], by[i] = by[i], by[0]
			}
		}
	})
}
