package policy

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"github.com/sgadvise/sgadvise/engine/netset"
	"github.com/sgadvise/sgadvise/ingest/flow"
)

func prefixes(ss ...string) AddrSet {
	var s AddrSet
	for _, p := range ss {
		s.Prefixes = append(s.Prefixes, netip.MustParsePrefix(p))
	}
	return s
}

func TestBoxesOfRules(t *testing.T) {
	ten := prefixes("10.0.0.0/8")
	local := NewMatch(flow.Ingress, OneProto(flow.TCP), netset.Port(443), AnyICMP, ten)
	local.Local = prefixes("10.0.0.5/32")
	fromPort := NewMatch(flow.Ingress, OneProto(flow.TCP), netset.Port(443), AnyICMP, ten)
	fromPort.RemotePorts = netset.PortRange{First: 1024, Last: 65535}
	pingFromPort := NewMatch(flow.Ingress, OneProto(flow.ICMP), netset.AllPorts, TypeCode{8, -1}, ten)
	pingFromPort.RemotePorts = netset.Port(9) // ports mean nothing to ICMP
	unknown := ten
	unknown.Unknown = true
	var tcpUDP ProtoSet
	for i := range tcpUDP {
		tcpUDP[i] = OneProto(flow.TCP)[i] | OneProto(flow.UDP)[i]
	}
	for _, c := range []struct {
		name  string
		m     Match
		d     flow.Direction
		want  []string
		exact bool
	}{
		{"port in", NewMatch(flow.Ingress, OneProto(flow.TCP), netset.Port(443), AnyICMP, ten), flow.Ingress, []string{"tcp 443 10.0.0.0/8"}, true},
		{"port out", NewMatch(flow.Egress, OneProto(flow.UDP), netset.Port(53), AnyICMP, ten), flow.Egress, []string{"udp 53 10.0.0.0/8"}, true},
		{"all traffic", NewMatch(flow.Ingress, AnyProto, netset.AllPorts, AnyICMP, AnyAddr), flow.Ingress, []string{"all 0.0.0.0/0", "all ::/0"}, true},
		{"two protocols", NewMatch(flow.Ingress, tcpUDP, netset.Port(53), AnyICMP, ten), flow.Ingress, []string{"tcp 53 10.0.0.0/8", "udp 53 10.0.0.0/8"}, true},
		{"ping", NewMatch(flow.Ingress, OneProto(flow.ICMP), netset.AllPorts, TypeCode{8, -1}, ten), flow.Ingress, []string{"icmp type 8 10.0.0.0/8"}, true},
		{"fragmentation needed", NewMatch(flow.Egress, OneProto(flow.ICMP), netset.AllPorts, TypeCode{3, 4}, ten), flow.Egress, []string{"icmp type 3 code 4 10.0.0.0/8"}, true},
		{"no ports", NewMatch(flow.Ingress, OneProto(50), netset.Port(443), AnyICMP, ten), flow.Ingress, []string{"esp 10.0.0.0/8"}, true},
		{"local address", local, flow.Ingress, []string{"tcp 443 10.0.0.0/8"}, false},
		{"source ports", fromPort, flow.Ingress, []string{"tcp 443 10.0.0.0/8"}, false},
		{"source ports without ports", pingFromPort, flow.Ingress, []string{"icmp type 8 10.0.0.0/8"}, true},
		{"unknown members", NewMatch(flow.Ingress, OneProto(flow.TCP), netset.Port(1), AnyICMP, unknown), flow.Ingress, []string{"tcp 1 10.0.0.0/8"}, false},
		{"unresolved", NewMatch(flow.Ingress, OneProto(flow.TCP), netset.Port(1), AnyICMP, AddrSet{Refs: []SetRef{{ID: "sg-1"}}}), flow.Ingress, nil, false},
		{"nobody", NewMatch(flow.Ingress, OneProto(flow.TCP), netset.Port(1), AnyICMP, AddrSet{}), flow.Ingress, nil, true},
	} {
		boxes, exact := c.m.Boxes(c.d)
		var got []string
		for _, b := range boxes {
			got = append(got, b.String())
		}
		if !slices.Equal(got, c.want) || exact != c.exact {
			t.Errorf("%s: Boxes = %q, %v, want %q, %v", c.name, got, exact, c.want, c.exact)
		}
	}
	r := Rule{Direction: flow.Ingress, Match: []Match{local, NewMatch(flow.Ingress, OneProto(flow.TCP), netset.Port(22), AnyICMP, ten)}}
	if boxes, exact := r.Boxes(); len(boxes) != 2 || exact {
		t.Errorf("rule of two matches: %v, %v", boxes, exact)
	}
}

