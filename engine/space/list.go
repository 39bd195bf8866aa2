package space

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/sgadvise/sgadvise/engine/netset"
	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/ingest/flow"
)

// List is one stage in one direction.
type List struct {
	Lines   []Line // in the order in which they speak
	Default policy.Action
	// Plain: no line denies or passes on, so that all lines speak together whatever
	// their ranks.
	Plain bool

	passing  bool // some line passes on to the next tier
	skipping bool // some line skips later stages
}

// Line is a rule in a list.
type Line struct {
	Rule    *policy.Rule // references resolved
	Tier    int
	Sure    []netset.Box // what it matches for certain
	Perhaps []netset.Box // all that it may match; Sure itself where that is exact
	Exact   bool         // Sure and Perhaps are the same

	class int             // lines of one tier, rank and action speak together
	reach netset.Services // holds those of Perhaps
}

// everything is all services from all addresses.
var everything = []netset.Box{
	{Services: netset.AllServices, Addrs: netset.AddrsOf(netip.PrefixFrom(netip.IPv4Unspecified(), 0))},
	{Services: netset.AllServices, Addrs: netset.AddrsOf(netip.PrefixFrom(netip.IPv6Unspecified(), 0))},
}

// Everything returns the boxes that hold every service from every address.
func Everything() []netset.Box { return slices.Clone(everything) }

// Of returns the list of st, whose references have been resolved. Addresses that the
// stage exempts are not in it: for them the stage does not speak at all.
func Of(st *policy.Stage) *List {
	var lines []Line
	for t := range st.Tiers {
		lines = slices.Grow(lines, len(st.Tiers[t].Rules))
		for i := range st.Tiers[t].Rules {
			lines = append(lines, LineOf(&st.Tiers[t].Rules[i], t))
		}
	}
	return Join(st.Default, lines)
}

// Join returns the list of lines, which it keeps and may put into another order.
func Join(otherwise policy.Action, lines []Line) *List {
	l := &List{Lines: lines, Default: otherwise, Plain: true}
	sorted := true
	for i := 1; i < len(lines) && sorted; i++ {
		sorted = lines[i-1].compare(&lines[i]) <= 0
	}
	if !sorted {
		slices.SortStableFunc(lines, func(a, b Line) int { return a.compare(&b) })
	}
	for i := range l.Lines {
		x := &l.Lines[i]
		l.Plain = l.Plain && x.Rule.Action == policy.Allow
		l.passing = l.passing || x.Rule.Action == policy.Next
		l.skipping = l.skipping || x.Rule.Action == policy.AllowAll
		if i > 0 {
			if x.class = l.Lines[i-1].class; x.order(&l.Lines[i-1]) != 0 {
				x.class++
			}
		} else {
			x.class = 0
		}
	}
	return l
}

// order compares the places from which lines speak.
func (x *Line) order(y *Line) int {
	return cmp.Or(cmp.Compare(x.Tier, y.Tier), cmp.Compare(x.Rule.Rank, y.Rule.Rank), cmp.Compare(x.Rule.Action, y.Rule.Action))
}

func (x *Line) compare(y *Line) int { return cmp.Or(x.order(y), x.Rule.Ref.Compare(y.Rule.Ref)) }

// LineOf returns the line of r, whose references have been resolved.
func LineOf(r *policy.Rule, tier int) Line {
	x := Line{Rule: r, Tier: tier, Exact: true}
	for i := range r.Match {
		m := r.Match[i]
		boxes, exact := m.Boxes(r.Direction)
		x.Exact = x.Exact && exact
		known := !m.Remote.Unknown && len(m.Remote.Refs) == 0
		switch {
		case exact && x.Sure == nil:
			x.Sure = boxes
		case exact:
			x.Sure = append(x.Sure, boxes...)
		case known: // it restricts what boxes do not show: they are larger than it
			x.Perhaps = append(x.Perhaps, boxes...)
		default:
			if restricted(&m, r.Direction) {
				boxes = nil
			}
			x.Sure = append(x.Sure, boxes...)
			m.Remote = policy.AnyAddr
			wide, _ := m.Boxes(r.Direction)
			x.Perhaps = append(x.Perhaps, wide...)
		}
	}
	if x.Exact {
		x.Perhaps = x.Sure
	} else {
		x.Perhaps = append(x.Perhaps, x.Sure...)
	}
	for i, b := range x.Perhaps {
		if i == 0 {
			x.reach = b.Services
		}
		x.reach.First, x.reach.Last = min(x.reach.First, b.Services.First), max(x.reach.Last, b.Services.Last)
	}
	return x
}

// restricted reports whether m restricts what boxes do not show.
func restricted(m *policy.Match, d flow.Direction) bool {
	m2 := *m
	m2.Remote = policy.AnyAddr
	_, exact := m2.Boxes(d)
	return !exact
}

