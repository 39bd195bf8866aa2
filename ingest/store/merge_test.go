package store

import (
	"fmt"
	"math"
	"testing"

	"github.com/sgadvise/sgadvise/ingest/flow"
)

func TestMergedPartsAreTheWhole(t *testing.T) {
	for seed := range uint64(15) {
		w := randomWorld(200 + seed)
		cfg := w.config()
		recs := w.records(2000)
		var parts [3][]flow.Record
		for _, r := range recs {
			i := w.next(3)
			parts[i] = append(parts[i], r)
		}
		a, b, c := FromRecords(cfg, parts[0]), FromRecords(cfg, parts[1]), FromRecords(cfg, parts[2])
		before := contentsOf(a)
		whole := oracle(cfg, recs)
		for what, m := range map[string]*Connections{
			"(a+b)+c":      Merge(Merge(a, b), c),
			"a+(b+c)":      Merge(a, Merge(b, c)),
			"c+(b+a)":      Merge(c, Merge(b, a)),
			"with nothing": Merge(Merge(Merge(Merge(a, b), c), new(Connections)), FromRecords(cfg, nil)),
		} {
			requireSame(t, fmt.Sprintf("seed %d: %s", seed, what), contentsOf(m), whole)
		}
		requireSame(t, "a after merging", contentsOf(a), before)
	}
}

func TestCountsSaturate(t *testing.T) {
	for _, perRecord := range []uint64{0, 1, 3} { // 0: the number of records overflows by itself
		r := tcp("192.0.2.1", 40000, "10.0.0.1", 443, 0)
		r.Packets, r.Bytes = perRecord, math.MaxUint64-5
		c := FromRecords(Config{}, []flow.Record{
			r, r, {Interface: "eni-1", Status: flow.StatusNoData}, {Interface: "eni-1", Status: flow.StatusSkipData}, {Interface: "eni-1"},
		})
		// Doubling 70 times passes through the 32-bit form and beyond 64 bits.
		records, packets := uint64(2), 2*perRecord
		for i := range 70 {
			var row Row
			c.Row(0, &row)
			if row.Records != records || row.Packets != packets || row.Bytes != math.MaxUint64 {
				t.Fatalf("doubled %d times: %d records, %d packets, %d bytes; want %d, %d, %d",
					i, row.Records, row.Packets, row.Bytes, records, packets, uint64(math.MaxUint64))
			}
			records, packets = plainSaturate(records, records), plainSaturate(packets, packets)
			c = Merge(c, c)
		}
		if v := c.Coverage()[0]; v.Records != math.MaxUint64 || v.NoData != math.MaxUint64 || v.SkipRows != math.MaxUint64 {
			t.Errorf("coverage does not saturate: %+v", v)
		}
		l := c.Ledger()
		if l[flow.NoData] != math.MaxUint64 || l[flow.SkipData] != math.MaxUint64 || l[flow.Unsupported] != math.MaxUint64 {
			t.Errorf("ledger does not saturate: %v", l)
		}
	}
}

func TestOutsideSaturates(t *testing.T) {
	c := FromRecords(Config{From: 10_000}, []flow.Record{tcp("192.0.2.1", 40000, "10.0.0.1", 443, 0)})
	for range 70 {
		c = Merge(c, c)
	}
	if c.Outside() != math.MaxUint64 {
		t.Errorf("%d outside", c.Outside())
	}
}
