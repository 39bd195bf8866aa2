package engine_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/sgadvise/sgadvise/engine"
	"github.com/sgadvise/sgadvise/engine/netset"
	"github.com/sgadvise/sgadvise/engine/orient"
	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/engine/policy/cloud"
	"github.com/sgadvise/sgadvise/ingest/flow"
	"github.com/sgadvise/sgadvise/ingest/store"
)

// crowd adds to recs connections of many peers with few services, each seen from both
// sides. How flagged they are is up to flags.
func crowd(r *rand.Rand, recs []flow.Record, flags func(answer bool) flow.TCPFlags) []flow.Record {
	for range 3 + r.IntN(4) {
		i := r.IntN(4)
		own := netip.AddrFrom4([4]byte{10, 0, byte(i % 2), byte(4 + i)})
		service := []uint16{22, 53, 80, 443, 9000, 40005}[r.IntN(6)]
		out := r.IntN(3) == 0 // our side asks
		proto := []flow.Proto{6, 6, 6, 17, 1}[r.IntN(5)]
		spread := 1 << r.IntN(18)
		for range 10 + r.IntN(60) {
			n := uint32(r.IntN(spread))
			far := []netip.Addr{flow.Addr4(203<<24 | 113<<8 + n).Netip(), flow.Addr4(10<<24 | n).Netip(), flow.Addr4(198<<24 | 51<<16 + n).Netip()}[r.IntN(3)]
			rec := flow.Record{Interface: fmt.Sprintf("eni-%d", i), Src: far, Dst: own, Proto: proto, Action: flow.Accept,
				Start: 1700000000 + r.Int64N(5*86400), Packets: 1 + r.Uint64N(9), Bytes: r.Uint64N(900)}
			if proto.HasPorts() {
				rec.SrcPort, rec.DstPort = uint16(1024+r.IntN(64000)), service
			}
			if out {
				rec.Src, rec.Dst = own, far
			}
			rec.End = rec.Start + r.Int64N(600)
			if r.IntN(6) == 0 {
				rec.Action = flow.Reject
			}
			back := rec
			back.Src, back.Dst, back.SrcPort, back.DstPort = rec.Dst, rec.Src, rec.DstPort, rec.SrcPort
			if proto == flow.TCP {
				rec.Flags, back.Flags = flags(false), flags(true)
			}
			recs = append(recs, rec)
			if r.IntN(4) > 0 {
				if r.IntN(9) == 0 {
					back.Action = flow.Reject
				}
				recs = append(recs, back)
			}
		}
	}
	return recs
}

// replayRolled is replayRecords with a limit of rows.
func replayRolled(t testing.TB, snap *policy.Snapshot, recs []flow.Record, rows, workers int) *engine.Result {
	t.Helper()
	cfg := engine.StoreConfig(snap)
	cfg.MaxRows, cfg.Workers = rows, workers
	res, err := engine.Replay(context.Background(), store.FromRecords(cfg, recs), snap, workers)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

func crowdedWorld(t *testing.T, seed uint64, flags func(r *rand.Rand, answer bool) flow.TCPFlags) (*policy.Snapshot, []flow.Record, *rand.Rand) {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 99))
	snap, err := cloud.ParseText("policy", []byte(randomPolicy(r)))
	if err != nil {
		t.Fatal(err)
	}
	recs := crowd(r, nil, func(answer bool) flow.TCPFlags { return flags(r, answer) })
	return snap, recs, r
}

func proven(_ *rand.Rand, answer bool) flow.TCPFlags {
	if answer {
		return flow.FlagsKnown | flow.SYN | flow.ACK
	}
	return flow.FlagsKnown | flow.SYN
}

// Where flags say who opened what, roll-up changes nothing but counts.
func TestRollUpKeepsVerdicts(t *testing.T) {
	rolled := 0
	for seed := range uint64(60) {
		snap, recs, r := crowdedWorld(t, seed, proven)
		for i := range recs {
			if recs[i].Proto != flow.TCP {
				recs[i].Proto = flow.TCP
				recs[i].SrcPort, recs[i].DstPort = max(recs[i].SrcPort, 1), max(recs[i].DstPort, 1)
				recs[i].Flags = proven(r, i%2 == 0)
			}
		}
		a := replayRecords(t, snap, recs, 1)
		for _, rows := range []int{1, 40, 150} {
			b := replayRolled(t, snap, recs, rows, 2)
			if b.Store.RollUp().Rows > 0 {
				rolled++
			}
			what := fmt.Sprintf("seed %d, %d rows", seed, rows)
			if a.Ledger != b.Ledger || a.Orientation != b.Orientation || a.RejectedBy != b.RejectedBy {
				t.Fatalf("%s: ledger %v, orientation %v, rejected by %v; without roll-up %v, %v, %v",
					what, b.Ledger, b.Orientation, b.RejectedBy, a.Ledger, a.Orientation, a.RejectedBy)
			}
			if diff := cmp.Diff(a.Fidelity, b.Fidelity); diff != "" {
				t.Fatalf("%s: fidelity %s", what, diff)
			}
			for i := range a.Usage {
				x, y := &a.Usage[i], &b.Usage[i]
				some := func(u *engine.Usage) [4]bool {
					return [4]bool{u.Hits > 0, u.Decisive > 0, u.Proven > 0, u.Hits+u.Possible > 0}
				}
				if some(x) != some(y) || x.Hits < y.Hits || x.Peers < y.Peers || x.First < y.First || x.Last > y.Last || x.Interfaces != y.Interfaces ||
					y.Folded == 0 && y.Hits != x.Hits {
					t.Fatalf("%s: %v rolled up\n%+v, else\n%+v", what, x.Ref, *y, *x)
				}
			}
		}
	}
	if rolled < 60 {
		t.Errorf("only %d logs were rolled up", rolled)
	}
}

