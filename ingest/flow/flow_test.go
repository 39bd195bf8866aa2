package flow

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
)

var addrs = []string{
	"0.0.0.0", "0.0.0.1", "10.0.0.1", "127.255.255.255", "128.0.0.0", "255.255.255.255",
	"::1", "::a00:1", "::fffe:a00:1", "::1:0:0:0", "64:ff9b::a00:1", "2001:db8::1", "2001:db8:0:1::", "fe80::1",
	"ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
}

func TestAddrComesBack(t *testing.T) {
	for _, s := range addrs {
		want := netip.MustParseAddr(s)
		a := AddrFrom(want)
		if !a.IsValid() || a.Netip() != want || a.Is4() != want.Is4() || a.String() != want.String() {
			t.Errorf("%s: valid %v, address %v, IPv4 %v, text %v", s, a.IsValid(), a.Netip(), a.Is4(), a)
		}
		if want.Is4() {
			b := want.As4()
			v := uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
			if a.V4() != v || a != Addr4(v) {
				t.Errorf("%s: V4 %x, Addr4 %v", s, a.V4(), Addr4(v))
			}
		}
	}
}

func TestAddrIsCanonical(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"::ffff:10.0.0.1", "10.0.0.1"},
		{"::ffff:0.0.0.0", "0.0.0.0"},
		{"fe80::1%eth0", "fe80::1"},
		{"::ffff:10.0.0.1%eth0", "10.0.0.1"},
	} {
		if got := AddrFrom(netip.MustParseAddr(c.in)); got.Netip() != netip.MustParseAddr(c.want) {
			t.Errorf("%s is %v, want %s", c.in, got, c.want)
		}
	}
}

func TestNoAddr(t *testing.T) {
	for _, a := range []Addr{{}, AddrFrom(netip.Addr{}), AddrFrom(netip.IPv6Unspecified())} {
		if a.IsValid() || a.Is4() || a.Netip().IsValid() || a.String() != "-" {
			t.Errorf("%#v: valid %v, IPv4 %v, netip %v, text %q", a, a.IsValid(), a.Is4(), a.Netip(), a.String())
		}
	}
	if AddrFrom(netip.IPv4Unspecified()) == (Addr{}) {
		t.Error("0.0.0.0 is no address; it is one, of DHCP clients")
	}
}

// netip orders families and values as Addr does, once zones are gone.
func TestAddrCompareAgreesWithNetip(t *testing.T) {
	all := slices.Clone(addrs)
	rng := rand.New(rand.NewPCG(42, 42))
	for range 100 {
		all = append(all, Addr{Hi: rng.Uint64() >> rng.IntN(64), Lo: rng.Uint64()>>rng.IntN(64) | 1}.String(), Addr4(rng.Uint32()).String())
	}
	for _, s := range all {
		for _, u := range all {
			a, b := netip.MustParseAddr(s).Unmap(), netip.MustParseAddr(u).Unmap()
			if got, want := AddrFrom(a).Compare(AddrFrom(b)), a.Compare(b); got != want {
				t.Fatalf("%v.Compare(%v) = %d, want %d", a, b, got, want)
			}
			if got := AddrFrom(a) == AddrFrom(b); got != (a == b) {
				t.Fatalf("%v == %v is %v", a, b, got)
			}
		}
	}
}

func FuzzAddr(f *testing.F) {
	for _, s := range addrs {
		f.Add(s)
	}
	f.Add("::")
	f.Add("::ffff:1.2.3.4")
	f.Fuzz(func(t *testing.T, s string) {
		in, err := netip.ParseAddr(s)
		if err != nil {
			return
		}
		want := in.WithZone("").Unmap()
		if want == netip.IPv6Unspecified() {
			want = netip.Addr{}
		}
		if got := AddrFrom(in).Netip(); got != want {
			t.Errorf("%q came back as %v, want %v", s, got, want)
		}
	})
}

func TestProtoNamesComeBack(t *testing.T) {
	for n := range 256 {
		p := Proto(n)
		for _, s := range []string{p.Name(), p.String()} {
			if got, ok := ParseProto(s); !ok || got != p {
				t.Errorf("ParseProto(%q) = %v, %v, want %d", s, got, ok, n)
			}
		}
		if p.HasPorts() != (n == 6 || n == 17) {
			t.Errorf("protocol %d: ports %v", n, p.HasPorts())
		}
		if p.IsICMP() != (n == 1 || n == 58) {
			t.Errorf("protocol %d: ICMP %v", n, p.IsICMP())
		}
	}
}

