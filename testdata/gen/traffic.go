package main

import (
	"math/rand/v2"
	"net/netip"
)

// The time of the first record: 2026-09-01 00:00:00 UTC.
const epoch int64 = 1788220800

const day = 86400

// Status of a record.
const (
	okay = iota
	noData
	skipData
)

// record is one row of the log.
type record struct {
	at               *iface
	src, dst         netip.Addr
	srcPort, dstPort uint16
	proto            uint8
	flags            uint8
	status           uint8
	accept, egress   bool
	packets, bytes   int64
	start, end       int64
}

// traffic draws conversations and hands out their records.
type traffic struct {
	w                     *world
	r                     *rand.Rand
	edges, clients, peers *rand.Zipf
	skip                  bool   // with SKIPDATA rows
	crowd                 bool   // visits only, every client once
	came                  uint64 // clients of the crowd so far
	now                   int64
	window                []record
}

func newTraffic(w *world, o *options) *traffic {
	r := rand.New(rand.NewPCG(o.seed, 0xf10e))
	return &traffic{w: w, r: r, skip: o.skip, crowd: o.traffic == "crowd",
		edges:   rand.NewZipf(r, 1.05, 4, uint64(len(w.edges)-1)),
		clients: rand.NewZipf(r, 1.08, 8, uint64(o.clients-1)),
		peers:   rand.NewZipf(r, 1.2, 2, 19999)}
}

// run hands n records, spread over days, to emit. Records come in the order of
// their ten minutes, mixed inside. A record is valid during the call only.
func (t *traffic) run(n, days int, emit func(*record) error) error {
	span := int64(days) * day
	slot := min(max(n/(days*144), 64), 8192)
	fill := n >= 10*days*len(t.w.ifaces)
	today := int64(0)
	for done := 0; done < n; {
		t.window = t.window[:0]
		if d := int64(float64(done) / float64(n) * float64(days)); fill && d > today {
			t.quiet(today)
			today = d
		}
		for len(t.window) < slot {
			t.now = epoch + int64(float64(done+len(t.window))/float64(n+slot)*float64(span-120))
			t.draw()
		}
		t.r.Shuffle(len(t.window), func(i, j int) { t.window[i], t.window[j] = t.window[j], t.window[i] })
		for i := range t.window[:min(len(t.window), n-done)] {
			rec := &t.window[i]
			rec.at.hasRows = true
			if err := emit(rec); err != nil {
				return err
			}
			done++
		}
	}
	return nil
}

// quiet adds a NODATA row for every interface that had no row on day d.
func (t *traffic) quiet(d int64) {
	for _, f := range t.w.ifaces {
		if !f.hasRows {
			start := epoch + d*day + t.r.Int64N(day-600)
			t.window = append(t.window, record{at: f, status: noData, start: start, end: start + 600})
		}
		f.hasRows = false
	}
}

func (t *traffic) draw() {
	w, r := t.w, t.r
	if t.crowd {
		t.visit()
		return
	}
	switch x := r.IntN(1000); {
	case x < 3:
		status := uint8(noData)
		if t.skip && r.IntN(4) == 0 {
			status = skipData
		}
		start := t.now + r.Int64N(60)
		t.window = append(t.window, record{at: w.ifaces[r.IntN(len(w.ifaces))], status: status, start: start, end: start + 59})
	case x < 86:
		t.scan()
	case x < 586:
		e := &w.edges[t.edges.Uint64()]
		port := t.ephemeral()
		if e.proto == 1 {
			port = 0
		}
		t.talk(side{e.client, e.client.v4, port}, side{e.server, e.server.v4, e.port}, e.proto, e.oneWay, e.out, e.back)
	case x < 880:
		t.visit()
	default:
		t.fetch()
	}
}

// scan is a knock from the internet on an interface that has a public address, or
// on any other where the network is flat. What the rules let in gets a reset.
func (t *traffic) scan() {
	w, r := t.w, t.r
	f := w.ifaces[r.IntN(len(w.ifaces))]
	src := outside(uint64(r.Int64N(200_000))|1<<40, false)
	if r.IntN(20) == 0 {
		b := w.blocked[r.IntN(len(w.blocked))].Addr().As4()
		src = netip.AddrFrom4([4]byte{b[0], b[1], b[2] + byte(r.IntN(4)), byte(r.IntN(256))})
	}
	port := uint16(r.IntN(65536))
	if r.IntN(2) == 0 {
		port = [...]uint16{22, 23, 445, 3389, 81, 8080, 5900, 6379}[r.IntN(8)]
	}
	start := t.now + r.Int64N(60)
	in := record{at: f, src: src, dst: f.v4, srcPort: t.ephemeral(), dstPort: port, proto: 6, flags: 2,
		packets: 1, bytes: 44, start: start, end: start + 1,
		accept: f.passes(false, 6, port, src) && f.opens(false, 6, port, src, nil)}
	t.window = append(t.window, in)
	if in.accept && f.passes(true, 6, in.srcPort, src) {
		out := in
		out.src, out.dst, out.srcPort, out.dstPort = in.dst, in.src, in.dstPort, in.srcPort
		out.egress, out.flags, out.bytes = true, 4, 40
		t.window = append(t.window, out)
	}
}

