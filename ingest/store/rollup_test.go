package store

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"slices"
	"testing"

	"github.com/sgadvise/sgadvise/ingest/flow"
)

// oraclePrefix returns the longest prefix of a that the level allows, cut down until no
// bound lies in it behind its first address.
func oraclePrefix(bounds []flow.Addr, a netip.Addr, level int) netip.Prefix {
	length := 28 - 4*level
	all := []netip.Addr{netip.MustParseAddr("::1"), netip.MustParseAddr("::ffff:0.0.0.0"), netip.MustParseAddr("0:0:0:0:1::")}
	if a.Is6() {
		length = 56 - 8*level
	}
	if level == 0 {
		length = a.BitLen()
	}
	for _, b := range bounds {
		all = append(all, b.Netip())
	}
	for ; ; length++ {
		p := netip.PrefixFrom(a, length).Masked()
		if !slices.ContainsFunc(all, func(b netip.Addr) bool { return p.Contains(b) && b != p.Addr() }) {
			return p
		}
	}
}

// oracleRollUp is the definition, from the rows of all records.
func oracleRollUp(cfg Config, rows []Row, interfaces []string) []Row {
	type service struct{ Row }
	of := func(r Row) service {
		s := service{Row{
			Interface: r.Interface, Proto: r.Proto, Client: r.Client,
			Local: r.Local, LocalPort: r.LocalPort, RemotePort: r.RemotePort, EraLo: r.EraLo, EraHi: r.EraHi,
		}}
		switch r.Client {
		case LocalClient:
			s.LocalPort = 0
		case RemoteClient:
			s.RemotePort = 0
		}
		return s
	}
	type folded struct {
		Row
		prefix netip.Prefix
	}
	at := func(r Row, level int) folded {
		return folded{Row{
			Interface: r.Interface, Side: r.Side, Proto: r.Proto, Action: r.Action, Class: r.Class, Client: r.Client,
			Local: r.Local, LocalPort: r.LocalPort, RemotePort: r.RemotePort, EraLo: r.EraLo, EraHi: r.EraHi,
		}, oraclePrefix(cfg.AddrBounds, r.Remote.Netip(), level)}
	}
	known := func(r Row) bool { return r.Side == flow.Ingress || r.Side == flow.Egress }
	services := make(map[service][maxLevel + 1]map[folded]bool)
	others := 0
	for _, r := range rows {
		if !known(r) {
			others++
			continue
		}
		sets, ok := services[of(r)]
		for l := range sets {
			if !ok {
				sets[l] = make(map[folded]bool)
			}
			sets[l][at(r, l)] = true
		}
		services[of(r)] = sets
	}
	steps := []int{1 << 62}
	for k := 1 << 20; k >= 1; k /= 2 {
		steps = append(steps, k)
	}
	var peers int
	for _, peers = range steps {
		sum := others
		for _, sets := range services {
			sum += max(min(len(sets[0]), peers), len(sets[maxLevel]))
		}
		if sum <= cfg.MaxRows {
			break
		}
	}
	out := make(map[folded]Row)
	for _, r := range rows {
		level := 0
		for level < maxLevel && known(r) && len(services[of(r)][level]) > peers {
			level++
		}
		k := at(r, level)
		r.Remote, r.RemoteFree = flow.AddrFrom(k.prefix.Addr()), uint8(k.prefix.Addr().BitLen()-k.prefix.Bits())
		if o, ok := out[k]; ok {
			r.PortLo, r.PortHi, r.PortBits = min(r.PortLo, o.PortLo), max(r.PortHi, o.PortHi), r.PortBits|o.PortBits
			r.Flags |= o.Flags
			r.Records, r.Packets, r.Bytes = plainSaturate(r.Records, o.Records), plainSaturate(r.Packets, o.Packets), plainSaturate(r.Bytes, o.Bytes)
			r.First, r.Last, r.Days = min(r.First, o.First), max(r.Last, o.Last), r.Days|o.Days
		}
		out[k] = r
	}
	return slices.SortedFunc(maps.Values(out), func(a, b Row) int {
		return cmp.Or(
			cmp.Compare(interfaces[a.Interface], interfaces[b.Interface]), cmp.Compare(a.Proto, b.Proto),
			a.Remote.Compare(b.Remote), cmp.Compare(a.RemoteFree, b.RemoteFree), a.Local.Compare(b.Local),
			cmp.Compare(a.LocalPort, b.LocalPort), cmp.Compare(a.RemotePort, b.RemotePort),
			cmp.Compare(a.Client, b.Client), cmp.Compare(a.Side, b.Side), cmp.Compare(a.Action, b.Action), cmp.Compare(a.Class, b.Class),
			cmp.Compare(a.EraLo, b.EraLo), cmp.Compare(a.EraHi, b.EraHi),
		)
	})
}

