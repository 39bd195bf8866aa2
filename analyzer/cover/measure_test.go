package cover

import (
	"math/rand/v2"
	"testing"

	"github.com/sgadvise/sgadvise/engine/netset"
	"github.com/sgadvise/sgadvise/ingest/flow"
)

func TestExposureOfOneBox(t *testing.T) {
	tcpOn := func(first, last uint16) netset.Services {
		return netset.ServiceOf(flow.TCP, netset.PortRange{First: first, Last: last})
	}
	for _, c := range []struct {
		services netset.Services
		prefix   string
		want     string
	}{
		{tcpOn(443, 443), "10.0.0.0/24", "256"},
		{tcpOn(443, 443), "8.8.8.8/32", "64"},
		{tcpOn(22, 22), "10.0.0.1/32", "8"},
		{tcpOn(21, 24), "10.0.0.1/32", "18"},
		{tcpOn(65535, 65535), "10.0.0.1/32", "1"},
		{tcpOn(0, 65535), "10.0.0.1/32", "65634"}, // 14 administrative ports
		{netset.ServiceOf(flow.UDP, netset.Port(53)), "100.64.0.0/10", "4194304"},
		{netset.Point(flow.ICMP, 0), "10.0.0.1/32", "256"},
		{netset.ICMPServices(flow.ICMP, 8, -1), "10.0.0.1/32", "1"},
		{netset.ICMPServices(flow.ICMP, 3, 4), "10.0.0.1/32", "1"},
		{netset.Point(50, 0), "10.0.0.1/32", "1"},
		// 65634 for TCP and for UDP, 256 for ICMP and for ICMPv6, 252 other protocols
		{netset.AllServices, "10.0.0.1/32", "132032"},
		// 2^32 addresses, of which 2^24 + 2^20 + 2^16 + 2^22 private
		{tcpOn(443, 443), "0.0.0.0/0", "273486512128"},
		{tcpOn(443, 443), "10.0.0.0/7", "1090519040"}, // half private
		{tcpOn(443, 443), "fd00::/64", "18446744073709551616"},
		{tcpOn(443, 443), "2001:db8::/128", "64"},
		// 2^118 × (8 private + 7 × 64 + 1 link-local)
		{tcpOn(443, 443), "fc00::/6", "151864298518426638479259956637029367808"},
	} {
		if got := Exposure([]netset.Box{{Services: c.services, Addrs: netset.AddrsOf(pfx(c.prefix))}}); got.String() != c.want {
			t.Errorf("Exposure(%v %s) = %v, want %s", c.services, c.prefix, got, c.want)
		}
	}
	if got := Exposure(nil); !got.IsZero() {
		t.Errorf("Exposure(nothing) = %v", got)
	}
}

// The union is counted point by point, in universes across the edges of protocols,
// of private space and of a family, with units that are covered in part.
func TestExposureOfUnionCountsEveryPointOnce(t *testing.T) {
	rng := rand.New(rand.NewPCG(42, 42))
	w := DefaultWeights()
	m := newMeasure(w)
	for _, base := range []flow.Addr{addr("9.255.255.248"), addr("255.255.255.240"), addr("0.0.0.0"), addr("fdff:ffff:ffff:ffff:ffff:ffff:ffff:fff8"), addr("ffff:ffff:ffff:ffff:ffff:ffff:ffff:fff0")} {
		// Services: some ports, ICMP codes, whole protocols, the end of the axis.
		for _, services := range [][]uint32{
			{6<<16 | 20, 6<<16 | 21, 6<<16 | 22, 6<<16 | 23, 6<<16 | 24},
			{6<<16 | 65534, 6<<16 | 65535, 7 << 16, 8 << 16, 9<<16 - 1},
			{1<<16 | 0x304, 1<<16 | 0x305, 1<<16 | 0x400, 1<<16 | 0x4ff, 1<<16 | 0x500},
			{50 << 16, 51<<16 - 1, 51 << 16, 1<<24 - 2, 1<<24 - 1},
		} {
			for range 150 {
				var boxes []netset.Box
				for range 1 + rng.IntN(5) {
					s0 := rng.IntN(len(services))
					s1 := s0 + rng.IntN(len(services)-s0)
					a0 := rng.IntN(16)
					a1 := a0 + rng.IntN(16-a0)
					at := func(i int) flow.Addr {
						a := flow.Addr{Hi: base.Hi, Lo: base.Lo + uint64(i)}
						if a.Lo < base.Lo {
							a.Hi++
						}
						return a
					}
					boxes = append(boxes, netset.Box{Services: netset.Services{First: services[s0], Last: services[s1]}, Addrs: netset.Addrs{First: at(a0), Last: at(a1)}})
				}
				var want netset.Size
				for i := range 16 {
					a := flow.Addr{Hi: base.Hi, Lo: base.Lo + uint64(i)}
					if a.Lo < base.Lo {
						a.Hi++
					}
					want = want.Add(m.addrs(netset.OneAddr(a)).Mul(unitsAt(boxes, a, m)))
				}
				if got := w.Exposure(boxes); got != want {
					t.Fatalf("Exposure(%v) = %v, want %v", boxes, got, want)
				}
			}
		}
	}
}

// unitsAt adds up the weight of the ports, ICMP types and protocols that boxes meet at a.
func unitsAt(boxes []netset.Box, a flow.Addr, m *measure) uint64 {
	met := map[uint32]uint64{}
	for _, b := range boxes {
		if !b.Addrs.Contains(a) {
			continue
		}
		for x := uint64(b.Services.First); x <= uint64(b.Services.Last); x++ {
			u, weight := uint32(x), uint64(1)
			switch p := flow.Proto(x >> 16); {
			case p.HasPorts():
				for _, admin := range m.admins {
					if uint16(x) == admin {
						weight = m.admin
					}
				}
			case p.IsICMP():
				u &^= 0xff
			default:
				u &^= 0xffff
			}
			met[u] = weight
			if u != uint32(x) { // go on with the next unit
				x |= uint64(unitMask(u))
			}
		}
	}
	var sum uint64
	for _, w := range met {
		sum += w
	}
	return sum
}
