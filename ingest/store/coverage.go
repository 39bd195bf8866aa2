package store

import (
	"cmp"
	"math"
	"slices"
)

const secondsPerDay = 86400

// maxDay bounds the Unix days a Coverage lists, and so its size, whatever times
// a damaged log claims: 65,535 is in the year 2149.
const maxDay = math.MaxUint16

// dayOf returns the Unix day of the second t.
func dayOf(t int64) int64 {
	d := t / secondsPerDay
	if t%secondsPerDay < 0 {
		d--
	}
	return d
}

// sightings is the Coverage of one interface in the making.
type sightings struct {
	from, to int64
	records  uint64
	noData   uint64
	skipRows uint64
	days     []int32 // ascending
	skips    []Span  // the first merged are sorted and apart
	merged   int
	prints   []Print // by day and verdict

	// The whole day that was marked last, which is nearly always the next one, and what its
	// records add to the prints of it, accepted ones and refused ones.
	dayFrom, dayTo int64
	today          [2]dayPrint
}

// saw notes one row of any status.
func (s *sightings) saw(start, end int64) {
	if s.records == 0 {
		s.from, s.to = start, end
	} else {
		s.from, s.to = min(s.from, start), max(s.to, end)
	}
	s.records++
}

// mark adds the days from start to end. Records last minutes: of one that claims
// to touch more than three days, and of one that ends before it starts, only
// the days of start and end count.
func (s *sightings) mark(start, end int64) {
	if s.dayFrom <= start && end < s.dayTo && start <= end {
		return
	}
	first, last := dayOf(start), dayOf(end)
	s.markDay(first)
	if first+1 < last && last <= first+2 {
		s.markDay(first + 1)
	}
	s.markDay(last)
	if first == last {
		s.settle()
		s.dayFrom, s.dayTo = first*secondsPerDay, (first+1)*secondsPerDay
	}
}

func (s *sightings) markDay(day int64) {
	d := int32(min(max(day, 0), maxDay))
	if i, found := slices.BinarySearch(s.days, d); !found {
		s.days = slices.Insert(s.days, i, d)
	}
}

// skip adds a gap.
func (s *sightings) skip(a, b int64) {
	s.skips = append(s.skips, Span{min(a, b), max(a, b)})
	// Merging each time the list has doubled keeps repeated gaps from piling up.
	if len(s.skips) >= 2*s.merged+64 {
		s.mergeSkips()
	}
}

func (s *sightings) mergeSkips() {
	s.skips = mergeSpans(s.skips)
	s.merged = len(s.skips)
}

// mergeSpans sorts spans and joins those that overlap or follow each other
// without a second between them. It reuses spans.
func mergeSpans(spans []Span) []Span {
	slices.SortFunc(spans, func(a, b Span) int {
		return cmp.Or(cmp.Compare(a.From, b.From), cmp.Compare(a.To, b.To))
	})
	out := spans[:0]
	for _, s := range spans {
		if n := len(out); n > 0 && (s.From <= out[n-1].To || s.From == out[n-1].To+1) {
			out[n-1].To = max(out[n-1].To, s.To)
			continue
		}
		out = append(out, s)
	}
	return out
}

// add adds what o saw of the same interface.
func (s *sightings) add(o *sightings) {
	o.settle()
	if o.records == 0 {
		return
	}
	if s.records == 0 {
		s.from, s.to = o.from, o.to
	}
	s.from, s.to = min(s.from, o.from), max(s.to, o.to)
	s.records = saturatingAdd(s.records, o.records)
	s.noData = saturatingAdd(s.noData, o.noData)
	s.skipRows = saturatingAdd(s.skipRows, o.skipRows)
	s.days = append(s.days, o.days...)
	slices.Sort(s.days)
	s.days = slices.Compact(s.days)
	s.skips = append(s.skips, o.skips...)
	s.prints = mergePrints(append(s.prints, o.prints...))
}

// coverage returns what is known of the interface name. It takes over s.
func (s *sightings) coverage(name string) Coverage {
	s.mergeSkips()
	s.settle()
	return Coverage{
		Interface: name, From: s.from, To: s.to, Records: s.records, NoData: s.noData,
		Days: s.days, Skips: s.skips, SkipRows: s.skipRows, Prints: s.prints,
	}
}
