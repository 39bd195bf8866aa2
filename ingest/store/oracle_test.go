package store

import (
	"cmp"
	"encoding/binary"
	"math"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/sgadvise/sgadvise/ingest/flow"
)

// contents is all that Connections say, in plain values.
type contents struct {
	Rows       []Row
	Interfaces []string
	Coverage   []Coverage
	Ledger     flow.Ledger
	Outside    uint64
	From, To   int64
}

func contentsOf(c *Connections) contents {
	d := contents{
		Interfaces: c.Interfaces(), Coverage: c.Coverage(), Ledger: c.Ledger(), Outside: c.Outside(),
	}
	d.From, d.To = c.Window()
	for i := range c.Len() {
		var r Row
		c.Row(i, &r)
		d.Rows = append(d.Rows, r)
	}
	return d
}

// oracle is the definition: one record after another into Go maps.
func oracle(cfg Config, recs []flow.Record) contents {
	type key struct {
		iface                 string
		side                  flow.Direction
		proto                 flow.Proto
		action                flow.Action
		class                 flow.FlagClass
		client                ClientSide
		local, remote         netip.Addr
		localPort, remotePort uint16
		eraLo, eraHi          uint32
	}
	var d contents
	rows := make(map[key]*Row)
	cover := make(map[string]*Coverage)
	days := make(map[string]map[int32]bool)
	for _, r := range recs {
		if cfg.From != 0 && r.End < cfg.From || cfg.To != 0 && r.Start >= cfg.To {
			d.Outside++
			continue
		}
		v := cover[r.Interface]
		if v == nil {
			v = &Coverage{Interface: r.Interface, From: r.Start, To: r.End}
			cover[r.Interface] = v
			days[r.Interface] = make(map[int32]bool)
		}
		v.From, v.To = min(v.From, r.Start), max(v.To, r.End)
		v.Records++
		if r.Status != flow.StatusSkipData {
			first, last := floorDay(r.Start), floorDay(r.End)
			days[r.Interface][clampDay(first)] = true
			days[r.Interface][clampDay(last)] = true
			if last-first == 2 {
				days[r.Interface][clampDay(first+1)] = true
			}
		}
		switch r.Status {
		case flow.StatusNoData:
			v.NoData++
			d.Ledger[flow.NoData]++
			continue
		case flow.StatusSkipData:
			v.SkipRows++
			v.Skips = append(v.Skips, Span{min(r.Start, r.End), max(r.Start, r.End)})
			d.Ledger[flow.SkipData]++
			continue
		}
		if r.Status != flow.StatusOK || !r.Src.IsValid() || !r.Dst.IsValid() || r.Action != flow.Accept && r.Action != flow.Reject {
			d.Ledger[flow.Unsupported]++
			continue
		}
		own := func(a netip.Addr) bool {
			return slices.Contains(cfg.Local[r.Interface], flow.AddrFrom(a))
		}
		side := r.Direction
		switch {
		case side == flow.Ingress || side == flow.Egress:
		case own(r.Src) && !own(r.Dst):
			side = flow.Egress
		case own(r.Dst) && !own(r.Src):
			side = flow.Ingress
		default:
			side = flow.DirectionUnknown
		}
		src, dst := r.Src, r.Dst
		if r.PktSrc.IsValid() {
			src = r.PktSrc
		}
		if r.PktDst.IsValid() {
			dst = r.PktDst
		}
		k := key{iface: r.Interface, side: side, proto: r.Proto, action: r.Action, class: r.Flags.Class(r.Proto)}
		srcPort, dstPort := r.SrcPort, r.DstPort
		if r.Proto != flow.TCP && r.Proto != flow.UDP {
			srcPort, dstPort = 0, 0
		}
		client := oracleClient(r, k.class)
		var lo, hi uint16
		var bits uint64
		switch client {
		case 's':
			lo, hi, bits = srcPort, srcPort, 1<<(srcPort%64)
			srcPort = floorBound(oracleBounds(cfg, r.Interface, side, side != flow.Ingress), srcPort)
		case 'd':
			lo, hi, bits = dstPort, dstPort, 1<<(dstPort%64)
			dstPort = floorBound(oracleBounds(cfg, r.Interface, side, side == flow.Ingress), dstPort)
		}
		if side == flow.Ingress {
			k.local, k.localPort, k.remote, k.remotePort = dst, dstPort, src, srcPort
			k.client = map[byte]ClientSide{'s': RemoteClient, 'd': LocalClient}[client]
		} else {
			k.local, k.localPort, k.remote, k.remotePort = src, srcPort, dst, dstPort
			k.client = map[byte]ClientSide{'s': LocalClient, 'd': RemoteClient}[client]
		}
		for _, cut := range cfg.Cuts[r.Interface] {
			if cut <= min(r.Start, r.End)-60 {
				k.eraLo++
			}
			if cut <= max(r.Start, r.End)+60 {
				k.eraHi++
			}
		}
		o := rows[k]
		if o == nil {
			o = &Row{
				Side: k.side, Proto: k.proto, Action: k.action, Class: k.class, Client: k.client,
				Local: flow.AddrFrom(k.local), Remote: flow.AddrFrom(k.remote), LocalPort: k.localPort, RemotePort: k.remotePort,
				PortLo: lo, PortHi: hi, First: r.Start, Last: r.End,
				EraLo: k.eraLo, EraHi: k.eraHi,
			}
			rows[k] = o
		}
		o.PortLo, o.PortHi, o.PortBits = min(o.PortLo, lo), max(o.PortHi, hi), o.PortBits|bits
		o.Flags |= r.Flags
		o.Records, o.Packets, o.Bytes = o.Records+1, plainSaturate(o.Packets, r.Packets), plainSaturate(o.Bytes, r.Bytes)
		o.First, o.Last = min(o.First, r.Start), max(o.Last, r.End)
		o.Days |= 1 << ((floorDay(r.Start)%64 + 64) % 64)
	}

	for name := range cover {
		d.Interfaces = append(d.Interfaces, name)
	}
	slices.Sort(d.Interfaces)
	for _, name := range d.Interfaces {
		v := cover[name]
		for day := range days[name] {
			v.Days = append(v.Days, day)
		}
		slices.Sort(v.Days)
		v.Skips = joinSpans(v.Skips)
		v.Prints = printsOf(cfg, recs, name)
		d.Coverage = append(d.Coverage, *v)
	}
	for k, o := range rows {
		o.Interface = uint32(slices.Index(d.Interfaces, k.iface))
		if len(d.Rows) == 0 {
			d.From, d.To = o.First, o.Last
		}
		d.From, d.To = min(d.From, o.First), max(d.To, o.Last)
		d.Rows = append(d.Rows, *o)
	}
	slices.SortFunc(d.Rows, func(a, b Row) int {
		return cmp.Or(
			cmp.Compare(d.Interfaces[a.Interface], d.Interfaces[b.Interface]), cmp.Compare(a.Proto, b.Proto),
			a.Remote.Compare(b.Remote), a.Local.Compare(b.Local),
			cmp.Compare(a.LocalPort, b.LocalPort), cmp.Compare(a.RemotePort, b.RemotePort),
			cmp.Compare(a.Client, b.Client), cmp.Compare(a.Side, b.Side), cmp.Compare(a.Action, b.Action), cmp.Compare(a.Class, b.Class),
			cmp.Compare(a.EraLo, b.EraLo), cmp.Compare(a.EraHi, b.EraHi),
		)
	})
	return d
}

