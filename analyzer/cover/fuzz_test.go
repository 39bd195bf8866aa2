package cover

import (
	"testing"

	"github.com/sgadvise/sgadvise/engine/netset"
	"github.com/sgadvise/sgadvise/ingest/flow"
)

// FuzzSolve reads points from bytes: whatever they are, there is no panic, and every
// solution covers them inside the bound.
func FuzzSolve(f *testing.F) {
	f.Add([]byte{}, uint8(3), uint8(0))
	f.Add([]byte{1, 2, 80, 0, 9, 2, 80, 0, 1, 2, 90, 3}, uint8(2), uint8(1))
	f.Add([]byte{1, 0, 8, 0, 0x81, 1, 0, 200, 3, 3, 3, 3, 0x83, 4, 255, 255}, uint8(4), uint8(2))
	f.Fuzz(func(t *testing.T, data []byte, budget, mode uint8) {
		protos := []uint32{1, 6, 6, 17, 50, 58, 0, 255}
		var points []Point
		for ; len(data) >= 4 && len(points) < 40; data = data[4:] {
			a := flow.Addr4(10<<24 | uint32(data[0]&0x3f)<<2)
			if data[0] >= 0xc0 {
				a = flow.Addr{Hi: 0xfd00 << 48, Lo: uint64(data[0] & 0x3f)}
			}
			first := protos[data[1]%8]<<16 | uint32(data[1]>>6)<<8 | uint32(data[2])
			points = append(points, Point{Addr: a, Services: netset.Services{First: first, Last: first + uint32(data[3])*uint32(data[3])*uint32(data[1]>>3&1)}})
		}
		opt := Options{Seed: uint64(mode)}
		if mode&1 != 0 {
			opt.Inside = []netset.Box{{Services: netset.AllServices, Addrs: netset.AddrsOf(pfx("10.0.0.0/25"))},
				{Services: netset.Services{First: 0, Last: 7 << 16}, Addrs: netset.AddrsOf(pfx("10.0.0.128/25"))},
				{Services: netset.AllServices, Addrs: netset.AddrsOf(pfx("fd00::/124"))}}
		}
		if mode&2 != 0 {
			opt.NoHost = func(a flow.Addr) bool { return a.Lo%5 == 0 }
		}
		if mode&4 != 0 {
			opt.Named = append(opt.Named, pfx("10.0.0.0/26"), pfx("10.0.0.64/27"), pfx("fd00::/125"), pfx("10.0.0.4/32"))
		}
		n := int(budget % 9)
		checkSolutions(t, points, n, opt, Solve(points, n, opt))
	})
}