// visit is a client of a public service.
func (t *traffic) visit() {
	w, r := t.w, t.r
	f := w.public[r.IntN(len(w.public))]
	var a netip.Addr
	switch {
	case t.crowd:
		for f.service.cdn {
			f = w.public[r.IntN(len(w.public))]
		}
		a = outside(1<<41|t.came, true)
		t.came++
	case f.service.cdn:
		b := w.cdnEdge[r.IntN(len(w.cdnEdge))].Addr().As4()
		a = netip.AddrFrom4([4]byte{b[0], b[1], b[2], byte(r.IntN(256))})
	default:
		a = outside(t.clients.Uint64(), true)
	}
	to := side{f, f.v4, 443}
	if r.IntN(10) == 0 {
		to.port = 80
	}
	if a.Is6() {
		to.addr = f.v6
	}
	from := side{nil, a, t.ephemeral()}
	in := verdicts{true, f.passes(false, 6, to.port, a) && f.opens(false, 6, to.port, a, nil)}
	t.talk(from, to, 6, false, in, verdicts{f.passes(true, 6, from.port, a), true})
}

// fetch is a call of an application to a service on the internet.
func (t *traffic) fetch() {
	w := t.w
	f := w.apps[t.r.IntN(len(w.apps))]
	to := side{nil, outside(t.peers.Uint64()|1<<50, true), 443}
	from := side{f, f.v4, t.ephemeral()}
	if to.addr.Is6() {
		from.addr = f.v6
	}
	out := verdicts{f.opens(true, 6, 443, to.addr, nil) && f.passes(true, 6, 443, to.addr), true}
	t.talk(from, to, 6, false, out, verdicts{true, f.passes(false, 6, from.port, to.addr)})
}

// side is one end of a conversation; f is nil outside the network.
type side struct {
	f    *iface
	addr netip.Addr
	port uint16
}

// talk logs a conversation at every end that is ours, in both directions, up to
// where it is stopped.
func (t *traffic) talk(c, s side, proto uint8, oneWay bool, out, back verdicts) {
	r := t.r
	start := t.now + r.Int64N(60)
	rec := record{src: c.addr, dst: s.addr, srcPort: c.port, dstPort: s.port, proto: proto, start: start, end: start + 10 + r.Int64N(50)}
	rec.packets = 1 + int64(r.ExpFloat64()*30)
	rec.bytes = rec.packets * int64(52+r.IntN(1400))
	ask, answer := uint8(3), uint8(19)
	switch {
	case proto != 6 || r.IntN(20) == 0: // flags of other protocols, and of packets between the first and the last
		ask, answer = 0, 0
	case !out.sender || !out.receiver:
		ask = 2
		rec.packets, rec.bytes = 3, 180
	}
	put := func(f *iface, egress, accept bool) bool {
		if f != nil {
			rec.at, rec.egress, rec.accept = f, egress, accept
			t.window = append(t.window, rec)
		}
		return accept
	}
	if rec.flags = ask; !out.sender || !out.receiver {
		rec.flags = min(ask|2, 2)
		if proto != 6 {
			rec.flags = 0
		}
	}
	if !put(c.f, true, out.sender) || !put(s.f, false, out.receiver) || oneWay {
		return
	}
	rec.src, rec.dst, rec.srcPort, rec.dstPort = s.addr, c.addr, s.port, c.port
	rec.flags = answer
	rec.packets = 1 + rec.packets*int64(50+r.IntN(100))/100
	rec.bytes = rec.packets * int64(52+r.IntN(1400))
	if put(s.f, true, back.sender) {
		put(c.f, false, back.receiver)
	}
}

func (t *traffic) ephemeral() uint16 { return uint16(32768 + t.r.IntN(28232)) }

// outside returns address k of the internet; one in nine is IPv6 if v6 is set.
func outside(k uint64, v6 bool) netip.Addr {
	h := mix(k + 0x9e3779b97f4a7c15)
	if v6 && h>>56 < 28 {
		g := mix(h)
		return netip.AddrFrom16([16]byte{0x24, 0x0e, byte(h) & 0x3f, byte(h >> 8), byte(h >> 16), byte(h >> 24), 0, 1,
			byte(g), byte(g >> 8), byte(g >> 16), byte(g >> 24), byte(g >> 32), byte(g >> 40), byte(g >> 48), byte(g >> 56)})
	}
	first := byte(h)
	switch first {
	case 0, 10, 100, 127, 169, 172, 185, 192, 198, 203: // private, reserved, or a block that the rules name
		first = 52
	}
	if first >= 224 {
		first -= 128
	}
	return netip.AddrFrom4([4]byte{first, byte(h >> 8), byte(h >> 16), byte(h >> 24)})
}

// mix is the finaliser of MurmurHash3: it spreads counters over all addresses.
func mix(x uint64) uint64 {
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	x *= 0xc4ceb9fe1a85ec53
	return x ^ x>>33
}
