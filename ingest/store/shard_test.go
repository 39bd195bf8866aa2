package store

import (
	"math"
	"testing"

	"github.com/sgadvise/sgadvise/ingest/flow"
)

// keys4 are keys of IPv4 rows that differ in one thing each.
func keys4() []wideKey {
	base := wideKey{
		local: flow.Addr4(0x0a000001), remote: flow.Addr4(0xc0000201), iface: 3, localPort: 443, remotePort: 32768,
		kind: kindOf(flow.TCP, RemoteClient, flow.Ingress, flow.Accept, flow.Opener),
	}
	keys := []wideKey{base}
	for _, change := range []func(k *wideKey){
		func(k *wideKey) { k.local = flow.Addr4(0x0a000002) },
		func(k *wideKey) { k.remote = flow.Addr4(0xc0000202) },
		func(k *wideKey) { k.iface = 4 },
		func(k *wideKey) { k.localPort = 444 },
		func(k *wideKey) { k.remotePort = 1024 },
		func(k *wideKey) { k.kind = kindOf(flow.UDP, RemoteClient, flow.Ingress, flow.Accept, flow.Opener) },
		func(k *wideKey) { k.kind = kindOf(flow.TCP, LocalClient, flow.Ingress, flow.Accept, flow.Opener) },
		func(k *wideKey) { k.kind = kindOf(flow.TCP, RemoteClient, flow.Egress, flow.Accept, flow.Opener) },
		func(k *wideKey) { k.kind = kindOf(flow.TCP, RemoteClient, flow.Ingress, flow.Reject, flow.Opener) },
		func(k *wideKey) { k.kind = kindOf(flow.TCP, RemoteClient, flow.Ingress, flow.Accept, flow.Answer) },
	} {
		k := base
		change(&k)
		keys = append(keys, k)
	}
	return keys
}

func testShard() *shard {
	mem := newArena()
	s := newShard(&pageSource{mem: mem}, &table[narrowRow]{mem: mem}, &table[wideRow]{mem: mem})
	return &s
}

func (s *shard) rows() map[wideKey]wideRow {
	rows := make(map[wideKey]wideRow)
	for i := range s.narrow.table.next {
		if r := s.narrow.at(i).wide(); r.kind != 0 {
			rows[r.wideKey] = r
		}
	}
	for i := range s.wide.table.next {
		if r := *s.wide.at(i); r.kind != 0 {
			rows[r.wideKey] = r
		}
	}
	return rows
}

// Equal hashes do not happen by chance; the rows must be told apart all the same.
func TestRowsOfEqualHashStayApart(t *testing.T) {
	keys := keys4()
	six := keys[0]
	six.remote = flow.Addr{Hi: 0x20010db8 << 32, Lo: 0xffff_c000_0201}
	other := six
	other.local = flow.Addr{Hi: 1, Lo: keys[0].local.Lo}
	keys = append(keys, six, other)

	for i := range uint16(3000) { // more than fit a page
		k := keys[i%2]
		k.localPort = i
		keys = append(keys, k)
	}

	for _, h := range []uint64{0, 1<<63 | 77, math.MaxUint64} {
		s := testShard()
		want := make(map[wideKey]wideRow)
		add := func(k wideKey, packets uint64) {
			r := wideRow{wideKey: k, records: 1, packets: packets, first: 5, last: 6}
			var n narrowRow
			if r.narrow(&n) {
				s.addNarrow(h, &n)
			} else {
				s.addWide(h, &r)
			}
			o := want[k]
			if o.records == 0 {
				o = wideRow{wideKey: k, first: 5, last: 6}
			}
			o.records++
			o.packets += packets
			want[k] = o
		}
		// Narrow rows, then wide records of every other key, then narrow ones again.
		for _, packets := range []uint64{1, 1 << 40, 1, math.MaxUint32, math.MaxUint32} {
			for i, k := range keys {
				if packets < 1<<32 || i%2 == 0 {
					add(k, packets)
				}
			}
		}
		got := s.rows()
		if len(got) != len(want) {
			t.Errorf("hash %x: %d rows, want %d", h, len(got), len(want))
		}
		for k, w := range want {
			if got[k] != w {
				t.Errorf("hash %x: got  %+v\nwant %+v", h, got[k], w)
			}
		}
	}
}

func TestNarrowAndWideFormsAreOneRow(t *testing.T) {
	for _, k := range keys4() {
		r := wideRow{
			wideKey: k, flags: flow.FlagsKnown | flow.SYN | 255, portLo: 1, portHi: 65535, portBits: 1 << 63, days: 1<<63 | 1,
			records: math.MaxUint32, packets: math.MaxUint32, bytes: math.MaxUint64, first: 0, last: math.MaxUint32,
		}
		var n narrowRow
		if !r.narrow(&n) {
			t.Fatalf("%+v does not fit", r)
		}
		if n.wide() != r {
			t.Errorf("%+v came back as %+v", r, n.wide())
		}
		seed := newHashSeed()
		if seed.narrow(n.ends, n.remote, n.kind) != seed.wide(&k) {
			t.Error("the hash depends on the form")
		}
	}
	for what, change := range map[string]func(r *wideRow){
		"records": func(r *wideRow) { r.records = 1 << 32 },
		"packets": func(r *wideRow) { r.packets = 1 << 32 },
		"first":   func(r *wideRow) { r.first = -1 },
		"last":    func(r *wideRow) { r.last = 1 << 32 },
		"local":   func(r *wideRow) { r.local = flow.Addr{Hi: 1} },
		"remote":  func(r *wideRow) { r.remote = flow.Addr{Lo: 1} },
	} {
		r := wideRow{wideKey: keys4()[0]}
		change(&r)
		if r.narrow(new(narrowRow)) {
			t.Errorf("%s fits and should not", what)
		}
	}
}

func TestHashSpreads(t *testing.T) {
	seed := newHashSeed()
	var narrow, wide [numShards]int
	const n = 100 * numShards
	for i := range uint64(n) {
		narrow[shardOf(seed.narrow(1<<32|0x0a000001, (0xc0000000+i)<<32|443<<16|32768, 0x611))]++
		wide[shardOf(seed.wide(&wideKey{local: flow.Addr{Hi: 1, Lo: 2}, remote: flow.Addr{Hi: 0x20010db8 << 32, Lo: i << 16}}))]++
	}
	for i := range numShards {
		for _, got := range []int{narrow[i], wide[i]} {
			if got < 40 || got > 180 { // 6 standard deviations are 60
				t.Errorf("shard %d has %d of %d rows of consecutive addresses, want about 100", i, got, n)
			}
		}
	}
}