// Find returns the index of the line of rule ref.
func (l *List) Find(ref policy.Ref) (int, bool) {
	for i := range l.Lines {
		if l.Lines[i].Rule.Ref == ref {
			return i, true
		}
	}
	return -1, false
}

// FindRule returns the index of the line of r itself, the rule that it was made of.
func (l *List) FindRule(r *policy.Rule) (int, bool) {
	for i := range l.Lines {
		if l.Lines[i].Rule == r {
			return i, true
		}
	}
	return -1, false
}

// maxPieces bounds the boxes into which a line is cut by the lines above it. Beyond it
// the line counts as not known: it then proves nothing and is never found needless.
const maxPieces = 4096

// minus returns boxes without by, disjoint from it; ok is false if that takes too many.
func minus(boxes, by []netset.Box) (out []netset.Box, ok bool) {
	if len(by) == 0 {
		return boxes, true
	}
	for _, b := range boxes {
		rest, ok := netset.Residual(b, by, maxPieces)
		if !ok {
			return nil, false
		}
		if out = append(out, rest...); len(out) > maxPieces {
			return nil, false
		}
	}
	return out, true
}

// Region is a set of boxes that is known from below and from above.
type Region struct{ Sure, Perhaps []netset.Box }

// less returns r without what the lines take from it: for certain at most Perhaps of
// them, at the most Sure of them.
func (r Region) less(take Region) Region {
	sure, ok := minus(r.Sure, take.Perhaps)
	if !ok {
		sure = nil
	}
	perhaps, ok := minus(r.Perhaps, take.Sure)
	if !ok {
		perhaps = r.Perhaps
	}
	return Region{sure, perhaps}
}

func (x *Line) region() Region { return Region{x.Sure, x.Perhaps} }

// acts returns where line i is asked at all: its match without what a stronger line of
// its tier passes on to the next.
func (l *List) acts(i int) Region {
	r := l.Lines[i].region()
	if !l.passing {
		return r
	}
	var next Region
	for j := range l.Lines {
		if y := &l.Lines[j]; y.Rule.Action == policy.Next && y.Tier == l.Lines[i].Tier && l.stronger(j, i) {
			next.Sure, next.Perhaps = append(next.Sure, y.Sure...), append(next.Perhaps, y.Perhaps...)
		}
	}
	return r.less(next)
}

// gather joins where the lines that pick are asked; those that pass on decide nothing
// and are left out.
func (l *List) gather(pick func(i int) bool) Region {
	var out Region
	for i := range l.Lines {
		if l.Lines[i].Rule.Action != policy.Next && pick(i) {
			r := l.acts(i)
			out.Sure = append(out.Sure, r.Sure...)
			out.Perhaps = append(out.Perhaps, r.Perhaps...)
		}
	}
	return out
}

// stronger reports whether line j speaks before line i.
func (l *List) stronger(j, i int) bool { return l.Lines[j].class < l.Lines[i].class }

// Speaks returns where line i is among those that speak first: its match without all
// that is stronger. keep says which other lines are there; nil: all.
func (l *List) Speaks(i int, keep func(int) bool) Region {
	return l.acts(i).less(l.gather(func(j int) bool {
		return l.stronger(j, i) && (keep == nil || keep(j))
	}))
}

// Admits returns what allow line i admits in this list: its match without what
// stronger lines deny, or pass on to a later tier than its own. It is nothing for
// lines that do not allow.
func (l *List) Admits(i int) Region {
	x := &l.Lines[i]
	if x.Rule.Action != policy.Allow && x.Rule.Action != policy.AllowAll {
		return Region{}
	}
	if l.Plain {
		return x.region()
	}
	return l.acts(i).less(l.gather(func(j int) bool {
		return l.Lines[j].Rule.Action == policy.Deny && l.stronger(j, i) && l.meets(j, x.Perhaps)
	}))
}

// ByDefault returns what no line matches, if the default allows; otherwise nothing.
func (l *List) ByDefault() Region {
	if l.Default == policy.Deny {
		return Region{}
	}
	return Region{everything, everything}.less(l.gather(func(j int) bool { return l.Lines[j].Rule.Action == policy.Deny }))
}

// Permits returns all that the list permits: what its lines admit and, where the
// default allows, all that no line denies.
func (l *List) Permits() Region {
	out := l.ByDefault()
	out = Region{slices.Clone(out.Sure), slices.Clone(out.Perhaps)}
	for i := range l.Lines {
		r := l.Admits(i)
		out.Sure = append(out.Sure, r.Sure...)
		out.Perhaps = append(out.Perhaps, r.Perhaps...)
	}
	return out
}
