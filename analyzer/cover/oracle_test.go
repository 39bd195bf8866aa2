package cover

import (
	"net/netip"
	"testing"

	"github.com/sgadvise/sgadvise/engine/netset"
	"github.com/sgadvise/sgadvise/ingest/flow"
)

func pfx(s string) netip.Prefix { return netip.MustParsePrefix(s) }

func addr(s string) flow.Addr { return flow.AddrFrom(netip.MustParseAddr(s)) }

func tcp(a string, port uint16) Point {
	return Point{Addr: addr(a), Services: netset.Point(flow.TCP, port)}
}

func sets(boxes []Box) []netset.Box {
	var out []netset.Box
	for _, b := range boxes {
		out = append(out, b.Set())
	}
	return out
}

// leastCover tries every way to cover points by at most k boxes that are hulls of
// some of them and that allowed admits. A least cover is among these: shrink each box
// of any cover to the hull of the points in it. false: there is none.
func leastCover(points []Point, k int, w *Weights, allowed func(netset.Box) bool) (netset.Size, bool) {
	type cand struct {
		box   netset.Box
		holds uint32
	}
	var cands []cand
	seen := map[netset.Box]bool{}
	for mask := 1; mask < 1<<len(points); mask++ {
		var h netset.Box
		first, mixed := true, false
		for i, p := range points {
			if mask>>i&1 == 0 {
				continue
			}
			b := netset.Box{Services: widen(p.Services), Addrs: netset.OneAddr(p.Addr)}
			if first {
				h, first = b, false
				continue
			}
			if h.Addrs.Is4() != b.Addrs.Is4() {
				mixed = true
				break
			}
			h = netset.Box{Services: join(h.Services, b.Services), Addrs: h.Addrs.Hull(b.Addrs)}
		}
		if mixed || seen[h] || allowed != nil && !allowed(h) {
			continue
		}
		seen[h] = true
		c := cand{box: h}
		for i, p := range points {
			if h.Services.Covers(p.Services) && h.Addrs.Contains(p.Addr) {
				c.holds |= 1 << i
			}
		}
		cands = append(cands, c)
	}
	var best netset.Size
	found := false
	m := newMeasure(w)
	var chosen []netset.Box
	var rec func(held uint32)
	rec = func(held uint32) {
		first := 0
		for first < len(points) && held>>first&1 == 1 {
			first++
		}
		if first == len(points) {
			if e := m.union(chosen); !found || e.Less(best) {
				best, found = e, true
			}
			return
		}
		if len(chosen) == k {
			return
		}
		for _, c := range cands {
			if c.holds>>first&1 == 1 {
				chosen = append(chosen, c.box)
				rec(held | c.holds)
				chosen = chosen[:len(chosen)-1]
			}
		}
	}
	rec(0)
	return best, found
}

// checkSolutions checks what holds of every result of Solve.
func checkSolutions(t *testing.T, points []Point, budget int, opt Options, sols []Solution) {
	t.Helper()
	w := opt.Weights
	if w == nil {
		w = DefaultWeights()
	}
	if len(sols) > budget {
		t.Fatalf("%d solutions for a budget of %d", len(sols), budget)
	}
	for i, s := range sols {
		if len(s.Boxes) == 0 {
			if i > 0 && len(sols[i-1].Boxes) > 0 {
				t.Fatalf("solution %d is empty, the one before is not", i+1)
			}
			continue
		}
		if len(s.Boxes) > i+1 {
			t.Fatalf("solution %d has %d boxes: %v", i+1, len(s.Boxes), s.Boxes)
		}
		if s.Method == "" {
			t.Fatalf("solution %d has no method", i+1)
		}
		for _, b := range s.Boxes {
			if !b.Prefix.IsValid() || b.Prefix != b.Prefix.Masked() || widen(b.Services) != b.Services {
				t.Fatalf("solution %d: %v is not what a rule can say", i+1, b)
			}
			if opt.Inside != nil {
				if ok, out := netset.Covered(b.Set(), opt.Inside); !ok {
					t.Fatalf("solution %d: %v is not inside: %v", i+1, b, out)
				}
			}
			if opt.NoHost != nil && b.Prefix.IsSingleIP() && opt.NoHost(flow.AddrFrom(b.Prefix.Addr())) {
				t.Fatalf("solution %d: %v is a forbidden host", i+1, b)
			}
		}
		for _, p := range points {
			held := false
			for _, b := range s.Boxes {
				held = held || b.Services.Covers(p.Services) && netset.AddrsOf(b.Prefix).Contains(p.Addr)
			}
			if !held {
				t.Fatalf("solution %d (%s) %v misses %v", i+1, s.Method, s.Boxes, p)
			}
		}
		if e := w.Exposure(sets(s.Boxes)); e != s.Exposure {
			t.Fatalf("solution %d: exposure %v, want %v", i+1, s.Exposure, e)
		}
		if i > 0 && len(sols[i-1].Boxes) > 0 && sols[i-1].Exposure.Less(s.Exposure) {
			t.Fatalf("solution %d exposes %v, the one before %v", i+1, s.Exposure, sols[i-1].Exposure)
		}
	}
	if n := len(sols); n > 0 && len(sols[n-1].Boxes) == 0 {
		t.Fatal("the last solution is empty")
	}
}
