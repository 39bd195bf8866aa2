package orient_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/sgadvise/sgadvise/engine/orient"
	"github.com/sgadvise/sgadvise/ingest/flow"
	"github.com/sgadvise/sgadvise/ingest/store"
)

// maze returns traffic in a small world, in which everything is odd: any of few ports is a
// client's or a service's, few hosts ask each other both ways, and flags come and go.
func maze(r *rand.Rand, n int, eras bool) []flow.Record {
	ports := []uint16{20, 53, 80, 123, 443, 600, 1024, 1194, 5000, 8080, 9000, 20000, 40000, 40064, 50000}
	r.Shuffle(len(ports), func(i, j int) { ports[i], ports[j] = ports[j], ports[i] })
	ports = ports[:2+r.IntN(len(ports)-2)]
	nets := 1 + r.IntN(3)
	hosts := 1 + r.IntN(30)
	ends := len(local)
	flagged := r.IntN(3)    // of 4
	plain := r.IntN(3) == 0 // as a rule there is a client's port, and a service of the other host's own
	var recs []flow.Record
	for range n {
		iface := fmt.Sprintf("eni-%d", 1+r.IntN(ends))
		rec := flow.Record{Interface: iface, Dst: netip.MustParseAddr(local[iface]),
			Src:     netip.AddrFrom4([4]byte{198, 51, byte(r.IntN(nets)), byte(r.IntN(hosts))}),
			SrcPort: ports[r.IntN(len(ports))], DstPort: ports[r.IntN(len(ports))],
			Proto: []flow.Proto{flow.TCP, flow.TCP, flow.TCP, flow.UDP, flow.UDP, flow.ICMP}[r.IntN(6)], Action: flow.Accept, Packets: 1, Bytes: 9}
		if r.IntN(8) == 0 {
			rec.Src = netip.MustParseAddr(local[fmt.Sprintf("eni-%d", 1+r.IntN(ends))])
		}
		if rec.Interface == "eni-1" && r.IntN(3) == 0 {
			rec.Dst = netip.MustParseAddr(second)
		}
		if plain && r.IntN(10) > 0 {
			rec.SrcPort, rec.DstPort = uint16(40000+r.IntN(200)), ports[int(rec.Src.As4()[3])%len(ports)]
			if r.IntN(8) > 0 {
				rec.SrcPort, rec.DstPort = rec.DstPort, rec.SrcPort
			}
		}
		rec.Start = 1700000000
		if eras || r.IntN(4) == 0 {
			rec.Start += r.Int64N(4000)
		}
		rec.End = rec.Start + 60
		if !rec.Proto.HasPorts() {
			rec.SrcPort, rec.DstPort = 0, 0
		}
		if r.IntN(2) == 0 {
			rec.Src, rec.Dst = rec.Dst, rec.Src
		}
		if r.IntN(5) == 0 {
			rec.Action = flow.Reject
		}
		if rec.Proto == flow.TCP && r.IntN(4) < flagged {
			rec.Flags = flow.FlagsKnown | []flow.TCPFlags{flow.ACK, flow.ACK, flow.SYN, flow.SYN | flow.ACK}[r.IntN(4)]
		}
		recs = append(recs, rec)
	}
	return recs
}

// mazeRules are rules that leave much open.
func mazeRules(r *rand.Rand) (rs rules) {
	if r.IntN(2) == 0 {
		return nil
	}
	for range 2 + r.IntN(6) {
		x := rule{iface: fmt.Sprintf("eni-%d", 1+r.IntN(3)), dir: []flow.Direction{flow.Ingress, flow.Egress}[r.IntN(2)], last: 65535}
		if r.IntN(2) == 0 {
			x.first = []uint16{0, 443, 1024, 40000}[r.IntN(4)]
			x.last = x.first + uint16(r.IntN(20000))
		}
		if r.IntN(3) == 0 {
			x.peer = netip.MustParsePrefix("198.51.1.0/24")
		}
		rs = append(rs, x)
	}
	return rs
}

// Of a row that is rolled up, or that may be of the same hosts as one, no more is said than
// of each exact row behind it.
func TestRolledUpIsNeverSurer(t *testing.T) {
	seeds := 1000
	if testing.Short() {
		seeds = 300
	}
	same, softer := 0, 0
	for seed := range uint64(seeds) {
		r := rand.New(rand.NewPCG(seed, 7))
		eras := r.IntN(4) == 0
		recs, rs := maze(r, 20+r.IntN(300), eras), mazeRules(r)
		exact := reduce(recs, rs, 0, eras)
		a := orient.Decide(exact, env(exact, rs, 1))
		for _, limit := range []int{1, 30} {
			rolled := reduce(recs, rs, limit, eras)
			b := orient.Decide(rolled, env(rolled, rs, 2))
			holders := make(map[store.Row][]int)
			var x, y store.Row
			for i := range rolled.Len() {
				rolled.Head(i, &y)
				holders[family(&y)] = append(holders[family(&y)], i)
			}
			for i := range exact.Len() {
				exact.Head(i, &x)
				for _, k := range holders[family(&x)] {
					rolled.Head(k, &y)
					if x.Remote != y.Remote && (y.RemoteFree == 0 || (x.Remote.Lo^y.Remote.Lo)>>y.RemoteFree != 0) {
						continue
					}
					p, q := a[i], b[k]
					if q.Opener == flow.DirectionUnknown || q.Weak || x.Action != flow.Accept {
						if !p.Weak {
							softer++
						}
						continue
					}
					if p.Weak || p.Opener != q.Opener {
						t.Fatalf("seed %d, limit %d: %+v is %+v, rolled up %+v in %+v", seed, limit, x, p, q, y)
					}
					same++
				}
			}
		}
	}
	if same < softer/20 {
		t.Errorf("%d rows are as sure as without roll-up, %d less", same, softer)
	}
}

// family is what rows that may be behind each other have in common.
func family(r *store.Row) store.Row {
	return store.Row{Interface: r.Interface, Side: r.Side, Proto: r.Proto, Action: r.Action, Class: r.Class, Client: r.Client,
		Local: r.Local, LocalPort: r.LocalPort, RemotePort: r.RemotePort, EraLo: r.EraLo, EraHi: r.EraHi}
}

func TestDecideAgreesWithTheSlowLadder(t *testing.T) {
	seeds := 500
	if testing.Short() {
		seeds = 200
	}
	for seed := range uint64(seeds) {
		r := rand.New(rand.NewPCG(seed, 8))
		eras := r.IntN(4) == 0
		recs, rs := maze(r, 1+r.IntN(400), eras), mazeRules(r)
		for _, limit := range []int{0, 1, 40} {
			c := reduce(recs, rs, limit, eras)
			fast, slow := orient.Decide(c, env(c, rs, 2)), orient.Slowly(c, env(c, rs, 1))
			for i := range fast {
				if fast[i] != slow[i] {
					var x store.Row
					c.Row(i, &x)
					t.Fatalf("seed %d, limit %d: %+v is %+v, should be %+v", seed, limit, x, fast[i], slow[i])
				}
			}
		}
	}
}
