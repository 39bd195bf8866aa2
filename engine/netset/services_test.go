package netset

import (
	"testing"

	"github.com/sgadvise/sgadvise/ingest/flow"
)

func TestServicesOfRules(t *testing.T) {
	for _, c := range []struct {
		in          Services
		first, last uint32
		want        string
	}{
		{AllServices, 0, 1<<24 - 1, "all"},
		{ServiceOf(flow.TCP, Port(443)), 0x601bb, 0x601bb, "tcp 443"},
		{ServiceOf(flow.UDP, PortRange{8000, 8100}), 0x111f40, 0x111fa4, "udp 8000-8100"},
		{ServiceOf(flow.TCP, AllPorts), 0x60000, 0x6ffff, "tcp"},
		{ServiceOf(flow.TCP, PortRange{65535, 65535}), 0x6ffff, 0x6ffff, "tcp 65535"},
		{ServiceOf(50, Port(443)), 0x320000, 0x32ffff, "esp"},
		{Point(flow.ICMP, 0), 0x10000, 0x1ffff, "icmp"},
		{Point(255, 9), 0xff0000, 0xffffff, "255"},
		{Point(flow.UDP, 53), 0x110035, 0x110035, "udp 53"},
		{ICMPServices(flow.ICMP, -1, -1), 0x10000, 0x1ffff, "icmp"},
		{ICMPServices(flow.ICMP, 8, -1), 0x10800, 0x108ff, "icmp type 8"},
		{ICMPServices(flow.ICMPv6, 255, -1), 0x3aff00, 0x3affff, "icmpv6 type 255"},
		{ICMPServices(flow.ICMP, 3, 4), 0x10304, 0x10304, "icmp type 3 code 4"},
		{Services{0x10304, 0x10406}, 0x10304, 0x10406, "icmp type 3 code 4 to icmp type 4 code 6"},
		{Services{0x6fffe, 0x110001}, 0x6fffe, 0x110001, "tcp 65534-65535, protocols 7-16, udp 0-1"},
	} {
		if c.in.First != c.first || c.in.Last != c.last || c.in.String() != c.want {
			t.Errorf("got %#x-%#x %q, want %#x-%#x %q", c.in.First, c.in.Last, c.in, c.first, c.last, c.want)
		}
	}
	if p, ok := Point(flow.UDP, 53).Proto(); p != flow.UDP || !ok {
		t.Error("Proto of udp 53")
	}
	if _, ok := AllServices.Proto(); ok {
		t.Error("all services have one protocol")
	}
	if got := AllServices.Ports(); got != AllPorts {
		t.Errorf("Ports of all = %v", got)
	}
	if got := AllServices.Len(); got != 1<<24 {
		t.Errorf("Len of all = %d", got)
	}
}

func TestPortRangeEdges(t *testing.T) {
	r := PortRange{65534, 65535}
	if !r.Contains(65535) || r.Contains(65533) || r.Contains(0) || r.Len() != 2 || AllPorts.Len() != 65536 || Port(0).Len() != 1 {
		t.Error("edges at 0 and 65535")
	}
	if !r.Overlaps(Port(65535)) || r.Overlaps(Port(65533)) || !AllPorts.Covers(r) || r.Covers(AllPorts) {
		t.Error("overlap at 65535")
	}
	for _, bad := range []string{"", "-", "1-", "-1", "65536", "2-1", "1-2-3", "any", "+1", " 1", "0x10", "1e3"} {
		if r, err := ParsePorts(bad); err == nil {
			t.Errorf("ParsePorts(%q) = %v, want an error", bad, r)
		}
	}
}

func FuzzParsePorts(f *testing.F) {
	for _, s := range []string{"all", "0", "443", "8000-8100", "0-65535", "65535", "2-1", "", "-", "007", "1--2"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, err := ParsePorts(s)
		if err != nil {
			return
		}
		if r.First > r.Last {
			t.Fatalf("ParsePorts(%q) = %v runs backwards", s, r)
		}
		if again, err := ParsePorts(r.String()); err != nil || again != r {
			t.Fatalf("ParsePorts(%q.String()) = %v, %v, want %v", s, again, err, r)
		}
	})
}

func TestServicesOverSeveralProtocols(t *testing.T) {
	for want, s := range map[string]Services{
		"protocols 0-5, tcp 0-442":       {First: 0, Last: 6<<16 | 442},
		"tcp 444-65535, protocols 7-255": {First: 6<<16 | 444, Last: 255<<16 | 0xffff},
		"tcp 1-65535":                    {First: 6<<16 | 1, Last: 7<<16 - 1},
		"protocols 6-17":                 {First: 6 << 16, Last: 17<<16 | 0xffff},
		"udp 53-65535, protocol 18":      {First: 17<<16 | 53, Last: 18<<16 | 0xffff},
	} {
		if got := s.String(); got != want {
			t.Errorf("%#x-%#x is %q, want %q", s.First, s.Last, got, want)
		}
	}
}