// oracleClient returns 's' or 'd' for the end that is the client, or 0.
func oracleClient(r flow.Record, class flow.FlagClass) byte {
	if r.Proto != flow.TCP && r.Proto != flow.UDP {
		return 0
	}
	tier := func(p uint16) int {
		if p >= 32768 {
			return 2
		}
		if p >= 1024 {
			return 1
		}
		return 0
	}
	known := func(p uint16) bool { return slices.Contains(wellKnownPorts[:], p) }
	s, d := r.SrcPort, r.DstPort
	switch {
	case class == flow.Opener:
		return 's'
	case class == flow.Answer:
		return 'd'
	case s == d:
		return 0
	case tier(s) > tier(d):
		return 's'
	case tier(s) < tier(d):
		return 'd'
	case known(d) && !known(s):
		return 's'
	case known(s) && !known(d):
		return 'd'
	}
	return 0
}

// oracleBounds returns the bounds of a port on the given side of an interface.
func oracleBounds(cfg Config, iface string, side flow.Direction, local bool) []uint16 {
	b, ok := cfg.Ports[iface]
	switch {
	case !ok:
		return cfg.PortBounds
	case side == flow.DirectionUnknown:
		return append(slices.Clone(b.Local), b.Remote...)
	case local:
		return b.Local
	}
	return b.Remote
}

