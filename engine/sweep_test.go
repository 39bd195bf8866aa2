package engine_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/sgadvise/sgadvise/engine"
	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/engine/policy/cloud"
	"github.com/sgadvise/sgadvise/ingest/flow"
	"github.com/sgadvise/sgadvise/ingest/store"
)

// TestSweepsAreWhatEntriesSay compares whole results: of a sweep over the rows of each
// interface, of sweeps over pieces of them, and of entries that are sorted.
func TestSweepsAreWhatEntriesSay(t *testing.T) {
	parse := func(text string) *policy.Snapshot {
		snap, err := cloud.ParseText("policy", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		return snap
	}
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 43))
		var snap *policy.Snapshot
		var recs []flow.Record
		maxRows := 0
		switch seed % 4 {
		case 0:
			snap, recs = parse(randomPolicy(r)), randomRecords(r, 900)
		case 1:
			w := randomWorld(r)
			snap, recs = parse(w.text()), worldRecords(w, r, 900)
		case 2:
			snap, recs, _ = crowdedWorld(t, seed, proven)
			recs = append(recs, randomRecords(r, 200)...)
			maxRows = 100
		case 3: // as 0, with all sides known, and one host with many services
			snap, recs = parse(randomPolicy(r)), randomRecords(r, 900)
			for i := range recs {
				if recs[i].Direction == flow.DirectionUnknown {
					recs[i].Direction = flow.Ingress + flow.Direction(i%2)
				}
				if r.IntN(3) == 0 {
					recs[i].DstPort = uint16(r.IntN(40))
				}
			}
		}
		cfg := engine.StoreConfig(snap)
		cfg.MaxRows = maxRows
		conns := store.FromRecords(cfg, recs)
		want, err := engine.ReplayByEntries(context.Background(), conns, snap)
		if err != nil {
			t.Fatal(err)
		}
		for _, rows := range []int{1 << 20, 40, 1} {
			got, err := engine.ReplayInPieces(context.Background(), conns, snap, rows)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(engine.Result{}, "Snapshot", "Store"), cmpopts.EquateComparable(netip.Prefix{}), listed); diff != "" {
				t.Fatalf("seed %d, pieces of %d rows: entries say otherwise:\n%s", seed, rows, diff)
			}
		}
	}
}

// Connections of a large log are not on the heap: they must outlive everything but the
// result.
func TestLargeResultsKeepTheirConnections(t *testing.T) {
	snap, err := cloud.ParseText("policy", []byte("interface eni-1 10.0.0.1 sg-1\ngroup sg-1\n  sgr-1 ingress tcp 443 from 10.0.0.0/8\n"))
	if err != nil {
		t.Fatal(err)
	}
	recs := make([]flow.Record, 50_000)
	for i := range recs {
		recs[i] = flow.Record{Interface: "eni-1", Src: netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)}), Dst: netip.MustParseAddr("10.0.0.1"), SrcPort: 40000, DstPort: 443,
			Proto: flow.TCP, Flags: flow.FlagsKnown | flow.SYN, Direction: flow.Ingress, Action: flow.Accept, Packets: uint64(i), Bytes: 7, Start: 1700000000, End: 1700000060}
	}
	one := replayRecords(t, snap, recs, 1)
	res, err := engine.ReplayInPieces(context.Background(), store.FromRecords(engine.StoreConfig(snap), recs), snap, 9000)
	if err != nil {
		t.Fatal(err)
	}
	conns := &res.Connections
	res = nil
	runtime.GC()
	runtime.GC()
	for i, c := range conns.All() {
		if c.Packets != uint64(i) || c.Remote != flow.AddrFrom(recs[i].Src) || *c != one.Connections.At(i) {
			t.Fatalf("connection %d is %+v", i, *c)
		}
	}
	if conns.Len() != len(recs) {
		t.Error(fmt.Sprint(conns.Len(), " connections"))
	}
}
