package store

import (
	"math"
	"slices"
	"testing"

	"github.com/sgadvise/sgadvise/ingest/flow"
)

func TestCoverageDays(t *testing.T) {
	const day = 86400
	for _, c := range []struct {
		what       string
		start, end int64
		want       []int32
	}{
		{"within a day", 10*day + 5, 10*day + 65, []int32{10}},
		{"its first and last second", 10 * day, 11*day - 1, []int32{10}},
		{"over midnight", 11*day - 1, 11 * day, []int32{10, 11}},
		{"three days", 10 * day, 12 * day, []int32{10, 11, 12}},
		{"more than a record lasts", 10 * day, 13 * day, []int32{10, 13}},
		{"all of time", math.MinInt64, math.MaxInt64, []int32{0, 65535}},
		{"backwards", 12 * day, 10 * day, []int32{10, 12}},
		{"before 1970", -day, -1, []int32{0}},
		{"too late for a day", math.MaxInt64, math.MaxInt64, []int32{65535}},
		{"too early for a day", math.MinInt64, math.MinInt64, []int32{0}},
	} {
		for _, status := range []flow.Status{flow.StatusOK, flow.StatusNoData, flow.StatusSkipData} {
			r := tcp("192.0.2.1", 40000, "10.0.0.1", 443, 0)
			r.Start, r.End, r.Status = c.start, c.end, status
			got := FromRecords(Config{}, []flow.Record{r, r}).Coverage()[0]
			want := c.want
			if status == flow.StatusSkipData {
				want = nil
			}
			if !slices.Equal(got.Days, want) {
				t.Errorf("%s, %v: days %v, want %v", c.what, status, got.Days, want)
			}
			if got.From != c.start || got.To != c.end {
				t.Errorf("%s, %v: from %d to %d", c.what, status, got.From, got.To)
			}
		}
	}
}

func TestSkipsAreMergedWhereTheyMeet(t *testing.T) {
	for _, c := range []struct{ in, want []Span }{
		{[]Span{{0, 59}}, []Span{{0, 59}}},
		{[]Span{{60, 119}, {0, 59}}, []Span{{0, 119}}},
		{[]Span{{61, 119}, {0, 59}}, []Span{{0, 59}, {61, 119}}},
		{[]Span{{0, 100}, {10, 20}, {100, 130}}, []Span{{0, 130}}},
		{[]Span{{5, 5}, {5, 5}, {6, 6}, {8, 8}}, []Span{{5, 6}, {8, 8}}},
		{[]Span{{20, 10}}, []Span{{10, 20}}},
		{[]Span{{math.MaxInt64, math.MaxInt64}, {0, math.MaxInt64}, {math.MinInt64, -1}}, []Span{{math.MinInt64, math.MaxInt64}}},
		{[]Span{{math.MinInt64, math.MinInt64}, {math.MaxInt64, math.MaxInt64}}, []Span{{math.MinInt64, math.MinInt64}, {math.MaxInt64, math.MaxInt64}}},
	} {
		var recs []flow.Record
		for _, s := range c.in {
			recs = append(recs, flow.Record{Interface: "eni-1", Status: flow.StatusSkipData, Start: s.From, End: s.To})
		}
		v := FromRecords(Config{}, recs).Coverage()[0]
		if !slices.Equal(v.Skips, c.want) {
			t.Errorf("%v: skips %v, want %v", c.in, v.Skips, c.want)
		}
		if v.SkipRows != uint64(len(c.in)) {
			t.Errorf("%v: %d skip rows", c.in, v.SkipRows)
		}
	}
}

func TestRepeatedSkipsTakeNoMemory(t *testing.T) {
	var s sightings
	for i := range int64(100_000) {
		s.skip(i%50*600, i%50*600+59)
	}
	if cap(s.skips) > 1024 {
		t.Errorf("50 distinct gaps take room for %d", cap(s.skips))
	}
}

func TestWindow(t *testing.T) {
	for _, c := range []struct {
		what       string
		from, to   int64
		start, end int64
		in         bool
	}{
		{"no bounds", 0, 0, -5, -5, true},
		{"ends before", 1000, 2000, 900, 999, false},
		{"ends at the first second", 1000, 2000, 900, 1000, true},
		{"starts in the last second", 1000, 2000, 1999, 2100, true},
		{"starts at the bound", 1000, 2000, 2000, 2100, false},
		{"around", 1000, 2000, 0, 9999, true},
		{"only from", 1000, 0, 9999, 9999, true},
		{"only to", 0, 2000, -9999, -9999, true},
	} {
		for _, status := range []flow.Status{flow.StatusOK, flow.StatusNoData, flow.StatusSkipData} {
			r := tcp("192.0.2.1", 40000, "10.0.0.1", 443, 0)
			r.Start, r.End, r.Status = c.start, c.end, status
			got := FromRecords(Config{From: c.from, To: c.to}, []flow.Record{r})
			ledger := got.Ledger()
			if c.in {
				if got.Outside() != 0 || len(got.Interfaces()) != 1 || uint64(got.Len())+ledger.Total() != 1 {
					t.Errorf("%s, %v: left out", c.what, status)
				}
				continue
			}
			if got.Outside() != 1 || len(got.Interfaces()) != 0 || len(got.Coverage()) != 0 || got.Len() != 0 || ledger.Total() != 0 {
				t.Errorf("%s, %v: shows elsewhere than in Outside", c.what, status)
			}
		}
	}
}

func TestWindowOfRows(t *testing.T) {
	if from, to := new(Connections).Window(); from != 0 || to != 0 {
		t.Errorf("no rows: %d, %d", from, to)
	}
	a, b := tcp("192.0.2.1", 40000, "10.0.0.1", 443, 0), tcp("192.0.2.2", 40000, "10.0.0.1", 443, 0)
	a.Start, a.End = -500, 7
	b.Start, b.End = 3, 1<<40
	if from, to := FromRecords(Config{}, []flow.Record{b, a}).Window(); from != -500 || to != 1<<40 {
		t.Errorf("from %d to %d", from, to)
	}
}