func floorBound(bounds []uint16, p uint16) uint16 {
	low := uint16(0)
	for _, b := range bounds {
		if b <= p {
			low = max(low, b)
		}
	}
	return low
}

func floorDay(t int64) int64 { return int64(math.Floor(float64(t) / 86400)) }

func clampDay(d int64) int32 { return int32(max(0, min(d, 65535))) }

func plainSaturate(a, b uint64) uint64 {
	if a > math.MaxUint64-b {
		return math.MaxUint64
	}
	return a + b
}

// joinSpans joins any two spans that meet until none do.
func joinSpans(in []Span) []Span {
	out := slices.Clone(in)
	for joined := true; joined; {
		joined = false
		for i := range out {
			for j := range out {
				if i != j && out[i].From <= out[j].From && (out[j].From <= out[i].To || out[j].From-1 == out[i].To) {
					out[i].To = max(out[i].To, out[j].To)
					out = slices.Delete(out, j, j+1)
					joined = true
					break
				}
			}
			if joined {
				break
			}
		}
	}
	slices.SortFunc(out, func(a, b Span) int { return cmp.Compare(a.From, b.From) })
	return out
}

// world makes records from few addresses, ports and times, so that they meet
// often and at the edges.
type world struct {
	next func(n int) int // 0 to n-1
}

func randomWorld(seed uint64) *world {
	return &world{rand.New(rand.NewPCG(seed, 42)).IntN}
}

// byteWorld draws from data, two bytes a draw, and 0 when it is used up.
func byteWorld(data []byte) *world {
	return &world{func(n int) int {
		if len(data) < 2 {
			return 0
		}
		v := int(binary.LittleEndian.Uint16(data))
		data = data[2:]
		return v % n
	}}
}

func pick[T any](w *world, from ...T) T { return from[w.next(len(from))] }