// Roll-up may make who opened a connection less certain. It never makes it another, nor more
// certain.
func TestRollUpNeverTurnsAConnectionRound(t *testing.T) {
	kinds := []func(*rand.Rand, bool) flow.TCPFlags{
		func(*rand.Rand, bool) flow.TCPFlags { return 0 },
		proven,
		func(r *rand.Rand, answer bool) flow.TCPFlags {
			if r.IntN(2) == 0 {
				return flow.FlagsKnown | flow.ACK
			}
			return proven(r, answer)
		},
	}
	var n opinions
	for seed := range uint64(300) {
		seed += 300 // the 462nd has a conversation that is rolled up, and its proof is not
		snap, recs, r := crowdedWorld(t, seed, kinds[seed%3])
		recs = append(recs, randomRecords(r, 200)...)
		a := replayRecords(t, snap, recs, 1)
		for _, rows := range [][]int{{1, 250}, {3, 60}, {1, 20}}[seed%3] {
			b := replayRolled(t, snap, recs, rows, 2)
			what := fmt.Sprintf("seed %d, %d rows", seed, rows)
			if a.Ledger.Total() != b.Ledger.Total() {
				t.Fatalf("%s: records were lost", what)
			}
			compareOpeners(t, what, a, b, &n)
			for i := range a.Usage {
				x, y := &a.Usage[i], &b.Usage[i]
				if x.Hits+x.Possible > 0 && y.Hits+y.Possible == 0 {
					t.Fatalf("%s: %v rolled up\n%+v, else\n%+v", what, x.Ref, *y, *x)
				}
			}
		}
	}
	// The universe is small and the limit as low as can be: there it is one in four. What gets
	// surer is what was rejected.
	if n.same < 2*n.softer || n.same < 1000*n.firmer {
		t.Errorf("sure of who opened them is another number of rows: %+v", n)
	}
}

// opinions counts rows by how sure it is who opened them with roll-up.
type opinions struct{ same, softer, firmer int }

// compareOpeners compares the opinion on each row of a with that on the row of b that holds it.
func compareOpeners(t *testing.T, what string, a, b *engine.Result, n *opinions) {
	t.Helper()
	type service struct{ store.Row }
	of := func(r *store.Row) service {
		return service{store.Row{Interface: r.Interface, Side: r.Side, Proto: r.Proto, Action: r.Action, Class: r.Class, Client: r.Client,
			Local: r.Local, LocalPort: r.LocalPort, RemotePort: r.RemotePort}}
	}
	sure := func(o orient.Opinion) bool { return o.Opener != flow.DirectionUnknown && !o.Weak }
	holders := make(map[service][]int)
	var x, y store.Row
	for i := range b.Store.Len() {
		b.Store.Row(i, &y)
		holders[of(&y)] = append(holders[of(&y)], i)
	}
	for i := range a.Store.Len() {
		a.Store.Row(i, &x)
		found := false
		for _, k := range holders[of(&x)] {
			b.Store.Row(k, &y)
			if !netset.Folded(y.Remote, y.RemoteFree).Contains(x.Remote) {
				continue
			}
			found = true
			p, q := a.Openers[i], b.Openers[k]
			if x.Action == flow.Accept && sure(q) && (!sure(p) || p.Opener != q.Opener) {
				t.Fatalf("%s: %+v was opened %+v, rolled up %+v in %+v", what, x, p, q, y)
			}
			switch {
			case sure(p) == sure(q):
				n.same++
			case sure(p):
				n.softer++
			default:
				n.firmer++
			}
		}
		if !found {
			t.Fatalf("%s: no row holds %+v", what, x)
		}
	}
}

func TestRolledUpReplayDoesNotDependOnOrderOrWorkers(t *testing.T) {
	for seed := range uint64(12) {
		snap, recs, r := crowdedWorld(t, seed, proven)
		recs = append(recs, randomRecords(r, 200)...)
		a := replayRolled(t, snap, recs, 100, 1)
		r.Shuffle(len(recs), func(i, j int) { recs[i], recs[j] = recs[j], recs[i] })
		b := replayRolled(t, snap, recs, 100, 4)
		a.Store, b.Store = nil, nil
		if diff := cmp.Diff(a, b, cmpopts.IgnoreFields(engine.Result{}, "Snapshot"), cmpopts.EquateComparable(netip.Prefix{}), listed); diff != "" {
			t.Fatalf("seed %d: %s", seed, diff)
		}
	}
}

// Every rule decides alike about all addresses of a connection.
func TestNoRuleCutsAFoldedConnection(t *testing.T) {
	for seed := range uint64(10) {
		snap, recs, _ := crowdedWorld(t, seed, proven)
		res := replayRolled(t, snap, recs, 1, 1)
		bounds := engine.StoreConfig(snap).AddrBounds
		folded := 0
		for _, c := range res.Connections.All() {
			at := c.Peers()
			if at.First != at.Last {
				folded++
			}
			for _, b := range bounds {
				if at.Contains(b) && b != at.First {
					t.Fatalf("seed %d: %v cuts %v", seed, b, at)
				}
			}
		}
		if folded == 0 {
			t.Errorf("seed %d: nothing was folded", seed)
		}
	}
}