func TestProtoName(t *testing.T) {
	for _, c := range []struct {
		p            Proto
		name, people string
	}{{TCP, "tcp", "tcp"}, {UDP, "udp", "udp"}, {ICMP, "icmp", "icmp"}, {ICMPv6, "icmpv6", "icmpv6"}, {50, "50", "esp"}, {0, "0", "0"}, {255, "255", "255"}} {
		if c.p.Name() != c.name || c.p.String() != c.people {
			t.Errorf("protocol %d: %q and %q, want %q and %q", uint8(c.p), c.p.Name(), c.p.String(), c.name, c.people)
		}
	}
}

func TestParseProtoRefuses(t *testing.T) {
	for _, s := range []string{"", "-", "-1", "256", "TCP", " tcp", "6 ", "0x6", "1e1", "any"} {
		if p, ok := ParseProto(s); ok {
			t.Errorf("ParseProto(%q) = %v", s, p)
		}
	}
}

func TestDirectionReverse(t *testing.T) {
	for _, c := range []struct{ in, want Direction }{{Ingress, Egress}, {Egress, Ingress}, {DirectionUnknown, DirectionUnknown}} {
		if got := c.in.Reverse(); got != c.want {
			t.Errorf("%v reversed is %v, want %v", c.in, got, c.want)
		}
	}
}

func TestFlagClass(t *testing.T) {
	for _, c := range []struct {
		proto Proto
		flags TCPFlags
		want  FlagClass
	}{
		{TCP, 0, NoFlags},
		{TCP, SYN, NoFlags}, // not stated
		{TCP, FlagsKnown, Midlife},
		{TCP, FlagsKnown | SYN, Opener},
		{TCP, FlagsKnown | SYN | FIN, Opener}, // opened and closed in one interval
		{TCP, FlagsKnown | SYN | RST, Opener},
		{TCP, FlagsKnown | SYN | ACK, Answer},
		{TCP, FlagsKnown | SYN | ACK | FIN, Answer},
		{TCP, FlagsKnown | ACK, Midlife},
		{TCP, FlagsKnown | FIN, Midlife},
		{TCP, FlagsKnown | RST | ACK, Midlife},
		{UDP, FlagsKnown | SYN, NoFlags},
		{ICMP, FlagsKnown | SYN | ACK, NoFlags},
	} {
		if got := c.flags.Class(c.proto); got != c.want {
			t.Errorf("%v with flags %#x: %v, want %v", c.proto, uint16(c.flags), got, c.want)
		}
	}
}

func TestNames(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{DirectionUnknown.String(), "unknown"}, {Ingress.String(), "ingress"}, {Egress.String(), "egress"},
		{ActionNone.String(), "-"}, {Accept.String(), "ACCEPT"}, {Reject.String(), "REJECT"},
		{StatusOK.String(), "OK"}, {StatusNoData.String(), "NODATA"}, {StatusSkipData.String(), "SKIPDATA"},
		{NoFlags.String(), "no-flags"}, {Opener.String(), "opener"}, {Answer.String(), "answer"}, {Midlife.String(), "midlife"},
	} {
		if c.got != c.want {
			t.Errorf("got %q, want %q", c.got, c.want)
		}
	}
}

func TestDispositionsHaveDistinctNames(t *testing.T) {
	var names []string
	for d := range Disposition(NumDispositions) {
		names = append(names, d.String())
	}
	slices.Sort(names)
	if names[0] == "" || len(slices.Compact(names)) != NumDispositions {
		t.Errorf("names %q", names)
	}
	if Permitted.String() != "permitted" || Malformed.String() != "malformed" {
		t.Error("the names are out of step with the constants")
	}
}

func TestLedgersAddUp(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var a, b, sum Ledger
	var total uint64
	for d := range a {
		a[d], b[d] = rng.Uint64N(1000), rng.Uint64N(1000)
		sum[d] = a[d] + b[d]
		total += sum[d]
	}
	x, y := a, b
	x.Merge(&b)
	y.Merge(&a)
	if x != sum || y != sum || x.Total() != total {
		t.Errorf("merged %v and %v, total %d; want %v, %d", x, y, x.Total(), sum, total)
	}
	var zero Ledger
	if zero.Total() != 0 {
		t.Error("an empty ledger counts something")
	}
}
