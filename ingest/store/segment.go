package store

import (
	"cmp"
	"slices"
	"sort"
	"strings"

	"github.com/sgadvise/sgadvise/ingest/flow"
)

// Segment is what was seen of one day: rows and coverage. It is immutable.
type Segment struct {
	// Day is the Unix day on which all records start, or OddDay.
	Day int32
	// Coverage is by interface, and of each apart for what ends on the day after.
	Coverage []DayCoverage

	conns *Connections // of all segments that were made together; its interfaces are names of parts
	runs  []run
}

// run is the rows from to end of a Segment's Connections, which are of one part.
type run struct {
	from, end int
	part      part
}

// DayCoverage is what a Segment's day shows of one interface, whatever its traffic.
type DayCoverage struct {
	Coverage
	Over        bool   // of the records that end on the day after
	Unsupported uint64 // of the records: well-formed, but no flow of a network interface
}

// Kept is a row of a Segment. Where the log does not say the direction, Side is unknown,
// and Local is the source. A folded port is that of its class when the row was made.
type Kept struct {
	Row
	Over bool // the records end on the day after their start
	// Src and Dst are the addresses that tell the direction, where those of the packets,
	// which Local and Remote have, are others. Else they are zero.
	Src, Dst flow.Addr
}

// segmentsOf cuts c, whose interfaces are names of parts, into days.
func segmentsOf(c *Connections) []*Segment {
	var out []*Segment
	var r Row
	end := 0
	for i, name := range c.Interfaces() {
		p := parsePart(name)
		if len(out) == 0 || out[len(out)-1].Day != p.day {
			out = append(out, &Segment{Day: p.day, conns: c})
		}
		s := out[len(out)-1]
		from := end
		end += sort.Search(c.Len()-from, func(n int) bool { c.Row(from+n, &r); return int(r.Interface) > i })
		var flows uint64
		for n := from; n < end; n++ {
			c.Row(n, &r)
			flows = saturatingAdd(flows, r.Records)
		}
		if end > from {
			s.runs = append(s.runs, run{from, end, p})
		}
		cov := c.Coverage()[i]
		cov.Interface = p.iface
		others := cov.Records - min(cov.Records, flows)
		s.Coverage = append(s.Coverage, DayCoverage{
			Coverage: cov, Over: p.kind&overMidnight != 0,
			Unsupported: others - min(others, saturatingAdd(cov.NoData, cov.SkipRows)),
		})
	}
	for _, s := range out {
		s.Coverage = mergeCoverage(s.Coverage)
	}
	return out
}

// mergeCoverage sorts list and makes one of those of the same interface. It reuses list.
func mergeCoverage(list []DayCoverage) []DayCoverage {
	slices.SortFunc(list, func(a, b DayCoverage) int {
		return cmp.Or(strings.Compare(a.Interface, b.Interface), cmp.Compare(b2i(a.Over), b2i(b.Over)))
	})
	out := list[:0]
	for i := range list {
		c := &list[i]
		if n := len(out); n > 0 && out[n-1].Interface == c.Interface && out[n-1].Over == c.Over {
			sum := out[n-1].Coverage.sightings()
			sum.add(c.Coverage.sightings())
			out[n-1].Coverage = sum.coverage(c.Interface)
			out[n-1].Unsupported = saturatingAdd(out[n-1].Unsupported, c.Unsupported)
			continue
		}
		out = append(out, *c)
	}
	return out
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// sightings is the inverse of sightings.coverage. It shares the slices of c.
func (c *Coverage) sightings() *sightings {
	return &sightings{
		from: c.From, to: c.To, records: c.Records, noData: c.NoData, skipRows: c.SkipRows, days: c.Days, skips: slices.Clone(c.Skips), prints: slices.Clone(c.Prints),
	}
}

// Len returns the number of rows.
func (s *Segment) Len() (n int) {
	for _, r := range s.runs {
		n += r.end - r.from
	}
	return n
}

// Records returns the number of records of every status.
func (s *Segment) Records() (n uint64) {
	for i := range s.Coverage {
		n = saturatingAdd(n, s.Coverage[i].Records)
	}
	return n
}

// each calls f with every row and the name of its interface.
func (s *Segment) each(f func(name string, k *Kept) error) error {
	var k Kept
	for _, run := range s.runs {
		for i := run.from; i < run.end; i++ {
			s.conns.Row(i, &k.Row)
			k.Interface, k.EraLo, k.EraHi = 0, 0, 0
			k.Over, k.Src, k.Dst = run.part.kind&overMidnight != 0, run.part.ends[0], run.part.ends[1]
			if err := f(run.part.iface, &k); err != nil {
				return err
			}
		}
	}
	return nil
}
