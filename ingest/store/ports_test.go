package store

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/sgadvise/sgadvise/ingest/flow"
)

func TestPortTier(t *testing.T) {
	for _, c := range []struct {
		port uint16
		want int
	}{{0, 0}, {1, 0}, {1023, 0}, {1024, 1}, {32767, 1}, {32768, 2}, {65535, 2}} {
		if got := PortTier(c.port); got != c.want {
			t.Errorf("PortTier(%d) = %d, want %d", c.port, got, c.want)
		}
	}
}

func TestWellKnownPortsAreOfTheRegisteredTier(t *testing.T) {
	seen := 0
	for p := range 1 << 16 {
		if WellKnown(uint16(p)) != slices.Contains(wellKnownPorts[:], uint16(p)) {
			t.Errorf("WellKnown(%d) = %v", p, WellKnown(uint16(p)))
		}
		if WellKnown(uint16(p)) {
			seen++
			if PortTier(uint16(p)) != 1 {
				t.Errorf("port %d of tier %d is well known", p, PortTier(uint16(p)))
			}
		}
	}
	if seen != len(wellKnownPorts) {
		t.Errorf("%d ports, the table has %d: one is there twice", seen, len(wellKnownPorts))
	}
}

func TestPortClassIsGreatestBoundNotAbove(t *testing.T) {
	var all []uint16
	for p := range 1 << 16 {
		all = append(all, uint16(p))
	}
	whole := newPortClasses(all)
	for _, p := range all {
		if got := whole.of(p); got != p {
			t.Fatalf("every port a class: %d is in that of %d", p, got)
		}
	}
	for _, bounds := range [][]uint16{nil, {0}, {1}, {65535}, {0, 65535}, {1, 2, 3, 65534, 65535}, {22, 23, 1024, 32768}, {443, 22}} {
		classes := newPortClasses(bounds)
		for p := range 1 << 16 {
			if got, want := classes.of(uint16(p)), floorBound(bounds, uint16(p)); got != want {
				t.Fatalf("bounds %v: class of %d = %d, want %d", bounds, p, got, want)
			}
		}
	}
}

func TestPortLinesAgreeWithList(t *testing.T) {
	w := randomWorld(12)
	sizes, dense := make(map[int]int), 0
	for range 200 {
		var bounds []uint16
		for range w.next(1 << w.next(9)) {
			bounds = append(bounds, uint16(w.next(1<<16)))
		}
		if w.next(2) == 0 {
			first := w.next(1 << 16)
			for p := first; p < min(first+20+w.next(80), 1<<16); p++ {
				bounds = append(bounds, uint16(p)) // neighbours, which may fill a line
			}
		}
		c := newPortClasses(bounds)
		sizes[len(c.lines)]++
		if c.dense != 0 {
			dense++
		}
		for p := range 1 << 16 {
			if got, want := c.of(uint16(p)), c.list.of(uint16(p)); got != want {
				t.Fatalf("bounds %v: class of %d = %d, want %d", bounds, p, got, want)
			}
		}
	}
	if len(sizes) != 5 || dense == 0 {
		t.Errorf("sets by lines: %v, %d dense: the test tries too little", sizes, dense)
	}
	var bounds []uint16
	for p := range len(portLine{}) {
		bounds = append(bounds, uint16(p)) // 0 is a class anyhow
	}
	if c := newPortClasses(bounds); len(c.lines) != 1 {
		t.Error("a full line has no room")
	}
	if c := newPortClasses(append(bounds, uint16(len(bounds)))); len(c.lines) != maxPortLines || c.dense != 1 {
		t.Error("a line has room for too many")
	}
}

func tcp(src string, srcPort uint16, dst string, dstPort uint16, flags flow.TCPFlags) flow.Record {
	return flow.Record{
		Interface: "eni-1", Src: netip.MustParseAddr(src), Dst: netip.MustParseAddr(dst), SrcPort: srcPort, DstPort: dstPort,
		Proto: flow.TCP, Direction: flow.Ingress, Action: flow.Accept, Flags: flags, Packets: 1, Bytes: 40, Start: 1000, End: 1060,
	}
}

