package classify

import (
	"cmp"
	"net/netip"
	"slices"
	"sync"

	"github.com/sgadvise/sgadvise/engine/netset"
	"github.com/sgadvise/sgadvise/ingest/flow"
)

// rowID names a row of a stage: the set of boxes that hold some interval.
type rowID uint32

// An axis is a line of numbers (ports, IPv4 addresses) cut into intervals:
//
//	cut      0       c1           c2       c3
//	row      |--r0---|-----r1-----|---r0---|---r2---…
//
// An interval reaches to the next cut. The first cut is 0, so a look-up always
// finds one. An axis without cuts restricts nothing.
type axis []cut

type cut struct {
	from uint32
	row  rowID
}

// find returns the index of the interval that holds v. near is where the last key
// was found: sorted input stays there or moves a little.
func (a axis) find(v uint32, near int) int {
	if near < len(a) && a[near].from <= v && (near+1 == len(a) || v < a[near+1].from) {
		return near
	}
	// Largest i with a[i].from <= v.
	i, n := 0, len(a)
	for n > 1 {
		half := n / 2
		if a[i+half].from <= v {
			i += half
		}
		n -= half
	}
	return i
}

// axis6 is an axis of IPv6 addresses.
type axis6 []cut6

type cut6 struct {
	from point
	row  rowID
}

func (a axis6) find(v point, near int) int {
	if near < len(a) && a[near].from.compare(v) <= 0 && (near+1 == len(a) || v.compare(a[near+1].from) < 0) {
		return near
	}
	i, n := 0, len(a)
	for n > 1 {
		half := n / 2
		if a[i+half].from.compare(v) <= 0 {
			i += half
		}
		n -= half
	}
	return i
}

// point is a position on any axis: a 128-bit number.
type point struct{ hi, lo uint64 }

func (p point) compare(q point) int {
	if p.hi != q.hi {
		return cmp.Compare(p.hi, q.hi)
	}
	return cmp.Compare(p.lo, q.lo)
}

// next returns p+1; wrapped reports that there is none.
func (p point) next() (q point, wrapped bool) {
	q = point{p.hi, p.lo + 1}
	if q.lo == 0 {
		q.hi++
	}
	return q, q == point{}
}

// The last points of the axes.
var (
	lastPort = point{0, 1<<16 - 1}
	last4    = point{0, 1<<32 - 1}
	last6    = point{^uint64(0), ^uint64(0)}
)

// span says that box bit holds first to last.
type span struct {
	first, last point
	bit         int
}

func portSpan(r netset.PortRange, bit int) (span, bool) {
	return span{point{0, uint64(r.First)}, point{0, uint64(r.Last)}, bit}, r.First <= r.Last
}

// prefixSpan returns the span of p on the axis of its family.
func prefixSpan(p netip.Prefix, bit int) (s span, is4, ok bool) {
	p = p.Masked()
	if !p.IsValid() {
		return span{}, false, false
	}
	a := flow.AddrFrom(p.Addr())
	if p.Addr().Is4() {
		first := point{0, uint64(a.V4())}
		return span{first, point{0, first.lo | (1<<(32-p.Bits()) - 1)}, bit}, true, true
	}
	s = span{first: point{a.Hi, a.Lo}, bit: bit}
	host := 128 - p.Bits()
	switch {
	case host >= 64:
		s.last = point{a.Hi | (1<<(host-64) - 1), ^uint64(0)}
	default:
		s.last = point{a.Hi, a.Lo | (1<<host - 1)}
	}
	return s, false, true
}

// rows keeps the distinct rows of a stage, each of words words, and the memory that is
// needed while its axes are built.
type rows struct {
	words int
	pool  []uint64
	last  map[uint64]rowID // hash → the last row with it
	prev  []rowID          // row → the row before it with the same hash; itself: none

	in4, in6 []span // of the axis at hand
	keys     []uint64
	events   []event
	depth    []int32
	set      []uint64
	cuts     axis
	cuts6    axis6
}

// spareRows has rows to use again: policies have thousands of sets of groups, and a table
// is a tenth of what it takes to build it.
var spareRows = sync.Pool{New: func() any { return &rows{last: make(map[uint64]rowID)} }}

// maxSpare is how many rows may have been in what is used again: to clear the map of more
// takes longer than to make one.
const maxSpare = 1 << 12

func newRows(words int) *rows {
	r := spareRows.Get().(*rows)
	r.words, r.pool, r.prev = words, r.pool[:0], r.prev[:0]
	clear(r.last)
	return r
}