func (w *world) addr() netip.Addr {
	return netip.MustParseAddr(pick(w, "10.0.0.1", "10.0.0.2", "10.0.1.1", "0.0.0.0", "255.255.255.255", "192.0.2.7",
		"2001:db8::1", "2001:db8::2", "2001:db8:0:1::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "::1"))
}

func (w *world) port() uint16 {
	return pick[uint16](w, 0, 1, 53, 443, 1023, 1024, 1025, 3306, 5432, 8080, 32767, 32768, 40000, 49152, 60999, 65534, 65535)
}

func (w *world) time() int64 {
	const t = 1_700_000_000
	switch w.next(12) {
	case 0:
		return pick[int64](w, 0, -1, 1, -86400, -86401, 1<<32-1, 1<<32, -1<<40, 1<<45)
	case 1:
		return t + int64(w.next(200))*86400
	}
	return t + int64(w.next(3*86400))
}

func (w *world) count() uint64 {
	return pick[uint64](w, 0, 1, 7, 1000, 1<<31, 1<<32-1, 1<<32, 1<<63, math.MaxUint64)
}

func (w *world) record() flow.Record {
	r := flow.Record{
		Interface: pick(w, "eni-b", "eni-a", "eni-c", ""),
		Status:    pick(w, flow.StatusOK, flow.StatusOK, flow.StatusOK, flow.StatusOK, flow.StatusOK, flow.StatusNoData, flow.StatusSkipData, 7),
		Start:     w.time(),
	}
	r.End = r.Start + int64(pick(w, 0, 59, 600, 86400, 2*86400, 3*86400))
	if w.next(10) == 0 {
		r.End = w.time() // may lie before Start, or years after it
	}
	if r.Status == flow.StatusNoData || r.Status == flow.StatusSkipData {
		return r
	}
	r.Src, r.Dst = w.addr(), w.addr()
	if w.next(2) == 0 { // most flows keep to one family
		for r.Src.Is4() != r.Dst.Is4() {
			if r.Dst = w.addr(); r.Dst.Is4() {
				r.Src = netip.MustParseAddr("10.0.0.1")
			} else {
				r.Src = netip.MustParseAddr("2001:db8::1")
			}
		}
	}
	switch w.next(20) {
	case 0:
		r.Src = netip.Addr{}
	case 1:
		r.Dst = netip.Addr{}
	case 2, 3, 4:
		r.PktSrc = w.addr()
	case 5, 6, 7:
		r.PktDst = w.addr()
	}
	r.SrcPort, r.DstPort = w.port(), w.port()
	r.Proto = pick[flow.Proto](w, 6, 6, 6, 17, 17, 1, 58, 0, 255)
	r.Direction = pick[flow.Direction](w, 0, 0, flow.Ingress, flow.Egress, 9)
	r.Action = pick[flow.Action](w, flow.Accept, flow.Accept, flow.Accept, flow.Reject, flow.ActionNone, 9)
	if w.next(3) > 0 {
		r.Flags = flow.FlagsKnown | pick[flow.TCPFlags](w, 0, flow.SYN, flow.SYN|flow.ACK, flow.SYN|flow.FIN, flow.ACK, flow.RST)
	}
	r.Packets, r.Bytes = w.count(), w.count()
	return r
}

func (w *world) records(n int) []flow.Record {
	recs := make([]flow.Record, n)
	for i := range recs {
		recs[i] = w.record()
		if i > 0 && w.next(2) == 0 { // the same row again, more or less
			t := recs[i]
			recs[i] = recs[w.next(i)]
			recs[i].Packets, recs[i].Bytes = t.Packets, t.Bytes
			if w.next(2) == 0 {
				recs[i].Start, recs[i].End = t.Start, t.End
			}
		}
	}
	return recs
}

func (w *world) config() Config {
	cfg := Config{
		Local: map[string][]flow.Addr{
			"eni-a": {flow.Addr4(0x0a000002), flow.Addr4(0x0a000001), flow.AddrFrom(netip.MustParseAddr("2001:db8::1"))},
			"eni-b": {flow.Addr4(0xffffffff), flow.AddrFrom(netip.MustParseAddr("::1"))},
		},
		PortBounds: pick(w, nil, []uint16{0}, []uint16{1, 1024, 65535}, []uint16{443, 444, 32768, 49152}, []uint16{65535}),
	}
	for _, name := range []string{"eni-a", "eni-b", "eni-z"} {
		if w.next(2) == 0 {
			continue
		}
		if cfg.Ports == nil {
			cfg.Ports = make(map[string]SideBounds)
		}
		cfg.Ports[name] = SideBounds{
			Local:  pick(w, nil, []uint16{443, 0, 40000}, []uint16{65535, 1024}),
			Remote: pick(w, nil, []uint16{40000, 443}, []uint16{32768, 49152, 50000, 443}),
		}
	}
	if w.next(2) == 0 {
		cfg.Cuts = map[string][]int64{"eni-a": {1_700_000_000 + int64(w.next(86400))}, "eni-z": {1}}
		for at := int64(0); at < 3*86400; at += 1 + int64(w.next(40000)) {
			cfg.Cuts["eni-b"] = append(cfg.Cuts["eni-b"], 1_700_000_000+at)
		}
	}
	if w.next(3) == 0 {
		cfg.From = 1_700_000_000 + int64(w.next(86400))
	}
	if w.next(3) == 0 {
		cfg.To = 1_700_000_000 + 86400 + int64(w.next(86400))
	}
	return cfg
}

func requireSame(t *testing.T, what string, got, want contents) {
	t.Helper()
	// cmp.Diff of large values is slow, and long.
	for i := range min(len(got.Rows), len(want.Rows)) {
		if got.Rows[i] != want.Rows[i] {
			t.Fatalf("%s: row %d of %d (want %d):\n%s", what, i, len(got.Rows), len(want.Rows), gocmp.Diff(want.Rows[i], got.Rows[i]))
		}
	}
	if len(got.Rows) != len(want.Rows) {
		t.Fatalf("%s: %d rows, want %d", what, len(got.Rows), len(want.Rows))
	}
	got.Rows, want.Rows = nil, nil
	if d := gocmp.Diff(want, got); d != "" {
		t.Fatalf("%s: (-want +got)\n%s", what, d)
	}
}
