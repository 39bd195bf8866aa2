package space

import (
	"slices"

	"github.com/sgadvise/sgadvise/engine/netset"
	"github.com/sgadvise/sgadvise/engine/policy"
)

// Difference is what one of two lists permits and the other does not.
type Difference struct {
	// Opened is what the second list permits and the first does not, Closed the other
	// way round; disjoint boxes in order, at most as many as were asked for.
	Opened, Closed []netset.Box
	// MoreOpened and MoreClosed: there is more than what is listed.
	MoreOpened, MoreClosed bool
	// Unsure: lines of either list are not known to the end, and what they may match
	// was taken the way that finds more rather than fewer differences.
	Unsure bool
}

// Empty reports whether both lists permit the same.
func (d *Difference) Empty() bool { return len(d.Opened) == 0 && len(d.Closed) == 0 }

// Compare says what list b permits otherwise than list a, listing at most most boxes of
// each kind. A line that is not known to the end and is the same in both lists is taken
// to match one set in both, whatever it is; beyond maxCommon such lines only all of
// what they may match and only what they match for certain are tried.
func Compare(a, b *List, most int) Difference {
	var d Difference
	d.Unsure = !a.exact() || !b.exact()
	settle(a, b, false, func(a, b *List) bool {
		x, y := a.Permits(), b.Permits()
		var more bool
		d.Opened, more = beyond(d.Opened, y.Perhaps, x.Sure, most)
		d.MoreOpened = d.MoreOpened || more
		d.Closed, more = beyond(d.Closed, x.Perhaps, y.Sure, most)
		d.MoreClosed = d.MoreClosed || more
		return true
	})
	return d
}

// Within reports whether b permits nothing that a does not permit, and if not shows a
// part of what it may. Lines that are not known to the end are taken as [Compare]
// does, but with more than maxCommon of them in common nothing is proven.
func Within(b, a *List) (ok bool, witness netset.Box) {
	ok = settle(a, b, true, func(a, b *List) bool {
		ok, witness = netset.CoveredAll(b.Permits().Perhaps, a.Permits().Sure)
		return ok
	})
	return ok, witness
}

// maxCommon bounds the lines that are tried both ways together: all of 2^maxCommon.
const maxCommon = 6

// settle calls f with a and b in which the lines that are in both, and not known to the
// end, match all that they may or only what they match for certain, in every
// combination, until f returns false, which it passes on. A policy decides point by
// point, and at a point a line either matches or not, so all combinations are all cases.
func settle(a, b *List, all bool, f func(a, b *List) bool) bool {
	var common [][2]int
	taken := make(map[int]bool)
	for i := range a.Lines {
		if a.Lines[i].Exact {
			continue
		}
		for j := range b.Lines {
			if !taken[j] && sameLine(&a.Lines[i], &b.Lines[j]) {
				taken[j] = true
				common = append(common, [2]int{i, j})
				break
			}
		}
	}
	cases := []uint{0, ^uint(0)}
	switch {
	case len(common) == 0:
		return f(a, b)
	case len(common) <= maxCommon:
		cases = cases[:0]
		for c := range uint(1) << len(common) {
			cases = append(cases, c)
		}
	case all:
		return f(a, b)
	}
	for _, c := range cases {
		x, y := *a, *b
		x.Lines, y.Lines = slices.Clone(a.Lines), slices.Clone(b.Lines)
		for k, at := range common {
			whole := c>>k&1 != 0
			x.Lines[at[0]].know(whole)
			y.Lines[at[1]].know(whole)
		}
		if !f(&x, &y) {
			return false
		}
	}
	return true
}

// know makes x match all that it may, or only what it matches for certain.
func (x *Line) know(whole bool) {
	if whole {
		x.Sure = x.Perhaps
	} else {
		x.Perhaps = x.Sure
	}
	x.Exact = true
}

// sameLine reports whether x and y say the same from the same place.
func sameLine(x, y *Line) bool {
	return x.order(y) == 0 && slices.EqualFunc(x.Rule.Match, y.Rule.Match, func(a, b policy.Match) bool {
		return a.Protos == b.Protos && a.ICMP == b.ICMP && a.LocalPorts == b.LocalPorts && a.RemotePorts == b.RemotePorts &&
			sameAddrs(&a.Local, &b.Local) && sameAddrs(&a.Remote, &b.Remote)
	})
}

func sameAddrs(a, b *policy.AddrSet) bool {
	return a.Unknown == b.Unknown && slices.Equal(a.Prefixes, b.Prefixes) && slices.Equal(a.Refs, b.Refs)
}

func (l *List) exact() bool {
	return !slices.ContainsFunc(l.Lines, func(x Line) bool { return !x.Exact })
}

// beyond adds to out, which is disjoint, what boxes hold and neither by nor out does.
func beyond(out, boxes, by []netset.Box, most int) (all []netset.Box, more bool) {
	for _, b := range boxes {
		rest, ok := netset.Residual(b, append(slices.Clone(by), out...), maxPieces)
		if !ok {
			if ok, w := netset.Covered(b, by); !ok {
				rest, more = []netset.Box{w}, true
			}
		}
		for _, r := range rest {
			if len(out) >= most {
				return sorted(out), true
			}
			out = append(out, r)
		}
	}
	return sorted(out), more
}

func sorted(b []netset.Box) []netset.Box {
	slices.SortFunc(b, netset.Box.Compare)
	return b
}