// crowd returns records of many peers of few services, some of them wide, and of what
// else w makes.
func (w *world) crowd(n int) []flow.Record {
	recs := w.records(n)
	for i := range recs {
		r := &recs[i]
		if r.Status != flow.StatusOK || w.next(4) == 0 {
			continue
		}
		r.Interface, r.Proto, r.Flags, r.Direction = pick(w, "eni-a", "eni-b"), 6, flow.FlagsKnown|flow.SYN, flow.Ingress
		r.Action, r.PktSrc, r.PktDst, r.DstPort = flow.Accept, netip.Addr{}, netip.Addr{}, pick[uint16](w, 443, 80, 22)
		if w.next(5) == 0 {
			r.Action = flow.Reject
		}
		r.Packets = 1
		if w.next(30) == 0 {
			r.Packets = 1 << 40
		}
		spread := pick(w, 300, 5000, 60000)
		switch w.next(4) {
		case 0:
			r.Dst = netip.MustParseAddr("2001:db8::1")
			r.Src = flow.Addr{Hi: 0x2001_0db8<<32 | uint64(w.next(4))<<uint(w.next(32)), Lo: uint64(w.next(spread)) << uint(w.next(48))}.Netip()
		default:
			r.Dst = netip.MustParseAddr("10.0.0.1")
			r.Src = flow.Addr4(pick[uint32](w, 0x0a01_0000, 0xcb00_7100, 0) + uint32(w.next(spread))<<uint(w.next(17))).Netip()
		}
		if w.next(3) == 0 { // the answer
			r.Src, r.Dst, r.SrcPort, r.DstPort = r.Dst, r.Src, r.DstPort, r.SrcPort
			r.Direction, r.Flags = flow.Egress, flow.FlagsKnown|flow.SYN|flow.ACK
		}
	}
	return recs
}

func (w *world) rollUpConfig() Config {
	cfg := w.config()
	cfg.MaxRows = pick(w, 1, 30, 200, 500, 900, 1500)
	for range w.next(40) {
		if w.next(4) == 0 {
			cfg.AddrBounds = append(cfg.AddrBounds, flow.Addr{Hi: 0x2001_0db8<<32 | uint64(w.next(9)), Lo: uint64(w.next(3)) << w.next(60)})
		} else {
			cfg.AddrBounds = append(cfg.AddrBounds, flow.Addr4(pick[uint32](w, 0x0a01_0000, 0xcb00_7100, 0)+uint32(w.next(60000))<<uint(w.next(10))))
		}
	}
	return cfg
}

func oracleRolled(cfg Config, recs []flow.Record) contents {
	want := oracle(cfg, recs)
	if len(want.Rows) > cfg.MaxRows {
		want.Rows = oracleRollUp(cfg, want.Rows, want.Interfaces)
	}
	return want
}