// Exact boxes hold a connection exactly if the match does.
func TestBoxesAgreeWithMatches(t *testing.T) {
	rng := rand.New(rand.NewPCG(42, 42))
	protos := []flow.Proto{0, 1, 2, 6, 7, 16, 17, 50, 58, 255}
	ports := []uint16{0, 1, 79, 80, 81, 65534, 65535}
	peers := []string{"10.0.0.0/8", "10.1.0.0/16", "10.0.0.0/31", "0.0.0.0/0", "2001:db8::/32", "::/0"}
	addrs := []string{"9.255.255.255", "10.0.0.0", "10.0.0.2", "10.1.0.1", "255.255.255.255", "2001:db8::1", "ffff::"}
	pick := func(n int) int { return rng.IntN(n) }
	hits := 0
	for range 20000 {
		d := []flow.Direction{flow.Ingress, flow.Egress}[pick(2)]
		set := AnyProto
		if pick(4) > 0 {
			set = OneProto(protos[pick(len(protos))])
			for i, x := range OneProto(protos[pick(len(protos))]) {
				set[i] |= x
			}
		}
		first, last := ports[pick(len(ports))], ports[pick(len(ports))]
		if first > last {
			first, last = last, first
		}
		icmp := []TypeCode{AnyICMP, {8, -1}, {3, 4}, {255, 255}, {0, 0}}[pick(5)]
		m := NewMatch(d, set, netset.PortRange{First: first, Last: last}, icmp, prefixes(peers[pick(len(peers))], peers[pick(len(peers))]))
		boxes, exact := m.Boxes(d)
		if !exact {
			t.Fatalf("%+v: not exact", m)
		}
		c := Conn{Direction: d, Proto: protos[pick(len(protos))], Local: netip.MustParseAddr("10.9.9.9"), Remote: netip.MustParseAddr(addrs[pick(len(addrs))]),
			ICMP: []TypeCode{{8, 0}, {8, 255}, {3, 4}, {3, 5}, {255, 255}, {0, 0}}[pick(6)]}
		if c.Remote.Is6() {
			c.Local = netip.MustParseAddr("2001:db8::9")
		}
		service := netset.Point(c.Proto, ports[pick(len(ports))])
		if c.Proto.IsICMP() {
			service = netset.ICMPServices(c.Proto, c.ICMP.Type, c.ICMP.Code)
		}
		if p := service.Ports(); c.Proto.HasPorts() && d == flow.Ingress {
			c.LocalPort = p.First
		} else if c.Proto.HasPorts() {
			c.RemotePort = p.First
		}
		got := slices.ContainsFunc(boxes, func(b netset.Box) bool { return b.Contains(flow.AddrFrom(c.Remote), service.First) })
		want := m.Matches(&c) == Yes
		if want {
			hits++
		}
		if got != want {
			t.Fatalf("match %+v, connection %+v: in the boxes %v, matches %v", m, c, got, want)
		}
	}
	if hits < 1000 {
		t.Errorf("%d of 20000 connections match: the test says little", hits)
	}
}

// Protocols are found by the bits of their set: all 256 of them, whatever lies between.
func TestBoxesOfEveryProtocolSet(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 4))
	for range 500 {
		m := NewMatch(flow.Ingress, ProtoSet{}, netset.PortRange{First: 5, Last: uint16(5 + rng.IntN(9))}, TypeCode{8, int16(rng.IntN(3)) - 1}, prefixes("10.0.0.0/8", "11.0.0.0/8"))
		for i := range m.Protos {
			m.Protos[i] = rng.Uint64() & rng.Uint64()
			if rng.IntN(3) == 0 {
				m.Protos[i] = []uint64{0, ^uint64(0)}[rng.IntN(2)]
			}
		}
		boxes, _ := m.Boxes(flow.Ingress)
		for p := range 256 {
			s := netset.ServiceOf(flow.Proto(p), m.LocalPorts)
			if flow.Proto(p).IsICMP() {
				s = netset.ICMPServices(flow.Proto(p), m.ICMP.Type, m.ICMP.Code)
			}
			n := 0
			for _, b := range boxes {
				if b.Services.Covers(s) {
					n++
				} else if b.Services.Overlaps(netset.ServiceOf(flow.Proto(p), netset.AllPorts)) && !m.Protos.Has(flow.Proto(p)) {
					t.Fatalf("%x: %s holds of protocol %d", m.Protos, b, p)
				}
			}
			if want := map[bool]int{true: 2}[m.Protos.Has(flow.Proto(p))]; n != want {
				t.Fatalf("%x: %d boxes hold %s, want %d: %v", m.Protos, n, s, want, boxes)
			}
		}
	}
}
