package store

import (
	"math/rand/v2"
	"testing"

	"github.com/sgadvise/sgadvise/ingest/flow"
)

// TestReleasedRowsAreGone releases rows piece by piece, in any order, and looks at all the
// others: they are what they were, and none of those that are gone reads as anything.
func TestReleasedRowsAreGone(t *testing.T) {
	for name, wideEvery := range map[string]int{"narrow": 0, "both": 3, "wide": 1} {
		t.Run(name, func(t *testing.T) {
			n := segmentRows*2 + 77
			recs := make([]flow.Record, n)
			for i := range recs {
				src := flow.Addr4(0x0b000000 + uint32(i))
				if wideEvery > 0 && i%wideEvery == 0 {
					src = flow.Addr{Hi: 0x20010db8 << 32, Lo: uint64(i)}
				}
				recs[i] = flow.Record{Interface: "eni-1", Direction: flow.Ingress, Action: flow.Accept, Status: flow.StatusOK, Proto: flow.TCP,
					Src: src.Netip(), Dst: flow.Addr4(0x0a000001).Netip(), SrcPort: 40000, DstPort: 443, Packets: uint64(i) + 1, Bytes: 1, Start: 1e9, End: 1e9 + 1}
			}
			c := FromRecords(Config{}, recs)
			if c.Len() != n {
				t.Fatalf("%d rows, want %d", c.Len(), n)
			}
			before := make([]Row, n)
			for i := range before {
				c.Row(i, &before[i])
			}
			r := rand.New(rand.NewPCG(1, 2))
			cuts := []int{0, 1, n / 3, segmentRows, n/2 + 1, n - 1, n}
			rollUp, records := c.RollUp(), c.Records()
			gone := make([]bool, n)
			for _, p := range r.Perm(len(cuts) - 1) {
				lo, hi := cuts[p], cuts[p+1]
				c.Release(lo, hi)
				for i := lo; i < hi; i++ {
					gone[i] = true
				}
				for i := 0; i < n; i += 1 + i%13 {
					var row Row
					if !gone[i] {
						if c.Row(i, &row); row != before[i] {
							t.Fatalf("row %d is %v after others were released, was %v", i, row, before[i])
						}
					} else if !panics(func() { c.Row(i, &row) }) && row != before[i] {
						t.Fatalf("released row %d reads as %v", i, row)
					}
				}
			}
			for i := 0; i < n; i += 101 {
				var row Row
				if !panics(func() { c.Row(i, &row) }) || !panics(func() { c.Head(i, &row) }) || !panics(func() { c.Times(i) }) {
					t.Fatalf("row %d can be read after all were released", i)
				}
			}
			if c.RollUp() != rollUp || c.Records() != records || c.Len() != n {
				t.Error("what is known of all rows changed")
			}
			if c.Drop(); c.Len() != 0 || c.RollUp() != rollUp {
				t.Error("rows cannot be dropped after they were released")
			}
		})
	}
}

func panics(f func()) (did bool) {
	defer func() { did = recover() != nil }()
	f()
	return false
}
