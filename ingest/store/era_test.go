package store

import (
	"math"
	"testing"

	"github.com/sgadvise/sgadvise/ingest/flow"
)

// TestErasOfRecords: a record belongs to every era that it touches, a minute of slack on
// both sides included, and rows of different eras never merge (aws.md 6.3, trap 61).
func TestErasOfRecords(t *testing.T) {
	const cut = 1_700_000_000
	for _, x := range []struct {
		start, end int64
		lo, hi     uint32
	}{
		{cut - 600, cut - 61, 0, 0},
		{cut - 600, cut - 60, 0, 1}, // its slack ends on the cut
		{cut - 5, cut + 5, 0, 1},
		{cut + 59, cut + 100, 0, 1},
		{cut + 60, cut + 100, 1, 1},
		{cut - 600, cut + 5000, 0, 3},
		{cut + 1060, cut + 1060, 2, 2},
		{cut + 5000, cut - 600, 0, 3}, // ends before it starts
		{math.MinInt64, math.MaxInt64, 0, 3},
		{math.MinInt64, math.MinInt64, 0, 0},
	} {
		r := tcp("192.0.2.1", 40000, "10.0.0.1", 443, 0)
		r.Start, r.End = x.start, x.end
		c := FromRecords(Config{Cuts: map[string][]int64{r.Interface: {cut, cut + 1000, cut + 2000}}}, []flow.Record{r, r})
		var row Row
		c.Row(0, &row)
		if c.Len() != 1 || row.Records != 2 || row.EraLo != x.lo || row.EraHi != x.hi {
			t.Errorf("%d to %d: %d rows, eras %d to %d, want %d to %d", x.start-cut, x.end-cut, c.Len(), row.EraLo, row.EraHi, x.lo, x.hi)
		}
	}
}

// TestRowsOfOneTupleFollowEachOther: the era is the last of what rows are ordered by.
func TestRowsOfOneTupleFollowEachOther(t *testing.T) {
	a, b := tcp("192.0.2.1", 40000, "10.0.0.1", 443, 0), tcp("192.0.2.2", 40000, "10.0.0.1", 443, 0)
	var recs []flow.Record
	for i := range int64(6) {
		a.Start, a.End = 1_700_000_000+10_000*(5-i), 1_700_000_000+10_000*(5-i)
		b.Start, b.End = a.Start, a.End
		recs = append(recs, a, b)
	}
	c := FromRecords(Config{Cuts: map[string][]int64{a.Interface: {1_700_005_000, 1_700_015_000, 1_700_025_000}}}, recs)
	var era uint32
	var row, last Row
	for i := range c.Len() {
		c.Row(i, &row)
		if i > 0 && row.Remote == last.Remote && row.EraLo <= era {
			t.Errorf("row %d: era %d after %d", i, row.EraLo, era)
		}
		if i == c.Len()/2 && row.Remote == last.Remote {
			t.Errorf("row %d: the rows of %v are not together", i, row.Remote)
		}
		era, last = row.EraLo, row
	}
	if c.Len() != 8 {
		t.Errorf("%d rows, want 8", c.Len())
	}
}
