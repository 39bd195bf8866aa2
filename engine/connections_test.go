package engine_test

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sgadvise/sgadvise/engine"
	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/ingest/flow"
)

// listed compares Connections one by one.
var listed = cmp.Transformer("list", listOf)

func listOf(c engine.Connections) []engine.Connection {
	var out []engine.Connection
	for _, x := range c.All() {
		out = append(out, *x)
	}
	return out
}

// randomConnections returns n connections in order of interface, some at every bound of
// what can be packed.
func randomConnections(r *rand.Rand, n int) []engine.Connection {
	count := func() uint64 { return []uint64{0, 1, 77, 1<<32 - 1, 1 << 32, 1<<64 - 1}[r.IntN(6)] }
	at := func() int64 { return []int64{0, 1, 1700000000, 1<<32 - 1, 1 << 32, -1, -1 << 63, 1<<63 - 1}[r.IntN(8)] }
	usual := func() uint64 { return uint64(r.IntN(1000)) }
	yes := func() bool { return r.IntN(2) == 0 }
	out := make([]engine.Connection, n)
	for i := range out {
		c := &out[i]
		*c = engine.Connection{Direction: flow.Ingress + flow.Direction(r.IntN(2)), Proto: flow.Proto(r.IntN(256)), Action: flow.Action(r.IntN(3)),
			Remote: flow.Addr4(r.Uint32()), RemoteFree: uint8(r.IntN(33)), Port: uint16(r.Uint32()), Certain: yes(), Proven: yes(), Answered: yes(), Carried: yes(),
			Verdict: policy.Verdict(r.IntN(3)), GroupVerdict: policy.Verdict(r.IntN(3)), Signature: int32(r.IntN(1 << 17)),
			Records: usual(), Packets: usual(), Bytes: usual(), First: 1700000000, Last: 1700000000 + int64(usual()), Days: r.Uint64()}
		c.PortHi = c.Port
		switch r.IntN(12) {
		case 0:
			c.Records = count()
		case 1:
			c.Packets = count()
		case 2:
			c.Bytes = count()
		case 3:
			c.First = at()
		case 4:
			c.Last = at()
		case 5:
			c.PortHi = uint16(r.Uint32())
		case 6:
			c.Remote = flow.Addr{Hi: r.Uint64(), Lo: r.Uint64()}
			c.RemoteFree = uint8(r.IntN(129))
		}
		if i > 0 {
			c.Interface = out[i-1].Interface + int32(r.IntN(200)/199)
		}
	}
	return out
}

func TestPackedConnectionsAreWhatWasPacked(t *testing.T) {
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 41))
		want := randomConnections(r, 3000)
		if seed == 0 { // more signatures than a packed connection can number
			want = randomConnections(r, 200_000)
			for i := range want {
				want[i].Interface, want[i].Signature = 7, int32(i)
			}
		}
		all := engine.ConnectionsOf(want)
		if got := listOf(all); !slices.Equal(got, want) || all.Len() != len(want) {
			t.Fatalf("seed %d: %s", seed, cmp.Diff(want, got))
		}
		for range 500 {
			lo, hi := r.IntN(len(want)+1), r.IntN(len(want)+1)
			next := lo
			for i, c := range all.Range(lo, hi) {
				if i != next || *c != want[i] {
					t.Fatalf("seed %d, %d to %d: %d is %+v, want %d, %+v", seed, lo, hi, i, *c, next, want[next])
				}
				if next++; next > lo+50 {
					break
				}
			}
			if next != max(lo, min(hi, lo+51)) {
				t.Fatalf("seed %d, %d to %d: ended at %d", seed, lo, hi, next)
			}
			if i := r.IntN(len(want)); all.At(i) != want[i] {
				t.Fatalf("seed %d: %d is %+v, want %+v", seed, i, all.At(i), want[i])
			}
		}
	}
	var none engine.Connections
	if none.Len() != 0 || len(listOf(none)) != 0 || len(listOf(engine.ConnectionsOf(nil))) != 0 {
		t.Error("no connections are some")
	}
}