// done returns the rows as one slice, and gives up the rest.
func (r *rows) done() []uint64 {
	pool := slices.Clone(r.pool)
	if len(r.prev) <= maxSpare {
		spareRows.Put(r)
	}
	return pool
}

// event says that box bit begins (delta 1) or ends (-1) at a point.
type event struct {
	at    point
	bit   int
	delta int32
}

// sortEvents sets events to the beginnings and ends of spans on the axis that ends at
// last, in the order of the axis. Points of 32 bits are sorted as plain numbers, with
// the rest of the event in the lower bits.
func (r *rows) sortEvents(spans []span, last point) {
	const bitBits = 30
	r.events, r.keys = r.events[:0], r.keys[:0]
	if last.hi == 0 && last.lo < 1<<32 && r.words < 1<<(bitBits-6) {
		for _, s := range spans {
			r.keys = append(r.keys, s.first.lo<<(bitBits+1)|uint64(s.bit)<<1|1)
			if s.last.lo < last.lo {
				r.keys = append(r.keys, (s.last.lo+1)<<(bitBits+1)|uint64(s.bit)<<1)
			}
		}
		slices.Sort(r.keys)
		for _, k := range r.keys {
			r.events = append(r.events, event{point{0, k >> (bitBits + 1)}, int(k >> 1 & (1<<bitBits - 1)), int32(k&1)*2 - 1})
		}
		return
	}
	for _, s := range spans {
		r.events = append(r.events, event{s.first, s.bit, 1})
		if end, wrapped := s.last.next(); !wrapped && end.compare(last) <= 0 {
			r.events = append(r.events, event{end, s.bit, -1})
		}
	}
	slices.SortFunc(r.events, func(a, b event) int { return a.at.compare(b.at) })
}

// zeroed returns s with n zeros, in the memory that s has if it is enough.
func zeroed[T any](s []T, n int) []T {
	s = slices.Grow(s[:0], n)[:n]
	clear(s)
	return s
}

// add returns the id of a row that equals set, which it does not keep.
func (r *rows) add(set []uint64) rowID {
	hash := uint64(0)
	for _, w := range set {
		hash = (hash ^ w) * 0x9e3779b97f4a7c15 // 2^64 over the golden ratio: spreads any input
		hash ^= hash >> 32
	}
	id := rowID(len(r.prev))
	link := id
	if at, ok := r.last[hash]; ok {
		link = at
		for {
			if slices.Equal(r.pool[int(at)*r.words:int(at+1)*r.words], set) {
				return at
			}
			if r.prev[at] == at {
				break
			}
			at = r.prev[at]
		}
	}
	r.last[hash] = id
	r.prev = append(r.prev, link)
	r.pool = append(r.pool, set...)
	return id
}

// sweep cuts the axis that ends at last at the bounds of spans and calls emit for
// each interval whose row differs from the one before, in order, from 0.
//
//	spans      |-----a-----|
//	        |--------b---------|
//	rows    | b|    a b    | b | ∅ …
func sweep(spans []span, last point, rows *rows, emit func(from point, row rowID)) {
	rows.sortEvents(spans, last)
	events := rows.events

	// Prefixes of one box may nest, so a box ends only with its last span.
	rows.depth, rows.set = zeroed(rows.depth, rows.words*64), zeroed(rows.set, rows.words)
	depth, set := rows.depth, rows.set
	var row rowID
	for i, at := 0, (point{}); ; at = events[i].at {
		for i < len(events) && events[i].at == at {
			e := events[i]
			depth[e.bit] += e.delta
			if depth[e.bit] > 0 {
				set[e.bit>>6] |= 1 << (e.bit & 63)
			} else {
				set[e.bit>>6] &^= 1 << (e.bit & 63)
			}
			i++
		}
		if r := rows.add(set); at == (point{}) || r != row {
			row = r
			emit(at, r)
		}
		if i == len(events) {
			return
		}
	}
}

// buildAxis builds an axis of ports or IPv4 addresses.
func buildAxis(spans []span, last point, rows *rows) axis {
	rows.cuts = rows.cuts[:0]
	sweep(spans, last, rows, func(from point, row rowID) { rows.cuts = append(rows.cuts, cut{uint32(from.lo), row}) })
	return slices.Clone(rows.cuts)
}

// buildAxis6 builds an axis of IPv6 addresses.
func buildAxis6(spans []span, rows *rows) axis6 {
	rows.cuts6 = rows.cuts6[:0]
	sweep(spans, last6, rows, func(from point, row rowID) { rows.cuts6 = append(rows.cuts6, cut6{from, row}) })
	return slices.Clone(rows.cuts6)
}
