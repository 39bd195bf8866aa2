package netset

import (
	"cmp"

	"github.com/sgadvise/sgadvise/ingest/flow"
)

// Box is a set of points (address, service): what one rule admits from one peer.
type Box struct {
	Services Services
	Addrs    Addrs
}

// Contains reports whether the point is in b; x is a point of the service axis.
func (b Box) Contains(a flow.Addr, x uint32) bool {
	return b.Services.Contains(x) && b.Addrs.Contains(a)
}

// Covers reports whether all of o is in b.
func (b Box) Covers(o Box) bool { return b.Services.Covers(o.Services) && b.Addrs.Covers(o.Addrs) }

// Overlaps reports whether b and o share a point.
func (b Box) Overlaps(o Box) bool {
	return b.Services.Overlaps(o.Services) && b.Addrs.Overlaps(o.Addrs)
}

// Intersect returns what b and o share, if anything.
func (b Box) Intersect(o Box) (Box, bool) {
	s, ok := b.Services.Intersect(o.Services)
	if !ok {
		return Box{}, false
	}
	a, ok := b.Addrs.Intersect(o.Addrs)
	return Box{s, a}, ok
}

// Size returns the number of points of b, unweighted.
func (b Box) Size() Size { return b.Addrs.Size().Mul(b.Services.Len()) }

// String returns the services and the addresses: "tcp 443 10.0.0.0/8".
func (b Box) String() string { return b.Services.String() + " " + b.Addrs.String() }

// Compare orders boxes by address, then services.
func (b Box) Compare(o Box) int {
	return cmp.Or(b.Addrs.First.Compare(o.Addrs.First), b.Addrs.Last.Compare(o.Addrs.Last),
		cmp.Compare(b.Services.First, o.Services.First), cmp.Compare(b.Services.Last, o.Services.Last))
}

// Subtract returns b without o as disjoint boxes, at most four:
//
//	services
//	   ┌───┬─────┬───┐
//	   │   │  4  │   │
//	   │   ├─────┤   │
//	   │ 1 │  o  │ 2 │
//	   │   ├─────┤   │
//	   │   │  3  │   │
//	   └───┴─────┴───┘ addresses
func (b Box) Subtract(o Box) []Box { return b.AppendSubtract(nil, o) }

// AppendSubtract appends the pieces of b without o to dst and returns it.
func (b Box) AppendSubtract(dst []Box, o Box) []Box {
	if !b.Overlaps(o) {
		return append(dst, b)
	}
	if less(b.Addrs.First, o.Addrs.First) {
		dst = append(dst, Box{b.Services, Addrs{b.Addrs.First, prev(o.Addrs.First)}})
		b.Addrs.First = o.Addrs.First
	}
	if less(o.Addrs.Last, b.Addrs.Last) {
		dst = append(dst, Box{b.Services, Addrs{next(o.Addrs.Last), b.Addrs.Last}})
		b.Addrs.Last = o.Addrs.Last
	}
	if b.Services.First < o.Services.First {
		dst = append(dst, Box{Services{b.Services.First, o.Services.First - 1}, b.Addrs})
	}
	if o.Services.Last < b.Services.Last {
		dst = append(dst, Box{Services{o.Services.Last + 1, b.Services.Last}, b.Addrs})
	}
	return dst
}