func TestClientPortIsFolded(t *testing.T) {
	const syn, synAck, ack = flow.FlagsKnown | flow.SYN, flow.FlagsKnown | flow.SYN | flow.ACK, flow.FlagsKnown | flow.ACK
	cfg := Config{PortBounds: []uint16{1, 1024, 32768, 65535}}
	for _, c := range []struct {
		what             string
		src, dst         uint16
		flags            flow.TCPFlags
		client           ClientSide // the record is ingress: its source is remote
		local, remote    uint16
		portLo, portBits uint64
	}{
		{"flags come first", 443, 40000, syn, RemoteClient, 40000, 1, 443, 443 % 64},
		{"an answer's client is its destination", 443, 40000, synAck, LocalClient, 32768, 443, 40000, 40000 % 64},
		{"flags decide between equal ports too", 53, 53, syn, RemoteClient, 53, 1, 53, 53},
		{"later records go by tier", 443, 40000, ack, LocalClient, 32768, 443, 40000, 40000 % 64},
		{"as do those without flags", 40000, 443, 0, RemoteClient, 443, 32768, 40000, 40000 % 64},
		{"system below registered", 2000, 443, 0, RemoteClient, 443, 1024, 2000, 2000 % 64},
		{"registered below ephemeral", 32768, 32767, 0, RemoteClient, 32767, 32768, 32768, 0},
		{"well-known in one tier", 1025, 3306, 0, RemoteClient, 3306, 1024, 1025, 1},
		{"well-known in one tier, the other way", 3306, 1025, 0, LocalClient, 1024, 3306, 1025, 1},
		{"two well-known ports", 3306, 5432, 0, NoClient, 5432, 3306, 0, 0},
		{"two unknown ports of a tier", 2000, 2001, 0, NoClient, 2001, 2000, 0, 0},
		{"two ephemeral ports", 40000, 50000, 0, NoClient, 50000, 40000, 0, 0},
		{"equal ports", 40000, 40000, 0, NoClient, 40000, 40000, 0, 0},
		{"port 0 has the class 0", 0, 443, syn, RemoteClient, 443, 0, 0, 0},
		{"port 1 has its own", 1, 443, syn, RemoteClient, 443, 1, 1, 1},
		{"port 65535 too", 65535, 443, syn, RemoteClient, 443, 65535, 65535, 63},
		{"port 65534 does not", 65534, 443, syn, RemoteClient, 443, 32768, 65534, 62},
	} {
		var r Row
		FromRecords(cfg, []flow.Record{tcp("192.0.2.1", c.src, "10.0.0.1", c.dst, c.flags)}).Row(0, &r)
		bits := uint64(0)
		if c.client != NoClient {
			bits = 1 << c.portBits
		}
		if r.Client != c.client || r.LocalPort != c.local || r.RemotePort != c.remote ||
			r.PortLo != uint16(c.portLo) || r.PortHi != uint16(c.portLo) || r.PortBits != bits {
			t.Errorf("%s: %d to %d: %+v", c.what, c.src, c.dst, r)
		}
	}
}

func TestFoldingDoesNotAskThePolicy(t *testing.T) {
	w := randomWorld(9)
	for range 2000 {
		r := w.record()
		r.Status, r.Action, r.Src, r.Dst = flow.StatusOK, flow.Accept, netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2")
		var a, b Row
		FromRecords(Config{}, []flow.Record{r}).Row(0, &a)
		FromRecords(Config{PortBounds: []uint16{22, 443, 3306, 40000}}, []flow.Record{r}).Row(0, &b)
		if a.Client != b.Client || a.PortLo != b.PortLo {
			t.Fatalf("%+v: client %v without bounds, %v with", r, a.Client, b.Client)
		}
	}
}

func TestPortsOfOneClassFallTogether(t *testing.T) {
	var recs []flow.Record
	for _, p := range []uint16{32768, 40000, 40064, 60999} {
		recs = append(recs, tcp("192.0.2.1", p, "10.0.0.1", 443, flow.FlagsKnown|flow.SYN))
	}
	c := FromRecords(Config{PortBounds: []uint16{443, 444, 32768}}, recs)
	if c.Len() != 1 {
		t.Fatalf("%d rows, want 1", c.Len())
	}
	var r Row
	c.Row(0, &r)
	if r.RemotePort != 32768 || r.PortLo != 32768 || r.PortHi != 60999 || r.PortBits != 1|1<<(60999%64) || r.Records != 4 {
		t.Errorf("got %+v", r)
	}
}