func TestRollUpAgreesWithOracle(t *testing.T) {
	rolled := 0
	for seed := range uint64(60) {
		w := randomWorld(1000 + seed)
		cfg, recs := w.rollUpConfig(), w.crowd(w.next(3000))
		c := FromRecords(cfg, recs)
		requireSame(t, fmt.Sprintf("seed %d", seed), contentsOf(c), oracleRolled(cfg, recs))
		if u := c.RollUp(); u.Services > 0 {
			rolled++
		}
	}
	if rolled < 20 {
		t.Errorf("only %d logs were rolled up", rolled)
	}
}

// eagerly adds recs through several workers, rolling up after each batch.
func eagerly(cfg Config, seed hashSeed, recs []flow.Record, workers, batch int) *Connections {
	tally := NewTally(cfg)
	tally.rollAt, tally.eager, tally.seed = 0, true, seed
	var ws []*TallyWorker
	for range workers {
		ws = append(ws, tally.Worker())
	}
	i := 0
	for part := range slices.Chunk(recs, batch) {
		var b Batch
		for _, r := range part {
			b.AppendRow(r)
		}
		ws[i%workers].Add(&b)
		i++
	}
	return tally.Finish()
}

func TestRollUpDoesNotDependOnTheOrder(t *testing.T) {
	for seed := range uint64(15) {
		w := randomWorld(2000 + seed)
		cfg, recs := w.rollUpConfig(), w.crowd(2500)
		cfg.Workers = 1 + int(seed)%3
		want := oracleRolled(cfg, recs)
		rng := rand.New(rand.NewPCG(seed, 7))
		for _, batch := range []int{1 + w.next(200), 600, 2000} {
			rng.Shuffle(len(recs), func(i, j int) { recs[i], recs[j] = recs[j], recs[i] })
			what := fmt.Sprintf("seed %d, batches of %d", seed, batch)
			requireSame(t, what, contentsOf(eagerly(cfg, newHashSeed(), recs, 1+w.next(3), batch)), want)
			requireSame(t, what+", workers", contentsOf(tallyWith(cfg, recs, 3, batch)), want)
		}
		// A hash that tells nothing apart.
		requireSame(t, "no hash", contentsOf(eagerly(cfg, hashSeed{}, recs, 2, 900)), want)

		var parts []*Connections
		for cut := range slices.Chunk(recs, len(recs)/12+w.next(len(recs))) {
			parts = append(parts, FromRecords(cfg, cut))
		}
		for len(parts) > 1 {
			rng.Shuffle(len(parts), func(i, j int) { parts[i], parts[j] = parts[j], parts[i] })
			parts[1] = Merge(parts[0], parts[1])
			parts = parts[1:]
		}
		requireSame(t, fmt.Sprintf("seed %d, merged", seed), contentsOf(parts[0]), want)
	}
}

// Every record is in the one row that holds it, and no bound cuts a row.
func TestRolledUpRowsHoldTheirRecords(t *testing.T) {
	for seed := range uint64(5) {
		w := randomWorld(3000 + seed)
		cfg, recs := w.rollUpConfig(), w.crowd(1500)
		exact := cfg
		exact.MaxRows = 0
		c := FromRecords(cfg, recs)
		var rows []Row
		var records uint64
		for i := range c.Len() {
			var r Row
			c.Row(i, &r)
			p := netip.PrefixFrom(r.Remote.Netip(), r.Remote.Netip().BitLen()-int(r.RemoteFree))
			if p.Masked() != p {
				t.Fatalf("seed %d: %v has bits behind its prefix", seed, p)
			}
			for _, b := range cfg.AddrBounds {
				if p.Contains(b.Netip()) && b.Netip() != p.Addr() {
					t.Fatalf("seed %d: the bound %v cuts %v", seed, b, p)
				}
			}
			rows = append(rows, r)
			records = saturatingAdd(records, r.Records)
		}
		if records != c.Records() || records != FromRecords(exact, recs).Records() {
			t.Fatalf("seed %d: records were lost or added", seed)
		}
		for _, rec := range recs {
			one := FromRecords(exact, []flow.Record{rec})
			if one.Len() == 0 {
				continue
			}
			var x Row
			one.Row(0, &x)
			holders := 0
			for _, r := range rows {
				p := netip.PrefixFrom(r.Remote.Netip(), r.Remote.Netip().BitLen()-int(r.RemoteFree))
				same := c.Interfaces()[r.Interface] == rec.Interface && r.Side == x.Side && r.Proto == x.Proto && r.Action == x.Action &&
					r.Class == x.Class && r.Client == x.Client && r.Local == x.Local && r.LocalPort == x.LocalPort &&
					r.RemotePort == x.RemotePort && r.EraLo == x.EraLo && r.EraHi == x.EraHi
				if same && p.Contains(x.Remote.Netip()) {
					holders++
					if r.First > x.First || r.Last < x.Last || r.PortBits&x.PortBits != x.PortBits || r.Days&x.Days != x.Days {
						t.Fatalf("seed %d: %+v does not cover %+v", seed, r, x)
					}
				}
			}
			if holders != 1 {
				t.Fatalf("seed %d: %d rows hold %+v", seed, holders, x)
			}
		}
	}
}

func TestFewRowsAreNotRolledUp(t *testing.T) {
	w := randomWorld(7)
	recs := w.crowd(2000)
	exact := FromRecords(Config{}, recs)
	c := FromRecords(Config{MaxRows: exact.Len()}, recs)
	requireSame(t, "at the limit", contentsOf(c), contentsOf(exact))
	if u := c.RollUp(); u != (RollUp{MaxRows: exact.Len()}) {
		t.Errorf("at the limit: %+v", u)
	}
	c = FromRecords(Config{MaxRows: exact.Len() - 1}, recs)
	if u := c.RollUp(); u.Services == 0 || u.Rows == 0 || u.Peers == 0 || c.Len() >= exact.Len() {
		t.Errorf("one beyond the limit: %d rows, %+v", c.Len(), u)
	}
}

func TestFoldingComposes(t *testing.T) {
	w := randomWorld(8)
	for range 3000 {
		cfg := w.rollUpConfig()
		classes := addrClasses{bounds: newAddrClasses(cfg.AddrBounds)}
		for range 20 {
			recs := w.crowd(1)
			a := flow.AddrFrom(recs[0].Src)
			if !a.IsValid() {
				continue
			}
			for l := range uint8(maxLevel + 1) {
				first, free := classes.fold(a, l)
				want := oraclePrefix(cfg.AddrBounds, a.Netip(), int(l))
				if first.Netip() != want.Addr() || int(free) != a.Netip().BitLen()-want.Bits() {
					t.Fatalf("%v at level %d: %v, %d free; want %v", a, l, first, free, want)
				}
				for m := l; m <= maxLevel; m++ {
					f1, n1 := classes.fold(first, m)
					f2, n2 := classes.fold(a, m)
					if f1 != f2 || m > l && n1 != n2 {
						t.Fatalf("%v by way of level %d to %d: %v, else %v", a, l, m, f1, f2)
					}
				}
			}
		}
	}
}

// Rows that are dropped leave behind what is known of all of them.
func TestDrop(t *testing.T) {
	for seed := range uint64(20) {
		w := randomWorld(1000 + seed)
		cfg, recs := w.rollUpConfig(), w.crowd(w.next(3000))
		c, whole := FromRecords(cfg, recs), FromRecords(cfg, recs)
		c.Drop()
		if c.Len() != 0 || len(c.Spans()) != 1 {
			t.Errorf("seed %d: %d rows are left, %v", seed, c.Len(), c.Spans())
		}
		from, to := c.Window()
		if wf, wt := whole.Window(); from != wf || to != wt || c.Records() != whole.Records() || c.Ledger() != whole.Ledger() ||
			c.Outside() != whole.Outside() || c.RollUp() != whole.RollUp() || !slices.Equal(c.Interfaces(), whole.Interfaces()) ||
			!reflect.DeepEqual(c.Coverage(), whole.Coverage()) {
			t.Errorf("seed %d: what is known of the rows went with them", seed)
		}
	}
}
